package securitytest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/security/guard"
)

// try is one request to an operation.
type try struct {
	// label is the credential in the words of the table.
	label string
	// group is the label of a bad token without its defect. If all of them have the same answer,
	// the table has one row for them.
	group string
	// present are the credentials of the request.
	present []presented
	// crossSite is set where the page of another site makes a browser send the request.
	crossSite bool
	// noCSRF is set where the claim csrf of the tokens in cookies is not repeated.
	noCSRF bool
	// unknownScheme is set for a header Authorization that no scheme understands.
	unknownScheme bool
}

// presented is one credential of a request, at the place of its scheme.
type presented struct {
	scheme *guard.Scheme
	// name are the schemes that the credential is for.
	name string
	// token is for a JWT, and supplied for another credential. Without both the credential is one
	// that nobody has.
	token    *tokenFacts
	supplied *Credential
	// twice is set where the request has the credential two times.
	twice bool
}

// tokenFacts are what the document's rules ask of a token.
type tokenFacts struct {
	roles, scopes []string
	fresh         bool
	age           time.Duration
	defect        Defect
	wrongType     string
}

func (p presented) with(change func(*tokenFacts)) presented {
	facts := *p.token
	facts.roles, facts.scopes = slices.Clone(facts.roles), slices.Clone(facts.scopes)
	change(&facts)
	p.token = &facts
	return p
}

// otherRole is a role that no document names.
const otherRole = "securitytest-other"

// builder makes the tries of one operation.
type builder struct {
	*matrix
	o        *guard.Operation
	tries    []try
	problems []string
}

// triesOf returns the requests to an operation, each once.
func (m *matrix) triesOf(o *guard.Operation) ([]try, []string) {
	b := &builder{matrix: m, o: o}
	b.add(try{label: "no credential"})
	b.add(try{label: "unknown authentication scheme", unknownScheme: true})
	for _, alternative := range o.Requirement {
		if len(alternative) > 0 {
			b.addAlternative(alternative)
		}
	}
	return b.tries, b.problems
}

// add adds a try, unless there is one of the same label.
func (b *builder) add(t try) {
	if !slices.ContainsFunc(b.tries, func(other try) bool { return other.label == t.label }) {
		b.tries = append(b.tries, t)
	}
}

// addAlternative adds the complete alternative, and each change of one of its credentials.
func (b *builder) addAlternative(alternative guard.Alternative) {
	var all []presented
	for _, schemes := range byPlace(alternative) {
		p, err := b.sufficient(schemes)
		if err != nil {
			b.problems = append(b.problems, err.Error())
			return
		}
		all = append(all, p)
	}
	b.add(try{label: labelOf(all, -1, ""), present: all})
	for i, p := range all {
		vary := func(what string, changed presented, t try) {
			t.present = slices.Clone(all)
			t.present[i] = changed
			t.label = labelOf(all, i, what)
			if t.group != "" {
				t.group = labelOf(all, i, t.group)
			}
			b.add(t)
		}
		if len(all) > 1 {
			b.add(try{label: labelOf(slices.Delete(slices.Clone(all), i, i+1), -1, "") + " without " + p.name, present: slices.Delete(slices.Clone(all), i, i+1)})
		}
		b.varyCredential(p, vary)
		if p.scheme.Kind == guard.KindJWT {
			b.varyRules(p, vary)
			b.varyBadTokens(p, vary)
		}
	}
}

type varyFunc func(what string, changed presented, t try)

// varyCredential adds what can be wrong with every kind of credential.
func (b *builder) varyCredential(p presented, vary varyFunc) {
	bad := presented{scheme: p.scheme, name: p.name}
	switch {
	case p.scheme.Kind == guard.KindJWT:
		vary("not a token", bad, try{group: badToken})
		if p.scheme.In == guard.InCookie && isUnsafe(b.o) {
			vary("without its CSRF claim", p, try{noCSRF: true})
		}
	case p.scheme.Kind != guard.KindCertificate:
		vary("unknown", bad, try{})
	}
	if p.scheme.In != guard.InCookie && (p.supplied == nil || p.supplied.Set == nil) {
		twice := p
		twice.twice = true
		vary("twice", twice, try{})
	}
	for i := range b.credentials[p.scheme.Name] {
		other := &b.credentials[p.scheme.Name][i]
		if p.supplied != nil && p.supplied != other {
			changed := bad
			changed.supplied = other
			vary(other.Name, changed, try{})
		}
	}
	if isAmbient(p.scheme) && isUnsafe(b.o) {
		vary("from another site", p, try{crossSite: true})
	}
}

// varyRules adds a token without each scope, role and freshness that the document asks for.
func (b *builder) varyRules(p presented, vary varyFunc) {
	rules := &b.o.Rules
	required := slices.DeleteFunc(slices.Clone(p.token.roles), func(role string) bool { return rules.AllowRoles != nil && role == rules.AllowRoles[0] })
	roles := func(what string, list ...string) {
		changed := p.with(func(f *tokenFacts) { f.roles = list })
		vary(strings.Join(append([]string{what}, describe(changed, "role")...), ", "), changed, try{})
	}
	if rules.AllowRoles != nil || rules.DenyRoles != nil || len(p.token.roles) > 0 {
		roles("no role")
		if !slices.Contains(p.token.roles, otherRole) {
			roles("another role", otherRole)
		}
	}
	if rules.AllowRoles != nil {
		for _, role := range rules.AllowRoles[1:] {
			roles("role "+role, append(slices.Clone(required), role)...)
		}
	}
	for _, role := range rules.DenyRoles {
		roles("role "+role, append(slices.Clone(p.token.roles), role)...)
	}
	for _, role := range p.token.roles {
		if len(p.token.roles) > 1 {
			roles("without role "+role, without(p.token.roles, role)...)
		}
	}
	for _, scope := range p.token.scopes {
		changed := p.with(func(f *tokenFacts) { f.scopes = without(f.scopes, scope) })
		vary(strings.Join(append([]string{"without scope " + scope}, describe(changed, "scope")...), ", "), changed, try{})
	}
	if rules.Fresh {
		vary(strings.Join(append([]string{"not fresh"}, describe(p, "fresh")...), ", "), p.with(func(f *tokenFacts) { f.fresh = false }), try{})
	}
	if rules.MaxAge > 0 {
		stale := p.with(func(f *tokenFacts) { f.age = rules.MaxAge + time.Second })
		vary(strings.Join(append([]string{"authenticated more than " + short(rules.MaxAge) + " ago"}, describe(p, "")...), ", "), stale, try{})
	}
}

const badToken = "bad token"

// varyBadTokens adds a token with each defect that the layout of its verifier notices.
func (b *builder) varyBadTokens(p presented, vary varyFunc) {
	for _, defect := range defects {
		changed := p.with(func(f *tokenFacts) { f.defect = defect })
		if defect == WrongType {
			changed.token.wrongType = b.wrongType(p.scheme)
		}
		_, err := b.textOf(&changed)
		if errors.Is(err, errNoDefect) || defect == WrongType && errors.Is(err, errNotIssued) {
			continue // its layout leaves that open, or has no other type
		}
		vary(string(defect), changed, try{group: badToken})
	}
}

// wrongType returns the name of a type that the operation does not accept, if possible one of the
// document.
func (b *builder) wrongType(scheme *guard.Scheme) string {
	accepted := map[string]bool{}
	for _, alternative := range b.o.Requirement {
		for _, s := range alternative {
			if s.Kind == guard.KindJWT {
				accepted[s.Token.Name()] = true
			}
		}
	}
	names := []string{"access", "refresh"}
	for _, o := range b.operations {
		for _, alternative := range o.Requirement {
			for _, s := range alternative {
				if s.Kind == guard.KindJWT && s.Token.Verifier() == scheme.Token.Verifier() {
					names = append(names, s.Token.Name())
				}
			}
		}
	}
	for _, name := range names {
		if !accepted[name] {
			return name
		}
	}
	return "securitytest-other"
}

// sufficient returns a credential that satisfies the schemes of one place, and the rules of the
// operation.
func (b *builder) sufficient(schemes []*guard.Scheme) (presented, error) {
	first := schemes[0]
	var names []string
	for _, s := range schemes {
		if !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	p := presented{scheme: first, name: strings.Join(names, " and ")}
	if first.Kind == guard.KindJWT {
		p.token = b.sufficientToken(schemes)
		if _, err := b.textOf(&p); err != nil {
			return p, err
		}
		return p, nil
	}
	supplied := b.credentials[first.Name]
	for i := range supplied {
		p.supplied = &supplied[i]
		if b.refusal(b.o, first, &p, &try{}) == "" {
			return p, nil
		}
	}
	return p, fmt.Errorf("no credential of the scheme %s satisfies the rules of the operation; supply one with securitytest.WithCredentials", first.Name)
}

func (b *builder) sufficientToken(schemes []*guard.Scheme) *tokenFacts {
	facts := &tokenFacts{fresh: b.o.Rules.Fresh}
	if b.o.Rules.AllowRoles != nil {
		facts.roles = b.o.Rules.AllowRoles[:1:1]
	}
	for _, s := range schemes {
		for _, role := range s.Roles {
			if !slices.Contains(facts.roles, role) {
				facts.roles = append(facts.roles, role)
			}
		}
		for _, scope := range s.Scopes {
			if !slices.Contains(facts.scopes, scope) {
				facts.scopes = append(facts.scopes, scope)
			}
		}
	}
	if b.o.Rules.DenyRoles != nil && len(facts.roles) == 0 {
		facts.roles = []string{otherRole}
	}
	return facts
}

// byPlace groups the schemes of an alternative by the place of their credential: one credential
// must satisfy all schemes of a place.
func byPlace(alternative guard.Alternative) [][]*guard.Scheme {
	var groups [][]*guard.Scheme
	for _, s := range alternative {
		at := slices.IndexFunc(groups, func(group []*guard.Scheme) bool { return placeOf(group[0]) == placeOf(s) })
		if at < 0 {
			groups = append(groups, []*guard.Scheme{s})
			continue
		}
		groups[at] = append(groups[at], s)
	}
	return groups
}

// labelOf describes the credentials. Of the credential at index changed, what is said instead.
func labelOf(all []presented, changed int, what string) string {
	var labels []string
	for i, p := range all {
		details := what
		if i != changed {
			details = strings.Join(describe(p, ""), ", ")
		}
		label := p.name
		if details != "" {
			label += " (" + details + ")"
		}
		labels = append(labels, label)
	}
	return strings.Join(labels, " and ")
}

// describe lists what a credential has, without what the label says otherwise.
func describe(p presented, except string) []string {
	var details []string
	switch {
	case p.supplied != nil:
		return []string{p.supplied.Name}
	case p.token == nil:
		return nil
	}
	if except != "role" {
		for _, role := range p.token.roles {
			if role == otherRole {
				role = "none of those denied"
			}
			details = append(details, "role "+role)
		}
	}
	for _, scope := range p.token.scopes {
		details = append(details, "scope "+scope)
	}
	if p.token.fresh && except != "fresh" {
		details = append(details, "fresh")
	}
	return details
}

func without(list []string, value string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(other string) bool { return other == value })
}

// short prints a duration without the zeros at its end.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
