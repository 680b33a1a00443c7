package security

import (
	"context"
	"errors"
	"fmt"

	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// WithHook sets a function that runs for every token of the type that is verified, not revoked and
// satisfies the rules of the operation. Use it to load the user and to refuse a disabled one. C is
// the type of the token's private claims. If the document gives the type other claims, that is an
// error when the guards are made; so is a type that no operation takes. The handler gets the value
// from guard.HookValue.
//
// If several verifiers have tokens of the type, the hook runs for all of them. Two issuers may use the
// same subject for different users: look a user up by Issuer and Subject.
//
// An [Error], such as [ErrInvalidToken] or [ErrAccessDenied], keeps its status. Any other error
// means that the decision is unavailable, and is answered 503. A token type has one hook.
func WithHook[C any](typeName string, hook func(ctx context.Context, token Token[C]) (any, error)) ValidatorOption {
	return func(v *Validator) error {
		switch {
		case hook == nil || !payload.ValidTypeName(typeName):
			return errors.New("security: WithHook needs the name of a token type and a function")
		case v.hooks[typeName] != nil:
			return errors.New("security: two hooks for the token type " + typeName)
		}
		v.hooks[typeName] = tokenHook[C](hook)
		return nil
	}
}

// hook is a tokenHook for any type of claims.
type hook interface {
	run(ctx context.Context, token AnyToken) (any, error)
	fits(typ TokenType) bool
}

type tokenHook[C any] func(ctx context.Context, token Token[C]) (any, error)

func (h tokenHook[C]) fits(typ TokenType) bool {
	_, ok := typ.(tokenType[C])
	return ok
}

func (h tokenHook[C]) run(ctx context.Context, token AnyToken) (any, error) {
	typed, ok := token.untyped().(Token[C])
	if !ok {
		return nil, withReason(ErrUnguarded, "the hook takes other private claims than the token has")
	}
	value, err := h(ctx, typed)
	var e *Error
	if err != nil && !errors.As(err, &e) {
		err = unavailable("the hook failed", err)
	}
	return value, err
}

// CheckTypes checks the hooks against the token types of an API: each hook needs a type that it
// fits.
func (v *Validator) CheckTypes(types ...TokenType) error {
	taken := map[string]bool{}
	for _, typ := range types {
		taken[typ.Name()] = true
		if h := v.hooks[typ.Name()]; h != nil && !h.fits(typ) {
			return fmt.Errorf("security: the hook for %s tokens takes other private claims than the document gives them", typ.Name())
		}
	}
	for name := range v.hooks {
		if !taken[name] {
			return fmt.Errorf("security: there is a hook for %s tokens, and no operation takes them", name)
		}
	}
	return nil
}
