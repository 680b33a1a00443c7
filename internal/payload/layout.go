package payload

import (
	"strings"

	"github.com/oapi-guard/oapi-guard/internal/jose"
)

// Layout is how an issuer writes its tokens. A layout decodes the claims and accepts the type. What
// a token must have it only states; the verifier enforces it, so that a layout that forgets a check
// opens nothing.
type Layout interface {
	// Name names the layout in errors.
	Name() string
	// Decode reads a payload. It is called after the signature was verified. The claims refer to no
	// byte of the text: the memory of the text is used again.
	Decode(text []byte, r Reading) (*Claims, error)
	// Accepts reports whether a token with the header and the claims is of the wanted type.
	Accepts(header jose.Header, claims *Claims, want Type) bool
	// Audience returns the audiences of a type of token. configured are those of the application,
	// nil if it has set none.
	Audience(configured []string, issuer string, typ Type) Audience
	// Demands states what a token must have.
	Demands() Demands
	// ClaimNames are the names of the claims that the layout reads besides the reserved ones. No
	// private or public claim may have one of them.
	ClaimNames() []string
}

// Reading is what the application wants from a payload.
type Reading struct {
	Names
	// WantPrivate collects the private claims.
	WantPrivate bool
	// TenantClaim is the claim with the tenant of an issuer template, or "".
	TenantClaim string
}

// Encoder is a Layout that can also be written.
type Encoder interface {
	Layout
	// NewID returns a new random token id.
	NewID() string
	// GenerationID returns the id of a refresh token: [GenerationID] or [GenerationUUID].
	GenerationID(session string, generation uint32) string
	// Header returns the JOSE header of a token of the type, as JSON.
	Header(algorithm, keyID string, typ Type) []byte
	// Encode writes the payload. It fails for claims that the layout cannot say.
	Encode(c *Claims, names Names, typ Type, private []byte) ([]byte, error)
}

// Audience are the audiences of a type of token.
type Audience struct {
	// Values are the accepted ones; a token must name one. nil accepts every token.
	Values []string
	// Required refuses a token without aud.
	Required bool
	// Written writes the values into a token that is issued.
	Written bool
}

// Demands are what a layout demands from a token besides the rules for all. The zero value is the
// strictest.
type Demands struct {
	// IssuerOptional: iss is checked only where the token has it.
	IssuerOptional bool
	// IDOptional: a token without jti is accepted. It cannot be revoked by itself.
	IDOptional bool
	// TypeUnknown: tokens of different types look alike, so that the audience or the client must
	// tell them apart.
	TypeUnknown bool
	// KeyIDUnknown: tokens have no kid, so that every key of the algorithm is tried.
	KeyIDUnknown bool
	// Foreign: somebody else issues the tokens.
	Foreign bool
	// Clients are the accepted clients; a token must name one. nil accepts every token.
	Clients []string
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
