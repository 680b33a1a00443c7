package guard

import (
	"slices"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// checkRules checks the rules of the operation: freshness, then roles; then the scopes and roles of
// the requirement.
func (g *Guard) checkRules(s *requiredScheme, c *acceptedCredential) error {
	var has facts = c.caller
	if c.token != nil {
		has = c.token
	}
	rules := &g.operation.Rules
	if rules.Fresh && !has.Fresh() || rules.MaxAge > 0 && !s.verifier.IsRecent(has.AuthTime(), rules.MaxAge) {
		return security.ErrFreshTokenRequired
	}
	if rules.AllowRoles != nil && !slices.ContainsFunc(rules.AllowRoles, has.HasRole) {
		return security.ErrAccessDenied
	}
	if rules.DenyRoles != nil && (!has.HasRoles() || slices.ContainsFunc(rules.DenyRoles, has.HasRole)) {
		return security.ErrAccessDenied
	}
	for _, scope := range s.Scopes {
		if !has.HasScope(scope) {
			return security.ErrAccessDenied.Because("a scope is missing", missingScopes(s.Scopes))
		}
	}
	for _, role := range s.Roles {
		if !has.HasRole(role) {
			return security.ErrAccessDenied.Because("a role is missing", nil)
		}
	}
	return nil
}

// facts are what rules ask of a credential. A token has them, and so has a caller.
type facts interface {
	Fresh() bool
	AuthTime() time.Time
	HasRole(role string) bool
	HasRoles() bool
	HasScope(scope string) bool
}

// missingScopes are the scopes of a requirement of which one is missing. The challenge names them.
type missingScopes []string

func (missingScopes) Error() string { return "guard: a scope is missing" }
