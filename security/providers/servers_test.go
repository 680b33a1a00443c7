package providers_test

import (
	"testing"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/providers"
)

// TestServers reads tokens of providers that one runs oneself.
func TestServers(t *testing.T) {
	const realm = "https://id.example.com/realms/main"
	testPresets(t, []preset{
		{
			name: "Keycloak",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Keycloak(t.Context(), realm, "my-api", append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT"},
			claims: object{
				"exp": now + 300, "iat": now, "auth_time": now - 60, "jti": "onrtac:1", "iss": realm, "aud": []string{"my-api", "account"}, "sub": "f4a1",
				"typ": "Bearer", "azp": "spa", "sid": "s1", "acr": "1", "scope": "openid email", "preferred_username": "alice",
				"realm_access":    object{"roles": []string{"offline_access", "staff"}},
				"resource_access": object{"my-api": object{"roles": []string{"staff", "editor"}}, "account": object{"roles": []string{"manage-account"}}},
			},
			want: accepted{
				verifier: "keycloak", roles: []string{"offline_access", "staff", "editor"}, scopes: []string{"openid", "email"},
				identity: blacklist.Identity{Issuer: realm, ID: "onrtac:1", Session: "s1", Subject: "f4a1", SessionStart: at(now - 60)},
			},
			variants: []object{{"realm_access": nil, "resource_access": nil}, {"aud": "my-api"}},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "account"}, want: security.ErrInvalidToken},
				{name: otherAudience, claims: object{"aud": nil}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"azp": "other"}, options: onlyClient("azp"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://id.example.com/realms/other"}, want: security.ErrInvalidToken},
				{name: anIDToken, claims: object{"typ": "ID"}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: object{"typ": "Refresh"}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: object{"typ": nil}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: object{"typ": "Logout"}.with(logout), want: security.ErrWrongTokenType},
			},
		},
		{
			name: "Zitadel",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Zitadel(t.Context(), "example.zitadel.cloud", "69234237810729019", append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT"},
			claims: object{
				"iss": "https://example.zitadel.cloud", "sub": "77776025198584418", "aud": []string{"spa", "69234237810729019"}, "jti": "j1", "azp": "spa",
				"client_id": "spa", "iat": now, "nbf": now, "exp": now + 43200,
				"urn:zitadel:iam:org:project:roles": object{"admin": object{"1": "example.zitadel.cloud"}, "user": object{"1": "example.zitadel.cloud"}},
			},
			want: accepted{
				verifier: "zitadel", roles: []string{"admin", "user"},
				identity: blacklist.Identity{Issuer: "https://example.zitadel.cloud", ID: "j1", Subject: "77776025198584418"},
			},
			variants: []object{{"urn:zitadel:iam:org:project:roles": nil}},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": []string{"spa", "70000000000000000"}}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"azp": "other"}, options: onlyClient("azp"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://other.zitadel.cloud"}, want: security.ErrInvalidToken},
				{name: anIDToken, claims: object{"jti": nil}, want: security.ErrWrongTokenType},
				{name: anIDToken, claims: object{"at_hash": "h"}, want: security.ErrWrongTokenType},
				{name: anIDToken, claims: object{"sid": "s1"}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": nil}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: logout, want: security.ErrWrongTokenType},
			},
		},
		{
			name: "Hydra",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Hydra(t.Context(), "https://id.example.com", api, append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT"},
			claims: object{
				"aud": []string{api}, "client_id": "spa", "exp": now + 3600, "ext": object{"roles": []string{"staff"}}, "iat": now,
				"iss": "https://id.example.com", "jti": "j1", "nbf": now, "scp": []string{"openid"}, "sub": "u1",
			},
			want: accepted{
				verifier: "hydra", roles: []string{"staff"}, scopes: []string{"openid"},
				identity: blacklist.Identity{Issuer: "https://id.example.com", ID: "j1", Subject: "u1"},
			},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": []string{"https://other.example.com"}}, want: security.ErrInvalidToken},
				{name: otherAudience, claims: object{"aud": []string{}}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"client_id": "other"}, options: onlyClient("client_id"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://id.example.com/"}, want: security.ErrInvalidToken},
				{name: anIDToken, claims: object{"client_id": nil, "scp": nil}, want: security.ErrWrongTokenType},
				{name: anIDToken, claims: object{"rat": now}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "logout+jwt"}, want: security.ErrWrongTokenType},
			},
		},
		{
			name: "Logto", algorithm: keys.ES384,
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Logto(t.Context(), "example.logto.app", api, append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "at+jwt"},
			claims: object{
				"jti": "j1", "sub": "u1", "iat": now, "exp": now + 3600, "scope": "read write", "client_id": "spa", "iss": "https://example.logto.app/oidc", "aud": api,
			},
			want: accepted{
				verifier: "logto", scopes: []string{"read", "write"},
				identity: blacklist.Identity{Issuer: "https://example.logto.app/oidc", ID: "j1", Subject: "u1"},
			},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "https://other.example.com"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"client_id": "other"}, options: onlyClient("client_id"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://other.logto.app/oidc"}, want: security.ErrInvalidToken},
				{name: anIDToken, header: object{"typ": nil}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "logout+jwt"}, want: security.ErrWrongTokenType},
			},
		},
		{
			name: "Duende",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Duende(t.Context(), "https://id.example.com", "api1", append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "at+jwt"},
			claims: object{
				"iss": "https://id.example.com", "nbf": now, "iat": now, "exp": now + 3600, "auth_time": now - 60, "aud": "api1", "scope": []string{"openid", "read"},
				"client_id": "spa", "sub": "u1", "sid": "s1", "jti": "j1", "role": "staff",
			},
			want: accepted{
				verifier: "duende", roles: []string{"staff"}, scopes: []string{"openid", "read"},
				identity: blacklist.Identity{Issuer: "https://id.example.com", ID: "j1", Session: "s1", Subject: "u1", SessionStart: at(now - 60)},
			},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "api2"}, want: security.ErrInvalidToken},
				{name: otherAudience, claims: object{"aud": nil}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"client_id": "other"}, options: onlyClient("client_id"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://id.example.org"}, want: security.ErrInvalidToken},
				{name: anIDToken, header: object{"typ": "JWT"}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "logout+jwt"}, want: security.ErrWrongTokenType},
				{name: "a machine, which has no subject", claims: object{"sub": nil}, want: security.ErrInvalidToken},
			},
		},
		{
			name: "simplejwt", algorithm: keys.HS256,
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.SimpleJWT(source, "django", "", options...)
			},
			header: object{"typ": "JWT"},
			claims: object{"token_type": "access", "exp": now + 300, "iat": now, "jti": "f9a4", "user_id": 7},
			want:   accepted{verifier: "simplejwt", identity: blacklist.Identity{Issuer: "django", ID: "f9a4", Subject: "7"}},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "other"}, want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "other"}, want: security.ErrInvalidToken},
				{name: wrongType, claims: object{"token_type": "refresh"}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: object{"token_type": "sliding"}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: object{"token_type": nil}, want: security.ErrWrongTokenType},
				{name: "a subject at another claim", claims: object{"user_id": nil, "sub": "7"}, want: security.ErrInvalidToken},
			},
			lacks: map[string]string{otherClient: "tokens name no client", anIDToken: "simplejwt issues none"},
		},
		{
			name: "simplejwt with ISSUER and AUDIENCE", algorithm: keys.HS256,
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.SimpleJWT(source, "https://django.example.com", api, options...)
			},
			header: object{"typ": "JWT"},
			claims: object{
				"token_type": "access", "exp": now + 300, "iat": now, "jti": "f9a4", "user_id": "u7", "iss": "https://django.example.com", "aud": api,
			},
			want: accepted{verifier: "simplejwt", identity: blacklist.Identity{Issuer: "https://django.example.com", ID: "f9a4", Subject: "u7"}},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "other"}, want: security.ErrInvalidToken},
				{name: otherAudience, claims: object{"aud": nil}, want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "other"}, want: security.ErrInvalidToken},
				{name: wrongType, claims: object{"token_type": "refresh"}, want: security.ErrWrongTokenType},
			},
			lacks: map[string]string{otherClient: "tokens name no client", anIDToken: "simplejwt issues none"},
		},
	})
}
