//go:build ignore

package security

import "context"

// ContextKey is a second key of what a guard leaves on the context, for routers whose contexts take only strings.
const ContextKey = "github.com/oapi-guard/oapi-guard/security"

type resultKey struct{}

// result is what a guard leaves on the context: bound to its operation, also for anonymous callers. It is small, because every request
// has one.
type result struct {
	guard *Guard
	// first is the credential that passed, or the first of several; it has no scheme for anonymous callers.
	first held
}

// held is a credential that passed: a token, or what an authenticator found.
type held struct {
	scheme *Scheme
	// token is nil for what is not a token.
	token credential
	// value is what the hook of the token's type returned, or an Authenticated for what is not a token.
	value any
	// next is the one after it, where an alternative has several schemes.
	next *held
}

func (r *result) anonymous() bool { return r.first.scheme == nil }

// all are the credentials in the order of the document.
func (r *result) all(yield func(*held) bool) {
	for h := &r.first; h != nil && h.scheme != nil && yield(h); h = h.next {
	}
}

// find returns the first credential that matches, or nil.
func (r *result) find(match func(*held) bool) *held {
	for h := range r.all {
		if match(h) {
			return h
		}
	}
	return nil
}

// guardedContext carries a result without a wrapper of its own around it.
type guardedContext struct {
	context.Context
	result result
}

// Value implements context.Context.
func (c *guardedContext) Value(key any) any {
	if key == (resultKey{}) || key == ContextKey {
		return &c.result
	}
	return c.Context.Value(key)
}

// on returns the context with the result, or the context itself where there is none.
func (r *result) on(ctx context.Context) context.Context {
	if r.guard == nil {
		return ctx
	}
	return &guardedContext{ctx, *r}
}

func resultOf(ctx context.Context) *result {
	if own, ok := ctx.(*guardedContext); ok {
		return &own.result
	}
	r, ok := ctx.Value(resultKey{}).(*result)
	if !ok {
		r, _ = ctx.Value(ContextKey).(*result)
	}
	return r
}

// Credentials are what the guard of an operation accepted: the schemes of one alternative, or none for an anonymous caller. Generated code
// makes an operation's argument of them.
type Credentials struct{ result *result }

// RequestCredentials returns what the guard of the operation accepted. An error means that no guard ran for it, or that of another
// operation: the handler must not run. Generated code calls it.
func RequestCredentials(ctx context.Context, operation *Operation) (Credentials, error) {
	r := resultOf(ctx)
	if r == nil || operation == nil || r.guard == nil || r.guard.operation != operation {
		return Credentials{}, ErrUnguarded
	}
	return Credentials{r}, nil
}

// Anonymous reports whether the caller showed no credential.
func (c Credentials) Anonymous() bool { return c.result == nil || c.result.anonymous() }

// TokenOf returns the token of the type, and false where the credentials have none. With schemes it is the one that came by one of them.
func TokenOf[C any](c Credentials, typ TokenType, schemes ...string) (Token[C], bool) {
	if c.result == nil || typ == nil {
		return Token[C]{}, false
	}
	found := c.result.find(func(h *held) bool {
		return h.token != nil && h.scheme.Token.Name() == typ.Name() && h.by(schemes)
	})
	if found == nil {
		return Token[C]{}, false
	}
	state, ok := found.token.(*tokenState[C])
	return Token[C]{state}, ok
}

// PrincipalOf returns what the application's authenticator found, and false where the credentials have no such principal. With schemes
// it is the one that came by one of them.
func PrincipalOf[P any](c Credentials, schemes ...string) (Authenticated[P], bool) {
	if c.result == nil {
		return Authenticated[P]{}, false
	}
	found := c.result.find(func(h *held) bool { return h.token == nil && h.by(schemes) })
	if found == nil {
		return Authenticated[P]{}, false
	}
	principal, ok := found.value.(Authenticated[P])
	return principal, ok
}

// by reports whether the credential came by one of the schemes; by any where none is named.
func (h *held) by(schemes []string) bool {
	for _, name := range schemes {
		if h.scheme.Name == name {
			return true
		}
	}
	return len(schemes) == 0
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
	c, err := RequestCredentials(ctx, operation)
	if err != nil || c.Anonymous() {
		return Token[C]{}, false, err
	}
	state, ok := c.result.first.token.(*tokenState[C])
	if !ok {
		return Token[C]{}, false, ErrUnguarded
	}
	return Token[C]{state}, true, nil
}

// RequestPrincipal is RequestToken for an operation whose credentials are not JWTs.
func RequestPrincipal[P any](ctx context.Context, operation *Operation) (Authenticated[P], error) {
	principal, ok, err := OptionalPrincipal[P](ctx, operation)
	if err == nil && !ok {
		err = ErrUnguarded
	}
	return principal, err
}

// OptionalPrincipal is RequestPrincipal for an operation that welcomes anonymous callers: it reports false for them.
func OptionalPrincipal[P any](ctx context.Context, operation *Operation) (Authenticated[P], bool, error) {
	c, err := RequestCredentials(ctx, operation)
	if err != nil || c.Anonymous() {
		return Authenticated[P]{}, false, err
	}
	principal, ok := c.result.first.value.(Authenticated[P])
	if !ok || c.result.first.token != nil { // a hook's value is no principal
		return Authenticated[P]{}, false, ErrUnguarded
	}
	return principal, true, nil
}

// FromContext returns the token of the request for middleware that runs behind the guard, and false where there is none: for anonymous
// callers, for credentials that are not JWTs, and where no guard ran. Of several tokens it is the first in the order of the document.
func FromContext(ctx context.Context) (AnyToken, bool) {
	r := resultOf(ctx)
	if r == nil {
		return nil, false
	}
	found := r.find(func(h *held) bool { return h.token != nil })
	if found == nil {
		return nil, false
	}
	return found.token.token(), true
}

// PrincipalFromContext is FromContext for credentials that are not JWTs.
func PrincipalFromContext[P any](ctx context.Context) (Authenticated[P], bool) {
	return PrincipalOf[P](Credentials{resultOf(ctx)})
}
