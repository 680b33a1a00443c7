package security_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// secret stands for 32 bytes of a random source, as base64 -d <<< "$JWT_SECRET" gives them.
var secret = []byte(strings.Repeat("s!", 16))

// newAuthority sets up the tokens of an application.
func newAuthority(list blacklist.Blacklist, options ...security.Option) (*security.Authority, error) {
	key, err := keys.NewHMAC(keys.HS256, secret)
	if err != nil {
		return nil, err
	}
	set, err := keys.NewSet(key)
	if err != nil {
		return nil, err
	}
	return security.New("https://api.example.com", set, list, options...)
}

// One call sets up the common case: the application issues tokens, verifies them and revokes them.
func ExampleNew() {
	authority, err := newAuthority(blacklist.None{}, security.WithAccessLifetime(5*time.Minute))
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	token, err := authority.Issuer.IssueAccessToken(ctx, "alice", nil, security.WithRoles("USER"))
	if err != nil {
		panic(err)
	}
	fmt.Println(token, token.ExpiresIn(), authority.Validator.Ready(ctx))
	// Output: [access token] 5m0s <nil>
}

// A log-in begins a session with a pair of tokens. A refresh consumes the refresh token and
// continues the session. A log-out ends it.
func ExampleIssuer() {
	ctx := context.Background()
	list, err := blacklist.NewMemory()
	if err != nil {
		panic(err)
	}
	authority, err := newAuthority(list)
	if err != nil {
		panic(err)
	}
	refreshType := security.NewTokenType[security.NoClaims]("refresh")

	// Log in.
	first, err := authority.Issuer.IssueTokenPair(ctx, "alice", nil, nil, security.WithFresh())
	if err != nil {
		panic(err)
	}
	// Refresh.
	token, err := authority.Verifier.Verify(ctx, refreshType, first.Refresh.Text())
	if err != nil {
		panic(err)
	}
	if err := authority.Validator.Consume(ctx, token); err != nil {
		panic(err)
	}
	second, err := authority.Issuer.IssueTokenPair(ctx, token.Subject(), nil, nil, security.WithSession(token))
	if err != nil {
		panic(err)
	}
	fmt.Println("same session:", second.Refresh.Session() == first.Refresh.Session())
	// Log out.
	token, err = authority.Verifier.Verify(ctx, refreshType, second.Refresh.Text())
	if err != nil {
		panic(err)
	}
	if err := authority.Validator.RevokeSession(ctx, token); err != nil {
		panic(err)
	}
	err = authority.Validator.CheckRevoked(ctx, token)
	fmt.Println("revoked:", errors.Is(err, security.ErrTokenRevoked))
	// Output:
	// same session: true
	// revoked: true
}

// A token of an identity provider has a verifier of its own, beside that of the application.
func ExampleWithVerifier() {
	realmKeys, err := keys.NewHMAC(keys.HS256, []byte(strings.Repeat("k!", 16)))
	if err != nil {
		panic(err)
	}
	set, err := keys.NewSet(realmKeys)
	if err != nil {
		panic(err)
	}
	keycloak, err := newProviderVerifier(set)
	if err != nil {
		panic(err)
	}
	authority, err := newAuthority(blacklist.None{}, security.WithVerifier(keycloak))
	if err != nil {
		panic(err)
	}
	fmt.Println(authority.Validator.Verifier("keycloak").Name())
	// Output: keycloak
}

// newProviderVerifier accepts the access tokens of a Keycloak realm.
func newProviderVerifier(source keys.Source) (*security.Verifier, error) {
	layout, err := security.IdentityProvider(security.WithTypeClaim("typ", "Bearer"), security.WithRolesAt("realm_access", "roles"))
	if err != nil {
		return nil, err
	}
	return security.NewVerifier("https://id.example.com/realms/main", source, security.WithName("keycloak"),
		security.WithLayout(layout), security.WithAudience("api"))
}
