package providers_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/providers"
)

// newAuthority issues and verifies the tokens of the application, and verifies those of a realm of
// Keycloak under the name "corporate". Close the provider when the application ends.
func newAuthority(ctx context.Context, keySet *keys.Set, list blacklist.Blacklist, options ...providers.Option) (*security.Authority, *providers.Provider, error) {
	options = append(options, providers.WithVerifierOptions(security.WithName("corporate")))
	keycloak, err := providers.Keycloak(ctx, "https://id.example.com/realms/main", "my-api", options...)
	if err != nil {
		return nil, nil, err
	}
	authority, err := security.New("https://api.example.com", keySet, list, security.WithVerifier(keycloak.Verifier))
	return authority, keycloak, err
}

// newDeploymentVerifier accepts jobs of one repository on its main branch.
func newDeploymentVerifier(ctx context.Context, options ...providers.Option) (*providers.Provider, error) {
	options = append(options,
		providers.WithClaim("repository_id", "74"), providers.WithClaim("ref", "refs/heads/main"))
	return providers.GitHubActions(ctx, "65", "https://deploy.example.com", options...)
}

// newCustomerVerifier accepts the tenants of Entra that are customers.
func newCustomerVerifier(ctx context.Context, isCustomer func(ctx context.Context, tenantID string) (bool, error), options ...providers.Option) (*providers.Provider, error) {
	return providers.EntraTenants(ctx, "6e74172b-be56-4843-9ff4-e66a39bb12e3", isCustomer, options...)
}

// acme verifies access tokens of Acme ID, for which this package has no call.
func acme(ctx context.Context, audience string, options ...providers.Option) (*providers.Provider, error) {
	return providers.Open(ctx, providers.Config{
		Name: "acme", Issuer: "https://id.acme.example", // the keys are at the address in its OpenID configuration
		Layout: []security.LayoutOption{
			security.WithTypeHeader("JWT"), // of ID tokens too, so see TypeClaims
			security.WithRolesAt("acme", "groups"),
			security.WithoutTokenIDs(),
		},
		Verifier:        []security.VerifierOption{security.WithAudience(audience)},
		TypeClaims:      []string{"client_id"},        // only access tokens have it
		OtherTypeClaims: []string{"nonce", "at_hash"}, // only ID tokens have them
		SessionClaim:    "session",                    // in place of sid
	}, options...)
}

// A provider without a call in this package is described with a Config. The keys here are those of
// the test; without WithKeys they are fetched.
func ExampleOpen() {
	key, set := exampleKey()
	provider, err := acme(context.Background(), "https://api.example.com", providers.WithKeys(set))
	if err != nil {
		panic(err)
	}
	defer func() { _ = provider.Close() }()
	access := map[string]any{
		"iss": "https://id.acme.example", "aud": "https://api.example.com", "sub": "bob", "client_id": "web", "session": "s1",
		"iat": time.Now().Unix(), "exp": time.Now().Unix() + 300, "acme": map[string]any{"groups": []string{"staff"}},
	}
	token, err := provider.Verifier.Verify(context.Background(), accessToken, exampleToken(key, access))
	if err != nil {
		panic(err)
	}
	fmt.Println(provider.Verifier.Name(), token.Subject(), token.Session(), token.Roles())

	access["nonce"] = "n" // an ID token
	_, err = provider.Verifier.Verify(context.Background(), accessToken, exampleToken(key, access))
	fmt.Println(errors.Is(err, security.ErrWrongTokenType))
	// Output:
	// acme bob s1 [staff]
	// true
}

// The tokens of Keycloak have a verifier next to that of the application. Its name is the name of
// the scheme in the document.
func ExampleKeycloak() {
	_, set := exampleKey()
	authority, keycloak, err := newAuthority(context.Background(), set, blacklist.None{}, providers.WithKeys(set))
	if err != nil {
		panic(err)
	}
	defer func() { _ = keycloak.Close() }()
	fmt.Println(authority.Validator.Verifier("corporate") == keycloak.Verifier)
	// Output: true
}

// A wrong argument is refused before anything is fetched.
func ExampleAuth0() {
	_, err := providers.Auth0(context.Background(), "https://tenant.eu.auth0.com/", "https://api.example.com")
	fmt.Println(err)
	// Output: providers: the domain of Auth0 is like "tenant.eu.auth0.com", without https:// and without a slash
}

// Everybody on GitHub can get a token for any audience, so the owner is an argument. Other claims
// narrow it down.
func ExampleGitHubActions() {
	key, set := exampleKey()
	provider, err := newDeploymentVerifier(context.Background(), providers.WithKeys(set))
	if err != nil {
		panic(err)
	}
	job := map[string]any{
		"iss": "https://token.actions.githubusercontent.com", "aud": "https://deploy.example.com", "sub": "repo:octo-org/octo-repo:ref:refs/heads/main",
		"repository_owner_id": "65", "repository_id": "74", "ref": "refs/heads/main", "jti": "j1",
		"iat": time.Now().Unix(), "exp": time.Now().Unix() + 300,
	}
	_, err = provider.Verifier.Verify(context.Background(), accessToken, exampleToken(key, job))
	fmt.Println("main:", err == nil)
	job["ref"] = "refs/pull/1/merge"
	_, err = provider.Verifier.Verify(context.Background(), accessToken, exampleToken(key, job))
	fmt.Println("a pull request:", err == nil)
	// Output:
	// main: true
	// a pull request: false
}

// The application decides which tenants it serves.
func ExampleEntraTenants() {
	_, set := exampleKey()
	isCustomer := security.TenantList("72f988bf-86f1-41af-91ab-2d7cd011db47")
	provider, err := newCustomerVerifier(context.Background(), isCustomer, providers.WithKeys(set))
	if err != nil {
		panic(err)
	}
	fmt.Println(provider.Verifier.Name())
	// Output: entra
}

func exampleKey() (*keys.Key, *keys.Set) {
	key, err := keys.NewHMAC(keys.HS256, []byte("an example only: 32 bytes or more"), keys.WithID("k1"))
	if err != nil {
		panic(err)
	}
	set, err := keys.NewSet(key)
	if err != nil {
		panic(err)
	}
	return key, set
}

// exampleToken signs claims as a provider does.
func exampleToken(key *keys.Key, claims map[string]any) string {
	header, err := json.Marshal(map[string]string{"alg": string(key.Algorithm()), "kid": key.ID(), "typ": "JWT"})
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := key.Sign(signed)
	if err != nil {
		panic(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}
