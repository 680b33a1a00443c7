package interop

import (
	"net/http"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/client"
	api "github.com/oapi-guard/oapi-guard/internal/codegen/testdata/client-only"
)

// TestGeneratedClientOfFlask uses a service with Flask-JWT-Extended through a generated client. Its
// responses have no expires_in, a refresh yields no refresh token, and a refusal has no challenge.
func TestGeneratedClientOfFlask(t *testing.T) {
	p, err := python("flask_login.py", "python3-python-flask-jwt-extended").start(t)
	if err != nil {
		skip(t, err)
	}
	t.Logf("Flask-JWT-Extended %s", p.version)
	refreshes := 0
	count := counting(func(r *http.Request) {
		if r.URL.Path == "/refresh" {
			refreshes++
		}
	})
	var passed time.Duration
	c, err := api.NewGuardedClient(p.issuer, api.GuardedClientCredentials{},
		client.WithHTTPClient(&http.Client{Transport: count}),
		client.WithClock(func() time.Time { return time.Now().Add(passed) }),
		client.WithRefused(func(r *http.Response) bool { return r.StatusCode == http.StatusUnauthorized }))
	if err != nil {
		t.Fatal(err)
	}
	login, err := c.LoginWithResponse(t.Context(), api.LoginJSONRequestBody{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Tokens.LogIn(t.Context(), login.Body); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		advance   time.Duration
		thing     string
		refreshes int
	}{
		{name: "after the log-in", thing: "x"},
		{name: "before the end of the token", advance: 14 * time.Minute, thing: "x"},
		{name: "shortly before the end", advance: 45 * time.Second, thing: "x", refreshes: 1},
		{name: "the same refresh token again", advance: 15 * time.Minute, thing: "revoke", refreshes: 2},
		{name: "a revoked token", thing: "x", refreshes: 3},
	} {
		passed += tt.advance
		response, err := c.GetThingWithResponse(t.Context(), tt.thing)
		if err != nil || response.StatusCode() != http.StatusOK || refreshes != tt.refreshes {
			t.Errorf("%s: %v, %v after %d refreshes, want 200 after %d", tt.name, response.Status(), err, refreshes, tt.refreshes)
		}
	}
}

// counting calls a function with each request.
type counting func(*http.Request)

func (f counting) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return http.DefaultTransport.RoundTrip(r)
}
