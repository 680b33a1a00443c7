package providers_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/providers"
)

const (
	entraTenant   = "72f988bf-86f1-41af-91ab-2d7cd011db47"
	entraOther    = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
	entraPersonal = "9188040d-6c67-4c5b-b112-36a304b66dad"
	entraAPI      = "6e74172b-be56-4843-9ff4-e66a39bb12e3"
)

func entraIssuer(tenant string) string {
	return "https://login.microsoftonline.com/" + tenant + "/v2.0"
}

// entraClaims is an access token whose client and API share one registration.
func entraClaims() object {
	return object{
		"aud": entraAPI, "iss": entraIssuer(entraTenant), "iat": now, "nbf": now, "exp": now + 3900, "aio": "AXQAi", "azp": entraAPI, "azpacr": "0",
		"name": "Abe Lincoln", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "rh": "I", "scp": "access_as_user", "sub": "HKZpfaHyWadeOouY",
		"tid": entraTenant, "uti": "fqiBqXLPj0eQa82S", "ver": "2.0", "roles": []string{"Admin"},
	}
}

func entraDefects() []defect {
	return []defect{
		{name: otherAudience, claims: object{"aud": "ef1da9d4-ff77-4c3e-a005-840c3f830745"}, want: security.ErrInvalidToken},
		{name: otherClient, claims: object{"azp": "75dbe77f-10a3-4e59-85fd-8c127544f17c"}, options: onlyClient("azp"), want: security.ErrInvalidToken},
		{name: otherIssuer, claims: object{"tid": entraOther, "iss": entraIssuer(entraOther)}, want: security.ErrInvalidToken},
		{name: otherIssuer, claims: object{"iss": entraIssuer(entraOther)}, want: security.ErrInvalidToken},
		{name: otherIssuer, claims: object{"iss": "https://sts.windows.net/" + entraTenant + "/", "ver": "1.0"}, want: security.ErrInvalidToken},
		{name: anIDToken, claims: object{"azp": nil, "azpacr": nil, "scp": nil}, want: security.ErrWrongTokenType},
		{name: anIDToken, claims: object{"nonce": "n"}, want: security.ErrWrongTokenType},
		{name: wrongType, claims: object{"ver": "1.0"}, want: security.ErrWrongTokenType},
		{name: wrongType, claims: object{"ver": nil}, want: security.ErrWrongTokenType},
		{name: wrongType, claims: logout, want: security.ErrWrongTokenType},
	}
}

// TestClouds reads tokens of Amazon, Microsoft and Google.
func TestClouds(t *testing.T) {
	const pool = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI"
	cognitoIdentity := blacklist.Identity{Issuer: pool, ID: "j1", Session: "o1", Subject: "aaaa-bbbb", SessionStart: at(now - 60)}
	entraIdentity := blacklist.Identity{Issuer: entraIssuer(entraTenant), ID: "fqiBqXLPj0eQa82S", Subject: "HKZpfaHyWadeOouY"}
	inTemplate := entraIdentity
	inTemplate.Template = entraIssuer("{tenantid}")
	testPresets(t, []preset{
		{
			name: "Cognito, access token",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.CognitoAccess(t.Context(), "eu-west-1_AbCdEfGhI", "1example23456789", append(options, providers.WithKeys(source))...)
			},
			claims: object{
				"sub": "aaaa-bbbb", "cognito:groups": []string{"admins"}, "iss": pool, "client_id": "1example23456789", "origin_jti": "o1", "jti": "j1",
				"token_use": "access", "scope": "openid api/read", "auth_time": now - 60, "iat": now, "exp": now + 3600, "username": "alice", "event_id": "e",
			},
			want:     accepted{verifier: "cognito", roles: []string{"admins"}, scopes: []string{"openid", "api/read"}, identity: cognitoIdentity},
			variants: []object{{"jti": nil, "origin_jti": nil}, {"cognito:groups": nil}},
			defects: []defect{
				{name: otherClient, claims: object{"client_id": "other"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"client_id": nil}, want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other"}, want: security.ErrInvalidToken},
				{name: anIDToken, claims: object{"token_use": "id", "aud": "1example23456789"}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: object{"token_use": nil}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: logout, want: security.ErrWrongTokenType},
			},
			lacks: map[string]string{otherAudience: "access tokens have none"},
		},
		{
			name: "Cognito, ID token",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.CognitoID(t.Context(), "eu-west-1_AbCdEfGhI", "1example23456789", append(options, providers.WithKeys(source))...)
			},
			claims: object{
				"sub": "aaaa-bbbb", "cognito:groups": []string{"admins"}, "iss": pool, "aud": "1example23456789", "origin_jti": "o1", "jti": "j1",
				"token_use": "id", "auth_time": now - 60, "iat": now, "exp": now + 3600, "cognito:username": "alice", "at_hash": "h",
			},
			want: accepted{verifier: "cognito", roles: []string{"admins"}, identity: cognitoIdentity},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "other"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"aud": nil, "client_id": "1example23456789"}, want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://cognito-idp.eu-west-2.amazonaws.com/eu-west-1_AbCdEfGhI"}, want: security.ErrInvalidToken},
				{name: wrongType, claims: object{"token_use": "access"}, want: security.ErrWrongTokenType},
			},
			lacks: map[string]string{anIDToken: "the preset is for ID tokens"},
		},
		{
			name: "Entra, one tenant",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Entra(t.Context(), entraTenant, entraAPI, append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT"}, claims: entraClaims(),
			want:     accepted{verifier: "entra", roles: []string{"Admin"}, scopes: []string{"access_as_user"}, identity: entraIdentity},
			variants: []object{{"scp": nil, "idtyp": "app"}, {"uti": nil}, {"_claim_names": object{"groups": "src1"}}},
			defects:  entraDefects(),
		},
		{
			name: "Entra, many tenants",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.EntraTenants(t.Context(), entraAPI, security.TenantList(entraTenant, entraPersonal, "common"), append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT"}, claims: entraClaims(),
			want: accepted{verifier: "entra", roles: []string{"Admin"}, scopes: []string{"access_as_user"}, identity: inTemplate},
			defects: append(entraDefects(),
				defect{name: otherIssuer, claims: object{"tid": entraPersonal}, want: security.ErrInvalidToken},
				defect{name: "no tenant", claims: object{"tid": nil}, want: security.ErrInvalidToken},
				defect{name: "a tenant that is no GUID", claims: object{"tid": "common", "iss": entraIssuer("common")}, want: security.ErrInvalidToken}),
		},
		{
			name: "Google",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Google(t.Context(), "123-abc.apps.googleusercontent.com", append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT"},
			claims: object{
				"iss": "https://accounts.google.com", "azp": "123-abc.apps.googleusercontent.com", "aud": "123-abc.apps.googleusercontent.com",
				"sub": "10769150350006150715113082367", "at_hash": "HK6E", "hd": "example.com", "email": "a@example.com", "email_verified": true,
				"iat": now, "exp": now + 3600, "nonce": "0394852",
			},
			want:     accepted{verifier: "google", identity: blacklist.Identity{Issuer: "https://accounts.google.com", Subject: "10769150350006150715113082367"}},
			variants: []object{{"nonce": nil, "at_hash": nil, "hd": nil}},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "other.apps.googleusercontent.com"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"azp": "other"}, options: onlyClient("azp"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://securetoken.google.com/project"}, want: security.ErrInvalidToken},
				{name: "another organization", claims: object{"hd": "example.org"}, options: []providers.Option{providers.WithClaim("hd", "example.com")}, want: security.ErrInvalidToken},
				{name: "no organization", claims: object{"hd": nil}, options: []providers.Option{providers.WithClaim("hd", "example.com")}, want: security.ErrInvalidToken},
				{name: wrongType, claims: logout, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "secevent+jwt"}, want: security.ErrWrongTokenType},
			},
			lacks: map[string]string{anIDToken: "the preset is for ID tokens"},
		},
		{
			name: "Firebase",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Firebase(t.Context(), "example-project", append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT"},
			claims: object{
				"iss": "https://securetoken.google.com/example-project", "aud": "example-project", "auth_time": now - 60, "user_id": "u1", "sub": "u1",
				"iat": now, "exp": now + 3600, "email": "a@example.com", "firebase": object{"identities": object{}, "sign_in_provider": "password"},
				"roles": []string{"editor"},
			},
			want: accepted{
				verifier: "firebase", roles: []string{"editor"},
				identity: blacklist.Identity{Issuer: "https://securetoken.google.com/example-project", Subject: "u1", SessionStart: at(now - 60)},
			},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "other-project"}, want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://session.firebase.google.com/example-project"}, want: security.ErrInvalidToken},
				{name: wrongType, claims: object{"auth_time": nil}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "secevent+jwt"}, want: security.ErrWrongTokenType},
				{name: wrongType, claims: logout, want: security.ErrWrongTokenType},
			},
			lacks: map[string]string{otherClient: "tokens name no client", anIDToken: "the preset is for ID tokens"},
		},
	})
}

// TestEntraKeys checks that a key serves only the issuer that its JWK names.
func TestEntraKeys(t *testing.T) {
	private := sectest.Must(rsaKey())(t)
	key := newKey(t, keys.RS256)
	for _, tt := range []struct {
		name, keyIssuer, tenant string
		one                     bool // one tenant, else many
		want                    error
	}{
		{name: "many tenants, a key of all", keyIssuer: entraIssuer("{tenantid}"), tenant: entraTenant},
		{name: "many tenants, a key of personal accounts", keyIssuer: entraIssuer(entraPersonal), tenant: entraPersonal},
		{name: "many tenants, a key of personal accounts for another tenant", keyIssuer: entraIssuer(entraPersonal), tenant: entraTenant, want: security.ErrInvalidToken},
		{name: "one tenant, its key", one: true, keyIssuer: entraIssuer(entraTenant), tenant: entraTenant},
		{name: "one tenant, a key of another", one: true, keyIssuer: entraIssuer(entraOther), tenant: entraTenant, want: security.ErrInvalidToken},
	} {
		jwk := fmt.Sprintf(`{"keys":[{"kty":"RSA","use":"sig","kid":"k1","e":"AQAB","n":%q,"issuer":%q}]}`,
			base64.RawURLEncoding.EncodeToString(private.N.FillBytes(make([]byte, 256))), tt.keyIssuer)
		parsed, _, err := keys.ParsePublicJWKS([]byte(jwk))
		if err != nil {
			t.Fatal(err)
		}
		options := []providers.Option{
			providers.WithKeys(sectest.Must(keys.NewSet(parsed...))(t)), providers.WithVerifierOptions(security.WithClock(sectest.NewClock().Now)),
		}
		var provider *providers.Provider
		if tt.one {
			provider, err = providers.Entra(t.Context(), entraTenant, entraAPI, options...)
		} else {
			provider, err = providers.EntraTenants(t.Context(), entraAPI, security.TenantList(entraTenant, entraPersonal), options...)
		}
		if err != nil {
			t.Fatal(err)
		}
		text := compact(t, key, object{"alg": "RS256", "kid": "k1", "typ": "JWT"}, entraClaims().with(object{"tid": tt.tenant, "iss": entraIssuer(tt.tenant)}))
		if _, err := provider.Verifier.Verify(t.Context(), accessToken, text); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v (%s), want %v", tt.name, err, security.Reason(err), tt.want)
		}
	}
}

// TestEntraTenantsUnavailable answers 503 where nobody knows whether a tenant is served.
func TestEntraTenantsUnavailable(t *testing.T) {
	unknown := func(context.Context, string) (bool, error) { return false, sectest.ErrSecretive }
	f := newFixture(t, preset{
		open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
			return providers.EntraTenants(t.Context(), entraAPI, unknown, append(options, providers.WithKeys(source))...)
		},
		header: object{"typ": "JWT"}, claims: entraClaims(),
	})
	if _, err := f.verify(t, f.text(t, nil, nil)); !errors.Is(err, security.ErrUnavailable) {
		t.Errorf("%v, want %v", err, security.ErrUnavailable)
	}
}
