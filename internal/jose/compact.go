// Package jose reads the outer parts of a signed token strictly: the compact form, its base64url,
// its JOSE header and the JSON in it (RFC 7515). It checks no signature and knows no claim.
package jose

import (
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Base64URL is the only encoding of a segment: no padding, and one text for the same bytes
// (RFC 7515, appendix C). It skips line breaks; [Cut] refuses those beforehand.
var Base64URL = base64.RawURLEncoding.Strict()

// Compact is a token in compact serialization (RFC 7515, section 3.1). Its segments are not
// decoded.
type Compact struct {
	Header, Payload, Signature string
	// Signed is the text that the signature covers: header, dot, payload.
	Signed string
}

// Cut splits a token of at most limit bytes into exactly three segments, none of them empty. It
// refuses line breaks, because the base64 decoder skips them. The decoder refuses every other
// character outside its alphabet.
func Cut(text string, limit int) (Compact, error) {
	if len(text) > limit {
		return Compact{}, Malformed("longer than the limit")
	}
	if strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		return Compact{}, Malformed("a line break")
	}
	header, rest, _ := strings.Cut(text, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	switch {
	case len(header)+len(payload)+2 > len(text) || strings.IndexByte(signature, '.') >= 0:
		return Compact{}, Malformed("not three segments")
	case header == "" || payload == "" || signature == "":
		return Compact{}, Malformed("an empty segment")
	}
	return Compact{header, payload, signature, text[:len(header)+1+len(payload)]}, nil
}

// Header is the part of a JOSE header that a verifier uses (RFC 7515, section 4.1).
type Header struct {
	Algorithm string
	// KeyID is the header kid. HasKeyID tells an empty kid from none.
	KeyID    string
	HasKeyID bool
	// Type is the header typ in lower case, without the prefix "application/" (RFC 7515,
	// section 4.1.9).
	Type string
	// Class is the private header class, where Sanic-JWT-Extended writes the token type.
	Class string
}

// MaxKeyID is the longest key id that is looked up, in bytes.
const MaxKeyID = 256

const errHeader = Malformed("the header")

// DecodeHeader reads a header segment strictly: one JSON object without duplicate members, with
// alg, kid and typ as strings. It refuses the members that change how a token is read: crit, b64,
// zip, cty and enc. It ignores jku, jwk, x5u and x5c like every unknown member, so that no token
// brings its key along.
func DecodeHeader(segment string) (Header, error) {
	var buf [192]byte
	text, err := Base64URL.AppendDecode(buf[:0], []byte(segment))
	if err != nil {
		return Header{}, errHeader
	}
	if DeeperThan(text, MaxDepth) {
		return Header{}, ErrTooDeep
	}
	var d headerDecoder
	if err := json.Unmarshal(text, &d); err != nil || d.Algorithm == "" {
		return Header{}, errHeader
	}
	return d.Header, nil
}

type headerDecoder struct{ Header }

// UnmarshalJSONFrom implements the decoding for DecodeHeader.
func (d *headerDecoder) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return EachMember(dec, func(name []byte, value jsontext.Value) error {
		var err error
		switch string(name) {
		case "alg":
			d.Algorithm, err = String(value)
		case "kid":
			d.HasKeyID = true
			if d.KeyID, err = String(value); len(d.KeyID) > MaxKeyID {
				return errHeader
			}
		case "typ":
			d.Type, err = String(value)
			d.Type = MediaType(d.Type)
		case "class":
			// Another JSON type is an unknown member to every other layout.
			d.Class, _ = String(value)
		case "crit", "b64", "zip", "cty", "enc":
			return errHeader
		}
		return err
	})
}

// MediaType returns the media type of a header typ as token types are written here: in lower
// case, without the prefix "application/" (RFC 7515, section 4.1.9).
func MediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// IsRegisteredHeader reports whether a member of a JOSE header has a meaning in RFC 7515, RFC 7516 or
// RFC 7797, or in a layout of this module, in any case.
func IsRegisteredHeader(name string) bool {
	switch strings.ToLower(name) {
	case "alg", "kid", "typ", "cty", "crit", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#s256", "b64", "zip", "enc",
		"epk", "apu", "apv", "iv", "tag", "p2s", "p2c", "class":
		return true
	}
	return false
}
