package securitytest

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/security/guard"
)

// expectation is what the table of operations says of a request.
type expectation struct {
	// answers are those that the document allows: more than one where several alternatives refuse
	// the credential, each for its reason.
	answers []string
	// alternatives are those that hold, by the names of their schemes.
	alternatives [][]string
}

func (e *expectation) holds(schemes []string) bool {
	return slices.ContainsFunc(e.alternatives, func(names []string) bool { return slices.Equal(names, schemes) })
}

func (e *expectation) allow(answer string) {
	if !slices.Contains(e.answers, answer) {
		e.answers = append(e.answers, answer)
	}
}

// Answers of operations.
const (
	// Reached means that the guard let the request pass to the handler.
	Reached = "reached"

	malformed       = "400"
	unauthenticated = "401"
	forbidden       = "403"
)

// expect returns what the document says of a request. It knows nothing of the code of the guards.
func (m *matrix) expect(o *guard.Operation, t *try) (e expectation) {
	isAnonymous := len(t.present) == 0 && !t.unknownScheme
	switch {
	case o.Public(), isAnonymous && o.Optional():
		return expectation{answers: []string{Reached}, alternatives: [][]string{nil}}
	case slices.ContainsFunc(t.present, func(p presented) bool { return p.twice }):
		return expectation{answers: []string{malformed}}
	}
	for _, alternative := range o.Requirement {
		if refusal, isComplete := m.refusalOf(o, alternative, t); isComplete {
			if refusal != "" {
				e.allow(refusal)
				continue
			}
			var names []string
			for _, s := range alternative {
				names = append(names, s.Name)
			}
			e.alternatives = append(e.alternatives, names)
		}
	}
	switch {
	case len(e.alternatives) > 0:
		e.answers = []string{Reached}
	case len(e.answers) == 0:
		e.allow(unauthenticated)
	}
	return e
}

// refusalOf returns the answer of one alternative, "" if it holds, and whether the request has all
// of its credentials.
func (m *matrix) refusalOf(o *guard.Operation, alternative guard.Alternative, t *try) (refusal string, isComplete bool) {
	for _, s := range alternative {
		at := slices.IndexFunc(t.present, func(p presented) bool { return placeOf(p.scheme) == placeOf(s) })
		if at < 0 {
			return "", false
		}
		if refusal == "" {
			refusal = m.refusal(o, s, &t.present[at], t)
		}
	}
	return refusal, len(alternative) > 0
}

// refusal returns the answer to a credential for a scheme, or "" if it suffices.
func (m *matrix) refusal(o *guard.Operation, s *guard.Scheme, p *presented, t *try) string {
	isUnproven := t.crossSite && isAmbient(s) || t.noCSRF && s.In == guard.InCookie && s.Kind == guard.KindJWT
	if s.Kind == guard.KindJWT {
		switch {
		case p.token == nil, p.token.defect != noDefect:
			return unauthenticated
		case p.scheme.Token.Name() != s.Token.Name(), p.scheme.Token.Verifier() != s.Token.Verifier():
			return unauthenticated
		case isUnproven && isUnsafe(o):
			return forbidden
		}
		fresh := p.token.fresh && s.Token.Name() == "access"
		return refusedByRules(o, s, fresh, p.token.age, p.token.roles, p.token.scopes)
	}
	if isUnproven && isUnsafe(o) {
		return forbidden
	}
	supplied := m.suppliedFor(s, p)
	if supplied == nil {
		return unauthenticated
	}
	age := time.Duration(1<<63 - 1) // never
	if !supplied.AuthTime.IsZero() {
		age = m.Clock.Now().Sub(supplied.AuthTime)
	}
	return refusedByRules(o, s, false, age, supplied.Roles, supplied.Scopes)
}

// suppliedFor returns the credential of the scheme that the request has at its place, or nil.
func (m *matrix) suppliedFor(s *guard.Scheme, p *presented) *Credential {
	if p.supplied == nil || p.scheme.Name == s.Name {
		return p.supplied
	}
	for i, other := range m.credentials[s.Name] {
		if other.Value != "" && other.Value == p.supplied.Value {
			return &m.credentials[s.Name][i]
		}
	}
	return nil
}

// refusedByRules returns the answer of the rules of the operation and of the requirement.
func refusedByRules(o *guard.Operation, s *guard.Scheme, fresh bool, age time.Duration, roles, scopes []string) string {
	has := func(role string) bool { return slices.Contains(roles, role) }
	hasScope := func(scope string) bool { return slices.Contains(scopes, scope) }
	rules := &o.Rules
	switch {
	case rules.Fresh && !fresh, rules.MaxAge > 0 && age > rules.MaxAge:
		return unauthenticated
	case rules.AllowRoles != nil && !slices.ContainsFunc(rules.AllowRoles, has):
		return forbidden
	case rules.DenyRoles != nil && (len(roles) == 0 || slices.ContainsFunc(rules.DenyRoles, has)):
		return forbidden
	case !all(s.Scopes, hasScope), !all(s.Roles, has):
		return forbidden
	}
	return ""
}

func all(list []string, holds func(string) bool) bool {
	return !slices.ContainsFunc(list, func(value string) bool { return !holds(value) })
}

// place is where a request has the credential of a scheme.
type place struct {
	in           guard.Location
	name, prefix string
	connection   bool
}

func placeOf(s *guard.Scheme) place {
	switch {
	case s.Kind == guard.KindCertificate:
		return place{connection: true}
	case s.In != guard.InHeader:
		return place{in: s.In, name: s.Parameter}
	}
	p := place{name: textproto.CanonicalMIMEHeaderKey(s.Parameter), prefix: strings.ToLower(s.Prefix)}
	if p.name == "" {
		p.name = "Authorization"
	}
	switch {
	case p.prefix != "" || p.name != "Authorization":
	case s.Kind == guard.KindBasic:
		p.prefix = "basic"
	case s.Kind == guard.KindJWT || s.Parameter == "":
		p.prefix = "bearer"
	}
	return p
}

// isUnsafe reports whether requests of the operation may change something (RFC 9110, section
// 9.2.1).
func isUnsafe(o *guard.Operation) bool {
	return o.Method != http.MethodGet && o.Method != http.MethodHead && o.Method != http.MethodOptions
}

// isAmbient reports whether browsers send the credential by themselves.
func isAmbient(s *guard.Scheme) bool {
	return s.In == guard.InCookie || s.Kind == guard.KindBasic || s.Kind == guard.KindCertificate || strings.EqualFold(s.Prefix, "digest") || strings.EqualFold(s.Prefix, "negotiate")
}
