package keys_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// provider is an identity provider over TLS whose answers can be changed.
type provider struct {
	*httptest.Server
	handler atomic.Pointer[http.HandlerFunc]
	calls   atomic.Int64
}

func newProvider(t testing.TB) *provider {
	p := &provider{}
	p.answer(404, "")
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.calls.Add(1)
		(*p.handler.Load())(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) handle(h http.HandlerFunc) { p.handler.Store(&h) }

func (p *provider) answer(status int, body string) {
	p.handle(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

// remoteFixture is an application that verifies the tokens of a provider.
type remoteFixture struct {
	*apptest.App
	provider *provider
	remote   *keys.Remote
	log      bytes.Buffer // must be read after settle
}

func newRemoteFixture(t testing.TB, options ...keys.RemoteOption) *remoteFixture {
	t.Helper()
	f := &remoteFixture{App: apptest.New(t), provider: newProvider(t)}
	f.provider.answer(200, publicSet(t, "one"))
	f.remote = must(keys.NewRemote(t.Context(), f.provider.URL, append([]keys.RemoteOption{
		keys.WithHTTPClient(f.provider.Client()), keys.WithClock(f.Clock.Now), keys.WithLogger(slog.New(slog.NewTextHandler(&f.log, nil))),
	}, options...)...))(t)
	t.Cleanup(func() { _ = f.remote.Close() })
	f.Verifier = must(security.NewVerifier(testIssuer, f.remote, security.WithClock(f.Clock.Now)))(t)
	f.Validator = must(security.NewValidator(f.Verifier, f.List))(t)
	return f
}

// settle waits until no fetch is running.
func (f *remoteFixture) settle() { f.remote.WaitForFetch() }

// publicSet returns a JWK set with the key p256 under each of the key ids.
func publicSet(t testing.TB, ids ...string) string {
	t.Helper()
	var jwkKeys []gojose.JSONWebKey
	for _, id := range ids {
		jwkKeys = append(jwkKeys, gojose.JSONWebKey{Key: &testKeys().p256.PublicKey, KeyID: id})
	}
	return jwks(t, jwkKeys...)
}

// signedBy returns a token of the key p256 with the key id. It is valid during the whole test.
func (f *remoteFixture) signedBy(t testing.TB, id string) string {
	t.Helper()
	key := must(keys.NewECDSA(testKeys().p256, keys.WithID(id)))(t)
	verifier := must(security.NewVerifier(testIssuer, must(keys.NewSet(key))(t), security.WithClock(f.Clock.Now)))(t)
	issuer := must(security.NewIssuer(verifier, security.WithAccessLifetime(20*24*time.Hour)))(t)
	return must(issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
}

// TestUnknownKeyIDs floods a verifier with unknown key ids. The first waits for the one fetch of the
// interval, and the others are decided at once: 401 if the last fetch succeeded, 503 if it failed.
func TestUnknownKeyIDs(t *testing.T) {
	f := newRemoteFixture(t)
	good := f.signedBy(t, "one")
	flood := func(want error) (fetches int64) {
		t.Helper()
		before := f.provider.calls.Load()
		for i := range 1000 {
			text := compactHS256(fmt.Sprintf(`{"alg":"ES256","kid":"%d","typ":"at+jwt"}`, i), payloadWith())
			if err := verify(t, f.Verifier, text); !errors.Is(err, want) {
				t.Fatalf("an unknown key id: %v, want %v", err, want)
			}
		}
		f.settle()
		return f.provider.calls.Load() - before
	}
	const interval = keys.DefaultMinRefetchInterval
	for _, step := range []struct {
		name    string
		wait    time.Duration
		status  int
		want    error
		fetches int64
	}{
		{name: "just fetched", wait: 0, status: 200, want: security.ErrInvalidToken, fetches: 0},
		{name: "before the interval is over", wait: interval - 1, status: 200, want: security.ErrInvalidToken, fetches: 0},
		{name: "the interval is over", wait: 1, status: 200, want: security.ErrInvalidToken, fetches: 1},
		{name: "the next interval is over", wait: interval, status: 200, want: security.ErrInvalidToken, fetches: 1},
		{name: "first failure", wait: interval, status: 500, want: security.ErrUnavailable, fetches: 1},
		{name: "second failure", wait: interval, status: 500, want: security.ErrUnavailable, fetches: 1},
		{name: "waits for twice as long", wait: interval, status: 500, want: security.ErrUnavailable, fetches: 0},
		{name: "third failure", wait: interval, status: 500, want: security.ErrUnavailable, fetches: 1},
		{name: "waits for four times as long", wait: 4*interval - 1, status: 200, want: security.ErrUnavailable, fetches: 0},
		{name: "the provider is back", wait: 1, status: 200, want: security.ErrInvalidToken, fetches: 1},
		{name: "waits for a normal interval again", wait: interval, status: 200, want: security.ErrInvalidToken, fetches: 1},
	} {
		f.provider.answer(step.status, publicSet(t, "one"))
		f.Clock.Advance(step.wait)
		if got := flood(step.want); got != step.fetches {
			t.Errorf("%s: %d fetches, want %d", step.name, got, step.fetches)
		}
		if err := verify(t, f.Verifier, good); err != nil {
			t.Errorf("%s: a good token: %v", step.name, err)
		}
	}
}

// TestNoFetchProvoked sends malformed tokens, and tokens of known keys with a wrong algorithm. They
// cause no fetch, and no URL in a header is fetched.
func TestNoFetchProvoked(t *testing.T) {
	f := newRemoteFixture(t)
	f.Clock.Advance(2 * time.Minute)
	for _, header := range []string{
		`{"alg":"ES256","kid":{"a":1},"typ":"at+jwt"}`,
		`{"alg":"ES256","kid":"x","kid":"y","typ":"at+jwt"}`,
		`{"alg":"ES256","kid":"x","crit":["b64"],"typ":"at+jwt"}`,
		`{"alg":"RS256","kid":"one","typ":"at+jwt"}`,
		`{"alg":"RS256","typ":"at+jwt"}`,
		`{"alg":"ES256","kid":"one","jku":"` + f.provider.URL + `","typ":"at+jwt"}`,
		`not json`,
	} {
		if err := verify(t, f.Verifier, compactHS256(header, payloadWith())); !errors.Is(err, security.ErrInvalidToken) {
			t.Errorf("%s: %v", header, err)
		}
	}
	f.settle()
	if n := f.provider.calls.Load(); n != 1 {
		t.Errorf("%d fetches, want the first one only", n)
	}
}

// TestRemoteRotation has a provider that changes its keys. The first token of a new key waits for the
// fetch. A removed key is refused after a refresh.
func TestRemoteRotation(t *testing.T) {
	f := newRemoteFixture(t)
	old, next := f.signedBy(t, "one"), f.signedBy(t, "two")
	check := func(when, text string, want error) {
		t.Helper()
		err := verify(t, f.Verifier, text)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", when, err, want)
		}
		f.settle()
	}
	f.provider.answer(200, publicSet(t, "one", "two"))
	f.Clock.Advance(time.Minute)
	check("the first token of the new key", next, nil)
	check("the old key", old, nil)
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"at+jwt"}`))
	check("no key id and two keys", header+old[strings.IndexByte(old, '.'):], security.ErrInvalidToken)
	f.provider.answer(200, publicSet(t, "two"))
	f.Clock.Advance(keys.DefaultRefreshInterval - 1)
	check("the old key, before its removal is fetched", old, nil)
	f.Clock.Advance(1)
	check("the old key, while its removal is fetched", old, nil)
	check("the old key, after its removal", old, security.ErrInvalidToken)
	if !strings.Contains(f.log.String(), "remote key set changed") {
		t.Errorf("log %q", &f.log)
	}
	set, err := f.remote.Current(t.Context())
	f.Clock.Advance(keys.DefaultRefreshInterval)
	_, _ = f.remote.Current(t.Context())
	f.settle()
	if same, _ := f.remote.Current(t.Context()); err != nil || same != set {
		t.Error("the same text gave another key set")
	}
}

// TestProviderDown has a provider that fails. The last good set serves up to its greatest age. Then
// requests get 503.
func TestProviderDown(t *testing.T) {
	f := newRemoteFixture(t)
	access := f.signedBy(t, "one")
	calls := 0
	handler := f.Serve(t, &guard.Operation{ID: "op", Requirement: guard.Requirement{{apptest.AccessScheme}}}, &calls)
	f.provider.answer(503, "hunter2")
	f.Clock.Advance(keys.DefaultMaxStale - 1)
	for range 2 {
		if w := apptest.Get(handler, "Bearer "+access); w.Code != 200 {
			t.Errorf("status %d with the last good set", w.Code)
		}
		f.settle()
	}
	f.Clock.Advance(1)
	w := apptest.Get(handler, "Bearer "+access)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || calls != 2 {
		t.Errorf("status %d, Retry-After %q, %d calls", w.Code, w.Header().Get("Retry-After"), calls)
	}
	checkProblem(t, w)
	f.settle()
	f.provider.answer(200, publicSet(t, "one"))
	f.Clock.Advance(keys.DefaultRefreshInterval)
	if w := apptest.Get(handler, "Bearer "+access); w.Code != 503 {
		t.Errorf("status %d, want 503: requests must not wait for a fetch", w.Code)
	}
	f.settle()
	if w := apptest.Get(handler, "Bearer "+access); w.Code != 200 {
		t.Errorf("status %d after the provider is back", w.Code)
	}
	if text := f.log.String(); !strings.Contains(text, "not fetched") || strings.Contains(text, "hunter2") {
		t.Errorf("log %q", text)
	}
	if err := f.remote.Close(); err != nil || f.remote.Close() != nil {
		t.Error("close:", err)
	}
	if w := apptest.Get(handler, "Bearer "+access); w.Code != 503 {
		t.Errorf("status %d after Close", w.Code)
	}
}

// badAnswers returns answers that are not good key sets.
func badAnswers(t testing.TB, elsewhere string) map[string]http.HandlerFunc {
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	good, k := publicSet(t, "one"), testKeys()
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	return map[string]http.HandlerFunc{
		"a private key":        text(200, jwks(t, gojose.JSONWebKey{Key: k.p256, KeyID: "one"})),
		"a symmetric key":      text(200, jwks(t, gojose.JSONWebKey{Key: testSecret, Algorithm: "HS256", KeyID: "s"}, gojose.JSONWebKey{Key: &k.p256.PublicKey, KeyID: "one"})),
		"too large":            text(200, good+strings.Repeat(" ", keys.MaxRemoteSize)),
		"status 500":           text(500, good),
		"status 203":           text(203, good),
		"not JSON":             text(200, "<html>"),
		"bytes after the JSON": text(200, good+"x"),
		"an empty set":         text(200, `{"keys":[]}`),
		"an empty body":        text(200, ""),
		"a redirect to http":   redirect(elsewhere),
		"endless redirects":    redirect("/again"),
		"truncated": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(good))
		},
	}
}

// TestBadAnswers checks that a bad answer does not replace the last good set, and that no
// application starts with one. The servers behind the redirects have a good set.
func TestBadAnswers(t *testing.T) {
	good := publicSet(t, "one")
	serveGood := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(good)) })
	plain, other := httptest.NewServer(serveGood), httptest.NewTLSServer(serveGood)
	t.Cleanup(plain.Close)
	t.Cleanup(other.Close)
	answers := badAnswers(t, plain.URL)
	answers["a redirect to another host"] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			f := newRemoteFixture(t)
			f.provider.handle(answer)
			access := f.signedBy(t, "one")
			f.Clock.Advance(keys.DefaultRefreshInterval)
			for range 2 {
				if err := verify(t, f.Verifier, access); err != nil {
					t.Errorf("the last good set: %v", err)
				}
				f.settle()
			}
			if f.provider.calls.Load() < 2 || !strings.Contains(f.log.String(), "not fetched") {
				t.Errorf("%d fetches, log %q", f.provider.calls.Load(), &f.log)
			}
			_, err := keys.NewRemote(t.Context(), f.provider.URL, keys.WithHTTPClient(f.provider.Client()))
			if !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), f.provider.URL) {
				t.Errorf("NewRemote: %v, want the URL and the cause", err)
			}
		})
	}
	f := newRemoteFixture(t)
	f.provider.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/moved" {
			http.Redirect(w, r, "/moved", http.StatusFound)
			return
		}
		serveGood(w, r)
	})
	moved := must(keys.NewRemote(t.Context(), f.provider.URL, keys.WithHTTPClient(f.provider.Client())))(t)
	if err := moved.Close(); err != nil {
		t.Error(err)
	}
}

// TestSlowProvider verifies from many goroutines while a fetch is running, and closes the key set
// during the fetch.
func TestSlowProvider(t *testing.T) {
	f := newRemoteFixture(t)
	good, unknown := f.signedBy(t, "one"), f.signedBy(t, "two")
	entered := make(chan struct{})
	f.provider.handle(func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
	})
	f.Clock.Advance(keys.DefaultRefreshInterval)
	if err := verify(t, f.Verifier, good); err != nil { // it is old, so that a fetch begins
		t.Errorf("while the provider is slow: %v", err)
	}
	<-entered
	f.Clock.Advance(keys.DefaultRefreshInterval)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			start := time.Now()
			if err := verify(t, f.Verifier, unknown); !errors.Is(err, security.ErrUnavailable) {
				t.Errorf("an unknown key id: %v", err)
			}
			if waited := time.Since(start); waited < time.Second || waited > 8*time.Second {
				t.Errorf("waited %s for the key, want 2 s", waited)
			}
			for range 50 {
				if err := verify(t, f.Verifier, good); err != nil {
					t.Errorf("while the provider is slow: %v", err)
				}
			}
		})
	}
	group.Wait()
	for range 3 {
		group.Go(func() { _ = f.remote.Close() })
	}
	group.Wait()
	if n := f.provider.calls.Load(); n != 2 {
		t.Errorf("%d fetches, want the first and the slow one", n)
	}
	if err := verify(t, f.Verifier, good); !errors.Is(err, security.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
	if f.log.Len() != 0 {
		t.Errorf("Close is logged as a failure: %s", &f.log)
	}
}

// TestConcurrentRemote verifies, refreshes and closes at the same time, for the race detector.
func TestConcurrentRemote(t *testing.T) {
	f := newRemoteFixture(t)
	good, next := f.signedBy(t, "one"), f.signedBy(t, "two")
	f.provider.answer(200, publicSet(t, "one", "two"))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				f.Clock.Advance(time.Minute)
				if err := verify(t, f.Verifier, good); err != nil {
					t.Error(err)
				}
				_ = verify(t, f.Verifier, next)
			}
		})
	}
	group.Wait()
	f.settle()
	if err := verify(t, f.Verifier, next); err != nil {
		t.Errorf("the new key: %v", err)
	}
	group.Go(func() { _ = f.remote.Close() })
	group.Go(func() { _ = verify(t, f.Verifier, good) })
	group.Wait()
}
