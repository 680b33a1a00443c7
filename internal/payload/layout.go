package payload

import (
	"strings"

	"github.com/oapi-guard/oapi-guard/internal/jose"
)

// Layout is how an issuer writes its tokens. A layout decodes the claims and accepts the type. What
// may be absent it only states; the verifier enforces the rest, so that a layout that forgets a
// check opens nothing.
type Layout interface {
	// Name names the layout in errors.
	Name() string
	// Decode reads a payload. It is called after the signature was verified.
	Decode(text []byte, names Names, wantPrivate bool) (*Claims, error)
	// Accepts reports whether a token with the header and the claims is of the wanted type.
	Accepts(header jose.Header, claims *Claims, want Type) bool
	// Optional states which parts a token may lack.
	Optional() Optional
	// ClaimNames are the names of the claims that the layout reads besides the reserved ones. No
	// private or public claim may have one of them.
	ClaimNames() []string
}

// Encoder is a Layout that can also be written.
type Encoder interface {
	Layout
	// Header returns the JOSE header of a token of the type, as JSON.
	Header(algorithm, keyID string, typ Type) []byte
	// Encode writes the payload. First it changes the claims into what the layout can say, such as
	// times in whole seconds: the caller reads them from there.
	Encode(c *Claims, names Names, typ Type, private []byte) ([]byte, error)
}

// Optional are the parts that the tokens of a layout may lack.
type Optional struct {
	// Issuer and Audience: iss and aud are checked only where the token has them.
	Issuer, Audience bool
	// ID: a token without jti is accepted. It cannot be revoked by itself.
	ID bool
	// Type: tokens of different types look alike, so that the audience must tell them apart.
	Type bool
}

// Type is a token type.
type Type struct {
	// Name is the name in the document, such as "access".
	Name string
	// Header is the header typ in the default layout: "at+jwt" for access (RFC 9068, section 2.1),
	// "rt+jwt" for refresh and "x-NAME+jwt" for any other, which are private.
	Header string
}

// Names of the token types with a special meaning.
const (
	Access  = "access"
	Refresh = "refresh"
)

// TypeOf returns the token type of the name.
func TypeOf(name string) Type {
	switch name {
	case Access:
		return Type{name, "at+jwt"}
	case Refresh:
		return Type{name, "rt+jwt"}
	default:
		return Type{name, "x-" + name + "+jwt"}
	}
}

// ValidTypeName reports whether name can be the name of a token type: lower-case letters, digits
// and dashes, beginning with a letter.
func ValidTypeName(name string) bool {
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
