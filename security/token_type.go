package security

import (
	"reflect"
	"time"

	"github.com/go-json-experiment/json"
)

// NoClaims is the type of the private claims of a token type that has none.
type NoClaims struct{}

// TokenType is a type of token of the document, such as access or refresh, with the Go type of its
// private claims. It belongs to one verifier. Make one with [NewTokenType].
type TokenType interface {
	// Name returns the name, such as "access".
	Name() string
	// Verifier returns the name of the verifier that the type belongs to; "" is the application's.
	Verifier() string
	// OfVerifier returns the type for tokens of another verifier; see [WithVerifier].
	OfVerifier(name string) TokenType

	// WithSchema returns the type with a check of its private claims, which is called after the
	// signature was verified, and by an issuer before it signs. claims is a JSON object. An error
	// refuses the token: 401. Package claimschema checks a JSON Schema.
	WithSchema(check func(claims []byte) error) TokenType

	hasClaims() bool
	checkSchema(claims []byte) error
	// sharedSize returns the size of the private claims in bytes, and whether requests can share
	// them.
	sharedSize() (int, bool)
	newToken(v verifiedToken) (AnyToken, error)
}

type tokenType[C any] struct {
	name, verifier string
	// shared is set where tokens with the same private claims can share them.
	shared bool
	// schema is behind a pointer, so that types can be compared.
	schema *schemaCheck
}

type schemaCheck struct{ check func(claims []byte) error }

// NewTokenType returns the token type of the given name whose private claims have the type C;
// [NoClaims] if it has none. A name has lower-case letters, digits and dashes, and begins with a
// letter. In the layout of RFC 9068 the header typ of an access token is "at+jwt". The typ of a
// refresh token, "rt+jwt", and of any other type, "x-NAME+jwt", are private to this package.
func NewTokenType[C any](name string) TokenType {
	return tokenType[C]{name: name, shared: isImmutable(reflect.TypeFor[C]())}
}

// isImmutable reports whether a copy of a value of the type cannot be used to change the value.
func isImmutable(t reflect.Type) bool {
	switch k := t.Kind(); {
	case t == reflect.TypeFor[time.Time]():
		return true // nothing changes what its pointer points to
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

func (t tokenType[C]) Name() string     { return t.name }
func (t tokenType[C]) Verifier() string { return t.verifier }

func (t tokenType[C]) OfVerifier(name string) TokenType {
	t.verifier = name
	return t
}

func (t tokenType[C]) WithSchema(check func(claims []byte) error) TokenType {
	t.schema = &schemaCheck{check}
	return t
}

func (t tokenType[C]) checkSchema(claims []byte) error {
	if t.schema == nil || t.schema.check == nil {
		return nil
	}
	if claims == nil {
		claims = []byte("{}")
	}
	return t.schema.check(claims)
}

func (t tokenType[C]) hasClaims() bool {
	_, none := any(*new(C)).(NoClaims)
	return !none
}

func (t tokenType[C]) sharedSize() (int, bool) {
	return int(reflect.TypeFor[C]().Size()), t.shared
}

func (t tokenType[C]) newToken(v verifiedToken) (AnyToken, error) {
	state := &tokenState[C]{verifiedToken: v}
	if t.hasClaims() && v.claims.Private != nil {
		if err := json.Unmarshal(v.claims.Private, &state.private); err != nil {
			return nil, withIdentity(withReason(ErrInvalidToken, "the private claims"), v.identity())
		}
	}
	return Token[C]{state}, nil
}
