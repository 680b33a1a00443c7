package jose

import (
	"strings"
	"testing"
)

// header returns the text as a header segment.
func header(text string) string { return Base64URL.EncodeToString([]byte(text)) }

func TestDecodeHeader(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Header
	}{
		{name: "algorithm alone", text: `{"alg":"HS256"}`, want: Header{Algorithm: "HS256"}},
		{name: "key id", text: `{"alg":"HS256","kid":"k1"}`, want: Header{Algorithm: "HS256", KeyID: "k1", HasKeyID: true}},
		{name: "empty key id", text: `{"alg":"HS256","kid":""}`, want: Header{Algorithm: "HS256", HasKeyID: true}},
		{
			name: "longest key id", text: `{"alg":"HS256","kid":"` + strings.Repeat("k", MaxKeyID) + `"}`,
			want: Header{Algorithm: "HS256", KeyID: strings.Repeat("k", MaxKeyID), HasKeyID: true},
		},
		{name: "type in upper case", text: `{"alg":"HS256","typ":"AT+JWT"}`, want: Header{Algorithm: "HS256", Type: "at+jwt"}},
		{name: "type with its prefix", text: `{"alg":"HS256","typ":"Application/at+jwt"}`, want: Header{Algorithm: "HS256", Type: "at+jwt"}},
		{name: "class", text: `{"alg":"HS256","class":"access"}`, want: Header{Algorithm: "HS256", Class: "access"}},
		{name: "class of another JSON type", text: `{"alg":"HS256","class":["access"]}`, want: Header{Algorithm: "HS256"}},
		{name: "escaped name", text: `{"\u0061lg":"HS256"}`, want: Header{Algorithm: "HS256"}},
		{name: "white space", text: " {\n\"alg\" : \"HS256\" }\t", want: Header{Algorithm: "HS256"}},
		{name: "name in another case is unknown", text: `{"alg":"HS256","KID":"k1"}`, want: Header{Algorithm: "HS256"}},
		{
			name: "keys in the header are ignored",
			text: `{"alg":"HS256","jku":"https://evil.example","jwk":{"kty":"oct"},"x5u":"https://evil.example","x5c":["MII"]}`,
			want: Header{Algorithm: "HS256"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := DecodeHeader(header(tt.text)); err != nil || got != tt.want {
				t.Errorf("header %+v, error %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestDecodeHeaderRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"no algorithm", `{}`},
		{"empty algorithm", `{"alg":""}`},
		{"algorithm of another JSON type", `{"alg":256}`},
		{"null algorithm", `{"alg":null}`},
		{"NUL in the algorithm", `{"alg":"HS256\u0000"}`},
		{"key id of another JSON type", `{"alg":"HS256","kid":1}`},
		{"null key id", `{"alg":"HS256","kid":null}`},
		{"NUL in the key id", `{"alg":"HS256","kid":"k\u00001"}`},
		{"key id beyond the longest", `{"alg":"HS256","kid":"` + strings.Repeat("k", MaxKeyID+1) + `"}`},
		{"type of another JSON type", `{"alg":"HS256","typ":["at+jwt"]}`},
		{"duplicate algorithm", `{"alg":"HS256","alg":"HS256"}`},
		{"duplicate algorithm, escaped", `{"alg":"HS256","\u0061lg":"none"}`},
		{"duplicate unknown member", `{"alg":"HS256","x":1,"x":1}`},
		{"crit", `{"alg":"HS256","crit":["exp"],"exp":1}`},
		{"empty crit", `{"alg":"HS256","crit":[]}`},
		{"b64", `{"alg":"HS256","b64":false}`},
		{"b64 with its default", `{"alg":"HS256","b64":true}`},
		{"zip", `{"alg":"HS256","zip":"DEF"}`},
		{"cty", `{"alg":"HS256","cty":"JWT"}`},
		{"enc", `{"alg":"HS256","enc":"A128GCM"}`},
		{"enc, escaped", `{"alg":"HS256","\u0065nc":"A128GCM"}`},
		{"list", `[{"alg":"HS256"}]`},
		{"string", `"HS256"`},
		{"null", `null`},
		{"no text", ` `},
		{"second value", `{"alg":"HS256"}{}`},
		{"byte order mark", "\ufeff" + `{"alg":"HS256"}`},
		{"comment", `{"alg":"HS256"/* */}`},
		{"trailing comma", `{"alg":"HS256",}`},
		{"invalid UTF-8", "{\"alg\":\"HS256\",\"x\":\"\xff\"}"},
		{"half a surrogate pair", `{"alg":"HS256","x":"\ud800"}`},
		{"nested too deeply", `{"alg":"HS256","x":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := DecodeHeader(header(tt.text)); err == nil || got != (Header{}) {
				t.Errorf("header %+v, error %v; want an error and no header", got, err)
			}
		})
	}
}

// TestDecodeHeaderRefusesEncodings decodes segments that are not the base64url of the header.
func TestDecodeHeaderRefusesEncodings(t *testing.T) {
	good := header(`{"alg":"HS256"}`) // 15 bytes: no bits are left over
	long := header(`{"alg":"HS256"} `)
	for _, tt := range []struct{ name, segment string }{
		{"empty", ""},
		{"JSON without base64url", `{"alg":"HS256"}`},
		{"padding", long + "=="},
		{"character of the standard alphabet", good[:4] + "+" + good[5:]},
		{"space", good[:4] + " " + good[4:]},
		{"one character too few", good[:len(good)-3]},
		{"bits that are left over", long[:len(long)-1] + "B"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := DecodeHeader(tt.segment); err == nil || got != (Header{}) {
				t.Errorf("header %+v, error %v; want an error and no header", got, err)
			}
		})
	}
}
