package jose

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	strict "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// nested returns a JSON value that nests lists to the depth.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestDeeperThan(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		limit      int
		want       bool
	}{
		{name: "no nesting", text: `1`, limit: 0, want: false},
		{name: "list at the limit", text: nested(3), limit: 3, want: false},
		{name: "list beyond the limit", text: nested(4), limit: 3, want: true},
		{name: "list beyond the limit that never ends", text: `[[[[`, limit: 3, want: true},
		{name: "object at the limit", text: `{"a":{"a":{}}}`, limit: 3, want: false},
		{name: "object beyond the limit", text: `{"a":{"a":{"a":{}}}}`, limit: 3, want: true},
		{name: "objects and lists count together", text: `[{"a":[{}]}]`, limit: 3, want: true},
		{name: "lists side by side", text: `[[[]],[[]],[[]]]`, limit: 3, want: false},
		{name: "depth behind lists side by side", text: `[[[]],[[]],[[[]]]]`, limit: 3, want: true},
		{name: "brackets in a string", text: `["[[[[{{{{"]`, limit: 3, want: false},
		{name: "brackets in a name", text: `{"[[[[":1}`, limit: 3, want: false},
		{name: "brackets behind an escaped quote", text: `["\"[[[[\""]`, limit: 3, want: false},
		{name: "string that ends with a backslash", text: `["\\",[[[]]]]`, limit: 3, want: true},
		{name: "closing brackets in a string do not count", text: `["]]]]",[[[]]]]`, limit: 3, want: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := DeeperThan([]byte(tt.text), tt.limit); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// FuzzDeeperThan compares the depth with that of the decoder, for every text that is JSON.
func FuzzDeeperThan(f *testing.F) {
	for _, seed := range []string{`1`, nested(3), nested(4), `{"a":{"b":[1,{"c":"]"}]}}`, `["\"[[[["]`, `["\\",[[[]]]]`, `[`, ``} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if limit < 0 || !json.Valid([]byte(text)) {
			t.Skip("no JSON or no limit")
		}
		depth, level := 0, 0
		dec := json.NewDecoder(strings.NewReader(text))
		for token, err := dec.Token(); err == nil; token, err = dec.Token() {
			switch token {
			case json.Delim('{'), json.Delim('['):
				level++
				depth = max(depth, level)
			case json.Delim('}'), json.Delim(']'):
				level--
			}
		}
		if got := DeeperThan([]byte(text), limit); got != (depth > limit) {
			t.Errorf("%q is deeper than %d: %v, and its depth is %d", text, limit, got, depth)
		}
	})
}

func TestString(t *testing.T) {
	for _, tt := range []struct {
		name, value, want string
		refused           bool
	}{
		{name: "plain", value: `"alice"`, want: "alice"},
		{name: "empty", value: `""`, want: ""},
		{name: "escapes", value: `"\u00c4\n\"\\\/"`, want: "Ä\n\"\\/"},
		{name: "surrogate pair", value: `"\ud83d\ude00"`, want: "😀"},
		{name: "half a surrogate pair", value: `"\ud83d"`, refused: true},
		{name: "invalid UTF-8", value: "\"\xff\"", refused: true},
		{name: "NUL", value: `"a\u0000"`, refused: true},
		{name: "number", value: `1`, refused: true},
		{name: "null", value: `null`, refused: true},
		{name: "boolean", value: `true`, refused: true},
		{name: "list", value: `["alice"]`, refused: true},
		{name: "object", value: `{}`, refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := String(jsontext.Value(tt.value))
			if got != tt.want || (err != nil) != tt.refused {
				t.Errorf("%q, error %v; want %q, refused %v", got, err, tt.want, tt.refused)
			}
		})
	}
}

func TestMember(t *testing.T) {
	for _, tt := range []struct{ name, object, want string }{
		{"the only member", `{"roles":["a"]}`, `["a"]`},
		{"among others", `{"x":1,"roles":"a","y":{"roles":2}}`, `"a"`},
		{"escaped name", `{"\u0072oles":"a"}`, `"a"`},
		{"null", `{"roles":null}`, `null`},
		{"absent", `{"x":{"roles":1}}`, ""},
		{"name in another case", `{"Roles":"a"}`, ""},
		{"duplicate", `{"roles":"a","roles":"b"}`, ""},
		{"duplicate of another member", `{"roles":"a","x":1,"x":2}`, ""},
		{"not an object", `["roles"]`, ""},
		{"truncated", `{"roles":"a"`, ""},
		{"second value", `{"roles":"a"}{}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Member(jsontext.Value(tt.object), "roles"); string(got) != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// members collects the members that EachMember reads.
type members struct {
	list []string
	fail error
}

func (m *members) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return EachMember(dec, func(name []byte, value jsontext.Value) error {
		m.list = append(m.list, string(name)+"="+string(value))
		return m.fail
	})
}

func TestEachMember(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
		refused    bool
	}{
		{name: "no member", text: `{}`},
		{name: "in the order of the text", text: `{"b":1,"a":{"c":[2]},"":null}`, want: []string{"b=1", `a={"c":[2]}`, "=null"}},
		{name: "escaped name", text: `{"\u0061\"":1}`, want: []string{`a"=1`}},
		{name: "long name", text: `{"` + strings.Repeat("n", 100) + `":1,"m":2}`, want: []string{strings.Repeat("n", 100) + "=1", "m=2"}},
		{name: "duplicate", text: `{"a":1,"a":2}`, want: []string{"a=1"}, refused: true},
		{name: "duplicate, escaped", text: `{"a":1,"\u0061":2}`, want: []string{"a=1"}, refused: true},
		{name: "duplicate in a member", text: `{"a":{"b":1,"b":2}}`, refused: true},
		{name: "list", text: `[1]`, refused: true},
		{name: "null", text: `null`, refused: true},
		{name: "string", text: `"a"`, refused: true},
		{name: "no text", text: ``, refused: true},
		{name: "truncated", text: `{"a":1`, want: []string{"a=1"}, refused: true},
		{name: "name without a value", text: `{"a"}`, refused: true},
		{name: "invalid UTF-8 in a name", text: "{\"\xff\":1}", refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got members
			err := strict.Unmarshal([]byte(tt.text), &got)
			if !slices.Equal(got.list, tt.want) || (err != nil) != tt.refused {
				t.Errorf("members %q, error %v; want %q, refused %v", got.list, err, tt.want, tt.refused)
			}
		})
	}
}

// TestEachMemberStops checks that an error of the function ends the reading and reaches the caller.
func TestEachMemberStops(t *testing.T) {
	const stop = Malformed("stop")
	got := members{fail: stop}
	err := strict.Unmarshal([]byte(`{"a":1,"b":2}`), &got)
	if !errors.Is(err, stop) || len(got.list) != 1 {
		t.Errorf("members %q, error %v; want one member and %v", got.list, err, stop)
	}
}
