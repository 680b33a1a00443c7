//go:build ignore

package security

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// base64url is the only encoding of a segment: no padding, and no other text for the same bytes (RFC 7515, appendix C).
// It skips line breaks, so the alphabet is checked beforehand.
var base64url = base64.RawURLEncoding.Strict()

// compact is a token in compact serialization (RFC 7515, section 3.1), cut but not decoded.
type compact struct {
	header, payload, signature string
	// signed is what the signature covers: header, dot, payload.
	signed string
}

// cutCompact accepts exactly three non-empty segments in at most limit bytes and looks at nothing else, but for line breaks: those
// the base64 decoder would skip. Whatever else is outside the alphabet it refuses.
func cutCompact(text string, limit int) (compact, error) {
	if len(text) > limit {
		return compact{}, because(ErrInvalidToken, "longer than the limit")
	}
	if strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		return compact{}, because(ErrInvalidToken, "a line break")
	}
	header, rest, _ := strings.Cut(text, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	switch {
	case len(header)+len(payload)+2 > len(text) || strings.IndexByte(signature, '.') >= 0:
		return compact{}, because(ErrInvalidToken, "not three segments")
	case header == "" || payload == "" || signature == "":
		return compact{}, because(ErrInvalidToken, "an empty segment")
	}
	return compact{header, payload, signature, text[:len(header)+1+len(payload)]}, nil
}

// header is what is read of a JOSE header (RFC 7515, section 4.1).
type header struct {
	algorithm string
	keyID     string
	hasKeyID  bool
	typ       string
	// class is the type of token in the layout of Sanic-JWT-Extended.
	class string
}

var errHeader = because(ErrInvalidToken, "the header")

// decodeHeader reads a header strictly: one JSON object without duplicate members, alg, kid and typ as strings. Members
// that would change how the token has to be read (crit, b64, zip, cty, enc) are refused; jku, jwk, x5u and x5c, which
// would let the token bring its own key, are ignored like any unknown member.
func decodeHeader(segment string) (header, error) {
	var buf [192]byte
	text, err := base64url.AppendDecode(buf[:0], []byte(segment))
	if err != nil {
		return header{}, errHeader
	}
	var h header
	if nestedDeeper(text, maxDepth) {
		return header{}, errTooDeep
	}
	if err := json.Unmarshal(text, &h); err != nil || h.algorithm == "" {
		return header{}, errHeader
	}
	return h, nil
}

// UnmarshalJSONFrom implements the decoding for decodeHeader.
func (h *header) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return eachMember(dec, func(name []byte, value jsontext.Value) error {
		var err error
		switch string(name) {
		case "alg":
			h.algorithm, err = plainString(value)
		case "kid":
			h.hasKeyID = true
			if h.keyID, err = plainString(value); len(h.keyID) > maxKeyID {
				return errHeader
			}
		case "typ":
			h.typ, err = plainString(value)
		case "class":
			// Anything but a string is an unknown member to the other layouts.
			h.class, _ = plainString(value)
		case "crit", "b64", "zip", "cty", "enc":
			return errHeader
		}
		return err
	})
}

// tokenTypeOf returns the media type in a typ header as a token's type is written: lower case, without the
// "application/" that may be left out (RFC 7515, section 4.1.9).
func tokenTypeOf(typ string) string {
	typ = strings.ToLower(typ)
	return strings.TrimPrefix(typ, "application/")
}

// eachMember reads one JSON object from dec and calls f for each member, its name unescaped. Name and value are valid
// only during the call. Duplicate names, in whatever escaping, are the decoder's error.
func eachMember(dec *jsontext.Decoder, f func(name []byte, value jsontext.Value) error) error {
	opening, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if opening.Kind() != '{' {
		return errNotObject
	}
	name := make([]byte, 0, 64)
	for dec.PeekKind() != '}' {
		quoted, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if name, err = jsontext.AppendUnquote(name[:0], quoted); err != nil {
			return err
		}
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	_, err = dec.ReadToken()
	return err
}

var (
	errNotObject = because(ErrInvalidToken, "not a JSON object")
	errTooDeep   = because(ErrInvalidToken, "nested too deeply")
	errNotString = because(ErrInvalidToken, "a member that has to be a string is not one")
)

// maxDepth is how deep arrays and objects may be nested in a header or a payload.
const maxDepth = 33

// nestedDeeper reports whether a JSON text nests arrays and objects deeper than limit. It comes before the decoder, which follows
// any depth, and need not be right about texts that are not JSON.
func nestedDeeper(value []byte, limit int) bool {
	if bytes.Count(value, []byte{'{'})+bytes.Count(value, []byte{'['}) <= limit {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// plainString returns a JSON string's text; anything but a string, and NUL inside one, is an error.
func plainString(value jsontext.Value) (string, error) {
	if value.Kind() != '"' {
		return "", errNotString
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil || strings.IndexByte(string(text), 0) >= 0 {
		return "", errNotString
	}
	return string(text), nil
}

// member returns the value of a member of a JSON object, or nil.
func member(object jsontext.Value, name string) jsontext.Value {
	var m memberOf
	m.name = name
	if json.Unmarshal(object, &m) != nil {
		return nil
	}
	return m.value
}

type memberOf struct {
	name  string
	value jsontext.Value
}

// UnmarshalJSONFrom implements the search for member.
func (m *memberOf) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return eachMember(dec, func(name []byte, value jsontext.Value) error {
		if string(name) == m.name {
			m.value = value.Clone()
		}
		return nil
	})
}
