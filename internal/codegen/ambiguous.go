package codegen

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// checkAmbiguous reports schemes whose tokens the document does not tell apart: two schemes that would
// accept each other's tokens, and schemes that look as if they carried refresh tokens. The answers
// that it asks for are keys of x-guard.
func (r *reader) checkAmbiguous() {
	var silent []*scheme
	for _, name := range slices.Sorted(maps.Keys(r.used)) {
		if s := r.schemes[name]; s.kind == kindJWT && !s.tokenKnown {
			silent = append(silent, s)
		}
	}
	asked := map[*scheme]bool{}
	for _, s := range silent {
		if why := r.looksLikeRefresh(s); why != "" {
			asked[s] = true
			r.add(s.at, "security scheme %q looks as if it carried refresh tokens (%s), and without an answer it carries access tokens; say which in the configuration: %s: {%s: {%s: refresh}}, or {%s: access}",
				s.name, why, keySchemes, yamlKey(s.name), keyToken, keyToken)
		}
	}
	for i, second := range silent {
		for _, first := range silent[:i] {
			if asked[first] || asked[second] || !r.sharesTokens(first, second) {
				continue
			}
			r.addShared(first, second)
		}
	}
}

// addShared reports two schemes that would accept each other's tokens. Schemes of different types get
// a warning, because a bearer scheme often stands for the tokens of an oauth2 scheme.
func (r *reader) addShared(first, second *scheme) {
	text := fmt.Sprintf("security schemes %q (line %d) and %q would accept each other's tokens: both are %s tokens of the same verifier in the same place, and not everywhere alternatives of each other with the same lists; say in the configuration what tells them apart: %s",
		first.name, first.at.line(), second.name, second.token, answers(second))
	if first.text == second.text {
		r.add(second.at, "%s", text)
		return
	}
	r.warnings = append(r.warnings, second.at.problem(text).Error())
}

// answers are the ways to tell a scheme from another.
func answers(s *scheme) string {
	key := yamlKey(s.name)
	return fmt.Sprintf("%[1]s: {%[2]s: {%[3]s: NAME}} for another type of token, {%[4]s: NAME} for tokens that others issue, {%[5]s: true} if they are not JWTs, or {%[3]s: %[6]s} if they are indeed the same tokens",
		keySchemes, key, keyToken, keyVerifier, keyOpaque, s.token)
}

// sharesTokens reports whether a token for one of the schemes satisfies the other, although some
// operation takes only one of them, or demands other scopes of it.
func (r *reader) sharesTokens(a, b *scheme) bool {
	aIn, aName := a.location()
	if bIn, bName := b.location(); aIn != bIn || aName != bName || !a.acceptsSameToken(b) {
		return false
	}
	shares := false
	for _, o := range r.operations {
		if o.requirement.together(a, b) {
			return false // one token in one place can only satisfy both if they are the same
		}
		shares = shares || !slices.Equal(o.requirement.listsOf(a), o.requirement.listsOf(b))
	}
	return shares
}

// listsOf returns the scopes and roles that the alternatives with the scheme demand of it, sorted.
func (r *requirement) listsOf(s *scheme) []string {
	var lists []string
	for _, required := range r.schemes() {
		if required.scheme == s {
			lists = append(lists, strings.Join(slices.Concat(required.scopes, required.roles), " "))
		}
	}
	slices.Sort(lists)
	return slices.Compact(lists)
}

// together reports whether an alternative demands both schemes.
func (r *requirement) together(a, b *scheme) bool {
	return slices.ContainsFunc(r.alternatives, func(alternative alternative) bool {
		one := &requirement{alternatives: [][]requiredScheme{alternative}}
		return one.takes(a) && one.takes(b)
	})
}

// takes reports whether the scheme stands in an alternative.
func (r *requirement) takes(s *scheme) bool {
	return slices.ContainsFunc(r.schemes(), func(required requiredScheme) bool { return required.scheme == s })
}

var (
	refreshName  = regexp.MustCompile(`(?i)refresh`)
	refreshToken = regexp.MustCompile(`(?i)refresh[-_ ]?(token|jwt)`)
)

// looksLikeRefresh returns why the tokens of a scheme look like refresh tokens, or "".
func (r *reader) looksLikeRefresh(s *scheme) string {
	switch {
	case refreshName.MatchString(s.name):
		return "by its name"
	case refreshToken.MatchString(s.description):
		return "by its description"
	}
	used := false
	for _, o := range r.operations {
		if !o.requirement.takes(s) {
			continue
		}
		if !refreshName.MatchString(o.id) && !refreshName.MatchString(o.path) {
			return ""
		}
		used = true
	}
	if used {
		return "by the operations that take it"
	}
	return ""
}

// yamlKey returns a name as a key of YAML.
func yamlKey(name string) string {
	if plainMember.MatchString(strings.ReplaceAll(name, "-", "_")) {
		return name
	}
	return fmt.Sprintf("%q", name)
}
