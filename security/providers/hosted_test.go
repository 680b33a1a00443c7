package providers_test

import (
	"testing"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/providers"
)

const api = "https://api.example.com"

// onlyClient demands a client where the preset accepts all clients of the API.
func onlyClient(claim string) []providers.Option {
	return []providers.Option{providers.WithLayoutOptions(security.WithClientFrom(claim, "spa"))}
}

// logout is a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4).
var logout = object{"events": object{"http://schemas.openid.net/event/backchannel-logout": object{}}}

// TestHosted reads tokens of providers that are a service.
func TestHosted(t *testing.T) {
	testPresets(t, []preset{
		{
			name: "Auth0",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Auth0(t.Context(), "tenant.eu.auth0.com", api, append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT"},
			claims: object{
				"iss": "https://tenant.eu.auth0.com/", "sub": "auth0|123456", "aud": []string{api, "https://tenant.eu.auth0.com/userinfo"},
				"azp": "spa", "iat": now, "exp": now + 86400, "scope": "openid read:patients", "permissions": []string{"read:patients"},
			},
			want: accepted{
				verifier: "auth0", roles: []string{"read:patients"}, scopes: []string{"openid", "read:patients"},
				identity: blacklist.Identity{Issuer: "https://tenant.eu.auth0.com/", Subject: "auth0|123456"},
			},
			variants: []object{{"aud": api}, {"scope": nil, "permissions": nil}},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": []string{"https://other.example.com", "https://tenant.eu.auth0.com/userinfo"}}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"azp": "other"}, options: onlyClient("azp"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://other.eu.auth0.com/"}, want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://tenant.eu.auth0.com"}, want: security.ErrInvalidToken},
				{name: anIDToken, claims: object{"aud": "spa", "azp": nil, "scope": nil, "name": "A"}, want: security.ErrWrongTokenType},
				{name: anIDToken, claims: object{"azp": nil}, want: security.ErrWrongTokenType},
				{name: anIDToken, claims: object{"nonce": "n"}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "dpop+jwt"}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: logout, want: security.ErrWrongTokenType},
			},
		},
		{
			name: "Auth0, RFC 9068 profile, a machine",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Auth0(t.Context(), "login.example.com", api, append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "at+jwt"},
			claims: object{
				"iss": "https://login.example.com/", "sub": "spa@clients", "aud": api, "client_id": "spa", "jti": "j1",
				"iat": now, "exp": now + 86400, "scope": "read:patients",
			},
			want: accepted{
				verifier: "auth0", scopes: []string{"read:patients"},
				identity: blacklist.Identity{Issuer: "https://login.example.com/", ID: "j1", Subject: "spa@clients"},
			},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "https://other.example.com"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"client_id": "other"}, options: onlyClient("client_id"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://tenant.eu.auth0.com/"}, want: security.ErrInvalidToken},
				{name: anIDToken, header: object{"typ": "JWT"}, claims: object{"client_id": nil}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": nil}, want: security.ErrWrongTokenType},
			},
		},
		{
			name: "Okta",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Okta(t.Context(), "https://dev-1.okta.com/oauth2/default", "api://default", append(options, providers.WithKeys(source))...)
			},
			claims: object{
				"ver": 1, "jti": "AT.1", "iss": "https://dev-1.okta.com/oauth2/default", "aud": "api://default", "sub": "alice@example.com",
				"iat": now, "exp": now + 3600, "cid": "spa", "uid": "00u1", "scp": []string{"openid", "read"}, "auth_time": now - 60,
				"groups": []string{"Everyone"},
			},
			want: accepted{
				verifier: "okta", roles: []string{"Everyone"}, scopes: []string{"openid", "read"},
				identity: blacklist.Identity{Issuer: "https://dev-1.okta.com/oauth2/default", ID: "AT.1", Subject: "00u1", SessionStart: at(now - 60)},
			},
			variants: []object{{"groups": nil}, {"auth_time": nil}},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "api://other"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"cid": "other"}, options: onlyClient("cid"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://dev-1.okta.com/oauth2/other"}, want: security.ErrInvalidToken},
				{name: anIDToken, claims: object{"jti": "ID.1", "cid": nil, "uid": nil, "scp": nil, "sub": "00u1"}, want: security.ErrWrongTokenType},
				{name: anIDToken, claims: object{"at_hash": "h"}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "logout+jwt"}, want: security.ErrWrongTokenType},
				{name: "a machine, whose subject is not a user", claims: object{"uid": nil}, want: security.ErrInvalidToken},
			},
		},
		{
			name: "Supabase", algorithm: keys.ES256,
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Supabase(t.Context(), "abcdefghijklmnopqrst", append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT"},
			claims: object{
				"iss": "https://abcdefghijklmnopqrst.supabase.co/auth/v1", "sub": "8ccaa7af", "aud": "authenticated", "exp": now + 3600, "iat": now,
				"email": "a@example.com", "phone": "", "app_metadata": object{"provider": "email"}, "user_metadata": object{}, "role": "authenticated",
				"aal": "aal1", "amr": []object{{"method": "password", "timestamp": now}}, "session_id": "s1", "is_anonymous": false,
			},
			want: accepted{
				verifier: "supabase", roles: []string{"authenticated"},
				identity: blacklist.Identity{Issuer: "https://abcdefghijklmnopqrst.supabase.co/auth/v1", Session: "s1", Subject: "8ccaa7af"},
			},
			variants: []object{{"amr": []string{"oauth"}}},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "other"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"client_id": "other"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"client_id": "other"}, options: []providers.Option{providers.WithClaim("client_id", "spa")}, want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://other.supabase.co/auth/v1"}, want: security.ErrInvalidToken},
				{name: anIDToken, claims: object{"session_id": nil, "role": nil, "email_verified": true, "auth_time": now}, want: security.ErrWrongTokenType},
				{name: anIDToken, claims: object{"nonce": "n"}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: object{"role": "service_role", "session_id": nil}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "at+jwt"}, want: security.ErrWrongTokenType},
			},
		},
		{
			name: "Clerk",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Clerk(t.Context(), "clerk.example.com", "https://app.example.com", append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT", "cat": "cl_B7d4PD111AAA", "oiat": now},
			claims: object{
				"azp": "https://app.example.com", "exp": now + 60, "fva": []int{7, -1}, "iat": now, "iss": "https://clerk.example.com", "jti": "j1",
				"nbf": now - 10, "o": object{"id": "org_1", "rol": "admin", "per": "manage"}, "pla": "o:free", "sid": "sess_1", "sts": "active",
				"sub": "user_1", "v": 2,
			},
			want: accepted{
				verifier: "clerk", roles: []string{"admin"},
				identity: blacklist.Identity{Issuer: "https://clerk.example.com", ID: "j1", Session: "sess_1", Subject: "user_1"},
			},
			variants: []object{{"o": nil}, {"v": nil, "jti": nil, "sts": nil}},
			defects: []defect{
				{name: otherClient, claims: object{"azp": "https://evil.example.com"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"azp": nil}, want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://clerk.example.org"}, want: security.ErrInvalidToken},
				{name: anIDToken, claims: object{"sid": nil, "sts": nil, "aud": "spa", "at_hash": "h"}, want: security.ErrWrongTokenType},
				{name: anIDToken, claims: object{"nonce": "n"}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "at+jwt"}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: object{"sid": nil}, want: security.ErrWrongTokenType},
				{name: "a pending session", claims: object{"sts": "pending"}, want: security.ErrInvalidToken},
			},
			lacks: map[string]string{otherAudience: "session tokens have none"},
		},
		{
			name: "WorkOS",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.WorkOS(t.Context(), "client_1", append(options, providers.WithKeys(source))...)
			},
			claims: object{
				"iss": "https://api.workos.com/user_management/client_1", "sub": "user_1", "act": object{"sub": "admin@foocorp.com"}, "org_id": "org_1",
				"role": "member", "roles": []string{"member", "owner"}, "permissions": []string{"posts:read"}, "entitlements": []string{"audit-logs"},
				"sid": "session_1", "jti": "j1", "exp": now + 300, "iat": now,
			},
			want: accepted{
				verifier: "workos", roles: []string{"member", "owner"},
				identity: blacklist.Identity{Issuer: "https://api.workos.com/user_management/client_1", ID: "j1", Session: "session_1", Subject: "user_1"},
			},
			variants: []object{{"aud": "client_1", "client_id": "client_1"}, {"roles": nil}},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "client_2"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"client_id": "client_2"}, want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://api.workos.com/user_management/client_2"}, want: security.ErrInvalidToken},
				{name: anIDToken, claims: object{"sid": nil, "aud": "client_1"}, want: security.ErrWrongTokenType},
				{name: anIDToken, claims: object{"nonce": "n", "aud": "client_1"}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "logout+jwt"}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: logout, want: security.ErrWrongTokenType},
			},
		},
		{
			name: "Kinde",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Kinde(t.Context(), "example.kinde.com", api, append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT"},
			claims: object{
				"aud": []string{api}, "azp": "spa", "exp": now + 86400, "iat": now, "iss": "https://example.kinde.com", "jti": "j1", "org_code": "org_1",
				"permissions": []string{"read:todos"}, "scp": []string{"openid", "offline"}, "sub": "kp_1",
			},
			want: accepted{
				verifier: "kinde", roles: []string{"read:todos"}, scopes: []string{"openid", "offline"},
				identity: blacklist.Identity{Issuer: "https://example.kinde.com", ID: "j1", Subject: "kp_1"},
			},
			variants: []object{{"scp": []string{}}},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": []string{"https://other.example.com"}}, want: security.ErrInvalidToken},
				{name: otherAudience, claims: object{"aud": nil}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"azp": "other"}, options: onlyClient("azp"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://other.kinde.com"}, want: security.ErrInvalidToken},
				{name: anIDToken, claims: object{"scp": nil}, want: security.ErrWrongTokenType},
				{name: anIDToken, claims: object{"at_hash": "h"}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "logout+jwt"}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: logout, want: security.ErrWrongTokenType},
			},
		},
	})
}
