package security_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
)

// TestRefreshTokensFromBeforeAreNoAccessTokens changes the layout of an application from one of a
// Python library to PlainJWT. Both write the header typ JWT, and the Python libraries write the
// same audience into every token.
func TestRefreshTokensFromBeforeAreNoAccessTokens(t *testing.T) {
	for name, layout := range map[string]security.Layout{
		"Flask": pyjwt.Flask("role", pyjwt.WithIssuerClaim()), "Sanic": pyjwt.Sanic("role", pyjwt.WithIssuerClaim()),
	} {
		app := apptest.New(t)
		audience := security.WithAudience("api")
		before := sectest.Must(security.NewVerifier(sectest.Issuer, app.Keys, security.WithLayout(layout), audience, security.WithClock(app.Clock.Now)))(t)
		pair := sectest.Must(sectest.Must(security.NewIssuer(before))(t).IssueTokenPair(t.Context(), "alice", nil, nil))(t)
		now := sectest.Must(security.NewVerifier(sectest.Issuer, app.Keys, security.WithLayout(security.PlainJWT()), audience, security.WithClock(app.Clock.Now)))(t)
		if _, err := now.Verify(t.Context(), apptest.AccessToken, pair.Refresh.Text()); !errors.Is(err, security.ErrWrongTokenType) {
			t.Errorf("%s: a refresh token as an access token: %v", name, err)
		}
		if _, err := now.Verify(t.Context(), apptest.AccessToken, pair.Access.Text()); err != nil {
			t.Errorf("%s: an access token: %v", name, err)
		}
	}
}

// TestSubjectClaimSwitchesNoCheckOff reads the subject from a claim that decides over the token.
func TestSubjectClaimSwitchesNoCheckOff(t *testing.T) {
	for _, claim := range []string{"iss", "aud", "exp", "nbf", "iat", "jti", "sid", "auth_time", "cnf"} {
		if _, err := security.IdentityProvider(security.WithUnsafeAnyType(), security.WithSubjectFrom(claim)); err == nil {
			t.Errorf("%s as the subject: no error", claim)
		}
	}
	app := provider(t, []security.LayoutOption{security.WithSubjectFrom("client_id")})
	token := app.Token(t, sectest.CompactHS256(plainHeader, sectest.PayloadWith("client_id", `"robot"`)), apptest.AccessToken)
	if token.Subject() != "robot" || token.ClientID() != "robot" {
		t.Errorf("subject %q, client %q; want robot twice", token.Subject(), token.ClientID())
	}
	app = provider(t, []security.LayoutOption{security.WithSubjectFrom("sub")})
	token = app.Token(t, sectest.CompactHS256(plainHeader, sectest.PayloadWith("sub", `42`)), apptest.AccessToken)
	if token.Subject() != "42" {
		t.Errorf("subject %q, want 42", token.Subject())
	}
}

// TestLongestRetentionRevokes has the longest durations that Go knows. A sum of them must not wrap
// around, because an entry that has ended revokes nothing.
func TestLongestRetentionRevokes(t *testing.T) {
	for name, option := range map[string]security.VerifierOption{
		"retention": security.WithRetention(math.MaxInt64), "lifetime": security.WithMaxLifetime(math.MaxInt64),
	} {
		app := apptest.New(t, option)
		pair := sectest.Must(app.Issuer.IssueTokenPair(t.Context(), "alice", nil, nil))(t)
		if err := app.Validator.RevokeSession(t.Context(), app.Token(t, pair.Access.Text(), apptest.AccessToken)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := app.Validator.RevokeSubjectBefore(t.Context(), "alice", app.Clock.Now().Add(time.Hour)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := app.Refuses(t, pair.Refresh.Text(), apptest.RefreshToken); !errors.Is(err, security.ErrTokenRevoked) {
			t.Errorf("%s: a refresh token of a revoked session: %v", name, err)
		}
	}
}

// noKey is a source that returns neither a key nor an error.
type noKey struct{ keys.Source }

func (noKey) SigningKey(context.Context) (*keys.Key, error) { return nil, nil }

// TestZeroValuesRefuse calls what was not made by a constructor. Nothing panics.
func TestZeroValuesRefuse(t *testing.T) {
	app := apptest.New(t)
	var zero security.Verifier
	if zero.IsRecent(time.Now(), time.Hour) {
		t.Error("recent to a zero verifier")
	}
	withoutKey := sectest.Must(security.NewVerifier(sectest.Issuer, noKey{app.Keys}))(t)
	for name, err := range map[string]error{
		"verify with a zero verifier":     second(zero.Verify(t.Context(), apptest.AccessToken, "a.b.c")),
		"verify without a type":           second(app.Verifier.Verify(t.Context(), nil, "a.b.c")),
		"readiness of a zero validator":   (&security.Validator{}).Ready(t.Context()),
		"issue with a source without key": second(sectest.Must(security.NewIssuer(withoutKey))(t).IssueAccessToken(t.Context(), "alice", nil)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestOnlySpacesSeparateScopes has characters that Unicode calls white space in the name of a scope.
func TestOnlySpacesSeparateScopes(t *testing.T) {
	for _, separator := range []string{`\t`, `\n`, `\u00a0`, `\u0085`, `\u3000`, `\u2028`} {
		claims := sectest.PayloadWith("scope", `"read`+separator+`admin  write"`)
		for name, token := range map[string]security.AnyToken{
			"application": apptest.New(t).Token(t, sectest.CompactHS256(sectest.GoodHeader, claims), apptest.AccessToken),
			"provider":    provider(t, nil).Token(t, sectest.CompactHS256(plainHeader, claims), apptest.AccessToken),
		} {
			if token.HasScope("admin") || token.HasScope("read") || !token.HasScope("write") {
				t.Errorf("%s, %s: scopes %q", name, separator, token.Scopes())
			}
		}
	}
}
