// Package golangjwt verifies access tokens with golang-jwt as a careful application does: one
// parser with all checks, typed claims, the type of the token, and a look-up in Redis where tokens
// can be revoked. The peers of oapi-guard that do not verify tokens use it.
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
	// ErrRevoked means that the token was revoked.
	ErrRevoked = errors.New("revoked token")
	// ErrUnavailable means that Redis did not answer.
	ErrUnavailable = errors.New("revocations cannot be looked up")
)

// Status returns the HTTP status of an error of [Verifier.Verify].
func Status(err error) int {
	if errors.Is(err, ErrUnavailable) {
		return http.StatusServiceUnavailable
	}
	return http.StatusUnauthorized
}

// Leeway is how long an expired token is still accepted.
const Leeway = 30 * time.Second

// Verifier verifies access tokens. It is safe for concurrent use.
type Verifier struct {
	parser    *jwt.Parser
	validator *jwt.Validator
	algorithm string
	key       any
	redis     *redis.Client
}

// New returns a verifier.
func New(c stack.Config) *Verifier {
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{c.Algorithm}),
		jwt.WithIssuer(c.Issuer),
		jwt.WithAudience(c.Audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(Leeway),
	}
	return &Verifier{
		parser:    jwt.NewParser(options...),
		validator: jwt.NewValidator(options...),
		algorithm: c.Algorithm,
		key:       c.Key,
		redis:     c.Redis,
	}
}

// Verify returns the claims of a valid access token that is not revoked.
func (v *Verifier) Verify(ctx context.Context, text string) (*Claims, error) {
	claims, err := v.Parse(text)
	if err != nil {
		return nil, err
	}
	if err := v.CheckRevoked(ctx, claims.ID); err != nil {
		return nil, err
	}
	return claims, nil
}

// Parse returns the claims of a valid access token. It does not look up whether the token was
// revoked.
func (v *Verifier) Parse(text string) (*Claims, error) {
	claims := &Claims{}
	if _, err := v.parser.ParseWithClaims(text, claims, v.Key); err != nil {
		return nil, err
	}
	return claims, nil
}

// CheckClaims checks the claims of a token that a middleware parsed without the options of the
// parser, and looks up whether the token was revoked.
func (v *Verifier) CheckClaims(ctx context.Context, claims *Claims) error {
	if err := v.validator.Validate(claims); err != nil {
		return err
	}
	return v.CheckRevoked(ctx, claims.ID)
}

// CheckRevoked returns an error if the token with this id was revoked, or if Redis does not answer.
// Without Redis it returns nil.
func (v *Verifier) CheckRevoked(ctx context.Context, id string) error {
	if v.redis == nil {
		return nil
	}
	if id == "" {
		return errors.New("a token without an id cannot be looked up")
	}
	n, err := v.redis.Exists(ctx, RevocationKey(id)).Result()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case n > 0:
		return ErrRevoked
	}
	return nil
}

// Key returns the key for access tokens of the algorithm. A refresh token is not one (RFC 9068,
// section 4).
func (v *Verifier) Key(token *jwt.Token) (any, error) {
	if token.Method.Alg() != v.algorithm {
		return nil, errors.New("another algorithm")
	}
	if err := CheckType(token.Header); err != nil {
		return nil, err
	}
	return v.key, nil
}

// CheckType returns an error if the header is not that of an access token.
func CheckType(header map[string]any) error {
	if typ, _ := header["typ"].(string); typ != "at+jwt" {
		return errors.New("not an access token")
	}
	return nil
}

// RevocationKey returns the key in Redis that marks the token with this id as revoked.
func RevocationKey(id string) string { return "revoked:" + id }

// Bearer returns the token of an Authorization header (RFC 6750, section 2.1).
func Bearer(header string) (string, bool) {
	scheme, text, ok := strings.Cut(header, " ")
	return text, ok && strings.EqualFold(scheme, "Bearer") && text != ""
}

type contextKey struct{}

// NewContext returns a context with the claims.
func NewContext(ctx context.Context, claims *Claims) context.Context {
	return context.WithValue(ctx, contextKey{}, claims)
}

// FromContext returns the claims of a context, or nil.
func FromContext(ctx context.Context) *Claims {
	claims, _ := ctx.Value(contextKey{}).(*Claims)
	return claims
}
