package security

import (
	"bytes"
	"context"
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

	"github.com/go-jose/go-jose/v4"
)

// provider is an identity provider over TLS: what it answers can be changed while it runs.
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
	*fixture
	provider *provider
	remote   *RemoteKeySet
	log      bytes.Buffer // read it after settle
}

func newRemoteFixture(t testing.TB, options ...RemoteOption) *remoteFixture {
	t.Helper()
	f := &remoteFixture{fixture: newFixture(t), provider: newProvider(t)}
	f.provider.answer(200, publicSet(t, "one"))
	f.remote = must(NewRemoteKeySet(t.Context(), f.provider.URL, append([]RemoteOption{
		WithHTTPClient(f.provider.Client()), WithRemoteClock(f.clock.Now), WithRemoteLogger(slog.New(slog.NewTextHandler(&f.log, nil))),
	}, options...)...))(t)
	t.Cleanup(func() { _ = f.remote.Close() })
	f.verifier = must(NewVerifier(testIssuer, f.remote, WithClock(f.clock.Now)))(t)
	f.validator = must(NewValidator(f.verifier, f.list))(t)
	return f
}

// settle waits for the fetches in the background.
func (f *remoteFixture) settle() { f.remote.fetches.Wait() }

// publicSet is the set of p256 under the key ids.
func publicSet(t testing.TB, ids ...string) string {
	t.Helper()
	var keys []jose.JSONWebKey
	for _, id := range ids {
		keys = append(keys, jose.JSONWebKey{Key: &testKeys().p256.PublicKey, KeyID: id})
	}
	return jwks(t, keys...)
}

// signedBy returns a token of p256 under the key id, good for as long as the tests go.
func (f *remoteFixture) signedBy(t testing.TB, id string) string {
	t.Helper()
	key := must(NewECDSAKey(testKeys().p256, WithKeyID(id)))(t)
	verifier := must(NewVerifier(testIssuer, must(NewKeySet(key))(t), WithClock(f.clock.Now)))(t)
	issuer := must(NewIssuer(verifier, WithAccessLifetime(20*24*time.Hour)))(t)
	return must(issuer.Access(t.Context(), "alice", nil))(t).Text()
}

// TestUnknownKeyIDs is case 36: whatever key ids arrive, one fetch in an interval, and more rarely while it fails.
func TestUnknownKeyIDs(t *testing.T) {
	f := newRemoteFixture(t)
	good := f.signedBy(t, "one")
	flood := func() (fetches int64) {
		t.Helper()
		before := f.provider.calls.Load()
		for i := range 1000 {
			text := compactHS256(fmt.Sprintf(`{"alg":"ES256","kid":"%d","typ":"at+jwt"}`, i), payloadWith())
			if _, err := f.verifier.verify(text, accessToken); !errors.Is(err, ErrInvalidToken) {
				t.Fatalf("an unknown key id: %v", err)
			}
		}
		f.settle()
		return f.provider.calls.Load() - before
	}
	for _, step := range []struct {
		name    string
		wait    time.Duration
		status  int
		fetches int64
	}{
		{"just fetched", 0, 200, 0},
		{"before the interval is over", time.Minute - 1, 200, 0},
		{"the interval is over", 1, 200, 1},
		{"and another", time.Minute, 200, 1},
		{"first failure", time.Minute, 500, 1},
		{"second failure", time.Minute, 500, 1},
		{"waits for twice as long", time.Minute, 500, 0},
		{"third failure", time.Minute, 500, 1},
		{"waits for four times as long", 4*time.Minute - 1, 200, 0},
		{"the provider is back", 1, 200, 1},
		{"waits no longer", time.Minute, 200, 1},
	} {
		f.provider.answer(step.status, publicSet(t, "one"))
		f.clock.Advance(step.wait)
		if got := flood(); got != step.fetches {
			t.Errorf("%s: %d fetches, want %d", step.name, got, step.fetches)
		}
		if _, err := f.verifier.verify(good, accessToken); err != nil {
			t.Errorf("%s: a good token: %v", step.name, err)
		}
	}
}

// TestNoFetchProvoked sends what is no token of an unknown key: nothing is fetched, least of all from where a header says (cases 30-35).
func TestNoFetchProvoked(t *testing.T) {
	f := newRemoteFixture(t)
	f.clock.Advance(2 * time.Minute)
	for _, header := range []string{
		`{"alg":"ES256","kid":{"a":1},"typ":"at+jwt"}`,
		`{"alg":"ES256","kid":"x","kid":"y","typ":"at+jwt"}`,
		`{"alg":"ES256","kid":"x","crit":["b64"],"typ":"at+jwt"}`,
		`{"alg":"RS256","kid":"one","typ":"at+jwt"}`,
		`{"alg":"RS256","typ":"at+jwt"}`,
		`{"alg":"ES256","kid":"one","jku":"` + f.provider.URL + `","typ":"at+jwt"}`,
		`not json`,
	} {
		if _, err := f.verifier.verify(compactHS256(header, payloadWith()), accessToken); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: %v", header, err)
		}
	}
	f.settle()
	if n := f.provider.calls.Load(); n != 1 {
		t.Errorf("%d fetches, want the first one only", n)
	}
}

// TestRemoteRotation has the first token of a new key refused, and the next accepted; and a removed key distrusted after a refresh.
func TestRemoteRotation(t *testing.T) {
	f := newRemoteFixture(t)
	old, next := f.signedBy(t, "one"), f.signedBy(t, "two")
	check := func(when, text string, want error) {
		t.Helper()
		_, err := f.verifier.verify(text, accessToken)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", when, err, want)
		}
		f.settle()
	}
	f.provider.answer(200, publicSet(t, "one", "two"))
	f.clock.Advance(time.Minute)
	check("the first token of the new key", next, ErrInvalidToken)
	check("the second", next, nil)
	check("the old key", old, nil)
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"at+jwt"}`))
	check("no key id and two keys", header+old[strings.IndexByte(old, '.'):], ErrInvalidToken)
	f.provider.answer(200, publicSet(t, "two"))
	f.clock.Advance(DefaultRefreshInterval - 1)
	check("the old key, its removal not fetched", old, nil)
	f.clock.Advance(1)
	check("the old key, as its removal is fetched", old, nil)
	check("the old key, removed", old, ErrInvalidToken)
	if !strings.Contains(f.log.String(), "remote key set changed") {
		t.Errorf("log %q", &f.log)
	}
	set, err := f.remote.current()
	f.clock.Advance(DefaultRefreshInterval)
	_, _ = f.remote.current()
	f.settle()
	if same, _ := f.remote.current(); err != nil || same != set {
		t.Error("the same text is another key set")
	}
}

// TestProviderDown serves with the last good set for as long as said, and is 503 then.
func TestProviderDown(t *testing.T) {
	f := newRemoteFixture(t)
	access := f.signedBy(t, "one")
	handler, saw := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{accessScheme}}})
	f.provider.answer(503, "hunter2")
	f.clock.Advance(DefaultMaxStale - 1)
	for range 2 {
		if w := get(handler, bearer(access)); w.Code != 200 {
			t.Errorf("status %d with the last good set", w.Code)
		}
		f.settle()
	}
	f.clock.Advance(1)
	w := get(handler, bearer(access))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || saw.calls != 2 {
		t.Errorf("status %d, Retry-After %q, %d calls", w.Code, w.Header().Get("Retry-After"), saw.calls)
	}
	checkProblem(t, w)
	f.settle()
	f.provider.answer(200, publicSet(t, "one"))
	f.clock.Advance(DefaultRefreshInterval)
	if w := get(handler, bearer(access)); w.Code != 503 {
		t.Errorf("status %d: the request has waited for a fetch, or not provoked one", w.Code)
	}
	f.settle()
	if w := get(handler, bearer(access)); w.Code != 200 {
		t.Errorf("status %d after the provider is back", w.Code)
	}
	if text := f.log.String(); !strings.Contains(text, "not fetched") || strings.Contains(text, "hunter2") {
		t.Errorf("log %q", text)
	}
	if err := f.remote.Close(); err != nil || f.remote.Close() != nil {
		t.Error("close:", err)
	}
	if w := get(handler, bearer(access)); w.Code != 503 {
		t.Errorf("status %d after Close", w.Code)
	}
}

// badAnswers are answers that are not a good key set.
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
		"18 a private key":     text(200, jwks(t, jose.JSONWebKey{Key: k.p256, KeyID: "one"})),
		"18 a symmetric key":   text(200, jwks(t, jose.JSONWebKey{Key: testSecret, Algorithm: "HS256", KeyID: "s"}, jose.JSONWebKey{Key: &k.p256.PublicKey, KeyID: "one"})),
		"two keys of one id":   text(200, publicSet(t, "one", "one")),
		"too large":            text(200, good+strings.Repeat(" ", maxRemoteSize)),
		"status 500":           text(500, good),
		"status 203":           text(203, good),
		"not JSON":             text(200, "<html>"),
		"bytes after the JSON": text(200, good+"x"),
		"an empty set":         text(200, `{"keys":[]}`),
		"an empty body":        text(200, ""),
		"a redirect to http":   redirect(elsewhere),
		"a redirect for ever":  redirect("/again"),
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(good))
		},
	}
}

// TestBadAnswers keeps the last good set, and does not start with a bad one. Redirects go to servers that would answer with a good set.
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
			f.clock.Advance(DefaultRefreshInterval)
			for range 2 {
				if _, err := f.verifier.verify(access, accessToken); err != nil {
					t.Errorf("the last good set: %v", err)
				}
				f.settle()
			}
			if f.provider.calls.Load() < 2 || !strings.Contains(f.log.String(), "not fetched") {
				t.Errorf("%d fetches, log %q", f.provider.calls.Load(), &f.log)
			}
			_, err := NewRemoteKeySet(t.Context(), f.provider.URL, WithHTTPClient(f.provider.Client()))
			if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("started: %v", err)
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
	moved := must(NewRemoteKeySet(t.Context(), f.provider.URL, WithHTTPClient(f.provider.Client())))(t)
	if err := moved.Close(); err != nil {
		t.Error(err)
	}
}

// TestSlowProvider verifies while a fetch is under way, by many at once, and closes in the middle of it.
func TestSlowProvider(t *testing.T) {
	f := newRemoteFixture(t)
	good, unknown := f.signedBy(t, "one"), f.signedBy(t, "two")
	entered := make(chan struct{})
	f.provider.handle(func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
	})
	f.clock.Advance(DefaultRefreshInterval)
	if _, err := f.verifier.verify(unknown, accessToken); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("an unknown key id: %v", err)
	}
	<-entered
	f.clock.Advance(DefaultRefreshInterval)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				if _, err := f.verifier.verify(good, accessToken); err != nil {
					t.Errorf("while the provider is slow: %v", err)
				}
				if _, err := f.verifier.verify(unknown, accessToken); !errors.Is(err, ErrInvalidToken) {
					t.Errorf("an unknown key id: %v", err)
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
	if _, err := f.verifier.verify(good, accessToken); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
	if f.log.Len() != 0 {
		t.Errorf("Close is logged as a failure: %s", &f.log)
	}
}

// TestConcurrentRemote is for the race detector: verifications, refreshes and Close together.
func TestConcurrentRemote(t *testing.T) {
	f := newRemoteFixture(t)
	good, next := f.signedBy(t, "one"), f.signedBy(t, "two")
	f.provider.answer(200, publicSet(t, "one", "two"))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				f.clock.Advance(time.Minute)
				if _, err := f.verifier.verify(good, accessToken); err != nil {
					t.Error(err)
				}
				_, _ = f.verifier.verify(next, accessToken)
			}
		})
	}
	group.Wait()
	f.settle()
	if _, err := f.verifier.verify(next, accessToken); err != nil {
		t.Errorf("the new key: %v", err)
	}
	group.Go(func() { _ = f.remote.Close() })
	group.Go(func() { _, _ = f.verifier.verify(good, accessToken) })
	group.Wait()
}

func TestDiscovery(t *testing.T) {
	p := newProvider(t)
	var configuration, keys atomic.Pointer[string]
	store := func(to *atomic.Pointer[string], text string) { to.Store(&text) }
	p.handle(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/tenant/.well-known/openid-configuration":
			_, _ = w.Write([]byte(*configuration.Load()))
		case *keys.Load():
			_, _ = w.Write([]byte(publicSet(t, "one")))
		default:
			w.WriteHeader(404)
		}
	})
	store(&keys, "/keys")
	for _, tt := range []struct {
		name, issuer, configuration string
		good                        bool
	}{
		{"good", p.URL + "/tenant", `{"issuer":"` + p.URL + `/tenant","jwks_uri":"` + p.URL + `/keys","more":1}`, true},
		{"a slash at the end", p.URL + "/tenant/", `{"issuer":"` + p.URL + `/tenant/","jwks_uri":"` + p.URL + `/keys"}`, true},
		{"63 another slash", p.URL + "/tenant", `{"issuer":"` + p.URL + `/tenant/","jwks_uri":"` + p.URL + `/keys"}`, false},
		{"another issuer", p.URL + "/tenant", `{"issuer":"https://evil.example","jwks_uri":"` + p.URL + `/keys"}`, false},
		{"another issuer by another case", p.URL + "/tenant", `{"Issuer":"` + p.URL + `/tenant","jwks_uri":"` + p.URL + `/keys"}`, false},
		{"no jwks_uri", p.URL + "/tenant", `{"issuer":"` + p.URL + `/tenant"}`, false},
		{"jwks_uri over http", p.URL + "/tenant", `{"issuer":"` + p.URL + `/tenant","jwks_uri":"http` + strings.TrimPrefix(p.URL, "https") + `/keys"}`, false},
		{"not JSON", p.URL + "/tenant", `<html>`, false},
		{"no configuration", p.URL + "/other", ``, false},
	} {
		store(&configuration, tt.configuration)
		remote, err := DiscoverKeySet(t.Context(), tt.issuer, WithHTTPClient(p.Client()))
		if (err == nil) != tt.good || err != nil && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			_ = remote.Close()
		}
	}

	// The document is read once, and again after a failure: the set has moved.
	store(&configuration, `{"issuer":"`+p.URL+`/tenant","jwks_uri":"`+p.URL+`/keys"}`)
	clock := newClock()
	remote := must(DiscoverKeySet(t.Context(), p.URL+"/tenant", WithHTTPClient(p.Client()), WithRemoteClock(clock.Now)))(t)
	defer func() { _ = remote.Close() }()
	for i, want := range []int64{1, 1, 2} {
		if i == 1 {
			store(&keys, "/moved")
			store(&configuration, `{"issuer":"`+p.URL+`/tenant","jwks_uri":"`+p.URL+`/moved"}`)
		}
		before := p.calls.Load()
		clock.Advance(DefaultRefreshInterval)
		_, _ = remote.current()
		remote.fetches.Wait()
		if got := p.calls.Load() - before; got != want {
			t.Errorf("refresh %d: %d requests, want %d", i+1, got, want)
		}
	}
	if remote.failures != 0 {
		t.Error("the set that has moved was not found")
	}
}

func TestLazyStart(t *testing.T) {
	p, clock := newProvider(t), newClock()
	remote := must(NewRemoteKeySet(t.Context(), p.URL, WithLazyStart(), WithHTTPClient(p.Client()), WithRemoteClock(clock.Now)))(t)
	defer func() { _ = remote.Close() }()
	verifier := must(NewVerifier(testIssuer, remote))(t)
	unavailable := func() {
		t.Helper()
		remote.fetches.Wait()
		if _, err := verifier.verify(compactHS256(goodHeader, payloadWith()), accessToken); !errors.Is(err, ErrUnavailable) {
			t.Errorf("before the first set: %v", err)
		}
		remote.fetches.Wait()
	}
	unavailable()
	if err := second(NewIssuer(verifier)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an issuer: %v", err)
	}
	p.answer(200, publicSet(t, "one"))
	unavailable() // too early for another fetch
	clock.Advance(time.Minute)
	unavailable() // provokes it
	if _, err := remote.current(); err != nil {
		t.Errorf("after the first set: %v", err)
	}
}

// TestFirstFetchIsBounded checks that the constructor keeps to its context, and that every fetch has a time-out.
func TestFirstFetchIsBounded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if until, ok := r.Context().Deadline(); !ok || time.Until(until) > remoteTimeout {
			t.Errorf("deadline %s, %t", until, ok)
		}
		cancel()
		<-r.Context().Done()
		return nil, errSecretive
	})}
	err := second(NewRemoteKeySet(ctx, "https://idp.example/keys", WithHTTPClient(client)))
	if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("cancelled: %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestDefaultClient fetches from this machine itself without TLS; goleak finds the connection if it stays.
func TestDefaultClient(t *testing.T) {
	good := publicSet(t, "one")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(good)) }))
	defer server.Close()
	remote := must(NewRemoteKeySet(t.Context(), server.URL))(t)
	defer func() { _ = remote.Close() }()
	if text := fmt.Sprintf("%v %+v", remote, remote); strings.Contains(text, "http") {
		t.Errorf("prints as %s", text)
	}
	if err := second(NewIssuer(must(NewVerifier(testIssuer, remote))(t))); err == nil {
		t.Error("issued with the keys of somebody else")
	}
	tls := newProvider(t)
	tls.answer(200, good)
	if err := second(NewRemoteKeySet(t.Context(), tls.URL)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a certificate of nobody: %v", err)
	}
}

func TestRemoteConstructorsRefuse(t *testing.T) {
	ctx := t.Context()
	const good = "https://idp.example/keys"
	client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("fetched")
		return nil, errSecretive
	})}
	remote := func(address string, options ...RemoteOption) error {
		return second(NewRemoteKeySet(ctx, address, append([]RemoteOption{WithHTTPClient(client)}, options...)...))
	}
	for name, err := range map[string]error{
		"no URL":                     remote(""),
		"no absolute URL":            remote("/keys"),
		"no host":                    remote("https:///keys"),
		"http":                       remote("http://idp.example/keys"),
		"http to a look-alike":       remote("http://127.0.0.1.example/keys"),
		"file":                       remote("file://localhost/keys"),
		"a password":                 remote("https://user:hunter2@idp.example/keys"),
		"a password in no URL":       remote("https://user:hunter2@idp.example:port/keys"),
		"a fragment":                 remote(good + "#hunter2"),
		"an issuer with a query":     second(DiscoverKeySet(ctx, good+"?hunter2", WithHTTPClient(client))),
		"no client":                  remote(good, WithHTTPClient(nil)),
		"no clock":                   remote(good, WithRemoteClock(nil)),
		"no logger":                  remote(good, WithRemoteLogger(nil)),
		"a nil option":               remote(good, nil),
		"no interval":                remote(good, WithMinRefetchInterval(0)),
		"a refresh below it":         remote(good, WithRefreshInterval(time.Second)),
		"stale before the refresh":   remote(good, WithMaxStale(time.Minute)),
		"stale for days":             remote(good, WithMaxStale(DefaultMaxStale+1)),
		"a verifier of nil":          second(NewVerifier(testIssuer, (*RemoteKeySet)(nil))),
		"a verifier of nil rotation": second(NewVerifier(testIssuer, (*KeyRotation)(nil))),
		"a JWKS handler of nil":      second(JWKSHandler((*RemoteKeySet)(nil), time.Hour)),
		"a zero set, as unavailable": second((&RemoteKeySet{}).current()),
	} {
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	text := publicSet(t, "one")
	answer := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		_, _ = w.WriteString(text)
		return w.Result(), nil
	})}
	set := must(NewRemoteKeySet(ctx, "http://idp.example/keys", WithPlainHTTP(), WithHTTPClient(answer)))(t)
	if err := set.Close(); err != nil {
		t.Error(err)
	}
}
