//go:build ignore

package security

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Guards are the guards of an API's operations. Generated code makes and uses them.
type Guards struct {
	validator *Validator
	guards    map[*Operation]*Guard
}

// Guard decides over the requests for one operation.
type Guard struct {
	validator *Validator
	operation *Operation
	optional  bool
	// alternatives are in document order, without the empty one.
	alternatives []alternative
	// sources are all places where a credential of an alternative may stand, each once.
	sources []source
	// beside are pairs of sources that must not both have a token: one is the query.
	beside [][2]int
	// challenges are those of a request without credentials, each once.
	challenges []string
	// fault is why every request is refused, where something is amiss that is not the request.
	fault error
}

// alternative is a list of schemes that let a request pass together.
type alternative []part

// part is one scheme of an alternative.
type part struct {
	scheme *Scheme
	// source is the index of the scheme's source.
	source int
	// displacedBy are the indices of header sources of the same token type, for a cookie: a header that is present decides
	// alone.
	displacedBy []int
	// challenge is the scheme's challenge without an error, "" where it has none.
	challenge string

	// verifier and hook are for tokens. hook is that of the token type, or nil.
	verifier *Verifier
	hook     hook
	// authenticator is for what is not a token.
	authenticator SchemeAuthenticator
}

// maxSources bounds the places where one operation looks for credentials.
const maxSources = 8

// NewGuards makes the guards of an API's operations, or says which operation asks for what cannot be enforced. authenticators has one for
// every scheme whose credential is not a JWT.
func NewGuards(validator *Validator, authenticators Authenticators, operations ...*Operation) (*Guards, error) {
	if validator == nil {
		return nil, errors.New("security: guards need a validator; make one with NewValidator")
	}
	g := &Guards{validator: validator, guards: make(map[*Operation]*Guard, len(operations))}
	for _, o := range operations {
		if o == nil {
			return nil, errors.New("security: a nil operation")
		}
		own, err := newGuard(validator, authenticators, o)
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

// Of returns the guard of the operation. That of an operation which g does not guard refuses every request: 500.
func (g *Guards) Of(operation *Operation) *Guard {
	if own := g.guards[operation]; own != nil {
		return own
	}
	return &Guard{validator: g.validator, operation: operation, fault: ErrUnguarded}
}

// takes reports whether an operation takes tokens of the type.
func (g *Guards) takes(tokenType string) bool {
	for _, own := range g.guards {
		for _, a := range own.alternatives {
			for _, p := range a {
				if p.scheme.Kind == KindJWT && p.scheme.Token.Name() == tokenType {
					return true
				}
			}
		}
	}
	return false
}

func newGuard(validator *Validator, authenticators Authenticators, o *Operation) (*Guard, error) {
	if err := errors.Join(o.check(), validator.knowsRequests(o)); err != nil {
		return nil, err
	}
	g := &Guard{validator: validator, operation: o, optional: o.Optional()}
	for _, schemes := range o.Requirement {
		var a alternative
		for _, scheme := range schemes {
			p, err := newPart(validator, authenticators, scheme)
			if err != nil {
				return nil, fmt.Errorf("scheme %s: %w", scheme.Name, err)
			}
			src := scheme.source()
			if p.source = slices.Index(g.sources, src); p.source < 0 {
				p.source = len(g.sources)
				g.sources = append(g.sources, src)
			}
			if p.challenge != "" && !slices.Contains(g.challenges, p.challenge) {
				g.challenges = append(g.challenges, p.challenge)
			}
			a = append(a, p)
		}
		if len(a) > 0 {
			g.alternatives = append(g.alternatives, a)
		}
	}
	switch {
	case len(g.alternatives) == 0 && !o.Public():
		return nil, errors.New("it has the empty alternative only; say security: [] for a public operation")
	case len(g.sources) > maxSources:
		return nil, fmt.Errorf("credentials in more than %d places", maxSources)
	}
	g.relate()
	return g, nil
}

func newPart(validator *Validator, authenticators Authenticators, scheme *Scheme) (part, error) {
	p := part{scheme: scheme, challenge: validator.challengeOf(scheme)}
	if scheme.Kind != KindJWT {
		p.authenticator = authenticators[scheme.Name]
		if p.authenticator == nil || p.authenticator.kind() != scheme.Kind {
			return p, errors.New("there is no authenticator for its kind of credential")
		}
		return p, nil
	}
	p.verifier = validator.verifiers[cmp.Or(scheme.Verifier, OwnVerifier)]
	if p.verifier == nil {
		return p, fmt.Errorf("the validator has no verifier %q; see WithVerifier", scheme.Verifier)
	}
	p.hook = validator.hooks[scheme.Token.Name()]
	if p.hook != nil && !p.hook.fits(scheme.Token) {
		return p, fmt.Errorf("the hook for %s tokens takes other private claims than the document gives them", scheme.Token.Name())
	}
	return p, nil
}

// relate finds which sources have a say over which others.
func (g *Guard) relate() {
	eachPair := func(f func(own, other *part, together bool)) {
		for i := range g.alternatives {
			for j := range g.alternatives {
				for k := range g.alternatives[i] {
					for l := range g.alternatives[j] {
						f(&g.alternatives[i][k], &g.alternatives[j][l], i == j)
					}
				}
			}
		}
	}
	// A token stands in one place (RFC 6750, section 2), unless an alternative asks for two of them.
	together := map[[2]int]bool{}
	eachPair(func(own, other *part, same bool) {
		if same {
			together[[2]int{own.source, other.source}] = true
		}
	})
	eachPair(func(own, other *part, _ bool) {
		if own.scheme.Kind != KindJWT || other.scheme.Kind != KindJWT {
			return
		}
		pair := [2]int{own.source, other.source}
		if own.scheme.In == InQuery && other.scheme.In != InQuery && !together[pair] && !slices.Contains(g.beside, pair) {
			g.beside = append(g.beside, pair)
		}
		if own.scheme.In == InCookie && other.scheme.In == InHeader && own.scheme.Token.Name() == other.scheme.Token.Name() && !together[pair] {
			own.displacedBy = append(own.displacedBy, other.source)
		}
	})
}

// idle reports whether the guard lets every request pass as it is.
func (g *Guard) idle() bool {
	return g.fault == nil && len(g.alternatives) == 0 && g.validator.requests == nil
}

// decision is what a guard says of a request.
type decision struct {
	// private says that the response must not be stored: the URL that it belongs to holds a token.
	private bool
	// err is why the request is refused, and scheme whose credential it was, or nil.
	err    error
	scheme *Scheme
}

// Decision is what a guard says of a request, for the glue of routers that are not built on net/http.
type Decision struct {
	// Context is the handler's context, or nil where the request is refused.
	Context context.Context
	// Header has fields for the response to a request that passes, or is nil.
	Header http.Header
	// Answer is the answer to a request that is refused.
	Answer Answer
}

// privateResponse is what Cache-Control says where the URL holds a token (RFC 6750, section 2.3).
const privateResponse = "private, no-store"

// Check decides over a request, for the glue of routers that are not built on net/http.
func (g *Guard) Check(ctx context.Context, r Request) Decision {
	var found result
	d := g.check(ctx, r, &found)
	if d.err != nil {
		return Decision{Answer: g.answer(ctx, d.scheme, d.err)}
	}
	passed := Decision{Context: found.on(ctx)}
	if d.private {
		passed.Header = http.Header{"Cache-Control": {privateResponse}}
	}
	if answer := g.checkConforms(passed.Context, r); answer != nil {
		return Decision{Answer: *answer}
	}
	return passed
}

// check decides over one request, and fills in the result of one that passes and whose operation is not public. The first alternative in
// document order that is complete and holds wins. An operation is anonymous only when the request carries no credential at all.
func (g *Guard) check(ctx context.Context, r Request, passed *result) decision {
	if g.fault != nil {
		return decision{err: g.fault}
	}
	if len(g.alternatives) == 0 {
		return decision{}
	}
	var at [maxSources]found
	anything, query := false, false
	for i := range g.sources {
		var err error
		if at[i], err = g.locate(ctx, r, &g.sources[i]); err != nil {
			return decision{err: err}
		}
		anything = anything || at[i].present
		query = query || at[i].present && g.sources[i].in == InQuery
	}
	for _, pair := range g.beside {
		if at[pair[0]].present && at[pair[1]].present {
			return decision{err: because(ErrMalformedRequest, "a token in the query beside another one")}
		}
	}
	if !anything {
		// Credentials that no alternative understands are not anonymous.
		if !g.optional || len(r.Header(authorization)) > 0 {
			return decision{err: ErrNoCredentials}
		}
		passed.guard = g
		return decision{}
	}
	refused := decision{err: ErrNoCredentials}
	for _, a := range g.alternatives {
		if !a.complete(&at) {
			continue
		}
		scheme, err := g.hold(ctx, r, a, &at, &passed.first)
		if err == nil {
			passed.guard = g
			return decision{private: query}
		}
		// "Could not know" outweighs a refusal: the alternative might have held.
		if refused.scheme == nil || errors.Is(err, ErrUnavailable) && !errors.Is(refused.err, ErrUnavailable) {
			refused = decision{err: err, scheme: scheme}
		}
	}
	return refused
}

// locate reads the credential at the source.
func (g *Guard) locate(ctx context.Context, r Request, src *source) (found, error) {
	if src.in != inConnection {
		return src.locate(r)
	}
	certificate, err := g.validator.clientCertificate(ctx, r)
	return found{present: certificate != nil, certificate: certificate}, err
}

// complete reports whether every credential of the alternative is there and counts.
func (a alternative) complete(at *[maxSources]found) bool {
	for i := range a {
		if !at[a[i].source].present {
			return false
		}
		for _, header := range a[i].displacedBy {
			if at[header].present {
				return false
			}
		}
	}
	return true
}

// hold decides over the credentials of an alternative, all of which have to hold, and lists them from first on; or it returns whose
// credential did not, and why.
func (g *Guard) hold(ctx context.Context, r Request, a alternative, at *[maxSources]found, first *held) (*Scheme, error) {
	for i, own := 0, first; i < len(a); i++ {
		if i > 0 {
			own.next = &held{}
			own = own.next
		}
		if err := g.accept(ctx, r, &a[i], &at[a[i].source], own); err != nil {
			return a[i].scheme, err
		}
	}
	if len(a) > 1 && !g.validator.differentSubjects && !first.oneSubject() {
		return a[0].scheme, because(ErrAccessDenied, "tokens of different subjects")
	}
	return nil, nil
}

// oneSubject reports whether all tokens from h on speak for the same subject.
func (h *held) oneSubject() bool {
	var subject *string
	for ; h != nil; h = h.next {
		if h.token == nil {
			continue
		}
		own := &h.token.base().claims.subject
		if subject == nil {
			subject = own
		} else if *own != *subject {
			return false
		}
	}
	return true
}

// accept decides over one credential, and fills in what passed.
func (g *Guard) accept(ctx context.Context, r Request, p *part, shown *found, passed *held) error {
	if p.scheme.Kind == KindJWT {
		return g.validate(ctx, r, p, shown.text, passed)
	}
	return g.authenticate(ctx, r, p, shown, passed)
}

// validate decides over a token, in the order of the package doc.
func (g *Guard) validate(ctx context.Context, r Request, p *part, shown string, passed *held) error {
	v := g.validator
	token, err := p.verifier.verifyToken(shown, p.scheme.Token)
	if err != nil {
		return err
	}
	base := token.base()
	needsForm := false
	if p.scheme.In == InCookie && unsafeRequest(r) {
		if err := v.checkOrigin(r); err != nil {
			return err
		}
		if needsForm, err = v.checkHeader(r, base.claims, p.scheme.CSRFForm); err != nil {
			return err
		}
	}
	if err := v.checkRevoked(ctx, base); err != nil {
		return err
	}
	if needsForm {
		if err := v.checkForm(r, base.claims); err != nil {
			return err
		}
	}
	if err := g.checkRules(p.scheme, base.claims, p.verifier); err != nil {
		return err
	}
	*passed = held{scheme: p.scheme, token: token}
	if p.hook != nil {
		passed.value, err = p.hook.run(ctx, token)
	}
	return err
}

// authenticate lets the application decide over a credential that is not a token.
func (g *Guard) authenticate(ctx context.Context, r Request, p *part, shown *found, passed *held) error {
	if len(shown.text) > DefaultMaxTokenSize {
		return because(ErrInvalidCredentials, "a longer credential than accepted")
	}
	if p.scheme.ambient() && unsafeRequest(r) {
		if err := g.validator.checkOrigin(r); err != nil {
			return err
		}
	}
	who, err := p.authenticator.authenticate(ctx, p.scheme.Name, rawCredential{shown.text, shown.certificate})
	if err != nil {
		return err
	}
	if err := g.checkRules(p.scheme, &who.facts, g.validator.verifier); err != nil {
		return err
	}
	*passed = held{scheme: p.scheme, value: who.value}
	return nil
}

// checkRules checks the operation's rules and what the requirement asks of the scheme.
func (g *Guard) checkRules(scheme *Scheme, facts *claims, clock *Verifier) error {
	var now instant
	if g.operation.Rules.MaxAge > 0 { // the clock is not for free
		now = instantOf(clock.now())
	}
	if err := g.operation.Rules.check(facts, now, clock.leeway); err != nil {
		return err
	}
	for _, scope := range scheme.Scopes {
		if !slices.Contains(facts.scopes, scope) {
			return &refusal{sentinel: ErrAccessDenied, reason: "a scope is missing", scopes: scheme.Scopes}
		}
	}
	for _, role := range scheme.Roles {
		if !slices.Contains(facts.roles, role) {
			return because(ErrAccessDenied, "a role is missing")
		}
	}
	return nil
}
