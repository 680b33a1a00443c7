package security_test

import (
	"context"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
)

func second[T any](_ T, err error) error { return err }

// TestMisuseIsAnError calls the package with zero values, nil values and settings that contradict
// each other. Each call returns an error and none panics.
func TestMisuseIsAnError(t *testing.T) {
	f := apptest.New(t)
	ctx := t.Context()
	type userToken struct {
		security.Token[security.NoClaims]
	}
	const namespace = "https://claims.example/"
	var anonymous *userToken
	var nilMemory *blacklist.Memory
	neverExpiring := sectest.Must(security.NewVerifier(sectest.Issuer, f.Keys, security.WithClock(f.Clock.Now),
		security.WithNeverExpiring(), security.WithPublicNamespace(namespace)))(t)
	validator := sectest.Must(security.NewValidator(neverExpiring, f.List))(t)
	issuer := sectest.Must(security.NewIssuer(neverExpiring))(t)
	refresh := f.Token(t, sectest.Must(issuer.IssueRefreshToken(ctx, "alice", nil))(t).Text(), apptest.RefreshToken)
	kept := security.SessionState{ID: "s", Start: f.Clock.Now(), End: f.Clock.Now().Add(time.Hour)}
	nested := any(1)
	for range 40 {
		nested = []any{nested}
	}
	hook := func(context.Context, security.Token[security.NoClaims]) (any, error) { return nil, nil }
	misspelledHook := sectest.Must(security.NewValidator(f.Verifier, f.List, security.WithHook("acess", hook)))(t)
	for name, err := range map[string]error{
		"revoke the session of a nil token":       validator.RevokeSession(ctx, anonymous),
		"continue the session of a nil token":     second(issuer.IssueAccessToken(ctx, "a", nil, security.WithSession(anonymous))),
		"issuer of a zero verifier":               second(security.NewIssuer(&security.Verifier{})),
		"validator of a zero verifier":            second(security.NewValidator(&security.Verifier{}, f.List)),
		"validator with a second, zero verifier":  second(security.NewValidator(f.Verifier, f.List, security.WithVerifier(&security.Verifier{}))),
		"validator with a typed nil blacklist":    second(security.NewValidator(f.Verifier, nilMemory)),
		"issue with a zero issuer":                second((&security.Issuer{}).IssueAccessToken(ctx, "a", nil)),
		"revoke all with a zero validator":        second((&security.Validator{}).RevokeAll(ctx)),
		"revoke a subject with a zero validator":  second((&security.Validator{}).RevokeSubject(ctx, "a")),
		"hook for a type that no operation takes": misspelledHook.CheckTypes(apptest.AccessToken),
		"empty value of the type claim":           second(security.IdentityProvider(security.WithTypeClaim("token_use", ""))),
		"roles in the namespace of public claims": second(security.NewVerifier(sectest.Issuer, f.Keys, security.WithLayout(pyjwt.Flask(namespace+"role")), security.WithPublicNamespace(namespace))),
		"public claims nested too deeply":         second(issuer.IssueAccessToken(ctx, "a", nil, security.WithPublicClaims(map[string]any{"x": nested}))),
		"token that would outlive its session":    second(issuer.IssueAccessToken(ctx, "alice", nil, security.WithSession(refresh), security.WithoutExpiry())),
		"token that would outlive a kept session": second(issuer.IssueAccessToken(ctx, "alice", nil, security.WithSessionState(kept), security.WithoutExpiry())),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
