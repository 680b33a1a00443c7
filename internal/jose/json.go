package jose

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Malformed says in fixed words why a text was refused. It never repeats a part of the text.
type Malformed string

// Error returns the words.
func (m Malformed) Error() string { return string(m) }

const (
	errNotObject = Malformed("not a JSON object")
	errNotString = Malformed("a member that must be a string is not one")
	// ErrTooDeep means that a text nests arrays and objects deeper than [MaxDepth].
	ErrTooDeep = Malformed("nested too deeply")
)

// MaxDepth is how deep arrays and objects may nest in a header or a payload.
const MaxDepth = 33

// EachMember reads one JSON object from dec and calls f for each member. The name is unescaped.
// Name and value are valid only during the call. A duplicate name is an error of the decoder,
// in any escaping.
func EachMember(dec *jsontext.Decoder, f func(name []byte, value jsontext.Value) error) error {
	return EachMemberIn(dec, make([]byte, 0, 64), f)
}

// EachMemberIn is [EachMember] with memory for the names. A name that does not fit into it gets
// other memory.
func EachMemberIn(dec *jsontext.Decoder, name []byte, f func(name []byte, value jsontext.Value) error) error {
	opening, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if opening.Kind() != '{' {
		return errNotObject
	}
	for dec.PeekKind() != '}' {
		quoted, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if bytes.IndexByte(quoted, '\\') < 0 && quoted.Kind() == '"' {
			name = append(name[:0], quoted[1:len(quoted)-1]...)
		} else if name, err = jsontext.AppendUnquote(name[:0], quoted); err != nil {
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

// DeeperThan reports whether a JSON text nests arrays and objects deeper than limit. Call it
// before the decoder, which follows any depth. For a text that is not JSON the answer may be
// wrong: the decoder refuses that text.
func DeeperThan(text []byte, limit int) bool {
	if bytes.Count(text, []byte{'{'})+bytes.Count(text, []byte{'['}) <= limit {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
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

// String returns the text of a JSON string. Another JSON type is an error, and so is NUL in the
// text.
func String(value jsontext.Value) (string, error) {
	if value.Kind() != '"' {
		return "", errNotString
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil || strings.IndexByte(string(text), 0) >= 0 {
		return "", errNotString
	}
	return string(text), nil
}

// Member returns the value of a member of a JSON object. It returns nil where the object has no
// such member or is not a strict JSON object.
func Member(object jsontext.Value, name string) jsontext.Value {
	search := memberSearch{name: name}
	if json.Unmarshal(object, &search) != nil {
		return nil
	}
	return search.value
}

type memberSearch struct {
	name  string
	value jsontext.Value
}

// UnmarshalJSONFrom implements the search for Member.
func (m *memberSearch) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return EachMember(dec, func(name []byte, value jsontext.Value) error {
		if string(name) == m.name {
			m.value = value.Clone()
		}
		return nil
	})
}
