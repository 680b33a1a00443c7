package security_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
)

// FuzzForeignClaims verifies signed tokens of a provider with arbitrary payloads.
func FuzzForeignClaims(f *testing.F) {
	with := sectest.PayloadWith
	for _, seed := range []string{
		with("uid", `"u"`, "azp", `"web"`), with("uid", "42", "azp", `"web"`, "realm_access", `{"roles":["a"]}`, "https://app.example/roles", `"b"`),
		with("uid", `"u"`, "azp", `"web"`, "nbf", "0", "auth_time", "-5", "scope", `["a","b"]`, "scp", `"a b"`),
		with("uid", `"u"`, "azp", `"web"`, "aud", "", "iss", "", "jti", "", "sub", "7", "Roles", `["x"]`),
		with("uid", `"u"`, "azp", `"web"`, "cnf", `{"jkt":"x"}`), with("uid", `"u"`, "azp", `["web"]`), `{}`, `null`, `[]`, `{"uid":1e2}`,
	} {
		f.Add(seed)
	}
	layout := sectest.Must(security.IdentityProvider(security.WithTypeHeader("JWT"), security.WithClientFrom("azp", "web"), security.WithSubjectFrom("uid"),
		security.WithRolesAt("realm_access", "roles"), security.WithRolesAt("https://app.example/roles"), security.WithoutTokenIDs(), security.WithoutIssuerClaim()))(f)
	app := apptest.New(f)
	verifier := sectest.Must(security.NewVerifier(sectest.Issuer, app.Keys, security.WithLayout(layout), security.WithClock(app.Clock.Now)))(f)
	typ := security.NewTokenType[map[string]any]("access")
	sentinels := []error{security.ErrInvalidToken, security.ErrTokenExpired, security.ErrTokenNotYetValid, security.ErrWrongTokenType}
	// A token that is accepted has a subject and the client, is not bound, and encoding/json reads the
	// same claims from it.
	f.Fuzz(func(t *testing.T, content string) {
		verified, err := verifier.Verify(t.Context(), typ, sectest.CompactHS256(plainHeader, content))
		if err != nil {
			if !slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) }) {
				t.Errorf("an error without a sentinel: %v", err)
			}
			return
		}
		var loose map[string]any
		if err := json.Unmarshal([]byte(content), &loose); err != nil {
			t.Fatalf("encoding/json refuses what we accept: %v", err)
		}
		token := verified.(security.Token[map[string]any])
		if text, isText := loose["uid"].(string); token.Subject() == "" || isText && text != token.Subject() {
			t.Errorf("subject %q, uid %v", token.Subject(), loose["uid"])
		}
		if loose["azp"] != "web" || loose["cnf"] != nil {
			t.Errorf("accepted with azp %v, cnf %v", loose["azp"], loose["cnf"])
		}
		if issuer := loose["iss"]; issuer != nil && issuer != sectest.Issuer {
			t.Errorf("accepted with iss %v", issuer)
		}
		if id := token.Identity(); id.Issuer != sectest.Issuer || id.Subject != token.Subject() {
			t.Errorf("identity %+v", id)
		}
		if slices.Contains(token.Roles(), "") || slices.Contains(token.Scopes(), "") {
			t.Errorf("roles %q, scopes %q", token.Roles(), token.Scopes())
		}
	})
}
