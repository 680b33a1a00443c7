//go:build ignore

package security

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// NoClaims is the type of private claims of a token type that has none.
type NoClaims struct{}

// Token is a verified token whose private claims have the type C. Only a [Validator] makes one, so holding one means that
// the token was verified. Generated code embeds it in a type of its own for each token type, so that an access token
// cannot be passed where a refresh token belongs. The zero Token is no token: its methods return zero values, and every
// function that takes a token refuses it.
//
// A Token prints, logs and encodes as its type only.
type Token[C any] struct{ state *tokenState[C] }

// tokenState is shared by the copies of a token and never changes.
type tokenState[C any] struct {
	verified
	private C
}

func (s *tokenState[C]) token() AnyToken { return Token[C]{s} }

// verified is what all token types have in common.
type verified struct {
	claims   *claims
	verifier *Verifier
	typ      string
}

func (v *verified) base() *verified { return v }

// AnyToken is a verified token of whatever type: a [Token] or a generated type that embeds one.
type AnyToken interface {
	// Type returns the token type, such as "access" or "refresh".
	Type() string
	// Subject returns whom the token speaks for (sub; RFC 7519, section 4.1.2).
	Subject() string
	// ID returns the token's id (jti; RFC 7519, section 4.1.7).
	ID() string
	// Session returns the id of the session, shared by all tokens of one login (sid), or "".
	Session() string

	base() *verified
}

var errZeroToken = errors.New("security: the zero token is not a token")

// verifiedOf returns what a token holds, or an error for nil and for the zero token.
func verifiedOf(token AnyToken) (*verified, error) {
	if isNil(token) { // also what an optional operation has for anonymous callers
		return nil, errZeroToken
	}
	v := token.base()
	if v == nil || v.claims == nil {
		return nil, errZeroToken
	}
	return v, nil
}

// isNil reports whether an interface holds nothing, or a nil pointer.
func isNil(value any) bool {
	v := reflect.ValueOf(value)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

func (t Token[C]) base() *verified {
	if t.state == nil {
		return nil
	}
	return &t.state.verified
}

// get returns what the token says, or no claims for the zero token.
func (t Token[C]) get() *claims {
	if t.state == nil {
		return &claims{}
	}
	return t.state.claims
}

// Type returns the token type, such as "access" or "refresh".
func (t Token[C]) Type() string {
	if t.state == nil {
		return ""
	}
	return t.state.typ
}

// Claims returns the private claims.
func (t Token[C]) Claims() C {
	if t.state == nil {
		var zero C
		return zero
	}
	return t.state.private
}

// Subject returns whom the token speaks for (sub; RFC 7519, section 4.1.2).
func (t Token[C]) Subject() string { return t.get().subject }

// ID returns the token's id (jti; RFC 7519, section 4.1.7).
func (t Token[C]) ID() string { return t.get().id }

// Session returns the id of the session, shared by all tokens of one login (sid), or "".
func (t Token[C]) Session() string { return t.get().session }

// Issuer returns who issued the token (iss; RFC 7519, section 4.1.1).
func (t Token[C]) Issuer() string { return t.get().issuer }

// Audience returns for whom the token is (aud; RFC 7519, section 4.1.3).
func (t Token[C]) Audience() []string { return slices.Clone(t.get().audience) }

// ClientID returns the client that the token was issued to (client_id; RFC 9068, section 2.2), or "".
func (t Token[C]) ClientID() string { return t.get().clientID }

// ExpiresAt returns when the token expires (exp; RFC 7519, section 4.1.4), to the millisecond, in UTC.
func (t Token[C]) ExpiresAt() time.Time { return t.get().expires.Time() }

// IssuedAt returns when the token was issued (iat; RFC 7519, section 4.1.6), to the millisecond, in UTC.
func (t Token[C]) IssuedAt() time.Time { return t.get().issued.Time() }

// NotBefore returns when the token's time begins (nbf; RFC 7519, section 4.1.5), or the zero time.
func (t Token[C]) NotBefore() time.Time { return t.get().notBefore.Time() }

// AuthTime returns when the subject last proved who it is (auth_time; RFC 9068, section 2.2.1), or the zero time. It is
// set at login and copied on refresh.
func (t Token[C]) AuthTime() time.Time { return t.get().authTime.Time() }

// Fresh reports whether the token was issued by a login and not by a refresh.
func (t Token[C]) Fresh() bool { return t.get().fresh }

// CSRF returns the claim csrf of a token that was issued for a cookie, or "".
func (t Token[C]) CSRF() string { return t.get().csrf }

// Roles returns the token's roles.
func (t Token[C]) Roles() []string { return slices.Clone(t.get().roles) }

// Role returns the role of a token that has exactly one, or "".
func (t Token[C]) Role() string {
	if roles := t.get().roles; len(roles) == 1 {
		return roles[0]
	}
	return ""
}

// HasRole reports whether the token has the role.
func (t Token[C]) HasRole(role string) bool { return slices.Contains(t.get().roles, role) }

// Scopes returns the token's scopes (scope; RFC 8693, section 4.2).
func (t Token[C]) Scopes() []string { return slices.Clone(t.get().scopes) }

// HasScope reports whether the token has the scope.
func (t Token[C]) HasScope(scope string) bool { return slices.Contains(t.get().scopes, scope) }

// Identity returns what the blacklist knows of the token.
func (t Token[C]) Identity() blacklist.Identity {
	if t.state == nil {
		return blacklist.Identity{}
	}
	return t.state.identity()
}

func (v *verified) identity() blacklist.Identity {
	return blacklist.Identity{
		Verifier: v.verifier.name, ID: v.claims.id, Session: v.session(), Subject: v.claims.subject,
		SessionStart: v.claims.sessionStart().Time(),
	}
}

// session returns the id of the token's session. A token of a Python service has none: its own id is that of the session that it is
// refreshed into, so that using it twice ends what was made of it.
func (v *verified) session() string {
	if v.claims.session == "" && v.verifier.layout.anyone {
		return v.claims.id
	}
	return v.claims.session
}

// String returns the token's type. No method prints more of it.
func (t Token[C]) String() string { return redacted(t.Type()) }

// Format prints as String does, whatever the verb.
func (t Token[C]) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// LogValue logs as String does.
func (t Token[C]) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText encodes as String does.
func (t Token[C]) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

func redacted(typ string) string {
	if typ == "" {
		return "[no token]"
	}
	return "[" + typ + " token]"
}

// TokenType is a kind of token of the document, such as access or refresh, with the Go type of its private claims. Make
// one with [NewTokenType]; generated code does.
type TokenType interface {
	// Name returns the name, such as "access".
	Name() string

	headerType() string
	hasClaims() bool
	// sharedSize returns how many bytes the private claims take, and whether requests can share them.
	sharedSize() (int, bool)
	newToken(v verified) (credential, error)
}

// credential is a verified token as it travels on the context, before generated code gives it its type.
type credential interface {
	base() *verified
	token() AnyToken
}

type tokenType[C any] struct {
	name string
	// shared says that tokens with the same private claims can share them.
	shared bool
}

// Names of the token types that have a meaning of their own.
const (
	accessType  = "access"
	refreshType = "refresh"
)

// NewTokenType returns the token type of the given name whose private claims have the type C; NoClaims where it has
// none. In the layout of RFC 9068 the header typ of an access token is "at+jwt"; that of a refresh token, "rt+jwt", and
// of any other, "x-NAME+jwt", are private to this package.
func NewTokenType[C any](name string) TokenType {
	return tokenType[C]{name, isImmutable(reflect.TypeFor[C]())}
}

// isImmutable reports whether whoever has a copy of a value of the type cannot change the value that it was copied from.
func isImmutable(t reflect.Type) bool {
	switch k := t.Kind(); {
	case t == reflect.TypeFor[time.Time]():
		return true // what it points to is never changed
	case k >= reflect.Bool && k <= reflect.Complex128, k == reflect.String:
		return true
	case k == reflect.Array:
		return isImmutable(t.Elem())
	case k == reflect.Struct:
		for field := range t.Fields() {
			if !isImmutable(field.Type) {
				return false
			}
		}
		return true
	}
	return false
}

func (t tokenType[C]) Name() string { return t.name }

func (t tokenType[C]) headerType() string {
	switch t.name {
	case accessType:
		return "at+jwt"
	case refreshType:
		return "rt+jwt"
	default:
		return "x-" + t.name + "+jwt"
	}
}

func (t tokenType[C]) hasClaims() bool {
	_, none := any(*new(C)).(NoClaims)
	return !none
}

func (t tokenType[C]) sharedSize() (int, bool) {
	return int(reflect.TypeFor[C]().Size()), t.shared
}

func (t tokenType[C]) newToken(v verified) (credential, error) {
	v.typ = t.name
	state := &tokenState[C]{verified: v}
	if t.hasClaims() && v.claims.private != nil {
		if err := json.Unmarshal(v.claims.private, &state.private); err != nil {
			return nil, because(ErrInvalidToken, "the private claims")
		}
	}
	return state, nil
}

// validTypeName reports whether name can name a token type: lower-case letters, digits and dashes, a letter first.
func validTypeName(name string) bool {
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return len(bytes.Trim([]byte(name), "abcdefghijklmnopqrstuvwxyz0123456789-")) == 0
}
