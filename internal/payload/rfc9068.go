package payload

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oapi-guard/oapi-guard/internal/jose"
)

// RFC9068 is the default layout: the type is the header typ (RFC 9068, section 2.1), the roles are
// the claim roles (section 2.2.3.1).
type RFC9068 struct{}

var rfc9068Names = []string{"roles"}

// Name implements Layout.
func (RFC9068) Name() string { return "RFC 9068" }

// Optional implements Layout.
func (RFC9068) Optional() Optional { return Optional{} }

// ClaimNames implements Layout.
func (RFC9068) ClaimNames() []string { return rfc9068Names }

// Accepts implements Layout.
func (RFC9068) Accepts(header jose.Header, _ *Claims, want Type) bool {
	return header.Type == want.Header
}

// Decode implements Layout.
func (RFC9068) Decode(text []byte, names Names, wantPrivate bool) (*Claims, error) {
	return Decode(text, names, wantPrivate, func(d *Decoder, name []byte, value jsontext.Value) (bool, error) {
		if string(name) == "roles" {
			d.Roles = d.RolesAt(value)
			return true, nil
		}
		return false, nil
	})
}

// Header implements Encoder.
func (RFC9068) Header(algorithm, keyID string, typ Type) []byte {
	id, _ := jsontext.AppendQuote(nil, keyID) // fails on invalid UTF-8 only, which a key refuses
	return []byte(`{"alg":"` + algorithm + `","kid":` + string(id) + `,"typ":"` + typ.Header + `"}`)
}

// Encode implements Encoder.
func (RFC9068) Encode(c *Claims, names Names, _ Type, private []byte) ([]byte, error) {
	return Encode(c, names, private, rfc9068Names, func(w *Writer) { w.List("roles", c.Roles) })
}
