package security

import (
	"context"
	"errors"
)

// WithHook sets a function that runs for every token of the type that was verified, was not revoked, and satisfies the rules: to load
// the user it speaks for and refuse one who is disabled, for example. C is the type of the token's private claims; one that the document
// gives another type is an error when the guards are made. What the function returns reaches the handler through [HookValue].
//
// An error of this package, such as [ErrInvalidToken] or [ErrAccessDenied], refuses the request as it would by itself. Any other error
// means "could not know": 503. A token type has one hook, and a hook for a type that no operation takes is an error when the guards are
// made.
func WithHook[C any](tokenType string, hook func(ctx context.Context, token Token[C]) (any, error)) ValidatorOption {
	return func(v *Validator) error {
		switch {
		case hook == nil || !validTypeName(tokenType):
			return errors.New("security: WithHook needs the name of a token type and a function")
		case v.hooks[tokenType] != nil:
			return errors.New("security: two hooks for the token type " + tokenType)
		}
		v.hooks[tokenType] = tokenHook[C](hook)
		return nil
	}
}

// hook is a tokenHook of whatever claims.
type hook interface {
	run(ctx context.Context, token credential) (any, error)
	fits(typ TokenType) bool
}

type tokenHook[C any] func(ctx context.Context, token Token[C]) (any, error)

func (h tokenHook[C]) fits(typ TokenType) bool {
	_, ok := typ.(tokenType[C])
	return ok
}

func (h tokenHook[C]) run(ctx context.Context, token credential) (any, error) {
	state, ok := token.(*tokenState[C])
	if !ok {
		return nil, ErrUnguarded
	}
	value, err := h(ctx, Token[C]{state})
	var e *Error
	if err != nil && !errors.As(err, &e) {
		err = unavailable("the hook failed", err)
	}
	return value, err
}

// HookValue returns what the hook of the request's token returned, and false where there was no token, no hook, or a value of another
// type.
func HookValue[T any](ctx context.Context) (T, bool) {
	var value T
	r := resultOf(ctx)
	if r == nil {
		return value, false
	}
	found := r.find(func(h *held) bool {
		_, ok := h.value.(T)
		return ok && h.token != nil
	})
	if found == nil {
		return value, false
	}
	value, ok := found.value.(T)
	return value, ok
}
