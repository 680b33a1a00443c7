package guard

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Operation is the security of one operation of the document. Generated code has one value for each
// operation, and the guard is bound to its address.
type Operation struct {
	// ID is the operationId of the document, or METHOD and path where there is none.
	ID string
	// Method and Path are as in the document: "GET", "/users/{id}".
	Method, Path string
	// Requirement is the security of the operation, or that of the document. It is nil for a public
	// operation.
	Requirement Requirement
	// Rules are for every credential, of each alternative.
	Rules Rules
}

// Requirement is the security of an operation: alternatives in document order. One must hold.
type Requirement []Alternative

// Alternative is one element of security. All of its schemes must hold. An empty one is for
// anonymous callers.
type Alternative []*Scheme

// Rules are what an operation needs besides a valid credential.
type Rules struct {
	// Fresh needs a token that a log-in issued, not a refresh.
	Fresh bool
	// MaxAge needs an authentication at most this long ago. Zero is no rule.
	MaxAge time.Duration
	// AllowRoles needs at least one of the roles. DenyRoles refuses a credential with one of them,
	// and one without roles. Only one of the two may be set.
	AllowRoles, DenyRoles []string
	// ImmediateRevocation asks the store of the blacklist itself, besides the copy that a replica
	// keeps in this process. It has no effect without a replica.
	ImmediateRevocation bool
	// Watch ends the context of the handler when the token expires or is revoked; see
	// security.Validator.Watch.
	Watch bool
}

// Public reports whether the operation has no security.
func (o *Operation) Public() bool { return len(o.Requirement) == 0 }

// Optional reports whether the operation accepts anonymous callers besides those with credentials.
func (o *Operation) Optional() bool {
	return slices.ContainsFunc(o.Requirement, func(a Alternative) bool { return len(a) == 0 })
}

// validate refuses what the guard could not enforce.
func (o *Operation) validate() error {
	for _, alternative := range o.Requirement {
		for _, scheme := range alternative {
			if err := scheme.validate(); err != nil {
				return err
			}
			if o.Rules.Fresh && scheme.Kind != KindJWT {
				return fmt.Errorf("scheme %s: only tokens are fresh; use an age instead", scheme.Name)
			}
			if o.Rules.Watch && scheme.Kind != KindJWT {
				return fmt.Errorf("scheme %s: only tokens are watched", scheme.Name)
			}
		}
		if err := alternative.validate(); err != nil {
			return err
		}
	}
	if (o.Rules.any() || o.Rules.ofTokens()) && o.Public() {
		return errors.New("rules on a public operation")
	}
	return o.Rules.validate()
}

// validate refuses schemes that can never hold together: two different credentials in one place.
func (a Alternative) validate() error {
	for i, scheme := range a {
		for _, other := range a[:i] {
			one, two := scheme.source(), other.source()
			switch {
			case one.in != two.in || one.name != two.name:
			case scheme.Kind != KindJWT || other.Kind != KindJWT || one != two || scheme.Token.Name() != other.Token.Name() || scheme.Token.Verifier() != other.Token.Verifier():
				return fmt.Errorf("schemes %s and %s can never hold together: their credentials are in the same place", other.Name, scheme.Name)
			}
		}
	}
	return nil
}

// ofTokens reports whether the operation has a rule for the revocation of its tokens.
func (r *Rules) ofTokens() bool { return r.ImmediateRevocation || r.Watch }

// any reports whether the operation asks for anything beyond a valid credential.
func (r *Rules) any() bool {
	return r.Fresh || r.MaxAge != 0 || r.AllowRoles != nil || r.DenyRoles != nil
}

// validate refuses rules that contradict each other.
func (r *Rules) validate() error {
	switch {
	case r.AllowRoles != nil && r.DenyRoles != nil:
		return errors.New("roles both allowed and denied")
	case r.AllowRoles != nil && len(r.AllowRoles) == 0, r.DenyRoles != nil && len(r.DenyRoles) == 0:
		return errors.New("an empty list of roles")
	case r.MaxAge < 0:
		return errors.New("a negative age")
	}
	return nil
}

// Clone returns a deep copy.
func (o *Operation) Clone() Operation {
	c := *o
	c.Requirement = slices.Clone(o.Requirement)
	for i, alternative := range c.Requirement {
		c.Requirement[i] = slices.Clone(alternative)
		for j, scheme := range c.Requirement[i] {
			copied := *scheme
			copied.Scopes, copied.Roles = slices.Clone(scheme.Scopes), slices.Clone(scheme.Roles)
			c.Requirement[i][j] = &copied
		}
	}
	c.Rules.AllowRoles = slices.Clone(o.Rules.AllowRoles)
	c.Rules.DenyRoles = slices.Clone(o.Rules.DenyRoles)
	return c
}
