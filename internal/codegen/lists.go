package codegen

import (
	"fmt"
	"slices"
)

// listMeaning is what the list of a scheme in a requirement names.
type listMeaning int

const (
	// listUnknown is a list whose meaning the version of OpenAPI decides over.
	listUnknown listMeaning = iota
	listScopes
	listRoles
	listIgnored
)

// listMeanings are the values of list in x-guard.
var listMeanings = map[string]listMeaning{"scopes": listScopes, "roles": listRoles, "ignore": listIgnored}

// readList reads the keys of x-guard about the list of a scheme in a requirement.
func (s *scheme) readList(guard entries, p *problems) {
	if e, ok := guard[keyList]; ok {
		text, _ := e.value.(string)
		meaning, known := listMeanings[text]
		if !known {
			p.add(e.at, "%s is scopes, roles or ignore: what the list of the scheme in a requirement names", keyList)
		}
		s.list = meaning
	}
	if e, ok := guard[keyMatch]; ok {
		switch text, _ := e.value.(string); {
		case text == "any":
			s.matchAny = true
		case text != "all":
			p.add(e.at, "%s is all or any: how many of the list of the scheme in a requirement are needed", keyMatch)
		}
	}
}

// listMeaning returns what the list of a scheme names in this document, or listUnknown where the
// document and the configuration leave it open. OpenAPI 3.1 allows a list behind every scheme: scopes
// for tokens, roles for other credentials. OpenAPI 3.0 allows it behind oauth2 and openIdConnect.
func (r *reader) listMeaning(s *scheme) listMeaning {
	switch {
	case s.list != listUnknown:
		return s.list
	case r.doc.IsOpenAPI31OrLater() && s.kind == kindJWT:
		return listScopes
	case r.doc.IsOpenAPI31OrLater(), r.config.RolesIn30:
		return listRoles
	}
	return listUnknown
}

// readSchemeList reads the list of a scheme in a requirement.
func (r *reader) readSchemeList(required requiredScheme, list []string, at place, owner string) requiredScheme {
	s := required.scheme
	if len(list) == 0 {
		return required
	}
	switch r.listMeaning(s) {
	case listScopes:
		required.scopes = slices.Clone(list)
		for _, scope := range list {
			if !validScope(scope) {
				r.add(at, "security of %s: %q is no scope; scopes are printable ASCII without spaces, quotes and backslashes (RFC 6749, section 3.3); where the list names roles, say in the configuration %s: {%s: {%s: roles}}",
					owner, scope, keySchemes, yamlKey(s.name), keyList)
			}
		}
	case listRoles:
		required.roles = slices.Clone(list)
		if slices.Contains(list, "") {
			r.add(at, "security of %s: scheme %q has an empty role; remove it", owner, s.name)
		}
	case listUnknown:
		if !r.askedList[s] {
			r.askedList[s] = true
			r.add(at, "security of %s: OpenAPI 3.0 gives the list of scheme %q (%s) no meaning, and it names %q; say in the configuration what it names: %s",
				owner, s.name, s.text, list, listAnswers(s))
		}
	}
	return required
}

// listAnswers are the meanings that a list can have.
func listAnswers(s *scheme) string {
	return fmt.Sprintf("%s: {%s: {%[3]s: scopes}}, {%[3]s: roles}, or {%[3]s: ignore} if it names nothing that callers need", keySchemes, yamlKey(s.name), keyList)
}

// maxAlternatives bounds the alternatives that one alternative becomes by match: any.
const maxAlternatives = 64

// matchAny returns an alternative for each choice from the lists of which one element is enough.
func (r *reader) matchAny(a alternative, at place, owner string) []alternative {
	alternatives := []alternative{{}}
	for _, s := range a {
		var extended []alternative
		for _, choice := range s.choices() {
			for _, begun := range alternatives {
				extended = append(extended, append(slices.Clone(begun), choice))
			}
		}
		if len(extended) > maxAlternatives {
			r.add(at, "security of %s: %s: any makes more than %d alternatives of the lists here; name fewer", owner, keyMatch, maxAlternatives)
			return []alternative{a}
		}
		alternatives = extended
	}
	return alternatives
}

// choices returns the scheme with each element of its list where one is enough.
func (s requiredScheme) choices() []requiredScheme {
	if !s.matchAny || len(s.scopes)+len(s.roles) < 2 {
		return []requiredScheme{s}
	}
	var choices []requiredScheme
	for _, scope := range s.scopes {
		choices = append(choices, requiredScheme{scheme: s.scheme, scopes: []string{scope}})
	}
	for _, role := range s.roles {
		choices = append(choices, requiredScheme{scheme: s.scheme, roles: []string{role}})
	}
	return choices
}
