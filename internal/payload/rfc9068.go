package payload

import (
	"crypto/rand"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oapi-guard/oapi-guard/internal/jose"
)

// RFC9068 is the default layout. The type is the header typ (RFC 9068, section 2.1). The roles are
// the claim roles (section 2.2.3.1). A type other than access has an audience that no access token
// has, and a refresh token has neither roles nor scopes: a verifier that does not check typ refuses
// it by aud.
type RFC9068 struct {
	// Plain writes the header typ JWT on access tokens, for verifiers that know no other.
	Plain bool
}

var rfc9068Names = []string{"roles"}

// Name implements Layout.
func (RFC9068) Name() string { return "RFC 9068" }

// Demands implements Layout.
func (RFC9068) Demands() Demands { return Demands{} }

// ClaimNames implements Layout.
func (RFC9068) ClaimNames() []string { return rfc9068Names }

// Audience implements Layout.
func (RFC9068) Audience(configured []string, issuer string, typ Type) Audience {
	switch {
	case typ.Name != Access:
		configured = []string{OtherAudience(issuer, typ.Name)}
	case configured == nil:
		configured = []string{issuer}
	}
	return Audience{Values: configured, Required: true, Written: true}
}

// OtherAudience returns the audience of the tokens of an issuer that are not access tokens.
func OtherAudience(issuer, typ string) string { return issuer + "#" + typ }

// Accepts implements Layout. A token of a Python layout has the header typ JWT and the audience of
// an access token too, and another place for its type: after a change of the layout a refresh token
// from before is not an access token.
func (l RFC9068) Accepts(header jose.Header, c *Claims, want Type) bool {
	return header.Type == want.Header ||
		l.Plain && want.Name == Access && header.Type == "jwt" && accessOrNone(c.Type) && accessOrNone(header.Class)
}

func accessOrNone(typ string) bool { return typ == "" || typ == Access }

// Decode implements Layout.
func (l RFC9068) Decode(text []byte, r Reading) (*Claims, error) {
	if l.Plain {
		return Decode(text, r, decodePlain)
	}
	return Decode(text, r, decodeRFC9068)
}

// decodeRFC9068 is no closure: it would be one allocation for each token.
func decodeRFC9068(d *Decoder, name []byte, value jsontext.Value) (known bool, err error) {
	if string(name) != "roles" {
		return false, nil
	}
	d.Roles = d.RolesAt(value)
	return true, nil
}

func decodePlain(d *Decoder, name []byte, value jsontext.Value) (known bool, err error) {
	if string(name) != "type" {
		return decodeRFC9068(d, name, value)
	}
	d.Type, err = d.String(value)
	return true, err
}

// NewID implements Encoder: 128 random bits as text.
func (RFC9068) NewID() string { return rand.Text() }

// GenerationID implements Encoder.
func (RFC9068) GenerationID(session string, generation uint32) string {
	return GenerationID(session, generation)
}

// Header implements Encoder.
func (l RFC9068) Header(algorithm, keyID string, typ Type) []byte {
	id, _ := jsontext.AppendQuote(nil, keyID) // fails on invalid UTF-8 only, which a key refuses
	header := typ.Header
	if l.Plain && typ.Name == Access {
		header = "JWT"
	}
	return []byte(`{"alg":"` + algorithm + `","kid":` + string(id) + `,"typ":"` + header + `"}`)
}

// Encode implements Encoder.
func (RFC9068) Encode(c *Claims, names Names, typ Type, private []byte) ([]byte, error) {
	if typ.Name == Refresh && (len(c.Roles) > 0 || len(c.Scopes) > 0) {
		return nil, errors.New("security: a refresh token has no roles and no scopes, so that nobody accepts it as an access token")
	}
	return Encode(c, names, private, rfc9068Names, func(w *Writer) { w.List("roles", c.Roles) })
}
