// Package golangjwt verifies access tokens with golang-jwt, in the way of an application that uses
// it with care: one parser with every check switched on, typed claims, the type of the token, and a
// look-up in Redis where tokens can be revoked. The peers of oapi-guard that bring no verification
// of their own share it.
package golangjwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
)

// Claims are the claims of an access token.
type Claims struct {
	jwt.RegisteredClaims
	Name string `json:"name"`
}

var (
	// ErrRevoked says that the token was revoked.
	ErrRevoked = errors.New("revoked token")
	// ErrUnavailable says that Redis could not be asked.
	ErrUnavailable = errors.New("revocations cannot be looked up")
)

// Status returns the HTTP status of an error of [Verifier.Verify].
func Status(err error) int {
	if errors.Is(err, ErrUnavailable) {
		return http.StatusServiceUnavailable
	}
	return http.StatusUnauthorized
}

// Verifier verifies access tokens. It is safe for concurrent use.
type Verifier struct {
	parser *jwt.Parser
	key    any
	redis  *redis.Client
}

// New returns a verifier.
func New(c stack.Config) *Verifier {
	return &Verifier{
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{c.Algorithm}),
			jwt.WithIssuer(c.Issuer),
			jwt.WithAudience(c.Audience),
			jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(),
			jwt.WithLeeway(30*time.Second),
		),
		key:   c.Key,
		redis: c.Redis,
	}
}

// Verify returns the claims of a valid access token that is not revoked.
func (v *Verifier) Verify(ctx context.Context, text string) (*Claims, error) {
	claims := &Claims{}
	if _, err := v.parser.ParseWithClaims(text, claims, v.keyOf); err != nil {
		return nil, err
	}
	if v.redis == nil {
		return claims, nil
	}
	if claims.ID == "" {
		return nil, errors.New("a token without an id cannot be looked up")
	}
	n, err := v.redis.Exists(ctx, RevocationKey(claims.ID)).Result()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case n > 0:
		return nil, ErrRevoked
	}
	return claims, nil
}

// keyOf returns the key for access tokens; a refresh token is none (RFC 9068, section 4).
func (v *Verifier) keyOf(token *jwt.Token) (any, error) {
	if typ, _ := token.Header["typ"].(string); typ != "at+jwt" {
		return nil, errors.New("not an access token")
	}
	return v.key, nil
}

// RevocationKey is the key in Redis that says that the token with this id is revoked.
func RevocationKey(id string) string { return "revoked:" + id }

// Bearer returns the token of an Authorization header (RFC 6750, section 2.1).
func Bearer(header string) (string, bool) {
	scheme, text, ok := strings.Cut(header, " ")
	return text, ok && strings.EqualFold(scheme, "Bearer") && text != ""
}

type contextKey struct{}

// NewContext returns a context that carries the claims.
func NewContext(ctx context.Context, claims *Claims) context.Context {
	return context.WithValue(ctx, contextKey{}, claims)
}

// FromContext returns the claims of a context, nil where there are none.
func FromContext(ctx context.Context) *Claims {
	claims, _ := ctx.Value(contextKey{}).(*Claims)
	return claims
}
