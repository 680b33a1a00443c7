package guard

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/oapi-guard/oapi-guard/security"
)

// NewGuards makes the guards of the operations of an API. The error names the operation that asks
// for what cannot be enforced. authenticators has one for every scheme whose credential is not a
// JWT.
func NewGuards(policy *Policy, authenticators Authenticators, operations ...*Operation) (*Guards, error) {
	if policy == nil || policy.validator == nil {
		return nil, errors.New("guard: guards need a policy; make one with New")
	}
	g := &Guards{policy: policy, guards: make(map[*Operation]*Guard, len(operations))}
	var types []security.TokenType
	for _, o := range operations {
		if o == nil {
			return nil, errors.New("guard: a nil operation")
		}
		guard, err := newGuard(policy, authenticators, o)
		if err != nil {
			return nil, fmt.Errorf("guard: operation %s: %w", o.ID, err)
		}
		g.guards[o] = guard
		types = append(types, guard.tokenTypes()...)
	}
	if err := policy.validator.CheckTypes(types...); err != nil {
		return nil, err
	}
	return g, nil
}

// tokenTypes returns the token types that the operation accepts.
func (g *Guard) tokenTypes() []security.TokenType {
	var types []security.TokenType
	for _, a := range g.alternatives {
		for _, s := range a {
			if s.Kind == KindJWT {
				types = append(types, s.Token)
			}
		}
	}
	return types
}

func newGuard(policy *Policy, authenticators Authenticators, o *Operation) (*Guard, error) {
	if err := errors.Join(o.validate(), policy.knowsOperation(o)); err != nil {
		return nil, err
	}
	g := &Guard{policy: policy, operation: o, optional: o.Optional()}
	for _, schemes := range o.Requirement {
		if err := g.addAlternative(authenticators, schemes); err != nil {
			return nil, err
		}
	}
	switch {
	case len(g.alternatives) == 0 && !o.Public():
		return nil, errors.New("it has the empty alternative only; write security: [] for a public operation")
	case len(g.sources) > maxSources:
		return nil, fmt.Errorf("credentials in more than %d places", maxSources)
	}
	g.findExclusivePairs()
	g.findDisplaced()
	g.findTokenSources()
	return g, nil
}

// addAlternative adds an alternative, its sources and its challenges.
func (g *Guard) addAlternative(authenticators Authenticators, schemes Alternative) error {
	var a alternative
	for _, scheme := range schemes {
		s, err := g.requireScheme(authenticators, scheme)
		if err != nil {
			return fmt.Errorf("scheme %s: %w", scheme.Name, err)
		}
		src := scheme.source()
		if s.source = slices.Index(g.sources, src); s.source < 0 {
			s.source = len(g.sources)
			g.sources = append(g.sources, src)
		}
		if s.challenge != "" && !slices.Contains(g.challenges, s.challenge) {
			g.challenges = append(g.challenges, s.challenge)
		}
		a = append(a, s)
	}
	if len(a) > 0 {
		g.alternatives = append(g.alternatives, a)
	}
	return nil
}

// requireScheme finds the verifier or the authenticator of a scheme.
func (g *Guard) requireScheme(authenticators Authenticators, scheme *Scheme) (requiredScheme, error) {
	validator := g.policy.validator
	s := requiredScheme{
		Scheme: scheme, challenge: g.policy.challengeOf(scheme),
		hasRules: g.operation.Rules.any() || len(scheme.Scopes) > 0 || len(scheme.Roles) > 0,
	}
	if scheme.Kind == KindJWT {
		if s.verifier = validator.Verifier(scheme.Token.Verifier()); s.verifier == nil {
			return s, fmt.Errorf("the validator has no verifier %q; see security.WithVerifier", scheme.Token.Verifier())
		}
		return s, nil
	}
	s.verifier = validator.Verifier("") // for its clock
	s.authenticator = authenticators[scheme.Name]
	if s.authenticator == nil || s.authenticator.kind() != scheme.Kind {
		return s, errors.New("there is no authenticator for its kind of credential")
	}
	return s, nil
}

// eachPair calls f for each two tokens, of the same or of different alternatives.
func (g *Guard) eachPair(f func(one, other *requiredScheme, together bool)) {
	for i := range g.alternatives {
		for j := range g.alternatives {
			for k := range g.alternatives[i] {
				for l := range g.alternatives[j] {
					one, other := &g.alternatives[i][k], &g.alternatives[j][l]
					if one.Kind == KindJWT && other.Kind == KindJWT {
						f(one, other, i == j)
					}
				}
			}
		}
	}
}

// neededTogether returns the pairs of sources for which an alternative needs two tokens at once.
func (g *Guard) neededTogether() map[[2]int]bool {
	pairs := map[[2]int]bool{}
	g.eachPair(func(one, other *requiredScheme, together bool) {
		if together {
			pairs[[2]int{one.source, other.source}] = true
		}
	})
	return pairs
}

// findExclusivePairs finds the sources that exclude each other: the query and another place, unless
// an alternative needs both (RFC 6750, section 2).
func (g *Guard) findExclusivePairs() {
	together := g.neededTogether()
	g.eachPair(func(one, other *requiredScheme, _ bool) {
		pair := [2]int{one.source, other.source}
		if one.In == InQuery && other.In != InQuery && !together[pair] && !slices.Contains(g.exclusivePairs, pair) {
			g.exclusivePairs = append(g.exclusivePairs, pair)
		}
	})
}

// findDisplaced finds the header sources that displace a cookie with the same token type, unless an
// alternative needs both. A cookie is ambient and a header is explicit.
func (g *Guard) findDisplaced() {
	together := g.neededTogether()
	g.eachPair(func(one, other *requiredScheme, _ bool) {
		if one.In == InCookie && other.In == InHeader && one.Token.Name() == other.Token.Name() && !together[[2]int{one.source, other.source}] {
			one.displacedBy = append(one.displacedBy, other.source)
		}
	})
}

// findTokenSources finds the sources that have one token each time, and nothing else. In an
// alternative with another scheme a malformed token must be known before that is tried.
func (g *Guard) findTokenSources() {
	for i := range g.sources {
		g.sources[i].onlyTokens = true
	}
	for _, a := range g.alternatives {
		for _, s := range a {
			if s.Kind != KindJWT || len(a) > 1 {
				g.sources[s.source].onlyTokens = false
			}
		}
	}
}

// isNil reports whether an interface holds nothing, or a nil pointer.
func isNil(value any) bool {
	v := reflect.ValueOf(value)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}
