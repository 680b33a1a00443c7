package pyjwt_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/cookies"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
)

// newVerifier makes a verifier for tokens that a Flask application has issued and still verifies.
func newVerifier(secret []byte) (*security.Verifier, error) {
	key, err := keys.NewHMAC(keys.HS256, secret) // JWT_SECRET_KEY
	if err != nil {
		return nil, err
	}
	set, err := keys.NewSet(key)
	if err != nil {
		return nil, err
	}
	return security.NewVerifier("https://api.example.com", set, security.WithLayout(pyjwt.Flask("role")))
}

// newSanicVerifier is the same for a Sanic application.
func newSanicVerifier(set *keys.Set) (*security.Verifier, error) {
	return security.NewVerifier("https://api.example.com", set,
		security.WithLayout(pyjwt.Sanic("role")),                    // acl_claim
		security.WithPublicNamespace("https://claims.example.com/"), // public_claim_namespace
		security.WithPrivatePrefix("app"),                           // private_claim_prefix
		security.WithLeeway(10*time.Second), security.WithMaxLifetime(30*24*time.Hour))
}

// newPolicy responds as the Sanic application did, and loads the user of every access token.
func newPolicy(verifier *security.Verifier, list blacklist.Blacklist, users map[string]*User) (*guard.Policy, error) {
	validator, err := security.NewValidator(verifier, list,
		security.WithHook("access", func(_ context.Context, token security.Token[security.NoClaims]) (any, error) {
			user, ok := users[token.Subject()]
			if !ok || user.Disabled {
				return nil, security.ErrInvalidToken
			}
			return user, nil
		}))
	if err != nil {
		return nil, err
	}
	answers, err := pyjwt.SanicErrors("msg")
	if err != nil {
		return nil, err
	}
	return guard.New(validator, guard.WithErrorHandler(answers))
}

// User is a user of the application.
type User struct {
	Name     string
	Disabled bool
}

// currentUser is what current_user was.
func currentUser(ctx context.Context) (*User, error) {
	user, ok := guard.HookValue[*User](ctx)
	if !ok {
		return nil, errors.New("an anonymous caller")
	}
	return user, nil
}

// setCookies is set_access_cookies. The token was issued with security.WithCSRF.
func setCookies(w http.ResponseWriter, token security.IssuedToken) error {
	jar, err := cookies.New("__Host-access", "csrf_access")
	if err != nil {
		return err
	}
	set, err := jar.Set(token)
	for _, c := range set {
		http.SetCookie(w, c)
	}
	return err
}

// A Go service takes over from a Python one: it verifies its tokens and issues new ones that the
// Python service understands.
func Example() {
	verifier, err := newVerifier([]byte(strings.Repeat("s!", 16)))
	if err != nil {
		panic(err)
	}
	issuer, err := security.NewIssuer(verifier)
	if err != nil {
		panic(err)
	}
	policy, err := newPolicy(verifier, blacklist.None{}, map[string]*User{"alice": {Name: "Alice"}})
	if err != nil {
		panic(err)
	}
	token, err := issuer.IssueAccessToken(context.Background(), "alice", nil, security.WithFresh(), security.WithCSRF())
	if err != nil {
		panic(err)
	}
	operation := &guard.Operation{ID: "me", Requirement: guard.Requirement{{{Name: "access", Token: security.NewTokenType[security.NoClaims]("access")}}}}
	guards, err := guard.NewGuards(policy, nil, operation)
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

var _ = newSanicVerifier
