package keys_test

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

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// TestDiscovery reads the configuration of providers (OpenID Connect Discovery).
func TestDiscovery(t *testing.T) {
	p := newProvider(t)
	var configuration, served atomic.Pointer[string]
	store := func(to *atomic.Pointer[string], text string) { to.Store(&text) }
	p.handle(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/tenant/.well-known/openid-configuration":
			_, _ = w.Write([]byte(*configuration.Load()))
		case *served.Load():
			_, _ = w.Write([]byte(publicSet(t, "one")))
		default:
			w.WriteHeader(404)
		}
	})
	store(&served, "/keys")
	for _, tt := range []struct {
		name, issuer, configuration string
		good                        bool
	}{
		{
			name: "good", issuer: p.URL + "/tenant",
			configuration: `{"issuer":"` + p.URL + `/tenant","jwks_uri":"` + p.URL + `/keys","more":1}`, good: true,
		},
		{
			name: "a slash at the end", issuer: p.URL + "/tenant/",
			configuration: `{"issuer":"` + p.URL + `/tenant/","jwks_uri":"` + p.URL + `/keys"}`, good: true,
		},
		{
			name: "a slash that the issuer lacks", issuer: p.URL + "/tenant",
			configuration: `{"issuer":"` + p.URL + `/tenant/","jwks_uri":"` + p.URL + `/keys"}`,
		},
		{
			name: "another issuer", issuer: p.URL + "/tenant",
			configuration: `{"issuer":"https://evil.example","jwks_uri":"` + p.URL + `/keys"}`,
		},
		{
			name: "the member issuer in another case", issuer: p.URL + "/tenant",
			configuration: `{"Issuer":"` + p.URL + `/tenant","jwks_uri":"` + p.URL + `/keys"}`,
		},
		{name: "no jwks_uri", issuer: p.URL + "/tenant", configuration: `{"issuer":"` + p.URL + `/tenant"}`},
		{
			name: "jwks_uri over http", issuer: p.URL + "/tenant",
			configuration: `{"issuer":"` + p.URL + `/tenant","jwks_uri":"http` + strings.TrimPrefix(p.URL, "https") + `/keys"}`,
		},
		{name: "not JSON", issuer: p.URL + "/tenant", configuration: `<html>`},
		{name: "no configuration", issuer: p.URL + "/other"},
	} {
		store(&configuration, tt.configuration)
		remote, err := keys.Discover(t.Context(), tt.issuer, keys.WithHTTPClient(p.Client()))
		if (err == nil) != tt.good || err != nil && !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			_ = remote.Close()
		}
	}

	// The configuration is read once, and again after a failed fetch, because the key set may have
	// moved.
	store(&configuration, `{"issuer":"`+p.URL+`/tenant","jwks_uri":"`+p.URL+`/keys"}`)
	clock := newClock()
	remote := must(keys.Discover(t.Context(), p.URL+"/tenant", keys.WithHTTPClient(p.Client()), keys.WithClock(clock.Now)))(t)
	defer func() { _ = remote.Close() }()
	for i, want := range []int64{1, 1, 2} {
		if i == 1 {
			store(&served, "/moved")
			store(&configuration, `{"issuer":"`+p.URL+`/tenant","jwks_uri":"`+p.URL+`/moved"}`)
		}
		before := p.calls.Load()
		clock.Advance(keys.DefaultRefreshInterval)
		_, _ = remote.Current(t.Context())
		remote.WaitForFetch()
		if got := p.calls.Load() - before; got != want {
			t.Errorf("refresh %d: %d requests, want %d", i+1, got, want)
		}
	}
	if remote.Failures() != 0 {
		t.Error("the key set that moved was not found")
	}
}

// TestLazyStart starts before the provider is available.
func TestLazyStart(t *testing.T) {
	p, clock := newProvider(t), newClock()
	remote := must(keys.NewRemote(t.Context(), p.URL, keys.WithLazyStart(), keys.WithHTTPClient(p.Client()), keys.WithClock(clock.Now)))(t)
	defer func() { _ = remote.Close() }()
	verifier := must(security.NewVerifier(testIssuer, remote))(t)
	unavailable := func() {
		t.Helper()
		remote.WaitForFetch()
		if err := verify(t, verifier, compactHS256(sectest.GoodHeader, payloadWith())); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("before the first set: %v", err)
		}
		remote.WaitForFetch()
	}
	unavailable()
	if err := second(security.NewIssuer(verifier)); !errors.Is(err, keys.ErrNoSigningKey) {
		t.Errorf("an issuer without a signing key: %v", err)
	}
	p.answer(200, publicSet(t, "one"))
	unavailable() // too early for another fetch
	clock.Advance(time.Minute)
	unavailable() // starts it
	if _, err := remote.Current(t.Context()); err != nil {
		t.Errorf("after the first set: %v", err)
	}
}

// TestFirstFetchIsBounded checks that NewRemote obeys its context, and that each fetch has a
// deadline.
func TestFirstFetchIsBounded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if until, ok := r.Context().Deadline(); !ok || time.Until(until) > keys.RemoteTimeout {
			t.Errorf("deadline %s, %t", until, ok)
		}
		cancel()
		<-r.Context().Done()
		return nil, errSecretive
	})}
	err := second(keys.NewRemote(ctx, "https://idp.example/keys", keys.WithHTTPClient(client)))
	if !errors.Is(err, keys.ErrUnavailable) || !errors.Is(err, errSecretive) || !strings.Contains(err.Error(), "https://idp.example/keys") {
		t.Errorf("cancelled: %v, want the URL and the cause: nobody but the operator sees a failed start", err)
	}
}

// TestNoDowngrade has redirects and configurations that lead from https to http on the same host,
// where a good key set is.
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
	for _, plain := range [][]keys.RemoteOption{nil, {keys.WithPlainHTTP()}} {
		options := append([]keys.RemoteOption{keys.WithHTTPClient(client)}, plain...)
		if err := second(keys.NewRemote(t.Context(), "https://localhost/redirect", options...)); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("a redirect: %v", err)
		}
		if err := second(keys.Discover(t.Context(), "https://localhost", options...)); !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("a jwks_uri: %v", err)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestDefaultClient fetches from the local machine without TLS. goleak finds a connection that
// stays open.
func TestDefaultClient(t *testing.T) {
	good := publicSet(t, "one")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(good)) }))
	defer server.Close()
	remote := must(keys.NewRemote(t.Context(), server.URL))(t)
	defer func() { _ = remote.Close() }()
	if text := fmt.Sprintf("%v %+v", remote, remote); strings.Contains(text, "http") {
		t.Errorf("prints as %s", text)
	}
	if err := second(security.NewIssuer(must(security.NewVerifier(testIssuer, remote))(t))); err == nil {
		t.Error("an issuer with the keys of a provider")
	}
	tls := newProvider(t)
	tls.answer(200, good)
	if err := second(keys.NewRemote(t.Context(), tls.URL)); !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("an unknown certificate: %v", err)
	}
}

func TestRemoteConstructorsRefuse(t *testing.T) {
	ctx := t.Context()
	const good = "https://idp.example/keys"
	client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("fetched")
		return nil, errSecretive
	})}
	remote := func(address string, options ...keys.RemoteOption) error {
		return second(keys.NewRemote(ctx, address, append([]keys.RemoteOption{keys.WithHTTPClient(client)}, options...)...))
	}
	for name, err := range map[string]error{
		"no URL":                                remote(""),
		"no absolute URL":                       remote("/keys"),
		"no host":                               remote("https:///keys"),
		"http":                                  remote("http://idp.example/keys"),
		"http to a look-alike":                  remote("http://127.0.0.1.example/keys"),
		"file":                                  remote("file://localhost/keys"),
		"a password":                            remote("https://user:hunter2@idp.example/keys"),
		"a password in a malformed URL":         remote("https://user:hunter2@idp.example:port/keys"),
		"a fragment":                            remote(good + "#hunter2"),
		"an issuer with a query":                second(keys.Discover(ctx, good+"?hunter2", keys.WithHTTPClient(client))),
		"no client":                             remote(good, keys.WithHTTPClient(nil)),
		"no clock":                              remote(good, keys.WithClock(nil)),
		"no logger":                             remote(good, keys.WithLogger(nil)),
		"a nil option":                          remote(good, nil),
		"no interval between fetches":           remote(good, keys.WithMinRefetchInterval(0)),
		"a refresh interval below the interval": remote(good, keys.WithRefreshInterval(time.Second)),
		"stale before the refresh":              remote(good, keys.WithMaxStale(time.Minute)),
		"stale for longer than the limit":       remote(good, keys.WithMaxStale(keys.DefaultMaxStale+1)),
		"a verifier of nil":                     second(security.NewVerifier(testIssuer, (*keys.Remote)(nil))),
		"a verifier of nil rotation":            second(security.NewVerifier(testIssuer, (*keys.Rotation)(nil))),
		"a JWKS handler of nil":                 second(keys.JWKSHandler((*keys.Remote)(nil), time.Hour)),
		"the keys of a zero Remote":             second((&keys.Remote{}).Current(t.Context())),
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
	set := must(keys.NewRemote(ctx, "http://idp.example/keys", keys.WithPlainHTTP(), keys.WithHTTPClient(answer)))(t)
	if err := set.Close(); err != nil {
		t.Error(err)
	}
}
