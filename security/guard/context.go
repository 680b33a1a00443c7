package guard

import (
	"context"

	"github.com/oapi-guard/oapi-guard/security"
)

// ContextKey is the key of the context of a guard in contexts of routers that take only strings as
// keys.
const ContextKey = "github.com/oapi-guard/oapi-guard/security/guard"

type resultKey struct{}

// result is what a guard leaves on the context, bound to its operation, for anonymous callers too.
// It is small, because every request has one.
type result struct {
	guard *Guard
	// first is the accepted credential, or the first of several. It has no scheme for anonymous
	// callers.
	first acceptedCredential
}

// acceptedCredential is a credential that passed: a token, or the caller that an authenticator
// found.
type acceptedCredential struct {
	scheme *Scheme
	// token is nil for a credential that is not a token.
	token security.AnyToken
	// value is what the hook of the token type returned, or a Caller.
	value any
	// caller has the facts of a Caller. It is nil for a token.
	caller *callerFacts
	// next is the next credential of an alternative with several schemes.
	next *acceptedCredential
}

func (r *result) isAnonymous() bool { return r.first.scheme == nil }

// all yields the credentials in document order.
func (r *result) all(yield func(*acceptedCredential) bool) {
	for c := &r.first; c != nil && c.scheme != nil && yield(c); c = c.next {
	}
}

// find returns the first credential that matches, or nil.
func (r *result) find(match func(*acceptedCredential) bool) *acceptedCredential {
	for c := range r.all {
		if match(c) {
			return c
		}
	}
	return nil
}

// sameSubject reports whether all tokens from c on have the same subject.
func (c *acceptedCredential) sameSubject() bool {
	subject, found := "", false
	for ; c != nil; c = c.next {
		switch {
		case c.token == nil:
		case !found:
			subject, found = c.token.Subject(), true
		case c.token.Subject() != subject:
			return false
		}
	}
	return true
}

// by reports whether the credential has one of the schemes; without names it reports true.
func (c *acceptedCredential) by(schemes []string) bool {
	for _, name := range schemes {
		if c.scheme.Name == name {
			return true
		}
	}
	return len(schemes) == 0
}

// guardedContext has a result and needs no other wrapper.
type guardedContext struct {
	context.Context
	result result
}

// Value implements context.Context.
func (c *guardedContext) Value(key any) any {
	switch key {
	case resultKey{}:
		return &c.result
	case ContextKey:
		return c
	}
	return c.Context.Value(key)
}

// on returns the context with the result, or the context itself if there is none.
func (r *result) on(ctx context.Context) context.Context {
	if r.guard == nil {
		return ctx
	}
	return &guardedContext{ctx, *r}
}

func resultOf(ctx context.Context) *result {
	if guarded, ok := ctx.(*guardedContext); ok {
		return &guarded.result
	}
	r, ok := ctx.Value(resultKey{}).(*result)
	if !ok {
		if guarded, found := ctx.Value(ContextKey).(*guardedContext); found {
			r = &guarded.result
		}
	}
	return r
}

// WatchedContext returns the context for the handler of a watched operation: the values are those of
// ctx, and it ends with the token. Generated code calls it for routers whose handlers get another
// context than that of the request.
func WatchedContext(ctx context.Context) context.Context {
	guarded, ok := ctx.Value(ContextKey).(*guardedContext)
	if !ok || guarded.Done() == ctx.Done() {
		return ctx
	}
	return &watchedContext{guarded, ctx}
}

// watchedContext ends with the context of a guard and has the values of another one too.
type watchedContext struct {
	context.Context
	values context.Context
}

// Value implements context.Context.
func (c *watchedContext) Value(key any) any {
	if value := c.Context.Value(key); value != nil {
		return value
	}
	return c.values.Value(key)
}

// Credentials are what the guard of an operation accepted: the schemes of one alternative, or none
// for an anonymous caller. Generated code makes the argument of an operation from them.
type Credentials struct{ result *result }

// RequestCredentials returns what the guard of the operation accepted. The error means that no
// guard ran for it, or that of another operation: the handler must not run. Generated code calls it.
func RequestCredentials(ctx context.Context, operation *Operation) (Credentials, error) {
	r := resultOf(ctx)
	if r == nil || operation == nil || r.guard == nil || r.guard.operation != operation {
		return Credentials{}, security.ErrUnguarded
	}
	return Credentials{r}, nil
}

// Anonymous reports whether the request has no credential.
func (c Credentials) Anonymous() bool { return c.result == nil || c.result.isAnonymous() }

// Schemes returns the names of the schemes of the accepted alternative; none for an anonymous
// caller.
func (c Credentials) Schemes() []string {
	if c.Anonymous() {
		return nil
	}
	var names []string
	for credential := range c.result.all {
		names = append(names, credential.scheme.Name)
	}
	return names
}

// TokenOf returns the token of the type, and false if there is none. With schemes it returns the
// token of one of them.
func TokenOf[C any](c Credentials, typ security.TokenType, schemes ...string) (security.Token[C], bool) {
	if c.result == nil || typ == nil {
		return security.Token[C]{}, false
	}
	found := c.result.find(func(a *acceptedCredential) bool {
		return a.token != nil && a.scheme.Token.Name() == typ.Name() && a.by(schemes)
	})
	if found == nil {
		return security.Token[C]{}, false
	}
	token, ok := found.token.(security.Token[C])
	return token, ok
}

// CallerOf returns the caller that an authenticator found, and false if there is none with this type
// of principal. With schemes it returns the caller of one of them.
func CallerOf[P any](c Credentials, schemes ...string) (Caller[P], bool) {
	if c.result == nil {
		return Caller[P]{}, false
	}
	found := c.result.find(func(a *acceptedCredential) bool { return a.token == nil && a.by(schemes) })
	if found == nil {
		return Caller[P]{}, false
	}
	caller, ok := found.value.(Caller[P])
	return caller, ok
}

// RequestToken returns the token that the guard of the operation accepted. The error means that no
// guard ran for it, or that of another operation: the handler must not run. Generated code calls it.
func RequestToken[C any](ctx context.Context, operation *Operation) (security.Token[C], error) {
	token, ok, err := OptionalToken[C](ctx, operation)
	if err == nil && !ok {
		err = security.ErrUnguarded
	}
	return token, err
}

// OptionalToken is [RequestToken] for an operation that accepts anonymous callers. It reports false
// for them.
func OptionalToken[C any](ctx context.Context, operation *Operation) (security.Token[C], bool, error) {
	c, err := RequestCredentials(ctx, operation)
	if err != nil || c.Anonymous() {
		return security.Token[C]{}, false, err
	}
	token, ok := c.result.first.token.(security.Token[C])
	if !ok {
		return security.Token[C]{}, false, security.ErrUnguarded
	}
	return token, true, nil
}

// RequestCaller is [RequestToken] for an operation whose credentials are not JWTs.
func RequestCaller[P any](ctx context.Context, operation *Operation) (Caller[P], error) {
	caller, ok, err := OptionalCaller[P](ctx, operation)
	if err == nil && !ok {
		err = security.ErrUnguarded
	}
	return caller, err
}

// OptionalCaller is [RequestCaller] for an operation that accepts anonymous callers. It reports
// false for them.
func OptionalCaller[P any](ctx context.Context, operation *Operation) (Caller[P], bool, error) {
	c, err := RequestCredentials(ctx, operation)
	if err != nil || c.Anonymous() {
		return Caller[P]{}, false, err
	}
	caller, ok := c.result.first.value.(Caller[P])
	if !ok || c.result.first.token != nil { // the value of a hook is not a caller
		return Caller[P]{}, false, security.ErrUnguarded
	}
	return caller, true, nil
}

// FromContext returns the token of the request, for middleware behind the guard. It reports false
// for anonymous callers, for credentials that are not JWTs, and if no guard ran. Of several tokens
// it returns the first in document order.
func FromContext(ctx context.Context) (security.AnyToken, bool) {
	r := resultOf(ctx)
	if r == nil {
		return nil, false
	}
	found := r.find(func(c *acceptedCredential) bool { return c.token != nil })
	if found == nil {
		return nil, false
	}
	return found.token, true
}

// CallerFromContext is [FromContext] for credentials that are not JWTs.
func CallerFromContext[P any](ctx context.Context) (Caller[P], bool) {
	return CallerOf[P](Credentials{resultOf(ctx)})
}

// HookValue returns what the hook of the request's token returned. It reports false without a token
// or a hook, and for a value of another type.
func HookValue[T any](ctx context.Context) (T, bool) {
	var value T
	r := resultOf(ctx)
	if r == nil {
		return value, false
	}
	found := r.find(func(c *acceptedCredential) bool {
		_, ok := c.value.(T)
		return ok && c.token != nil
	})
	if found == nil {
		return value, false
	}
	value, ok := found.value.(T)
	return value, ok
}
