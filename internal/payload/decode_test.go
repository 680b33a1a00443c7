package payload

import (
	"slices"
	"strings"
	"testing"
)

func TestDecodeReadsLists(t *testing.T) {
	for _, tt := range []struct {
		name, list string
		want       []string
	}{
		{name: "no string", list: `[]`, want: []string{}},
		{name: "no string and a space", list: `[ ]`, want: []string{}},
		{name: "one string", list: `["USER"]`, want: []string{"USER"}},
		{name: "two strings", list: `["USER","ADMIN"]`, want: []string{"USER", "ADMIN"}},
		{name: "all spaces of JSON", list: "[ \t\r\n\"USER\" \t\r\n,\n\"ADMIN\"\r]", want: []string{"USER", "ADMIN"}},
		{name: "spaces, commas and brackets in a string", list: `[" a, [b] ","c,"]`, want: []string{" a, [b] ", "c,"}},
		{name: "letters outside ASCII", list: `["Ä","雪"]`, want: []string{"Ä", "雪"}},
		{name: "an escape", list: `["U\u0053ER","A\"B"]`, want: []string{"USER", `A"B`}},
		{name: "an empty string", list: `["USER",""]`},
		{name: "an empty string and an escape", list: `["\u0055SER",""]`},
		{name: "null", list: `["USER",null]`},
		{name: "null and an escape", list: `["\u0055SER",null]`},
		{name: "a number", list: `[1]`},
		{name: "a list", list: `[["USER"]]`},
		{name: "an object", list: `[{"USER":"ADMIN"}]`},
		{name: "NUL", list: `["\u0000"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := RFC9068{}.Decode([]byte(`{"roles":`+tt.list+`}`), Reading{})
			if err != nil || !slices.Equal(c.Roles, tt.want) || (c.Roles == nil) != (tt.want == nil) {
				t.Errorf("roles %#v, %v; want %#v", c.Roles, err, tt.want)
			}
			_, err = RFC9068{}.Decode([]byte(`{"aud":`+tt.list+`}`), Reading{})
			if refused := len(tt.want) == 0; (err != nil) != refused {
				t.Errorf("aud: %v, want refused %t", err, refused)
			}
		})
	}
}

// TestDecodeUsesNoMemoryOfOthers checks that claims do not change with the text that they were read
// from, nor with the next payload.
func TestDecodeUsesNoMemoryOfOthers(t *testing.T) {
	read := func(text []byte) *Claims {
		c, err := RFC9068{}.Decode(text, Reading{WantPrivate: true})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	text := []byte(`{"sub":"alice","aud":["a"],"roles":["USER"],"scope":"read","name":"Alice"}`)
	c := read(text)
	for i := range text {
		text[i] = 'x'
	}
	other := read([]byte(`{"sub":"mallory"}`))
	if c.Subject != "alice" || c.Audience[0] != "a" || c.Roles[0] != "USER" || c.Scopes[0] != "read" || string(c.Private) != `{"name":"Alice"}` {
		t.Errorf("%+v", c)
	}
	if other.Subject != "mallory" || other.Audience != nil || other.Roles != nil || other.Scopes != nil || other.Private != nil {
		t.Errorf("%+v", other)
	}
}

func TestDecodeRefusesWhatIsNotOneObject(t *testing.T) {
	for _, text := range []string{"", " ", "{", `{}}`, `{}{}`, `{} x`, `[]`, `null`, `{"sub":"a"`, `{"sub":"a","sub":"b"}`, "{\"sub\":\"\xff\"}"} {
		if _, err := (RFC9068{}).Decode([]byte(text), Reading{}); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	if _, err := (RFC9068{}).Decode([]byte(" {} \n"), Reading{}); err != nil {
		t.Errorf("spaces around the object: %v", err)
	}
}

func TestIsReservedInAnyCase(t *testing.T) {
	for _, tt := range []struct {
		name string
		want bool
	}{
		{"sub", true}, {"Sub", true}, {"SUB", true}, {"auth_time", true}, {"AUTH_time", true}, {"csrf", true},
		{"\u017fub", true}, // the long s is an s in another case
		{"acce\u017f\u017f", false},
		{"", false}, {"su", false}, {"subs", false}, {"name", false}, {"s\u00fcb", false}, {strings.Repeat("s", 100), false},
	} {
		if got := IsReserved(tt.name); got != tt.want {
			t.Errorf("%q: %t, want %t", tt.name, got, tt.want)
		}
	}
}
