package pages

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/oapi-guard/oapi-guard/example/pages/api"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// newCorporateVerifier returns a verifier for the access tokens of an identity provider, here a realm of
// Keycloak. Close the keys when the application ends.
func newCorporateVerifier(ctx context.Context, issuer string, options ...keys.RemoteOption) (*security.Verifier, *keys.Remote, error) {
	remote, err := keys.Discover(ctx, issuer, options...)
	if err != nil {
		return nil, nil, err
	}
	layout, err := security.IdentityProvider(security.WithTypeClaim("typ", "Bearer"), security.WithRolesAt("realm_access", "roles"))
	if err != nil {
		return nil, nil, err
	}
	verifier, err := security.NewVerifier(issuer, remote, security.WithName("corporate"),
		security.WithLayout(layout), security.WithAudience("accounts"))
	return verifier, remote, err
}

// provider stands for an identity provider: it publishes its configuration and its keys.
type provider struct {
	*httptest.Server
	private *ecdsa.PrivateKey
	key     *keys.Key
}

func newProvider() *provider {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	key, err := keys.NewECDSA(private)
	must(err)
	jwks, err := keys.JWKSHandler(newSet(key), time.Hour)
	must(err)
	p := &provider{private: private, key: key}
	mux := http.NewServeMux()
	mux.Handle("GET /jwks", jwks)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": p.URL, "jwks_uri": p.URL + "/jwks"})
	})
	p.Server = httptest.NewTLSServer(mux)
	return p
}

// token returns a token of the provider.
func (p *provider) token(audience, typ string, roles ...string) string {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": p.URL, "aud": audience, "sub": "bob", "typ": typ, "jti": rand.Text(),
		"iat": now.Unix(), "auth_time": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"realm_access": map[string]any{"roles": roles},
	})
	token.Header["kid"] = p.key.ID()
	text, err := token.SignedString(p.private)
	must(err)
	return text
}

// The tokens of an identity provider have a verifier, next to that of the application. Its name is the
// name of the scheme in the document.
func Example_identityProvider() {
	provider := newProvider()
	defer provider.Close()
	verifier, remote, err := newCorporateVerifier(context.Background(), provider.URL, keys.WithHTTPClient(provider.Client()))
	must(err)
	defer func() { _ = remote.Close() }()
	key, err := newKey("k", "application")
	must(err)
	authority := newAuthority(newSet(key), security.WithVerifier(verifier))
	handler, err := api.GuardedHandler(&service{authority}, authority.Validator)
	must(err)

	user, err := authority.Issuer.IssueAccessToken(context.Background(), "alice", nil)
	must(err)
	fmt.Println(ask(handler, "GET", "/me", user.Text()))
	fmt.Println(ask(handler, "GET", "/me", provider.token("accounts", "Bearer")))
	fmt.Println(ask(handler, "GET", "/staff", provider.token("accounts", "Bearer", "staff")))
	fmt.Println("no role:       ", ask(handler, "GET", "/staff", provider.token("accounts", "Bearer")))
	fmt.Println("other audience:", ask(handler, "GET", "/staff", provider.token("billing", "Bearer", "staff")))
	fmt.Println("an ID token:   ", ask(handler, "GET", "/staff", provider.token("accounts", "ID", "staff")))
	// Output:
	// 200 user alice
	// 200 employee bob
	// 200 the staff
	// no role:        403 {"title":"Forbidden","status":403,"detail":"The credentials do not allow this."}
	// other audience: 401 {"title":"Unauthorized","status":401,"detail":"The token is not valid."}
	// an ID token:    401 {"title":"Unauthorized","status":401,"detail":"The token is of the wrong type."}
}
