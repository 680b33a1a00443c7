package providers_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/providers"
)

// TestArguments refuses arguments of the wrong form, and shows the right one.
func TestArguments(t *testing.T) {
	ctx := t.Context()
	source := sectest.Must(keys.NewSet(newKey(t, keys.HS256)))(t)
	with := providers.WithKeys(source)
	for _, tt := range []struct {
		name string
		err  error
		// shows is in the error.
		shows string
	}{
		{"Auth0, no domain", second(providers.Auth0(ctx, "", api, with)), "tenant.eu.auth0.com"},
		{"Auth0, a URL", second(providers.Auth0(ctx, "https://tenant.eu.auth0.com", api, with)), "without https://"},
		{"Auth0, a slash", second(providers.Auth0(ctx, "tenant.eu.auth0.com/", api, with)), "without a slash"},
		{"Auth0, no audience", second(providers.Auth0(ctx, "tenant.eu.auth0.com", "", with)), "https://api.example.com"},
		{"Auth0, the audience of all APIs", second(providers.Auth0(ctx, "t.auth0.com", "https://t.auth0.com/userinfo", with)), "identifier of the API"},
		{"Okta, the org server", second(providers.Okta(ctx, "https://dev-1.okta.com", "api://default", with)), "/oauth2/default"},
		{"Okta, a slash", second(providers.Okta(ctx, "https://dev-1.okta.com/oauth2/default/", "api://default", with)), "without a slash"},
		{"Okta, no scheme", second(providers.Okta(ctx, "dev-1.okta.com/oauth2/default", "api://default", with)), "with https://"},
		{"Okta, no audience", second(providers.Okta(ctx, "https://dev-1.okta.com/oauth2/default", "", with)), "aud"},
		{"Supabase, no project", second(providers.Supabase(ctx, "", with)), "abcdefghijklmnopqrst"},
		{"Supabase, a domain", second(providers.Supabase(ctx, "abc.supabase.co", with)), "first label"},
		{"Clerk, a URL", second(providers.Clerk(ctx, "https://clerk.example.com", "https://app.example.com", with)), "clerk.example.com"},
		{"Clerk, an origin with a slash", second(providers.Clerk(ctx, "clerk.example.com", "https://app.example.com/", with)), "without a slash"},
		{"WorkOS, no client", second(providers.WorkOS(ctx, "", with)), "client_123456789"},
		{"WorkOS, a slash", second(providers.WorkOS(ctx, "client/../x", with)), "client_123456789"},
		{"Kinde, a path", second(providers.Kinde(ctx, "example.kinde.com/x", api, with)), "example.kinde.com"},
		{"Kinde, no audience", second(providers.Kinde(ctx, "example.kinde.com", "", with)), "aud"},
		{"Cognito, no region", second(providers.CognitoAccess(ctx, "AbCdEfGhI", "c", with)), "eu-west-1_AbCdEfGhI"},
		{"Cognito, another host", second(providers.CognitoAccess(ctx, "evil.example/eu-west-1_A", "c", with)), "eu-west-1_AbCdEfGhI"},
		{"Cognito, no client", second(providers.CognitoID(ctx, "eu-west-1_AbCdEfGhI", "", with)), "app client"},
		{"Cognito, access token, no client", second(providers.CognitoAccess(ctx, "eu-west-1_AbCdEfGhI", "", with)), "app client"},
		{"Entra, common", second(providers.Entra(ctx, "common", entraAPI, with)), "GUID"},
		{"Entra, upper case", second(providers.Entra(ctx, strings.ToUpper(entraTenant), entraAPI, with)), "lower case"},
		{"Entra, an application URI", second(providers.Entra(ctx, entraTenant, "api://"+entraAPI, with)), "client ID"},
		{"Entra, no function", second(providers.EntraTenants(ctx, entraAPI, nil, with)), "security.TenantList"},
		{"Entra, many tenants, no audience", second(providers.EntraTenants(ctx, "", security.TenantList(entraTenant), with)), "GUID"},
		{"Google, no client", second(providers.Google(ctx, "", with)), "apps.googleusercontent.com"},
		{"Firebase, no project", second(providers.Firebase(ctx, "", with)), "example-project"},
		{"Firebase, a URL", second(providers.Firebase(ctx, "https://x", with)), "example-project"},
		{"Keycloak, a slash", second(providers.Keycloak(ctx, "https://id.example.com/realms/main/", "a", with)), "without a slash"},
		{"Keycloak, http", second(providers.Keycloak(ctx, "http://id.example.com/realms/main", "a", with)), "with https://"},
		{"Keycloak, no audience", second(providers.Keycloak(ctx, "https://id.example.com/realms/main", "", with)), "aud"},
		{"Zitadel, no audience", second(providers.Zitadel(ctx, "example.zitadel.cloud", " ", with)), "aud"},
		{"Zitadel, user information", second(providers.Zitadel(ctx, "a@example.zitadel.cloud", "1", with)), "example.zitadel.cloud"},
		{"Hydra, a query", second(providers.Hydra(ctx, "https://id.example.com?x", api, with)), "id.example.com"},
		{"Logto, a URL", second(providers.Logto(ctx, "https://example.logto.app", api, with)), "example.logto.app"},
		{"Duende, no URL", second(providers.Duende(ctx, "id", "api1", with)), "id.example.com"},
		{"simplejwt, no issuer", second(providers.SimpleJWT(source, "", "")), "issuer"},
		{"simplejwt, no keys", second(providers.SimpleJWT(nil, "django", "")), "keys"},
		{"Kubernetes, no audience", second(providers.Kubernetes(ctx, "https://kubernetes.default.svc", "", with)), "aud"},
		{"GitHub, a name", second(providers.GitHubActions(ctx, "octo-org", api, with)), "number"},
		{"GitHub, no owner", second(providers.GitHubActions(ctx, "", api, with)), "number"},
		{"GitHub, no audience", second(providers.GitHubActions(ctx, "65", "", with)), "aud"},
		{"GitLab, a slash", second(providers.GitLabCI(ctx, "https://gitlab.com/", "72", api, with)), "without a slash"},
		{"GitLab, a path", second(providers.GitLabCI(ctx, "https://gitlab.com", "my-group", api, with)), "number"},
		{"a nil option", second(providers.Google(ctx, "c", nil)), "nil option"},
		{"no keys", second(providers.Google(ctx, "c", providers.WithKeys(nil))), "keys"},
		{"no value of a claim", second(providers.Google(ctx, "c", with, providers.WithClaim("hd"))), "WithClaim"},
		{"an empty value of a claim", second(providers.Google(ctx, "c", with, providers.WithClaim("hd", ""))), "WithClaim"},
		{"no issuer", second(providers.Google(ctx, "c", with, providers.WithIssuer(""))), "WithIssuer"},
		{"no address of the keys", second(providers.Google(ctx, "c", providers.WithKeySetURL(""))), "WithKeySetURL"},
		{"an option of the layout that contradicts", second(providers.Google(ctx, "c", with, providers.WithLayoutOptions(security.WithUnsafeAnyType()))), "one place"},
		{"an option of the verifier that is wrong", second(providers.Google(ctx, "c", with, providers.WithVerifierOptions(security.WithName("")))), "name"},
		{"a description without a name", second(providers.Open(ctx, providers.Config{Issuer: "i"}, with)), "name"},
		{"a description without a type", second(providers.Open(ctx, providers.Config{Name: "n", Issuer: "i"}, with)), "WithTypeHeader"},
		{"a claim without a name", second(providers.Open(ctx, providers.Config{Name: "n", Issuer: "i", Claims: []providers.Claim{{}}}, with)), "no name"},
		{"a type claim without a name", second(providers.Open(ctx, providers.Config{Name: "n", Issuer: "i", TypeClaims: []string{""}}, with)), "no name"},
		{"an id at a claim with another meaning", second(providers.Open(ctx, providers.Config{
			Name: "n", Issuer: "i", IDClaim: "exp", Layout: []security.LayoutOption{security.WithTypeHeader("JWT")},
		}, with)), "decides over the token"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.shows) {
			t.Errorf("%s: %v, want an error with %q", tt.name, tt.err, tt.shows)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// keyServer is a provider with its key set, and with an OpenID configuration.
func keyServer(t *testing.T, key *keys.Key) *httptest.Server {
	t.Helper()
	handler := sectest.Must(keys.JWKSHandler(sectest.Must(keys.NewSet(key))(t), time.Hour))(t)
	mux := http.NewServeMux()
	mux.Handle("GET /realms/main/protocol/openid-connect/certs", handler)
	mux.Handle("GET /keys", handler)
	server := httptest.NewTLSServer(mux)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"issuer":"` + server.URL + `","jwks_uri":"` + server.URL + `/keys"}`))
	})
	t.Cleanup(server.Close)
	return server
}

// TestRemoteKeys fetches the keys: at the address of the preset, at that of the OpenID
// configuration, and at that of an option.
func TestRemoteKeys(t *testing.T) {
	key := newKey(t, keys.ES256)
	server := keyServer(t, key)
	client := providers.WithRemoteOptions(keys.WithHTTPClient(server.Client()))
	claims := object{"sub": "u1", "aud": api, "jti": "j1", "iat": time.Now().Unix(), "exp": time.Now().Unix() + 300}
	for _, tt := range []struct {
		name   string
		open   func() (*providers.Provider, error)
		claims object
	}{
		{"the preset's address", func() (*providers.Provider, error) {
			return providers.Keycloak(t.Context(), server.URL+"/realms/main", api, client)
		}, object{"iss": server.URL + "/realms/main", "typ": "Bearer"}},
		{"the OpenID configuration", func() (*providers.Provider, error) {
			return providers.Kubernetes(t.Context(), server.URL, api, client)
		}, object{"iss": server.URL, "kubernetes.io": object{}}},
		{"an option", func() (*providers.Provider, error) {
			return providers.Auth0(t.Context(), "t.auth0.com", api, client, providers.WithKeySetURL(server.URL+"/keys"), providers.WithIssuer("https://x/"))
		}, object{"iss": "https://x/", "azp": "spa"}},
	} {
		provider, err := tt.open()
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		text := compact(t, key, object{"alg": "ES256", "kid": "k1", "typ": "JWT"}, claims.with(tt.claims))
		if _, err := provider.Verifier.Verify(t.Context(), accessToken, text); err != nil {
			t.Errorf("%s: %v (%s)", tt.name, err, security.Reason(err))
		}
		for range 2 {
			if err := provider.Close(); err != nil {
				t.Errorf("%s: close: %v", tt.name, err)
			}
		}
		if _, err := provider.Verifier.Verify(t.Context(), accessToken, text); !errors.Is(err, security.ErrUnavailable) {
			t.Errorf("%s: after Close: %v", tt.name, err)
		}
	}
	_, err := providers.Keycloak(t.Context(), server.URL+"/realms/other", api, client)
	if !errors.Is(err, keys.ErrUnavailable) {
		t.Errorf("no keys at the address: %v", err)
	}
	_, err = providers.Keycloak(t.Context(), server.URL+"/realms/main", api, client, providers.WithVerifierOptions(security.WithName("")))
	if err == nil {
		t.Error("a wrong option after the keys were fetched: no error")
	}
	if err := (*providers.Provider)(nil).Close(); err != nil {
		t.Errorf("closing nil: %v", err)
	}
}

// TestOptions changes what a preset does.
func TestOptions(t *testing.T) {
	auth0 := preset{
		open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
			return providers.Auth0(t.Context(), "t.auth0.com", api, append(options, providers.WithKeys(source))...)
		},
		header: object{"typ": "JWT"},
		claims: object{
			"iss": "https://t.auth0.com/", "sub": "u", "aud": api, "azp": "spa", "iat": now, "exp": now + 60, "level": 3, "beta": true,
			"https://app.example/roles": []string{"staff"}, "permissions": []string{"read"},
		},
	}
	for _, tt := range []struct {
		name    string
		options []providers.Option
		want    error
		roles   []string
	}{
		{name: "more roles", options: []providers.Option{providers.WithLayoutOptions(security.WithRolesAt("https://app.example/roles"))}, roles: []string{"staff", "read"}},
		{name: "another audience", options: []providers.Option{providers.WithVerifierOptions(security.WithAudience("x"))}, want: security.ErrInvalidToken},
		{name: "a number", options: []providers.Option{providers.WithClaim("level", "3")}, roles: []string{"read"}},
		{name: "another number", options: []providers.Option{providers.WithClaim("level", "2")}, want: security.ErrInvalidToken},
		{name: "a boolean", options: []providers.Option{providers.WithClaim("beta", "true")}, roles: []string{"read"}},
		{name: "one of several values", options: []providers.Option{providers.WithClaim("azp", "x", "spa")}, roles: []string{"read"}},
		{name: "a list is no value", options: []providers.Option{providers.WithClaim("permissions", "read")}, want: security.ErrInvalidToken},
		{name: "the later value replaces the former", options: []providers.Option{providers.WithClaim("azp", "x"), providers.WithClaim("azp", "spa")}, roles: []string{"read"}},
	} {
		f := newFixture(t, auth0, tt.options...)
		token, err := f.verify(t, f.text(t, nil, nil))
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if err == nil && !sameSet(token.Roles(), tt.roles) {
			t.Errorf("%s: roles %v, want %v", tt.name, token.Roles(), tt.roles)
		}
	}
	f := newFixture(t, auth0, providers.WithVerifierOptions(security.WithName("corporate")))
	if got := f.provider.Verifier.Name(); got != "corporate" {
		t.Errorf("the verifier is %q", got)
	}
	// A provider cannot sign.
	if _, err := security.NewIssuer(f.provider.Verifier); err == nil {
		t.Error("an issuer of the tokens of a provider")
	}
}

// TestMalformedClaims refuses ids that are no strings; malformed roles are none.
func TestMalformedClaims(t *testing.T) {
	entra := preset{
		open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
			return providers.Entra(t.Context(), entraTenant, entraAPI, append(options, providers.WithKeys(source))...)
		},
		header: object{"typ": "JWT"}, claims: entraClaims(),
	}
	for _, value := range []any{1, true, []string{"a"}, object{}, "a\x00"} {
		f := newFixture(t, entra)
		if _, err := f.verify(t, f.text(t, nil, object{"uti": value})); !errors.Is(err, security.ErrInvalidToken) {
			t.Errorf("id %v: %v", value, err)
		}
	}
	zitadel := preset{
		open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
			return providers.Zitadel(t.Context(), "z.example", "p", append(options, providers.WithKeys(source))...)
		},
		header: object{"typ": "JWT"},
		claims: object{"iss": "https://z.example", "aud": "p", "jti": "j", "sub": "u", "iat": now, "exp": now + 60},
	}
	for _, value := range []any{nil, 1, "admin", []string{"admin"}, object{"": 1}} {
		f := newFixture(t, zitadel)
		token, err := f.verify(t, f.text(t, nil, object{"urn:zitadel:iam:org:project:roles": value}))
		if err != nil || token.HasRoles() {
			t.Errorf("roles %v: %v, %v", value, token, err)
		}
	}
}

func sameSet(a, b []string) bool {
	seen := map[string]int{}
	for _, s := range a {
		seen[s]++
	}
	for _, s := range b {
		seen[s]--
	}
	for _, n := range seen {
		if n != 0 {
			return false
		}
	}
	return true
}

// TestSimpleJWTRotation tries both keys of a rotation, because tokens have no kid.
func TestSimpleJWTRotation(t *testing.T) {
	before := newKey(t, keys.HS256)
	after := sectest.Must(keys.NewHMAC(keys.HS256, []byte("another secret of 32 bytes or so"), keys.WithID("after")))(t)
	provider, err := providers.SimpleJWT(sectest.Must(keys.NewSet(after, before))(t), "django", "",
		providers.WithVerifierOptions(security.WithClock(sectest.NewClock().Now)))
	if err != nil {
		t.Fatal(err)
	}
	claims := object{"token_type": "access", "exp": now + 300, "iat": now, "jti": "j1", "user_id": 7}
	for _, key := range []*keys.Key{before, after} {
		text := compact(t, key, object{"alg": "HS256", "typ": "JWT"}, claims)
		if _, err := provider.Verifier.Verify(t.Context(), accessToken, text); err != nil {
			t.Errorf("%s: %v (%s)", key.ID(), err, security.Reason(err))
		}
	}
}

// TestWorkOSRole reads the one role of tokens that have no list of roles.
func TestWorkOSRole(t *testing.T) {
	f := newFixture(t, preset{
		open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
			return providers.WorkOS(t.Context(), "client_1", append(options, providers.WithKeys(source), providers.WithIssuer("https://api.workos.com"))...)
		},
		claims: object{
			"iss": "https://api.workos.com", "sub": "user_1", "sid": "session_1", "jti": "j1", "role": "member", "iat": now, "exp": now + 300,
		},
	})
	token, err := f.verify(t, f.text(t, nil, nil))
	if err != nil || !token.HasRole("member") {
		t.Errorf("%v, %v", token, err)
	}
}
