package security_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// TestReasons has the reason of each refusal: a fixed text, which has nothing of the token. It tells
// whose token it was where the signature holds.
func TestReasons(t *testing.T) {
	good := sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith())
	with := func(claims ...string) string {
		return sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith(claims...))
	}
	parts := strings.Split(good, ".")
	for _, tt := range []struct {
		name, text string
		want       error
		reason     string
		identified bool
	}{
		{name: "another signature", text: parts[0] + "." + parts[1] + "." + strings.Repeat("A", 43), want: security.ErrInvalidToken, reason: "the signature"},
		{name: "a signature in another encoding", text: parts[0] + "." + parts[1] + ".=", want: security.ErrInvalidToken, reason: "the encoding of the signature"},
		{name: "an unknown kid", text: sectest.CompactHS256(`{"alg":"HS256","kid":"k2","typ":"at+jwt"}`, sectest.PayloadWith()), want: security.ErrInvalidToken, reason: "no key has the key id of the token"},
		{name: "another algorithm", text: sectest.CompactHS256(`{"alg":"HS512","kid":"k1","typ":"at+jwt"}`, sectest.PayloadWith()), want: security.ErrInvalidToken, reason: "no key for the key id and the algorithm of the token"},
		{name: "another audience", text: with("aud", `"https://other.example"`), want: security.ErrInvalidToken, reason: "another audience", identified: true},
		{name: "another issuer", text: with("iss", `"https://other.example"`), want: security.ErrInvalidToken, reason: "another issuer", identified: true},
		{name: "another type", text: sectest.CompactHS256(`{"alg":"HS256","kid":"k1","typ":"rt+jwt"}`, sectest.PayloadWith()), want: security.ErrWrongTokenType, reason: "the type of the token", identified: true},
		{name: "bound to a key", text: with("cnf", `{"jkt":"x"}`), want: security.ErrInvalidToken, reason: "the token is bound to a key of its holder, whose proof is not checked", identified: true},
		{name: "no id", text: with("jti", ""), want: security.ErrInvalidToken, reason: "no id", identified: true},
		{name: "no subject", text: with("sub", ""), want: security.ErrInvalidToken, reason: "no subject", identified: true},
		{name: "no exp", text: with("exp", ""), want: security.ErrInvalidToken, reason: "no exp", identified: true},
		{name: "no iat", text: with("iat", ""), want: security.ErrInvalidToken, reason: "no iat", identified: true},
		{name: "iat in the future", text: with("iat", "1700000300", "exp", "1700000900"), want: security.ErrTokenNotYetValid, reason: "iat in the future", identified: true},
		{name: "nbf in the future", text: with("nbf", "1700000300"), want: security.ErrTokenNotYetValid, identified: true},
		{name: "exp before iat", text: with("exp", "1699999990", "iat", "1700000000"), want: security.ErrInvalidToken, reason: "exp not after iat", identified: true},
		{name: "expired", text: with("exp", "1699999000", "iat", "1699998000"), want: security.ErrTokenExpired, identified: true},
		{name: "too long a lifetime", text: with("exp", "1800000000"), want: security.ErrInvalidToken, reason: "a longer lifetime than accepted", identified: true},
	} {
		app := apptest.New(t)
		for what, verify := range map[string]func() error{
			"verifier":  func() error { return second(app.Verifier.Verify(t.Context(), apptest.AccessToken, tt.text)) },
			"validator": func() error { return second(app.Validator.Verify(t.Context(), apptest.AccessToken, tt.text)) },
		} {
			err := verify()
			if !errors.Is(err, tt.want) || security.Reason(err) != tt.reason {
				t.Errorf("%s, %s: %v, reason %q; want %v, %q", tt.name, what, err, security.Reason(err), tt.want, tt.reason)
			}
			id, ok := security.RefusedIdentity(err)
			if ok != tt.identified || ok && id.Issuer != sectest.Issuer || ok && tt.name != "no subject" && id.Subject != "alice" {
				t.Errorf("%s, %s: identity %+v, %t", tt.name, what, id, ok)
			}
			if strings.Contains(err.Error(), "alice") || strings.Contains(err.Error(), "other.example") {
				t.Errorf("%s, %s: the text has a claim: %v", tt.name, what, err)
			}
		}
	}
	for name, err := range map[string]error{"nil": nil, "a sentinel": security.ErrInvalidToken, "another error": sectest.ErrSecretive} {
		if id, ok := security.RefusedIdentity(err); ok || security.Reason(err) != "" {
			t.Errorf("%s: identity %+v, reason %q", name, id, security.Reason(err))
		}
	}
}

// TestRefusedIdentityOfRevokedTokens decides over tokens that the verifier accepts and the blacklist
// does not. Their identity is known.
func TestRefusedIdentityOfRevokedTokens(t *testing.T) {
	for _, tt := range []struct {
		name   string
		revoke func(app *apptest.App, token security.AnyToken) error
		want   error
	}{
		{name: "the token", want: security.ErrTokenRevoked, revoke: func(app *apptest.App, token security.AnyToken) error {
			return app.Validator.Revoke(t.Context(), token)
		}},
		{name: "the session", want: security.ErrTokenRevoked, revoke: func(app *apptest.App, token security.AnyToken) error {
			return app.Validator.RevokeSession(t.Context(), token)
		}},
		{name: "the blacklist is down", want: security.ErrUnavailable, revoke: func(app *apptest.App, _ security.AnyToken) error {
			app.List.Fail(sectest.ErrSecretive, nil)
			return nil
		}},
	} {
		app := apptest.New(t)
		text := sectest.Must(app.Issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
		if err := tt.revoke(app, app.Token(t, text, apptest.AccessToken)); err != nil {
			t.Fatal(err)
		}
		_, err := app.Validator.Verify(t.Context(), apptest.AccessToken, text)
		if !errors.Is(err, tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if id, ok := security.RefusedIdentity(err); !ok || id.Subject != "alice" {
			t.Errorf("%s: identity %+v, %t", tt.name, id, ok)
		}
	}
}

// TestVerifyAsksTheRightVerifier decides over texts of two issuers by name.
func TestVerifyAsksTheRightVerifier(t *testing.T) {
	app := apptest.New(t)
	const other = "https://idp.example"
	idp := apptest.NewWith(t, app.Keys)
	idp.Use(t, sectest.Must(security.NewVerifier(other, app.Keys, security.WithName("idp"), security.WithClock(app.Clock.Now)))(t))
	app.Validator = sectest.Must(security.NewValidator(app.Verifier, app.List, security.WithVerifier(idp.Verifier)))(t)
	here := sectest.Must(app.Issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	there := sectest.Must(idp.Issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	typ := apptest.AccessToken
	for _, tt := range []struct {
		name string
		typ  security.TokenType
		text string
		want error
	}{
		{name: "its text", typ: typ, text: here},
		{name: "the text of the other", typ: typ, text: there, want: security.ErrInvalidToken},
		{name: "by name", typ: typ.OfVerifier("idp"), text: there},
		{name: "by name, the text of the application", typ: typ.OfVerifier("idp"), text: here, want: security.ErrInvalidToken},
		{name: "an empty text", typ: typ, want: security.ErrInvalidToken},
	} {
		if _, err := app.Validator.Verify(t.Context(), tt.typ, tt.text); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	for name, call := range map[string]func() error{
		"no type": func() error { return second(app.Validator.Verify(t.Context(), nil, here)) },
		"a zero validator": func() error {
			return second((&security.Validator{}).Verify(t.Context(), typ, here))
		},
	} {
		if call() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestKeySourceErrors has a source of the application that fails: 401 where it does not know the key,
// 503 in any other case, without the text of its error.
func TestKeySourceErrors(t *testing.T) {
	app := apptest.New(t)
	text := sectest.Must(app.Issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{name: "unknown key", err: fmt.Errorf("tenant 7: %w", keys.ErrUnknownKey), want: security.ErrInvalidToken},
		{name: "wrong algorithm", err: keys.ErrWrongAlgorithm, want: security.ErrInvalidToken},
		{name: "unavailable", err: keys.ErrUnavailable, want: security.ErrUnavailable},
		{name: "another error", err: sectest.ErrSecretive, want: security.ErrUnavailable},
		{name: "no set and no error", want: security.ErrUnavailable},
	} {
		verifier := sectest.Must(security.NewVerifier(sectest.Issuer, failingSource{tt.err}, security.WithClock(app.Clock.Now)))(t)
		_, err := verifier.Verify(t.Context(), apptest.AccessToken, text)
		if !errors.Is(err, tt.want) || tt.err != nil && !errors.Is(err, tt.err) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "tenant 7") {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if _, err := security.NewIssuer(verifier); !errors.Is(err, keys.ErrNoSigningKey) {
			t.Errorf("%s: an issuer with a source that cannot sign: %v", tt.name, err)
		}
	}
}

// failingSource is a source without keys.
type failingSource struct{ err error }

func (s failingSource) VerificationKeys(context.Context, keys.Header) (*keys.Set, error) {
	return nil, s.err
}
