package security

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
)

// Request is what the guard reads of a request; each router's glue has one. Slices hold every value, in order, and stay
// valid only during the call.
type Request interface {
	Header(name string) []string
	Query(name string) []string
	Cookie(name string) []string
	Method() string
	TLS() *tls.ConnectionState
}

// Guards are the guards of an API's operations. Generated code makes and uses them.
type Guards struct {
	validator *Validator
	guards    map[*Operation]*guard
}

// guard decides over the requests for one operation.
type guard struct {
	validator *Validator
	operation *Operation
	schemes   []*Scheme
	optional  bool
}

// NewGuards makes the guards of the operations, or says which operation asks for what cannot be enforced.
func NewGuards(validator *Validator, operations ...*Operation) (*Guards, error) {
	if validator == nil {
		return nil, errors.New("security: guards need a validator; make one with NewValidator")
	}
	g := &Guards{validator: validator, guards: make(map[*Operation]*guard, len(operations))}
	for _, o := range operations {
		if o == nil {
			return nil, errors.New("security: a nil operation")
		}
		if err := o.check(); err != nil {
			return nil, err
		}
		own := &guard{validator: validator, operation: o, optional: o.Optional()}
		for _, alternative := range o.Requirement {
			own.schemes = append(own.schemes, alternative...)
		}
		if len(own.schemes) == 0 && !o.Public() {
			return nil, fmt.Errorf("security: operation %s: it only has the empty alternative; say security: [] for a public operation", o.ID)
		}
		g.guards[o] = own
	}
	return g, nil
}

// result is what a guard leaves on the context: bound to its operation, also for anonymous callers.
type result struct {
	guard *guard
	// token is nil for anonymous callers.
	token credential
}

// guardedContext carries a result without a wrapper of its own around it.
type guardedContext struct {
	context.Context
	result result
}

type resultKey struct{}

// Value implements context.Context.
func (c *guardedContext) Value(key any) any {
	if key == (resultKey{}) {
		return &c.result
	}
	return c.Context.Value(key)
}

func resultOf(ctx context.Context) *result {
	r, _ := ctx.Value(resultKey{}).(*result)
	return r
}

// check decides over one request and returns the context for its handler. The first alternative in document order that
// verifies wins. An operation is anonymous only when the request carries no credential at all.
func (g *guard) check(ctx context.Context, r Request) (context.Context, error) {
	text, err := bearerToken(r)
	if err != nil {
		return nil, err
	}
	if text == "" {
		if !g.optional {
			return nil, ErrNoCredentials
		}
		return &guardedContext{ctx, result{guard: g}}, nil
	}
	var refused error
	for _, scheme := range g.schemes {
		token, err := g.validator.validate(ctx, text, scheme.Token, &g.operation.Rules)
		if err == nil {
			return &guardedContext{ctx, result{guard: g, token: token}}, nil
		}
		// "Could not know" outweighs a refusal: the alternative might have held.
		if refused == nil || errors.Is(err, ErrUnavailable) && !errors.Is(refused, ErrUnavailable) {
			refused = err
		}
	}
	return nil, refused
}

// bearerToken returns the token of the Authorization header (RFC 6750, section 2.1), or "" where the request has none. A
// header with another auth scheme is one that no alternative understands: it is not anonymous.
func bearerToken(r Request) (string, error) {
	values := r.Header("Authorization")
	switch len(values) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", because(ErrMalformedRequest, "several Authorization headers")
	}
	scheme, rest, found := strings.Cut(values[0], " ")
	if scheme == "" {
		return "", because(ErrMalformedRequest, "a blank Authorization header")
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return "", because(ErrNoCredentials, "another auth scheme")
	}
	token := strings.Trim(rest, " ")
	if !found || token == "" {
		return "", because(ErrMalformedRequest, "an auth scheme without a token")
	}
	if strings.ContainsAny(token, " \t") {
		return "", because(ErrMalformedRequest, "more than one token")
	}
	return token, nil
}

// RequestToken returns the token that the guard of the operation accepted. An error means that no guard ran for it, or
// that of another operation: the handler must not run. Generated code calls it.
func RequestToken[C any](ctx context.Context, operation *Operation) (Token[C], error) {
	token, ok, err := OptionalToken[C](ctx, operation)
	if err == nil && !ok {
		err = ErrUnguarded
	}
	return token, err
}

// OptionalToken is RequestToken for an operation that welcomes anonymous callers: it reports false for them.
func OptionalToken[C any](ctx context.Context, operation *Operation) (Token[C], bool, error) {
	r := resultOf(ctx)
	if r == nil || operation == nil || r.guard == nil || r.guard.operation != operation {
		return Token[C]{}, false, ErrUnguarded
	}
	if r.token == nil {
		return Token[C]{}, false, nil
	}
	state, ok := r.token.(*tokenState[C])
	if !ok {
		return Token[C]{}, false, ErrUnguarded
	}
	return Token[C]{state}, true, nil
}

// FromContext returns the token of the request for middleware that runs behind the guard, and false for anonymous callers
// and where no guard ran.
func FromContext(ctx context.Context) (AnyToken, bool) {
	if r := resultOf(ctx); r != nil && r.token != nil {
		return r.token.token(), true
	}
	return nil, false
}
