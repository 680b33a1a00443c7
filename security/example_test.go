package security_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
)

// secret stands for 32 bytes of a random source, as base64 -d <<< "$JWT_SECRET" gives them.
var secret = []byte(strings.Repeat("s", 32))

// A verifier says whose tokens are accepted; an issuer issues them, a validator decides over requests.
func Example() {
	key, err := security.NewHMACKey(security.HS256, secret)
	if err != nil {
		panic(err)
	}
	keys, err := security.NewKeySet(key)
	if err != nil {
		panic(err)
	}
	verifier, err := security.NewVerifier("https://api.example.com", keys)
	if err != nil {
		panic(err)
	}
	issuer, err := security.NewIssuer(verifier)
	if err != nil {
		panic(err)
	}
	validator, err := security.NewValidator(verifier, blacklist.None{})
	if err != nil {
		panic(err)
	}
	token, err := issuer.Access(context.Background(), "alice", nil, security.WithRoles("USER"))
	if err != nil {
		panic(err)
	}
	fmt.Println(token, token.ExpiresIn(), validator.Ready(context.Background()))
	// Output: [access token] 15m0s <nil>
}

// newVerifier makes a verifier for tokens that a Flask application has issued and still verifies.
func newVerifier(secret []byte) (*security.Verifier, error) {
	key, err := security.NewHMACKey(security.HS256, secret) // JWT_SECRET_KEY
	if err != nil {
		return nil, err
	}
	keys, err := security.NewKeySet(key)
	if err != nil {
		return nil, err
	}
	return security.NewVerifier("https://api.example.com", keys, security.WithProfile(security.FlaskJWTExtended("role")))
}

// newSanicVerifier is the same for a Sanic application.
func newSanicVerifier(keys *security.KeySet) (*security.Verifier, error) {
	return security.NewVerifier("https://api.example.com", keys,
		security.WithProfile(security.SanicJWTExtended("role")),     // acl_claim
		security.WithPublicNamespace("https://claims.example.com/"), // public_claim_namespace
		security.WithPrivatePrefix("app"),                           // private_claim_prefix
		security.WithLeeway(10*time.Second), security.WithMaxLifetime(30*24*time.Hour))
}

// newValidator answers as the Sanic application did, and loads the user of every access token.
func newValidator(verifier *security.Verifier, list blacklist.Blacklist, users map[string]*User) (*security.Validator, error) {
	answers, err := security.SanicErrors("msg")
	if err != nil {
		return nil, err
	}
	return security.NewValidator(verifier, list,
		security.WithErrorHandler(answers),
		security.WithHook("access", func(_ context.Context, token security.Token[security.NoClaims]) (any, error) {
			user, ok := users[token.Subject()]
			if !ok || user.Disabled {
				return nil, security.ErrInvalidToken
			}
			return user, nil
		}))
}

// User is a user of the application.
type User struct {
	Name     string
	Disabled bool
}

// currentUser is what current_user was.
func currentUser(ctx context.Context) (*User, error) {
	user, ok := security.HookValue[*User](ctx)
	if !ok {
		return nil, errors.New("an anonymous caller")
	}
	return user, nil
}

// setCookies is set_access_cookies; the token was issued with security.WithCSRF.
func setCookies(w http.ResponseWriter, token security.IssuedToken) error {
	cookie, err := security.NewTokenCookie("__Host-access", "csrf_access")
	if err != nil {
		return err
	}
	cookies, err := cookie.Set(token)
	for _, c := range cookies {
		http.SetCookie(w, c)
	}
	return err
}

// newProviderVerifier accepts the access tokens of a Keycloak realm beside the application's own.
func newProviderVerifier(keys security.KeySource) (*security.Verifier, error) {
	profile, err := security.IdentityProvider(security.WithTypeClaim("typ", "Bearer"), security.WithRolesAt("realm_access.roles"))
	if err != nil {
		return nil, err
	}
	return security.NewVerifier("https://id.example.com/realms/main", keys, security.WithName("keycloak"),
		security.WithProfile(profile), security.WithAudience("api"))
}

// A Go service takes over from a Python one: it verifies its tokens and issues new ones that it understands.
func Example_takingOver() {
	verifier, err := newVerifier(secret)
	if err != nil {
		panic(err)
	}
	issuer, err := security.NewIssuer(verifier)
	if err != nil {
		panic(err)
	}
	validator, err := newValidator(verifier, blacklist.None{}, map[string]*User{"alice": {Name: "Alice"}})
	if err != nil {
		panic(err)
	}
	token, err := issuer.Access(context.Background(), "alice", nil, security.WithFresh(), security.WithCSRF())
	if err != nil {
		panic(err)
	}
	operation := &security.Operation{ID: "me", Requirement: security.Requirement{{{Name: "access", Token: security.NewTokenType[security.NoClaims]("access")}}}}
	guards, err := security.NewGuards(validator, nil, operation)
	if err != nil {
		panic(err)
	}
	handler := guards.HandlerFunc(operation, func(w http.ResponseWriter, r *http.Request) {
		user, err := currentUser(r.Context())
		fmt.Println(user.Name, err, setCookies(w, token))
	})
	request, err := http.NewRequest(http.MethodGet, "/", nil)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer "+token.Text())
	handler(discard{}, request)
	// Output: Alice <nil> <nil>
}

// discard is a response that nobody reads.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

var (
	_ = newSanicVerifier
	_ = newProviderVerifier
)
