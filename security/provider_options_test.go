package security_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// TestTokensWithoutKeyIDs has a provider that writes no kid. With the option each of its keys is
// tried; without it exactly one key must fit.
func TestTokensWithoutKeyIDs(t *testing.T) {
	other := sectest.Must(keys.NewHMAC(keys.HS256, []byte("another secret of 32 or more bytes"), keys.WithID("k2")))(t)
	signing := sectest.Must(keys.NewHMAC(keys.HS256, sectest.Secret, keys.WithID("k1")))(t)
	set := func(all ...*keys.Key) *keys.Set { return sectest.Must(keys.NewSet(all...))(t) }
	for _, tt := range []struct {
		name    string
		keys    *keys.Set
		header  string
		options []security.LayoutOption
		want    error
	}{
		{name: "one key", keys: set(signing), header: `{"alg":"HS256","typ":"JWT"}`},
		{name: "two keys", keys: set(other, signing), header: `{"alg":"HS256","typ":"JWT"}`, want: security.ErrInvalidToken},
		{name: "two keys, with the option", keys: set(other, signing), header: `{"alg":"HS256","typ":"JWT"}`, options: []security.LayoutOption{security.WithoutKeyIDs()}},
		{name: "another key, with the option", keys: set(other), header: `{"alg":"HS256","typ":"JWT"}`, options: []security.LayoutOption{security.WithoutKeyIDs()}, want: security.ErrInvalidToken},
		{name: "the kid of another key, with the option", keys: set(other, signing), header: `{"alg":"HS256","typ":"JWT","kid":"k2"}`, options: []security.LayoutOption{security.WithoutKeyIDs()}, want: security.ErrInvalidToken},
		{name: "an unknown kid, with the option", keys: set(other, signing), header: `{"alg":"HS256","typ":"JWT","kid":"k3"}`, options: []security.LayoutOption{security.WithoutKeyIDs()}, want: security.ErrInvalidToken},
		{name: "no key of the algorithm, with the option", keys: set(other, signing), header: `{"alg":"HS512","typ":"JWT"}`, options: []security.LayoutOption{security.WithoutKeyIDs()}, want: security.ErrInvalidToken},
	} {
		layout := sectest.Must(security.IdentityProvider(append(tt.options, security.WithTypeHeader("JWT"))...))(t)
		verifier := sectest.Must(security.NewVerifier(sectest.Issuer, tt.keys, security.WithLayout(layout), security.WithClock(sectest.NewClock().Now)))(t)
		_, err := verifier.Verify(t.Context(), apptest.AccessToken, sectest.CompactHS256(tt.header, sectest.PayloadWith()))
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestTokensWithoutIssuer has a provider that writes no iss.
func TestTokensWithoutIssuer(t *testing.T) {
	option := []security.LayoutOption{security.WithoutIssuerClaim()}
	for _, tt := range []struct {
		name   string
		layout []security.LayoutOption
		issuer string // the claim, "" for none
		want   error
	}{
		{name: "this iss", issuer: `"` + sectest.Issuer + `"`},
		{name: "no iss", want: security.ErrInvalidToken},
		{name: "no iss, with the option", layout: option},
		{name: "null, with the option", layout: option, issuer: "null"},
		{name: "this iss, with the option", layout: option, issuer: `"` + sectest.Issuer + `"`},
		{name: "another iss, with the option", layout: option, issuer: `"https://other.example"`, want: security.ErrInvalidToken},
		{name: "a slash behind it, with the option", layout: option, issuer: `"` + sectest.Issuer + `/"`, want: security.ErrInvalidToken},
		{name: "a list, with the option", layout: option, issuer: `["` + sectest.Issuer + `"]`, want: security.ErrInvalidToken},
	} {
		app := provider(t, tt.layout)
		token, err := app.Verifier.Verify(t.Context(), apptest.AccessToken, sectest.CompactHS256(plainHeader, sectest.PayloadWith("iss", tt.issuer)))
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if err == nil && token.Identity().Issuer != sectest.Issuer {
			t.Errorf("%s: identity %+v", tt.name, token.Identity())
		}
	}
}

// TestTenantList serves the tenants of a list, and keys that are for one of them.
func TestTenantList(t *testing.T) {
	const template = "https://login.example/{tenantid}/v2.0"
	app := apptest.New(t)
	layout := sectest.Must(security.IdentityProvider(security.WithTypeHeader("JWT")))(t)
	for _, tt := range []struct {
		name   string
		listed []string
		tenant string
		want   error
	}{
		{name: "in the list", listed: []string{"a", "b"}, tenant: "b"},
		{name: "not in the list", listed: []string{"a", "b"}, tenant: "c", want: security.ErrInvalidToken},
		{name: "an empty list", tenant: "a", want: security.ErrInvalidToken},
		{name: "in another case", listed: []string{"a"}, tenant: "A", want: security.ErrInvalidToken},
		{name: "an empty name in the list", listed: []string{""}, tenant: "", want: security.ErrInvalidToken},
	} {
		verifier := sectest.Must(security.NewVerifier(template, app.Keys, security.WithLayout(layout), security.WithAudience("api"),
			security.WithClock(app.Clock.Now), security.WithTenants("tid", security.TenantList(tt.listed...))))(t)
		text := sectest.CompactHS256(plainHeader, sectest.PayloadWith("iss", `"https://login.example/`+tt.tenant+`/v2.0"`, "tid", `"`+tt.tenant+`"`, "aud", `"api"`))
		for range 2 { // verified, and from the cache
			if _, err := verifier.Verify(t.Context(), apptest.AccessToken, text); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
		validator := sectest.Must(security.NewValidator(verifier, app.List))(t)
		if _, err := validator.RevokeSubject(t.Context(), "alice"); err == nil {
			t.Errorf("%s: a subject was revoked without its issuer", tt.name)
		}
	}
	if _, err := security.NewVerifier(template, app.Keys, security.WithTenants("tid", nil)); err == nil {
		t.Error("no function for the tenants")
	}
}

// TestSubjectFromClaimThatDecides reads a claim that decides over a token as the subject: it would
// then not be checked.
func TestSubjectFromClaimThatDecides(t *testing.T) {
	for _, name := range []string{"", "iss", "aud", "exp", "nbf", "iat", "auth_time", "jti", "sid", "cnf", "scope", "scp"} {
		if _, err := security.IdentityProvider(security.WithTypeHeader("JWT"), security.WithSubjectFrom(name)); err == nil {
			t.Errorf("%q is the claim with the subject", name)
		}
	}
	for _, name := range []string{"sub", "oid", "uid", "email", "client_id", "azp", "https://app.example/id"} {
		if _, err := security.IdentityProvider(security.WithTypeHeader("JWT"), security.WithSubjectFrom(name)); err != nil {
			t.Errorf("%q as the claim with the subject: %v", name, err)
		}
	}
}

// TestClientAndSubjectOfOneClaim has a provider whose client is also the subject, as with client
// credentials.
func TestClientAndSubjectOfOneClaim(t *testing.T) {
	app := provider(t, []security.LayoutOption{security.WithClientFrom("azp", "job"), security.WithSubjectFrom("azp")})
	token := app.Token(t, sectest.CompactHS256(plainHeader, sectest.PayloadWith("sub", "", "aud", "", "azp", `"job"`)), apptest.AccessToken)
	if token.Subject() != "job" {
		t.Errorf("subject %q", token.Subject())
	}
	for name, err := range map[string]error{
		"no claim":        second(security.IdentityProvider(security.WithTypeHeader("JWT"), security.WithClientFrom("", "job"))),
		"no client":       second(security.IdentityProvider(security.WithTypeHeader("JWT"), security.WithClientFrom("azp"))),
		"an empty client": second(security.IdentityProvider(security.WithTypeHeader("JWT"), security.WithClientFrom("azp", ""))),
		"no path":         second(security.IdentityProvider(security.WithTypeHeader("JWT"), security.WithRolesAt())),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestRetentionOfRevocations asks for a revocation at the end of its retention. It is in force while
// a session of that length can exist, clocks that differ included.
func TestRetentionOfRevocations(t *testing.T) {
	const retention = 60 * 24 * time.Hour
	for name, revoke := range map[string]func(app *apptest.App, token security.AnyToken) error{
		"a session": func(app *apptest.App, token security.AnyToken) error {
			return app.Validator.RevokeSession(t.Context(), token)
		},
		"a subject": func(app *apptest.App, token security.AnyToken) error {
			return second(app.Validator.RevokeSubject(t.Context(), token.Subject()))
		},
		"all": func(app *apptest.App, _ security.AnyToken) error {
			return second(app.Validator.RevokeAll(t.Context()))
		},
	} {
		for _, tt := range []struct {
			after time.Duration
			want  error
		}{
			{after: 31 * 24 * time.Hour, want: security.ErrTokenRevoked},
			{after: retention + security.DefaultLeeway, want: security.ErrTokenRevoked},
			{after: retention + time.Hour},
		} {
			app := apptest.New(t)
			app.UseLayout(t, security.RFC9068(), security.WithRetention(retention), security.WithMaxLifetime(time.Hour))
			begun := app.Clock.Now()
			text := func() string {
				now := app.Clock.Now().Unix()
				return sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith("iat", fmt.Sprint(now), "exp", fmt.Sprint(now+600),
					"auth_time", fmt.Sprint(begun.Unix()), "jti", fmt.Sprintf(`"%d"`, now)))
			}
			if err := revoke(app, app.Token(t, text(), apptest.AccessToken)); err != nil {
				t.Fatal(err)
			}
			app.Clock.Advance(tt.after)
			if err := app.Refuses(t, text(), apptest.AccessToken); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("%s, %s later: %v, want %v", name, tt.after, err, tt.want)
			}
		}
	}
	app := apptest.New(t)
	for _, tt := range []struct {
		name    string
		options []security.VerifierOption
		refused bool
	}{
		{name: "as long as the longest lifetime", options: []security.VerifierOption{security.WithRetention(security.DefaultMaxLifetime)}},
		{name: "below the longest lifetime", options: []security.VerifierOption{security.WithRetention(security.DefaultMaxLifetime - 1)}, refused: true},
		{name: "below a longest lifetime that is set later", options: []security.VerifierOption{security.WithRetention(time.Hour), security.WithMaxLifetime(time.Hour + 1)}, refused: true},
		{name: "0", options: []security.VerifierOption{security.WithRetention(0)}, refused: true},
		{name: "negative", options: []security.VerifierOption{security.WithRetention(-time.Hour)}, refused: true},
	} {
		if _, err := security.NewVerifier(sectest.Issuer, app.Keys, tt.options...); (err != nil) != tt.refused {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
