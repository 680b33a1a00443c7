package security_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
)

// TestCutOffOutlivesItsSessions has cut-offs in the future. The entry is in force until the last
// session that it covers has ended.
func TestCutOffOutlivesItsSessions(t *testing.T) {
	for name, cut := range map[string]func(f *apptest.App) error{
		"with a clock skew": func(f *apptest.App) error { return second(f.Validator.RevokeSubject(context.Background(), "alice")) },
		"chosen by the caller": func(f *apptest.App) error {
			return second(f.Validator.RevokeIssuedBefore(context.Background(), f.Clock.Now().Add(5*time.Minute)))
		},
	} {
		f := apptest.New(t, security.WithClockSkew(5*time.Minute))
		if err := cut(f); err != nil {
			t.Fatal(err)
		}
		f.Clock.Advance(5*time.Minute - time.Second)
		text := sectest.Must(f.Issuer.IssueRefreshToken(t.Context(), "alice", nil))(t).Text()
		for _, d := range []time.Duration{0, security.DefaultSessionLifetime + security.DefaultLeeway - time.Second} {
			f.Clock.Advance(d)
			if err := f.Refuses(t, text, apptest.RefreshToken); !errors.Is(err, security.ErrTokenRevoked) {
				t.Errorf("%s, %s later: %v", name, d, err)
			}
		}
	}
}

// TestCutOffsCoverOtherVerifiers revokes tokens of an identity provider that have neither id nor
// session.
func TestCutOffsCoverOtherVerifiers(t *testing.T) {
	for name, revoke := range map[string]func(v *security.Validator, token security.AnyToken) error{
		"all": func(v *security.Validator, _ security.AnyToken) error {
			return second(v.RevokeAll(context.Background()))
		},
		"subject": func(v *security.Validator, token security.AnyToken) error {
			return second(v.RevokeSubjectOf(context.Background(), token))
		},
	} {
		f := apptest.New(t)
		layout := sectest.Must(security.IdentityProvider(security.WithTypeHeader("at+jwt"), security.WithoutTokenIDs()))(t)
		provider := sectest.Must(security.NewVerifier("https://idp.example", f.Keys, security.WithName("idp"), security.WithLayout(layout), security.WithClock(f.Clock.Now)))(t)
		f.Validator = sectest.Must(security.NewValidator(f.Verifier, f.List, security.WithVerifier(provider)))(t)
		text := sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith("iss", `"https://idp.example"`, "aud", `"https://idp.example"`, "jti", "", "sid", ""))
		token := sectest.Must(provider.Verify(t.Context(), apptest.AccessToken.OfVerifier("idp"), text))(t)
		if err := f.Validator.CheckRevoked(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := revoke(f.Validator, token); err != nil {
			t.Fatal(err)
		}
		if err := f.Validator.CheckRevoked(t.Context(), token); !errors.Is(err, security.ErrTokenRevoked) {
			t.Errorf("%s: %v after the revocation", name, err)
		}
	}
}
