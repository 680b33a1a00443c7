package interop

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// provider is a running oidc-provider.
type provider struct {
	*program
	issuer string
}

func startProvider(t *testing.T) provider {
	t.Helper()
	p, err := node("oidc-provider.mjs").start(t)
	if err != nil {
		skip(t, err)
	}
	t.Logf("oidc-provider %s", p.version)
	return provider{p, p.issuer}
}

// do sends the provider an operation of oidc-provider.mjs.
func (p provider) do(t *testing.T, operation string) {
	t.Helper()
	if err := p.ask(map[string]string{"op": operation}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
}

// machineToken returns an access token for the resource, by client credentials.
func (p provider) machineToken(t *testing.T, resource string) string {
	t.Helper()
	config := clientcredentials.Config{
		ClientID: "service", ClientSecret: "secret of the service", TokenURL: p.issuer + "/token",
		Scopes: []string{"read"}, EndpointParams: map[string][]string{"resource": {resource}},
	}
	return must(config.Token(t.Context()))(t).AccessToken
}

// openidClientToken returns an access token for the resource, which openid-client asks for.
func (p provider) openidClientToken(t *testing.T, resource string) string {
	t.Helper()
	client, err := node("openid-client.mjs").start(t)
	if err != nil {
		skip(t, err)
	}
	t.Logf("openid-client %s", client.version)
	var response struct{ Token string }
	request := map[string]string{"issuer": p.issuer, "id": "service", "secret": "secret of the service", "resource": resource, "scope": "read"}
	if err := client.ask(request, &response); err != nil {
		t.Fatal(err)
	}
	return response.Token
}

// userTokens logs a user in by the authorization code flow.
func (p provider) userTokens(t *testing.T, resource string) (access, id string) {
	t.Helper()
	config := oauth2.Config{
		ClientID: "web", ClientSecret: "secret of the web client", RedirectURL: "https://client.example/callback", Scopes: []string{"openid", "read"},
		Endpoint: oauth2.Endpoint{AuthURL: p.issuer + "/auth", TokenURL: p.issuer + "/token"},
	}
	verifier := oauth2.GenerateVerifier()
	address := config.AuthCodeURL("state-1", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("resource", resource))
	var code string
	browser := &http.Client{
		Jar: must(cookiejar.New(nil))(t),
		CheckRedirect: func(next *http.Request, former []*http.Request) error {
			if len(former) > 10 {
				return errors.New("too many redirects")
			}
			if next.URL.Host == "client.example" {
				code = next.URL.Query().Get("code")
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	response := must(browser.Do(must(http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil))(t)))(t)
	if err := response.Body.Close(); err != nil || code == "" {
		t.Fatalf("the log-in ended at %s with %s: %v", response.Request.URL, response.Status, err)
	}
	token := must(config.Exchange(t.Context(), code, oauth2.VerifierOption(verifier)))(t)
	id, _ = token.Extra("id_token").(string)
	return token.AccessToken, id
}

// providerClock is the clock of a remote key set.
type providerClock struct{ ahead atomic.Int64 }

func (c *providerClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *providerClock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// newProviderVerifier makes a verifier of the provider's access tokens, with the keys that discovery
// finds. Tokens need no id: an ID token has none, and the type is what has to refuse it.
func newProviderVerifier(t *testing.T, p provider, clock *providerClock, audiences ...string) *security.Verifier {
	t.Helper()
	remote := must(keys.Discover(t.Context(), p.issuer, keys.WithClock(clock.now)))(t)
	t.Cleanup(func() { _ = remote.Close() })
	layout := must(security.IdentityProvider(security.WithTypeHeader("at+jwt"), security.WithoutTokenIDs()))(t)
	return must(security.NewVerifier(p.issuer, remote, security.WithName("provider"), security.WithLayout(layout), security.WithAudience(audiences...)))(t)
}

// TestProvider verifies tokens of a running OpenID provider.
func TestProvider(t *testing.T) {
	p := startProvider(t)
	userAccess, id := p.userTokens(t, audience)
	for _, tt := range []struct {
		name string
		text string
		// audiences of the API.
		audiences []string
		want      error
		subject   string
	}{
		{name: "access token of a user", text: userAccess, subject: subject},
		{name: "access token of a service", text: p.machineToken(t, audience), subject: "service"},
		{name: "access token of a service with openid-client", text: p.openidClientToken(t, audience), subject: "service"},
		{name: "PS256", text: p.machineToken(t, audience+"/PS256"), audiences: []string{audience + "/PS256"}, subject: "service"},
		{name: "ES256", text: p.machineToken(t, audience+"/ES256"), audiences: []string{audience + "/ES256"}, subject: "service"},
		{name: "EdDSA", text: p.machineToken(t, audience+"/EdDSA"), audiences: []string{audience + "/EdDSA"}, subject: "service"},
		// The audience of an ID token is the client. Where that is an audience of the API too, the type
		// alone tells.
		{name: "ID token", text: id, want: security.ErrWrongTokenType, audiences: []string{"web"}},
		{name: "ID token, the client is an audience too", text: id, audiences: []string{audience, "web"}, want: security.ErrWrongTokenType},
		{name: "access token of another API", text: p.machineToken(t, "https://other.example.com"), want: security.ErrInvalidToken},
		{name: "changed signature", text: changed(userAccess), want: security.ErrInvalidToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.audiences == nil {
				tt.audiences = []string{audience}
			}
			verifier := newProviderVerifier(t, p, &providerClock{}, tt.audiences...)
			token, err := verifier.Verify(t.Context(), accessToken, tt.text)
			if !errors.Is(err, tt.want) {
				t.Fatalf("the error is %v, not %v", err, tt.want)
			}
			if err == nil && (token.Subject() != tt.subject || !token.HasScope("read")) {
				t.Errorf("the subject is %q and the scopes are %q", token.Subject(), token.Scopes())
			}
		})
	}
}

// changed returns the token with another first character of the signature.
func changed(text string) string {
	bytes := []byte(text)
	for i := len(bytes) - 1; i >= 0; i-- {
		if bytes[i] == '.' {
			bytes[i+1] = map[bool]byte{true: 'B', false: 'A'}[bytes[i+1] == 'A']
			break
		}
	}
	return string(bytes)
}

// TestProviderRotation verifies tokens while the provider rotates its keys, is down and comes up
// again.
func TestProviderRotation(t *testing.T) {
	p := startProvider(t)
	clock := &providerClock{}
	verifier := newProviderVerifier(t, p, clock, audience)
	verify := func(text string) error {
		_, err := verifier.Verify(context.WithoutCancel(t.Context()), accessToken, text)
		return err
	}
	step := func(name, text string, want error) {
		t.Run(name, func(t *testing.T) {
			if err := verify(text); !errors.Is(err, want) {
				t.Errorf("the error is %v, not %v", err, want)
			}
		})
	}
	older := p.machineToken(t, audience)
	step("provider: first key", older, nil)

	p.do(t, "rotate")
	newer := p.machineToken(t, audience)
	clock.advance(keys.DefaultMinRefetchInterval)
	step("provider: new key, at once", newer, nil)
	step("provider: former key while it is published", older, nil)

	p.do(t, "rotate")
	newest := p.machineToken(t, audience)
	p.do(t, "down")
	clock.advance(keys.DefaultMinRefetchInterval)
	step("provider down: known key", older, nil)
	step("provider down: new key", newest, security.ErrUnavailable)

	p.do(t, "up")
	clock.advance(keys.DefaultRefreshInterval)
	step("provider up again: new key, at once", newest, nil)

	p.do(t, "forget")
	verifier = newProviderVerifier(t, p, clock, audience)
	step("provider: former key, not published any more", older, security.ErrInvalidToken)
	step("provider: key of today", newest, nil)
}
