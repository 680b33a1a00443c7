package payload

import (
	"cmp"
	"slices"
	"strings"
)

// Claims are the claims of one token, by their meaning and not by their name on the wire. Strings
// of decoded claims are parts of one copy of the payload.
type Claims struct {
	Issuer, Subject, ID, Session, ClientID, CSRF string

	// Type is the claim that tells the token type, in a layout that has one.
	Type string
	// Family is the session that a token without a session is refreshed into, in a layout that has
	// one. See SessionID.
	Family string

	Audience                             []string
	Expires, Issued, NotBefore, AuthTime Instant
	// ChosenStart is set where the application chose AuthTime, which may have to be later than a
	// cut-off: rounding goes up.
	ChosenStart bool

	Fresh bool
	// FreshUntil is the time until which the token is fresh, in a layout that has one.
	FreshUntil Instant

	// Roles is nil for a token without roles and for one with a malformed roles claim. Both fail
	// every rule about roles.
	Roles  []string
	Scopes []string

	// Private is a JSON object with the private claims, or nil. Public is a JSON object with the
	// public claims under their paths, or nil.
	Private, Public []byte
}

// SessionID returns the session that revocations go by: the claim sid, or Family.
func (c *Claims) SessionID() string { return cmp.Or(c.Session, c.Family) }

// SessionStart returns when the session of the token began: auth_time, or iat where there is none.
func (c *Claims) SessionStart() Instant { return cmp.Or(c.AuthTime, c.Issued) }

// Size returns how much memory the lists and objects of the claims take at most, in bytes. The
// other strings are parts of the payload.
func (c *Claims) Size() int {
	const header = 16 // of a string, on 64-bit machines
	size := cap(c.Private) + cap(c.Public)
	for _, list := range [][]string{c.Audience, c.Roles, c.Scopes} {
		size += cap(list) * header
		for _, s := range list {
			size += len(s)
		}
	}
	return size
}

// WholeSeconds rounds all times down to whole seconds, so that no token lives longer than it should
// and no session begins after a cut-off that covers it. A chosen start is rounded up. It reports
// false if no time is left between iat and exp.
func (c *Claims) WholeSeconds() bool {
	if c.ChosenStart {
		c.AuthTime += 999
	}
	for _, at := range []*Instant{&c.Expires, &c.Issued, &c.NotBefore, &c.AuthTime} {
		*at -= *at % 1000
	}
	return c.Expires == None || c.Expires > c.Issued
}

// reserved are the claims that every layout reads and writes, and those that RFC 7519, RFC 9068 and
// RFC 8693 define. No private claim has one of these names, in any case.
var reserved = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "auth_time", "acr", "amr", "azp", "client_id",
	"scope", "scp", "roles", "fresh", "csrf", "typ", "type", "cnf", "act", "may_act",
}

// IsReserved reports whether name is a reserved claim, or differs from one only in case.
func IsReserved(name string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool { return strings.EqualFold(r, name) })
}

// Reserved returns the reserved claims.
func Reserved() []string { return slices.Clone(reserved) }

// Names are the parts of claim names that the application chose.
type Names struct {
	// Namespace begins the name of each public claim. It ends with a slash, or is "" for none.
	Namespace string
	// Prefix begins the name of each private claim. It ends with an underscore, or is "" for none.
	Prefix string
}

// InNamespace reports whether a claim is a public claim.
func (n Names) InNamespace(claim string) bool {
	return n.Namespace != "" && strings.HasPrefix(claim, n.Namespace)
}

// ValidScope reports whether s is a scope-token of RFC 6749, section 3.3.
func ValidScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c < 0x21 || c > 0x7e || c == '"' || c == '\\' })
}
