//go:build ignore

package security

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

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

// TestNoDowngrade has https lead to http on the same host, which would answer with a good set.
func TestNoDowngrade(t *testing.T) {
	set := publicSet(t, "one")
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		switch r.URL.String() {
		case "https://localhost/redirect":
			http.Redirect(w, r, "http://localhost/keys", http.StatusFound)
		case "https://localhost/.well-known/openid-configuration":
			_, _ = w.WriteString(`{"issuer":"https://localhost","jwks_uri":"http://localhost/keys"}`)
		default:
			t.Errorf("fetched %s", r.URL)
			_, _ = w.WriteString(set)
		}
		return w.Result(), nil
	})}
	for _, plain := range [][]RemoteOption{nil, {WithPlainHTTP()}} {
		options := append([]RemoteOption{WithHTTPClient(client)}, plain...)
		if err := second(NewRemoteKeySet(t.Context(), "https://localhost/redirect", options...)); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a redirect: %v", err)
		}
		if err := second(DiscoverKeySet(t.Context(), "https://localhost", options...)); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a jwks_uri: %v", err)
		}
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
