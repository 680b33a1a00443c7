package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	apiclient "github.com/oapi-guard/oapi-guard/client"
	"github.com/oapi-guard/oapi-guard/example/clients"
	generated "github.com/oapi-guard/oapi-guard/example/clients/api"
	"github.com/oapi-guard/oapi-guard/security"
)

// newAPIClient returns the generated client of the service.
func (a *app) newAPIClient(credentials generated.GuardedClientCredentials, options ...apiclient.Option) *generated.GuardedClient {
	a.t.Helper()
	c, err := generated.NewGuardedClient(a.url, credentials, options...)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// TestGeneratedClient uses the service through its generated client, as an application would.
func TestGeneratedClient(t *testing.T) {
	a := newApp(t)
	ctx := t.Context()
	c := a.newAPIClient(generated.GuardedClientCredentials{ApiKey: apiclient.Secret(demoKey)})

	greeting, err := c.GetGreetingWithResponse(ctx)
	if err != nil || greeting.StatusCode() != http.StatusOK {
		t.Fatalf("as an anonymous caller: %v, %v", greeting, err)
	}
	if _, err := c.GetProtectedWithResponse(ctx); !errors.Is(err, apiclient.ErrLoggedOut) || !errors.Is(err, apiclient.ErrNoCredential) {
		t.Fatalf("before the log-in: error %v", err)
	}
	if err := clients.LogIn(ctx, c, "alice", "wonderland"); err != nil {
		t.Fatal(err)
	}
	protected, err := c.GetProtectedWithResponse(ctx)
	if err != nil || protected.JSON200 == nil || protected.JSON200.Identity != "alice" {
		t.Fatalf("after the log-in: %v, %v", protected, err)
	}
	if greeting, err = c.GetGreetingWithResponse(ctx); err != nil || greeting.JSON200 == nil || !strings.Contains(greeting.JSON200.Message, "Alice") {
		t.Errorf("a caller with a name is greeted with %s, %v", greeting.Body, err)
	}
	report, err := c.PublishReportWithResponse(ctx, generated.PublishReportJSONRequestBody{Title: "With a token and a key"})
	if err != nil || report.JSON201 == nil {
		t.Errorf("a token and a key: %v, %v", report, err)
	}

	// A revoked access token is refused, refreshed and not noticed.
	if revoked, err := c.RevokeCurrentTokenWithResponse(ctx); err != nil || revoked.StatusCode() != http.StatusNoContent {
		t.Fatalf("revoking the token: %v, %v", revoked, err)
	}
	if protected, err = c.GetProtectedWithResponse(ctx); err != nil || protected.StatusCode() != http.StatusOK {
		t.Errorf("after the revocation: %v, %v", protected, err)
	}

	// A file is sent again after a refusal.
	if revoked, err := c.RevokeCurrentTokenWithResponse(ctx); err != nil || revoked.StatusCode() != http.StatusNoContent {
		t.Fatalf("revoking the token: %v, %v", revoked, err)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(file, []byte(`{"title":"From a file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if report, err = clients.PublishFile(ctx, c, file); err != nil || report.JSON201 == nil || report.JSON201.Title != "From a file" {
		t.Errorf("a file: %v, %v", report, err)
	}

	// The transport of golang.org/x/oauth2 sends the tokens too, and a client sends tokens of theirs.
	theirs, err := clients.ForOAuth2(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	response, err := theirs.Get(a.url + "/protected")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("with golang.org/x/oauth2: %v, %v", response, err)
	}
	_ = response.Body.Close()
	tokens, err := c.Tokens.Tokens(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := clients.FromOAuth2(a.url, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: tokens.AccessToken}))
	if err != nil {
		t.Fatal(err)
	}
	if protected, err = ours.GetProtectedWithResponse(ctx); err != nil || protected.StatusCode() != http.StatusOK {
		t.Errorf("with a token of golang.org/x/oauth2: %v, %v", protected, err)
	}

	if err := clients.LogOut(ctx, c); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetProtectedWithResponse(ctx); !errors.Is(err, apiclient.ErrLoggedOut) {
		t.Errorf("after the log-out: error %v", err)
	}
}

// TestGeneratedClientsShareAFile checks that clients on one file keep the session, and that a lost
// answer of a refresh does not end it.
func TestGeneratedClientsShareAFile(t *testing.T) {
	a := newApp(t)
	path := filepath.Join(t.TempDir(), "tokens.json")
	var now atomic.Int64
	clock := apiclient.WithClock(func() time.Time { return time.Now().Add(time.Duration(now.Load())) })
	lost := &losing{RoundTripper: http.DefaultTransport}
	var sharing []*generated.GuardedClient
	for range 4 {
		c, err := clients.New(a.url, path, clock, apiclient.WithHTTPClient(&http.Client{Transport: lost}))
		if err != nil {
			t.Fatal(err)
		}
		sharing = append(sharing, c)
	}
	if err := clients.LogIn(t.Context(), sharing[0], "alice", "wonderland"); err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		now.Add(int64(security.DefaultAccessLifetime))
		lost.next.Store(true)
		var wait sync.WaitGroup
		for _, c := range sharing {
			wait.Go(func() {
				response, err := c.GetProtectedWithResponse(t.Context())
				if err != nil || response.StatusCode() != http.StatusOK {
					t.Errorf("round %d: %v, %v", round, response, err)
				}
			})
		}
		wait.Wait()
		if lost.next.Load() {
			t.Errorf("round %d: no answer was lost", round)
		}
	}
}

// losing loses the answer of the next refresh.
type losing struct {
	http.RoundTripper
	next atomic.Bool
}

func (l *losing) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(r)
	if err == nil && r.URL.Path == "/refresh" && l.next.CompareAndSwap(true, false) {
		_ = response.Body.Close()
		return nil, errors.New("the connection was cut")
	}
	return response, err
}
