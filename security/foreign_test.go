package security_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

const plainHeader = `{"alg":"HS256","kid":"k1","typ":"JWT"}`

// provider makes an application that verifies the tokens of a provider with the options.
func provider(t *testing.T, layout []security.LayoutOption, options ...security.VerifierOption) *apptest.App {
	t.Helper()
	app := apptest.New(t)
	made := sectest.Must(security.IdentityProvider(append([]security.LayoutOption{security.WithTypeHeader("JWT")}, layout...)...))(t)
	app.Verifier = sectest.Must(security.NewVerifier(sectest.Issuer, app.Keys, append(options, security.WithLayout(made), security.WithClock(app.Clock.Now))...))(t)
	app.Validator = sectest.Must(security.NewValidator(app.Verifier, app.List))(t)
	return app
}

// TestForeignClaims judges of a provider's token only what is used.
func TestForeignClaims(t *testing.T) {
	for _, tt := range []struct {
		name   string
		claims []string
		want   error
	}{
		{name: "nbf 0", claims: []string{"nbf", "0"}},
		{name: "auth_time 0", claims: []string{"auth_time", "0"}},
		{name: "negative nbf", claims: []string{"nbf", "-5"}},
		{name: "null nbf and auth_time", claims: []string{"nbf", "null", "auth_time", "null"}},
		{name: "claims in another case", claims: []string{"Roles", `["x"]`, "Type", `"x"`, "Scope", `"x"`, "AMR", `["pwd"]`, "ISS", `"x"`}},
		{name: "null claims that nothing uses", claims: []string{"client_id", "null", "csrf", "null", "fresh", "null", "azp", "null"}},
		{name: "mistyped claims that nothing uses", claims: []string{"client_id", "7", "csrf", "{}", "fresh", `"yes"`, "typ", "1", "session_start", `"x"`}},
		{name: "null jti where one is needed", claims: []string{"jti", "null"}, want: security.ErrInvalidToken},
		{name: "mistyped jti", claims: []string{"jti", "7"}, want: security.ErrInvalidToken},
		{name: "mistyped sid", claims: []string{"sid", "7"}, want: security.ErrInvalidToken},
		{name: "mistyped sub", claims: []string{"sub", "7"}, want: security.ErrInvalidToken},
		{name: "exp 0", claims: []string{"exp", "0"}, want: security.ErrInvalidToken},
		{name: "nbf in the future", claims: []string{"nbf", "1700009999"}, want: security.ErrTokenNotYetValid},
		{name: "auth_time after iat", claims: []string{"auth_time", "1700000100"}, want: security.ErrInvalidToken},
		{name: "auth_time within the leeway", claims: []string{"auth_time", "1700000020"}},
		{name: "bound to a key by DPoP", claims: []string{"cnf", `{"jkt":"x"}`}, want: security.ErrInvalidToken},
		{name: "bound to a certificate", claims: []string{"cnf", `{"x5t#S256":"x"}`}, want: security.ErrInvalidToken},
		{name: "null cnf", claims: []string{"cnf", "null"}},
		{name: "a member twice", claims: []string{"a", `{"b":1,"b":2}`}, want: security.ErrInvalidToken},
	} {
		app := provider(t, nil)
		err := app.Refuses(t, sectest.CompactHS256(plainHeader, sectest.PayloadWith(tt.claims...)), apptest.AccessToken)
		if !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	app := apptest.New(t)
	for name, claims := range map[string][]string{"a claim in another case": {"Roles", `["x"]`}, "nbf 0": {"nbf", "0"}, "a bound token": {"cnf", `{"jkt":"x"}`}} {
		if err := app.Refuses(t, sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith(claims...)), apptest.AccessToken); err == nil {
			t.Errorf("%s in a token of the application: accepted", name)
		}
	}
}

// TestForeignRolesAndScopes finds roles and scopes where providers put them.
func TestForeignRolesAndScopes(t *testing.T) {
	at := security.WithRolesAt
	for _, tt := range []struct {
		name          string
		layout        []security.LayoutOption
		claims        []string
		roles, scopes string
	}{
		{name: "scope as text", claims: []string{"scope", `"a b"`}, roles: "[]", scopes: "[a b]"},
		{name: "scope as a list", claims: []string{"scope", `["a","b"]`}, roles: "[]", scopes: "[a b]"},
		{name: "scp as a list", claims: []string{"scp", `["a","b"]`}, roles: "[]", scopes: "[a b]"},
		{name: "scope of another type", claims: []string{"scope", `7`}, roles: "[]", scopes: "[]"},
		{name: "a claim that is a URL", layout: []security.LayoutOption{at("https://app.example/roles")}, claims: []string{"https://app.example/roles", `["x"]`}, roles: "[x]", scopes: "[]"},
		{name: "below a key with a dot", layout: []security.LayoutOption{at("a.b", "c.d")}, claims: []string{"a.b", `{"c.d":["x"]}`}, roles: "[x]", scopes: "[]"},
		{name: "in two places", layout: []security.LayoutOption{at("realm_access", "roles"), at("resource_access", "api", "roles")},
			claims: []string{"realm_access", `{"roles":["x"]}`, "resource_access", `{"api":{"roles":["y"]}}`}, roles: "[x y]", scopes: "[]"},
		{name: "two paths of one claim", layout: []security.LayoutOption{at("r", "a"), at("r", "b")}, claims: []string{"r", `{"a":"x","b":["y"]}`}, roles: "[x y]", scopes: "[]"},
	} {
		token := provider(t, tt.layout).Token(t, sectest.CompactHS256(plainHeader, sectest.PayloadWith(tt.claims...)), apptest.AccessToken)
		if fmt.Sprint(token.Roles()) != tt.roles || fmt.Sprint(token.Scopes()) != tt.scopes {
			t.Errorf("%s: roles %v, scopes %v; want %s, %s", tt.name, token.Roles(), token.Scopes(), tt.roles, tt.scopes)
		}
	}
}

// TestForeignAudienceAndSubject has providers without aud or sub.
func TestForeignAudienceAndSubject(t *testing.T) {
	client, subject := security.WithClientFrom, security.WithSubjectFrom
	for _, tt := range []struct {
		name    string
		layout  []security.LayoutOption
		options []security.VerifierOption
		claims  []string
		subject string
		want    error
	}{
		{name: "no aud", claims: []string{"aud", ""}, want: security.ErrInvalidToken},
		{name: "no aud, a client", layout: []security.LayoutOption{client("client_id", "web", "cli")}, claims: []string{"aud", "", "client_id", `"cli"`}, subject: "alice"},
		{name: "another client", layout: []security.LayoutOption{client("client_id", "web")}, claims: []string{"aud", "", "client_id", `"other"`}, want: security.ErrInvalidToken},
		{name: "no client", layout: []security.LayoutOption{client("azp", "web")}, claims: []string{"aud", ""}, want: security.ErrInvalidToken},
		{name: "a client of another type", layout: []security.LayoutOption{client("azp", "web")}, claims: []string{"azp", `["web"]`}, want: security.ErrInvalidToken},
		{name: "a client and the audience of somebody else", layout: []security.LayoutOption{client("azp", "web")}, claims: []string{"aud", `"account"`, "azp", `"web"`}, subject: "alice"},
		{name: "a client and an audience that is demanded", layout: []security.LayoutOption{client("azp", "web")}, options: []security.VerifierOption{security.WithAudience("api")},
			claims: []string{"aud", `"account"`, "azp", `"web"`}, want: security.ErrInvalidToken},
		{name: "the subject from another claim", layout: []security.LayoutOption{subject("uid")}, claims: []string{"uid", `"u1"`}, subject: "u1"},
		{name: "an integer as the subject", layout: []security.LayoutOption{subject("user_id")}, claims: []string{"sub", "", "user_id", `42`}, subject: "42"},
		{name: "a fraction as the subject", layout: []security.LayoutOption{subject("user_id")}, claims: []string{"user_id", `4.2`}, want: security.ErrInvalidToken},
		{name: "no subject", layout: []security.LayoutOption{subject("uid")}, want: security.ErrInvalidToken},
	} {
		app := provider(t, tt.layout, tt.options...)
		token, err := app.Verifier.Verify(t.Context(), apptest.AccessToken, sectest.CompactHS256(plainHeader, sectest.PayloadWith(tt.claims...)))
		if !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			continue
		}
		if err == nil && (token.Subject() != tt.subject || token.Identity().Subject != tt.subject) {
			t.Errorf("%s: subject %q, identity %+v", tt.name, token.Subject(), token.Identity())
		}
	}
}

// TestForeignClaimsUnderTheirNames reads claims that have a meaning elsewhere, and those that are
// read as roles and type too.
func TestForeignClaimsUnderTheirNames(t *testing.T) {
	type claims struct {
		AZP   string         `json:"azp"`
		ACR   string         `json:"acr"`
		AMR   []string       `json:"amr"`
		TID   string         `json:"tid"`
		Sub   string         `json:"sub"`
		Realm map[string]any `json:"realm_access"`
		Use   string         `json:"token_use"`
		Big   string         `json:"Roles"`
	}
	app := apptest.New(t)
	layout := sectest.Must(security.IdentityProvider(security.WithTypeClaim("token_use", "access"), security.WithRolesAt("realm_access", "roles")))(t)
	verifier := sectest.Must(security.NewVerifier(sectest.Issuer, app.Keys, security.WithLayout(layout), security.WithClock(app.Clock.Now)))(t)
	text := sectest.CompactHS256(plainHeader, sectest.PayloadWith("azp", `"web"`, "acr", `"1"`, "amr", `["pwd"]`, "tid", `"t"`, "token_use", `"access"`,
		"realm_access", `{"roles":["x"]}`, "Roles", `"y"`))
	for range 2 {
		token := sectest.Must(verifier.Verify(t.Context(), security.NewTokenType[claims]("access"), text))(t).(security.Token[claims])
		got := sectest.Must(json.Marshal(token.Claims(), json.Deterministic(true)))(t)
		if want := `{"azp":"web","acr":"1","amr":["pwd"],"tid":"t","sub":"alice","realm_access":{"roles":["x"]},"token_use":"access","Roles":"y"}`; string(got) != want {
			t.Errorf("claims %s, want %s", got, want)
		}
		if !token.HasRole("x") {
			t.Error("the roles are not read")
		}
	}
}

// TestTenants has one verifier for the tenants of a provider. Keys and revocations belong to the
// issuer of the token.
func TestTenants(t *testing.T) {
	app := apptest.New(t)
	const template = "https://login.example/{tenantid}/v2.0"
	layout := sectest.Must(security.IdentityProvider(security.WithTypeHeader("JWT")))(t)
	served := map[string]bool{"a": true, "b": true, "..": true, "%2e%2e": true, "x@evil.example:443": true, `a\b`: true, "\u0430": true}
	var down error
	verifier := sectest.Must(security.NewVerifier(template, app.Keys, security.WithLayout(layout), security.WithAudience("api"), security.WithClock(app.Clock.Now), security.WithName("entra"),
		security.WithTenants("tid", func(_ context.Context, tenant string) (bool, error) { return served[tenant], down })))(t)
	validator := sectest.Must(security.NewValidator(app.Verifier, app.List, security.WithVerifier(verifier)))(t)
	typ := security.NewTokenType[security.NoClaims]("access").OfVerifier("entra")
	token := func(issuer, tenant string) string {
		return sectest.CompactHS256(plainHeader, sectest.PayloadWith("iss", `"`+issuer+`"`, "tid", tenant, "aud", `"api"`))
	}
	for _, tt := range []struct {
		name, issuer, tenant string
		want                 error
	}{
		{name: "a tenant", issuer: "https://login.example/a/v2.0", tenant: `"a"`},
		{name: "another tenant", issuer: "https://login.example/b/v2.0", tenant: `"b"`},
		{name: "the issuer of one and the claim of another", issuer: "https://login.example/a/v2.0", tenant: `"b"`, want: security.ErrInvalidToken},
		{name: "a tenant that is not served", issuer: "https://login.example/c/v2.0", tenant: `"c"`, want: security.ErrInvalidToken},
		{name: "no tenant", issuer: "https://login.example//v2.0", tenant: `""`, want: security.ErrInvalidToken},
		{name: "a tenant of another type", issuer: "https://login.example/7/v2.0", tenant: `7`, want: security.ErrInvalidToken},
		{name: "a tenant with a slash", issuer: "https://login.example/a/x/v2.0", tenant: `"a/x"`, want: security.ErrInvalidToken},
		{name: "a tenant that leaves the path", issuer: "https://login.example/../v2.0", tenant: `".."`, want: security.ErrInvalidToken},
		{name: "a tenant that leaves the path, encoded", issuer: "https://login.example/%2e%2e/v2.0", tenant: `"%2e%2e"`, want: security.ErrInvalidToken},
		{name: "a tenant with a host", issuer: "https://login.example/x@evil.example:443/v2.0", tenant: `"x@evil.example:443"`, want: security.ErrInvalidToken},
		{name: "a tenant with a backslash", issuer: `https://login.example/a\\b/v2.0`, tenant: `"a\\b"`, want: security.ErrInvalidToken},
		{name: "a tenant that looks like another", issuer: "https://login.example/\u0430/v2.0", tenant: "\"\u0430\"", want: security.ErrInvalidToken},
		{name: "the template itself", issuer: template, tenant: `"{tenantid}"`, want: security.ErrInvalidToken},
	} {
		_, err := validator.Verify(t.Context(), typ, token(tt.issuer, tt.tenant))
		if !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	a, b := token("https://login.example/a/v2.0", `"a"`), token("https://login.example/b/v2.0", `"b"`)
	shown := sectest.Must(validator.Verify(t.Context(), typ, a))(t)
	if id := shown.Identity(); id.Issuer != "https://login.example/a/v2.0" || id.Template != template {
		t.Errorf("identity %+v", id)
	}
	if _, err := validator.RevokeSubjectOf(t.Context(), shown); err != nil {
		t.Fatal(err)
	}
	if _, err := validator.Verify(t.Context(), typ, a); !errors.Is(err, security.ErrTokenRevoked) {
		t.Errorf("the subject of tenant a: %v", err)
	}
	if _, err := validator.Verify(t.Context(), typ, b); err != nil {
		t.Errorf("the subject of the same name in tenant b: %v", err)
	}
	served["b"] = false
	if _, err := validator.Verify(t.Context(), typ, b); !errors.Is(err, security.ErrInvalidToken) {
		t.Errorf("a cached token of a tenant that is served no more: %v", err)
	}
	served["b"], down = true, sectest.ErrSecretive
	if _, err := validator.Verify(t.Context(), typ, b); !errors.Is(err, security.ErrUnavailable) {
		t.Errorf("whether the tenant is served is unavailable: %v", err)
	}
	down = nil
	if _, err := validator.RevokeAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := validator.Verify(t.Context(), typ, b); !errors.Is(err, security.ErrTokenRevoked) {
		t.Errorf("all sessions are revoked: %v", err)
	}
	for name, err := range map[string]error{
		"a template without WithTenants": second(security.NewVerifier(template, app.Keys)),
		"WithTenants without a template": second(security.NewVerifier("https://x.example", app.Keys, security.WithTenants("tid", security.TenantList("a")))),
		"two placeholders":               second(security.NewVerifier("https://{a}.example/{b}", app.Keys, security.WithTenants("tid", security.TenantList("a")))),
		"no claim":                       second(security.NewVerifier(template, app.Keys, security.WithTenants("", security.TenantList("a")))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestKeyOfAnotherIssuer has a key set with a key for each tenant: a key serves its issuer alone.
func TestKeyOfAnotherIssuer(t *testing.T) {
	private := sectest.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	public := sectest.Must(keys.NewSet(sectest.Must(keys.NewECDSA(private, keys.WithID("k")))(t)))(t)
	app := apptest.NewWith(t, public)
	text := sectest.Must(app.Issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	point := sectest.Must(private.PublicKey.Bytes())(t)
	for issuer, want := range map[string]error{sectest.Issuer: nil, "https://other.example": security.ErrInvalidToken, "https://{tenantid}.example": security.ErrInvalidToken} {
		set, _, err := keys.ParsePublicJWKS(fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","kid":"k","issuer":%q,"x":%q,"y":%q}]}`,
			issuer, base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:])))
		if err != nil {
			t.Fatal(err)
		}
		verifier := sectest.Must(security.NewVerifier(sectest.Issuer, sectest.Must(keys.NewSet(set...))(t), security.WithClock(app.Clock.Now)))(t)
		if _, err := verifier.Verify(t.Context(), apptest.AccessToken, text); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("a key of %s: %v, want %v", issuer, err, want)
		}
	}
}
