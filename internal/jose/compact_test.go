package jose

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		limit      int
		want       Compact
	}{
		{
			name: "three segments", text: "aa.bb.cc", limit: 100,
			want: Compact{Header: "aa", Payload: "bb", Signature: "cc", Signed: "aa.bb"},
		},
		{
			name: "one character in each segment", text: "a.b.c", limit: 100,
			want: Compact{Header: "a", Payload: "b", Signature: "c", Signed: "a.b"},
		},
		{
			name: "as long as the limit", text: "aa.bb.cc", limit: 8,
			want: Compact{Header: "aa", Payload: "bb", Signature: "cc", Signed: "aa.bb"},
		},
		{
			name: "other characters are left to the decoder", text: "a a.b+/.c=", limit: 100,
			want: Compact{Header: "a a", Payload: "b+/", Signature: "c=", Signed: "a a.b+/"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := Cut(tt.text, tt.limit); err != nil || got != tt.want {
				t.Errorf("%+v, error %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestCutRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Malformed
	}{
		{"no text", "", "not three segments"},
		{"one segment", "aa", "not three segments"},
		{"two segments", "aa.bb", "not three segments"},
		{"two segments and a dot", "aa.bb.", "an empty segment"},
		{"four segments", "aa.bb.cc.dd", "not three segments"},
		{"a dot behind the signature", "aa.bb.cc.", "not three segments"},
		{"five segments, as of an encrypted token", "aa.bb.cc.dd.ee", "not three segments"},
		{"dots alone", "..", "an empty segment"},
		{"many dots", "....", "not three segments"},
		{"empty header", ".bb.cc", "an empty segment"},
		{"empty payload", "aa..cc", "an empty segment"},
		{"line feed in the header", "a\na.bb.cc", "a line break"},
		{"carriage return in the payload", "aa.b\rb.cc", "a line break"},
		{"line break at the end", "aa.bb.cc\r\n", "a line break"},
		{"longer than the limit", "aa.bb.cc.................", "longer than the limit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Cut(tt.text, 20)
			if err != tt.want || got != (Compact{}) {
				t.Errorf("%+v, error %v; want error %q and no segments", got, err, tt.want)
			}
		})
	}
}

// FuzzCut checks that the segments of a token that is accepted are its text, and that no two texts
// decode to the same bytes.
func FuzzCut(f *testing.F) {
	for _, seed := range []string{"", "..", "a.b.c", "a.b.c.d", "aa.bb.cc\n", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", "AA.AA.AB", "AA==.AA.AA"} {
		f.Add(seed)
	}
	const limit = 64
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Cut(text, limit)
		if err != nil {
			if c != (Compact{}) {
				t.Errorf("an error and segments: %+v", c)
			}
			return
		}
		if joined := c.Header + "." + c.Payload + "." + c.Signature; joined != text || len(text) > limit {
			t.Errorf("%q is cut into %+v", text, c)
		}
		if c.Signed+"."+c.Signature != text {
			t.Errorf("the signed text of %q is %q", text, c.Signed)
		}
		for _, segment := range []string{c.Header, c.Payload, c.Signature} {
			if segment == "" || strings.ContainsAny(segment, ".\r\n") {
				t.Errorf("%q has the segment %q", text, segment)
			}
			if decoded, err := Base64URL.DecodeString(segment); err == nil && Base64URL.EncodeToString(decoded) != segment {
				t.Errorf("the segment %q is a second text for %x", segment, decoded)
			}
		}
	})
}

// FuzzDecodeHeader checks that encoding/json, which is less strict, reads the same from a header
// that is accepted.
func FuzzDecodeHeader(f *testing.F) {
	for _, seed := range []string{
		`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`, `{"alg":"none"}`, `{"alg":"HS256","kid":""}`, `{"alg":"HS256","class":1}`,
		`{"alg":"a","alg":"b"}`, `{"\u0061lg":"HS256"}`, `{"alg":"HS256","crit":[]}`, `{"alg":"HS256","x":[[{}]]}`, `null`, `{}`, "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := DecodeHeader(Base64URL.EncodeToString([]byte(text)))
		if err != nil {
			if got != (Header{}) {
				t.Errorf("an error and a header: %+v", got)
			}
			return
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatalf("encoding/json refuses the header %q: %v", text, err)
		}
		wantType := ""
		if typ, ok := members["typ"].(string); ok {
			wantType = MediaType(typ)
		}
		keyID, hasKeyID := members["kid"]
		if got.Algorithm == "" || members["alg"] != got.Algorithm || got.HasKeyID != hasKeyID || hasKeyID && keyID != got.KeyID || got.Type != wantType {
			t.Errorf("header %+v, encoding/json reads %v", got, members)
		}
		for _, name := range []string{"crit", "b64", "zip", "cty", "enc"} {
			if _, ok := members[name]; ok {
				t.Errorf("the header has the member %s: %v", name, members)
			}
		}
	})
}
