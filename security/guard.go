package security

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
)

// Request is what the guard reads of a request; each router's glue has one. Slices hold every value, in order, and stay
// valid only during the call.
type Request interface {
	Method() string
	Host() string
	Header(name string) []string
	Query(name string) []string
	Cookie(name string) []string
	TLS() *tls.ConnectionState
	// Form returns the values of a field of an urlencoded body, which stays readable; none for other bodies. A body that cannot be
	// read is ErrMalformedRequest. It is the only method that reads of the body.
	Form(name string) ([]string, error)
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
	optional  bool
	// alternatives are in document order, without the empty one.
	alternatives []alternative
	// sources are all places where a token of an alternative may stand, each once.
	sources []source
}

// alternative is a scheme that lets a request pass.
type alternative struct {
	scheme   *Scheme
	verifier *Verifier
	// hook is that of the token type, or nil.
	hook hook
	// source is the index of the scheme's source.
	source int
	// displacedBy are the indices of header sources of the same token type, for a cookie: a header that is present decides
	// alone.
	displacedBy []int
}

// maxSources bounds the places where one operation looks for tokens.
const maxSources = 8

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
		own, err := newGuard(validator, o)
		if err != nil {
			return nil, fmt.Errorf("security: operation %s: %w", o.ID, err)
		}
		g.guards[o] = own
	}
	for name := range validator.hooks {
		if !g.takes(name) {
			return nil, fmt.Errorf("security: there is a hook for %s tokens, and no operation takes them", name)
		}
	}
	return g, nil
}

// takes reports whether an operation takes tokens of the type.
func (g *Guards) takes(tokenType string) bool {
	for _, own := range g.guards {
		for _, a := range own.alternatives {
			if a.scheme.Token.Name() == tokenType {
				return true
			}
		}
	}
	return false
}

func newGuard(validator *Validator, o *Operation) (*guard, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	g := &guard{validator: validator, operation: o, optional: o.Optional()}
	for _, a := range o.Requirement {
		for _, scheme := range a {
			verifier := validator.verifiers[cmp.Or(scheme.Verifier, OwnVerifier)]
			if verifier == nil {
				return nil, fmt.Errorf("scheme %s: the validator has no verifier %q; see WithVerifier", scheme.Name, scheme.Verifier)
			}
			hook := validator.hooks[scheme.Token.Name()]
			if hook != nil && !hook.fits(scheme.Token) {
				return nil, fmt.Errorf("scheme %s: the hook for %s tokens takes other private claims than the document gives them", scheme.Name, scheme.Token.Name())
			}
			src := scheme.source()
			i := slices.Index(g.sources, src)
			if i < 0 {
				i = len(g.sources)
				g.sources = append(g.sources, src)
			}
			g.alternatives = append(g.alternatives, alternative{scheme: scheme, verifier: verifier, hook: hook, source: i})
		}
	}
	switch {
	case len(g.alternatives) == 0 && !o.Public():
		return nil, errors.New("it has the empty alternative only; say security: [] for a public operation")
	case len(g.sources) > maxSources:
		return nil, fmt.Errorf("tokens in more than %d places", maxSources)
	}
	for i := range g.alternatives {
		own := &g.alternatives[i]
		for _, other := range g.alternatives {
			if own.scheme.In == InCookie && other.scheme.In == InHeader && other.scheme.Token.Name() == own.scheme.Token.Name() {
				own.displacedBy = append(own.displacedBy, other.source)
			}
		}
	}
	return g, nil
}

// result is what a guard leaves on the context: bound to its operation, also for anonymous callers.
type result struct {
	guard *guard
	// token is nil for anonymous callers.
	token credential
	// value is what the token type's hook returned.
	value any
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
func (g *guard) check(ctx context.Context, r Request) (outcome, error) {
	var at [maxSources]found
	var in [InCookie + 1]bool
	for i, src := range g.sources {
		var err error
		if at[i], err = src.locate(r); err != nil {
			return outcome{}, err
		}
		in[src.in] = in[src.in] || at[i].present
	}
	switch {
	case in[InQuery] && (in[InHeader] || in[InCookie]):
		return outcome{}, because(ErrMalformedRequest, "a token in the query beside another one")
	case in == [InCookie + 1]bool{}:
		// Credentials that no alternative understands are not anonymous.
		if !g.optional || len(r.Header(authorization)) > 0 {
			return outcome{}, ErrNoCredentials
		}
		return outcome{context: &guardedContext{ctx, result{guard: g}}}, nil
	}
	var refused error
	for i := range g.alternatives {
		a := &g.alternatives[i]
		if !at[a.source].present || slices.ContainsFunc(a.displacedBy, func(header int) bool { return at[header].present }) {
			continue
		}
		token, value, err := g.validate(ctx, r, a, at[a.source].text)
		if err == nil {
			return outcome{&guardedContext{ctx, result{guard: g, token: token, value: value}}, in[InQuery]}, nil
		}
		// "Could not know" outweighs a refusal: the alternative might have held.
		if refused == nil || errors.Is(err, ErrUnavailable) && !errors.Is(refused, ErrUnavailable) {
			refused = err
		}
	}
	return outcome{}, refused
}

// outcome is what becomes of a request that passes.
type outcome struct {
	context context.Context
	// private says that the response must not be stored: the URL that it belongs to holds a token.
	private bool
}

// validate decides over the text of a token, in the order of the package doc, and returns what the hook returned besides.
func (g *guard) validate(ctx context.Context, r Request, a *alternative, text string) (token credential, value any, err error) {
	v := g.validator
	if token, err = a.verifier.verifyToken(text, a.scheme.Token); err != nil {
		return nil, nil, err
	}
	base := token.base()
	needsForm := false
	if a.scheme.In == InCookie && unsafeRequest(r) {
		if needsForm, err = v.checkBrowser(r, base.claims, a.scheme.CSRFForm); err != nil {
			return nil, nil, err
		}
	}
	if err := v.checkRevoked(ctx, base); err != nil {
		return nil, nil, err
	}
	if needsForm {
		if err := v.checkForm(r, base.claims); err != nil {
			return nil, nil, err
		}
	}
	if err := g.operation.Rules.check(base.claims, instantOf(a.verifier.now()), a.verifier.leeway); err != nil {
		return nil, nil, err
	}
	for _, scope := range a.scheme.Scopes {
		if !slices.Contains(base.claims.scopes, scope) {
			return nil, nil, &refusal{sentinel: ErrAccessDenied, reason: "a scope is missing", scopes: a.scheme.Scopes}
		}
	}
	if a.hook != nil {
		if value, err = a.hook.run(ctx, token); err != nil {
			return nil, nil, err
		}
	}
	return token, value, nil
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
