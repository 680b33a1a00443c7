package audit

import (
	"slices"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// credential is a credential that an alternative requires, with all that it has to satisfy: the lists
// of the requirement and the rules of the operation.
type credential struct {
	definition codegen.SchemeDefinition
	identity
	scopes []string
	// roles are lists of roles. The credential has at least one role of each list.
	roles [][]string
	// deny are the roles that it must not have.
	deny             []string
	fresh            bool
	maxAge           int
	immediate, watch bool
}

// identity is what two credentials need to have in common to be comparable. The name of the scheme is
// part of it where an Authenticator checks the credential, because it has a method for each scheme.
// Tokens of two schemes with one identity are the same tokens.
type identity struct {
	scheme                            string
	credential, token, verifier       string
	in, parameter, prefix, identifier string
}

// alternative is a list of credentials that a request has to have together.
type alternative []credential

// requirement is who may call an operation.
type requirement struct {
	// public says that no credential is checked. anonymous says that a request without one is admitted.
	public, anonymous bool
	alternatives      []alternative
}

// requirementOf returns who may call an operation.
func requirementOf(o *codegen.ListedOperation, schemes map[string]codegen.SchemeDefinition) requirement {
	r := requirement{public: len(o.Security) == 0}
	for _, listed := range o.Security {
		if len(listed) == 0 {
			r.anonymous = true
			continue
		}
		var a alternative
		for _, scheme := range listed {
			a = append(a, credentialOf(o, scheme, schemes[scheme.Name]))
		}
		r.alternatives = append(r.alternatives, a)
	}
	return r
}

func credentialOf(o *codegen.ListedOperation, required codegen.ListedScheme, definition codegen.SchemeDefinition) credential {
	c := credential{
		definition: definition,
		identity: identity{
			credential: definition.Credential, token: definition.Token, verifier: definition.Verifier,
			in: definition.In, parameter: definition.Parameter, prefix: definition.Prefix, identifier: definition.Provider,
		},
		scopes: required.Scopes, deny: o.DenyRoles,
		fresh: o.Fresh, maxAge: o.MaxAge, immediate: o.ImmediateRevocation, watch: o.Watch,
	}
	if definition.Credential != "token" {
		c.scheme = required.Name
	}
	for _, role := range required.Roles {
		c.roles = append(c.roles, []string{role})
	}
	if o.AllowRoles != nil {
		c.roles = append(c.roles, o.AllowRoles)
	}
	return c
}

// implies reports whether every credential that satisfies c satisfies other.
func (c credential) implies(other credential) bool {
	return c.identity == other.identity &&
		contains(c.scopes, other.scopes) &&
		!slices.ContainsFunc(other.roles, func(list []string) bool { return !c.hasRoleOf(list) }) &&
		contains(c.deny, other.deny) &&
		(c.fresh || !other.fresh) &&
		atMost(c.maxAge, other.maxAge) &&
		(c.immediate || !other.immediate) && (c.watch || !other.watch) &&
		(c.definition.CSRF == other.definition.CSRF || c.definition.CSRF == "header") &&
		impliesClaims(c.definition.Claims, other.definition.Claims)
}

// hasRoleOf reports whether the credential has a role of a list for certain.
func (c credential) hasRoleOf(list []string) bool {
	return slices.ContainsFunc(c.roles, func(required []string) bool { return contains(list, required) })
}

// atMost reports whether an age that satisfies a satisfies b. 0 is no bound.
func atMost(a, b int) bool { return b == 0 || a > 0 && a <= b }

// contains reports whether a list has all elements of another.
func contains(list, other []string) bool { return len(without(other, list)) == 0 }

// without returns the elements of a list that are not in another.
func without(list, other []string) []string {
	var rest []string
	for _, element := range list {
		if !slices.Contains(other, element) {
			rest = append(rest, element)
		}
	}
	return rest
}

// implies reports whether every request that satisfies a satisfies other.
func (a alternative) implies(other alternative) bool {
	return !slices.ContainsFunc(other, func(wanted credential) bool {
		return !slices.ContainsFunc(a, func(c credential) bool { return c.implies(wanted) })
	})
}

// impliesAny reports whether every request that satisfies a satisfies one of the alternatives.
func (a alternative) impliesAny(alternatives []alternative) bool {
	return slices.ContainsFunc(alternatives, a.implies)
}
