package payload

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
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
	// Start is when the session began, to the millisecond, in tokens that are issued here.
	Start Instant

	Fresh bool
	// FreshUntil is the time until which the token is fresh, in a layout that has one.
	FreshUntil Instant

	// Client is the client that the token was issued to, for a verifier that demands one.
	Client string
	// Tenant is the tenant of the issuer, for a verifier with an issuer template.
	Tenant string
	// Bound is set where the token is bound to a key of its holder (cnf; RFC 7800).
	Bound bool

	// Roles is nil for a token without roles and for one with a malformed roles claim. Both fail
	// every rule about roles.
	Roles  []string
	Scopes []string

	// Private is a JSON object with the private claims, or nil. Public is a JSON object with the
	// public claims under their paths, or nil.
	Private, Public []byte
}

// SessionID returns the session that revocations of a token of the type go by: the claim sid, or
// Family for a refresh token. An access token without a session has none.
func (c *Claims) SessionID(typ string) string {
	if c.Session == "" && typ == Refresh {
		return c.Family
	}
	return c.Session
}

// SessionStart returns when the session of the token began: the private claim session_start, else
// auth_time, else iat. The latter two count as the start of their second.
func (c *Claims) SessionStart() Instant { return cmp.Or(c.Start, c.AuthTime, c.Issued) }

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

// reserved are the claims that every layout reads and writes, and those that RFC 7519, RFC 9068 and
// RFC 8693 define. No private claim has one of these names, in any case.
var reserved = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "auth_time", "session_start", "acr", "amr", "azp", "client_id",
	"scope", "scp", "roles", "fresh", "csrf", "typ", "type", "cnf", "act", "may_act",
}

// IsReserved reports whether name is a reserved claim, or differs from one only in case.
func IsReserved(name string) bool {
	// Other letters than those of ASCII take more bytes, and some differ from one only in case.
	ascii := !strings.ContainsFunc(name, func(c rune) bool { return c >= utf8.RuneSelf })
	return slices.ContainsFunc(reserved, func(r string) bool {
		return (len(r) == len(name) || !ascii) && strings.EqualFold(r, name)
	})
}

// Reserved returns the reserved claims.
func Reserved() []string { return slices.Clone(reserved) }

// IsRegistered reports whether a claim decides over a token in every layout, so that no layout may
// read it as something else.
func IsRegistered(name string) bool {
	switch name {
	case "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "auth_time", "session_start", "client_id", "scope", "scp", "fresh", "csrf", "cnf":
		return true
	}
	return false
}

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
