package interop

import (
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
)

// TestFlaskOptionsHere verifies tokens of Flask services with settings that need an option here.
func TestFlaskOptionsHere(t *testing.T) {
	here := []security.Option{security.WithAudience(audience)}
	withIdentity := plain.with(settings{"JWT_IDENTITY_CLAIM": "identity"})
	withIssuer := plain.with(settings{"JWT_ENCODE_ISSUER": issuer, "JWT_DECODE_ISSUER": issuer})
	checkFlaskTokens(t, []flaskRow{
		{name: "Flask: identity claim", layout: pyjwt.Flask("role", pyjwt.WithIdentityClaim("identity")), token: flaskToken{Config: withIdentity, Type: "access"}},
		{name: "Flask: identity claim of a refresh token", layout: pyjwt.Flask("role", pyjwt.WithIdentityClaim("identity")), token: flaskToken{Config: withIdentity, Type: "refresh"}, typ: refreshToken},
		{name: "Flask: identity claim that the token has not", layout: pyjwt.Flask("role", pyjwt.WithIdentityClaim("identity")), token: flaskToken{Config: plain, Type: "access"}, want: security.ErrInvalidToken},
		{name: "Flask: identity claim only there", layout: pyjwt.Flask("role"), token: flaskToken{Config: withIdentity, Type: "access"}, want: security.ErrInvalidToken},
		{name: "Flask: issuer on both sides", layout: pyjwt.Flask("role", pyjwt.WithIssuerClaim()), token: flaskToken{Config: withIssuer, Type: "access"}},
		{name: "Flask: no issuer though one is set here", layout: pyjwt.Flask("role", pyjwt.WithIssuerClaim()), token: flaskToken{Config: plain, Type: "access"}, want: security.ErrInvalidToken},
		{name: "Flask: no audience while it is optional", layout: pyjwt.Flask("role", pyjwt.WithAudienceOptional()), options: here, token: flaskToken{Config: plain, Type: "access"}},
		{name: "Flask: audience while it is optional", layout: pyjwt.Flask("role", pyjwt.WithAudienceOptional()), options: here, token: flaskToken{Config: withAudience, Type: "access"}},
		{name: "Flask: other audience while it is optional", layout: pyjwt.Flask("role", pyjwt.WithAudienceOptional()), options: here, token: flaskToken{Config: plain.with(settings{"JWT_ENCODE_AUDIENCE": "https://other.example.com"}), Type: "access"}, want: security.ErrInvalidToken},
		{name: "Flask: roles as a list, written as a list here", layout: pyjwt.Flask("roles", pyjwt.WithRolesAsList()), token: flaskToken{Config: plain, Type: "access", Claims: map[string]any{"roles": []string{"admin", "editor"}}}, roles: []string{"admin", "editor"}},
	})
}

// TestTokensInFlaskOptions has Flask services with more settings verify tokens that are issued here.
func TestTokensInFlaskOptions(t *testing.T) {
	withIdentity := plain.with(settings{"JWT_IDENTITY_CLAIM": "identity"})
	withIssuer := plain.with(settings{"JWT_ENCODE_ISSUER": issuer, "JWT_DECODE_ISSUER": issuer})
	checkIssuedTokens(t, []issuedRow{
		{name: "in Flask: identity claim", layout: pyjwt.Flask("role", pyjwt.WithIdentityClaim("identity")), config: withIdentity, path: "/access", status: 200},
		{name: "in Flask: identity claim of a refresh token", layout: pyjwt.Flask("role", pyjwt.WithIdentityClaim("identity")), refresh: true, config: withIdentity, path: "/refresh", status: 200},
		{name: "in Flask: issuer on both sides", layout: pyjwt.Flask("role", pyjwt.WithIssuerClaim()), config: withIssuer, path: "/access", status: 200, claims: map[string]any{"iss": issuer}},
		{name: "in Flask: issuer only there", layout: pyjwt.Flask("role"), config: withIssuer, path: "/access", status: 422},
		{name: "in Flask: issuer only here", layout: pyjwt.Flask("role", pyjwt.WithIssuerClaim()), config: plain, path: "/access", status: 200},
		{name: "in Flask: roles as a list", layout: pyjwt.Flask("roles", pyjwt.WithRolesAsList()), token: []security.TokenOption{security.WithRoles("admin", "editor")}, config: plain, path: "/access", status: 200, claims: map[string]any{"roles": []any{"admin", "editor"}}},
	})
}
