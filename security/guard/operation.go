//go:build ignore

package security

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Operation is what the document says of one operation's security. Generated code holds one for each, and the guard of an
// operation is bound to it by its address.
type Operation struct {
	// ID is the operationId as the document has it, or METHOD and path where it has none.
	ID string
	// Method and Path are as in the document: "GET", "/users/{id}".
	Method, Path string
	// Requirement is the operation's own security, or the document's; nil for a public operation.
	Requirement Requirement
	// Rules hold for whoever identifies, by whichever alternative.
	Rules Rules
}

// Requirement is the security of an operation: alternatives in document order, of which one has to hold.
type Requirement []Alternative

// Alternative is one element of security: all of its schemes have to hold. An empty one is for anonymous callers.
type Alternative []*Scheme

// Rules are what an operation asks beyond a valid credential.
type Rules struct {
	// Fresh asks for a token that a login issued, not a refresh.
	Fresh bool
	// MaxAge asks for an authentication at most this long ago; zero asks for nothing.
	MaxAge time.Duration
	// AllowRoles asks for at least one of the roles. DenyRoles refuses whoever has one of them, and whoever has no
	// roles. Only one of the two may be set.
	AllowRoles, DenyRoles []string
}

// Public reports whether the operation has no security at all.
func (o *Operation) Public() bool { return len(o.Requirement) == 0 }

// Optional reports whether anonymous callers are welcome beside those who identify.
func (o *Operation) Optional() bool {
	return slices.ContainsFunc(o.Requirement, func(a Alternative) bool { return len(a) == 0 })
}

// check refuses what the guard could not enforce.
func (o *Operation) check() error {
	for _, alternative := range o.Requirement {
		for _, scheme := range alternative {
			if err := scheme.check(); err != nil {
				return err
			}
			if o.Rules.Fresh && scheme.Kind != KindJWT {
				return fmt.Errorf("scheme %s: only tokens are fresh; ask for an age instead", scheme.Name)
			}
		}
		if err := alternative.check(); err != nil {
			return err
		}
	}
	rules := o.Rules
	hasRules := rules.Fresh || rules.MaxAge != 0 || rules.AllowRoles != nil || rules.DenyRoles != nil
	switch {
	case hasRules && o.Public():
		return errors.New("rules on a public operation")
	case rules.AllowRoles != nil && rules.DenyRoles != nil:
		return errors.New("roles both allowed and denied")
	case rules.AllowRoles != nil && len(rules.AllowRoles) == 0, rules.DenyRoles != nil && len(rules.DenyRoles) == 0:
		return errors.New("an empty list of roles")
	case rules.MaxAge < 0:
		return errors.New("a negative age")
	}
	return nil
}

// check refuses schemes that can never hold together: two different credentials in one place.
func (a Alternative) check() error {
	for i, own := range a {
		for _, other := range a[:i] {
			one, two := own.source(), other.source()
			switch {
			case one.in != two.in || one.name != two.name:
			case own.Kind != KindJWT || other.Kind != KindJWT || one != two || own.Token.Name() != other.Token.Name() || own.Verifier != other.Verifier:
				return fmt.Errorf("schemes %s and %s can never hold together: their credentials stand in the same place", other.Name, own.Name)
			}
		}
	}
	return nil
}

// check decides whether the token satisfies the rules. The order is fixed: freshness, then roles.
func (r *Rules) check(c *claims, now instant, leeway time.Duration) error {
	if r.Fresh && !c.fresh {
		return ErrFreshTokenRequired
	}
	if r.MaxAge > 0 && (c.authTime == none || c.authTime > now.add(leeway) || c.authTime.add(r.MaxAge) < now) {
		return ErrFreshTokenRequired
	}
	has := func(role string) bool { return slices.Contains(c.roles, role) }
	if r.AllowRoles != nil && !slices.ContainsFunc(r.AllowRoles, has) {
		return ErrAccessDenied
	}
	if r.DenyRoles != nil && (len(c.roles) == 0 || slices.ContainsFunc(r.DenyRoles, has)) {
		return ErrAccessDenied
	}
	return nil
}

// Clone returns a copy that shares nothing that can be changed with o.
func (o *Operation) Clone() Operation {
	c := *o
	c.Requirement = slices.Clone(o.Requirement)
	for i, alternative := range c.Requirement {
		c.Requirement[i] = slices.Clone(alternative)
		for j, scheme := range c.Requirement[i] {
			own := *scheme
			own.Scopes, own.Roles = slices.Clone(scheme.Scopes), slices.Clone(scheme.Roles)
			c.Requirement[i][j] = &own
		}
	}
	c.Rules.AllowRoles = slices.Clone(o.Rules.AllowRoles)
	c.Rules.DenyRoles = slices.Clone(o.Rules.DenyRoles)
	return c
}
