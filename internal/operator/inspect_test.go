package operator_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/jose"
	"github.com/oapi-guard/oapi-guard/internal/operator"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

const issuer = "https://notes.example.com"

// newKeys makes a key file and returns its keys.
func newKeys(t *testing.T, algorithm keys.Algorithm) *keys.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := keys.CreateFile(path, algorithm); err != nil {
		t.Fatal(err)
	}
	return must(operator.ReadKeys(path))(t)
}

// sign signs a header and claims with the key of a set.
func sign(t *testing.T, set *keys.Set, header, claims string) string {
	t.Helper()
	key := must(set.SigningKey(t.Context()))(t)
	header = strings.ReplaceAll(header, "KID", key.ID())
	signed := jose.Base64URL.EncodeToString([]byte(header)) + "." + jose.Base64URL.EncodeToString([]byte(claims))
	return signed + "." + jose.Base64URL.EncodeToString(must(key.Sign(signed))(t))
}

func TestInspectSaysWhatIsWrong(t *testing.T) {
	const header = `{"alg":"HS256","kid":"KID","typ":"at+jwt"}`
	const good = `"iss":"https://notes.example.com","aud":"https://notes.example.com","sub":"alice","jti":"j","sid":"s"`
	const times = `,"iat":1782907200,"exp":1782908100` // 15 minutes from start
	set, other := newKeys(t, keys.HS256), newKeys(t, keys.HS256)
	for _, tt := range []struct {
		name, header, claims string
		expected             operator.Expectation
		keys                 *keys.Set
		accepts              bool
		want                 []string // in the findings
	}{
		{name: "nothing", claims: good + times, accepts: true},
		{name: "typ JWT", header: `{"alg":"HS256","kid":"KID","typ":"JWT"}`, claims: good + times, accepts: true, want: []string{"typ is JWT"}},
		{name: "keys of somebody else", claims: good + times, keys: other},
		{name: "expired", claims: good + `,"iat":1782900000,"exp":1782900900`, want: []string{"expired 105 minutes ago"}},
		{name: "not valid yet", claims: good + times + `,"nbf":1782910800`, want: []string{"is valid in 60 minutes"}},
		{name: "issued in the future", claims: good + `,"iat":1782993600,"exp":1782994500`, want: []string{"24 hours in the future"}},
		{name: "lives too long", claims: good + `,"iat":1782907200,"exp":1792907200`, want: []string{"lives for 115 days"}},
		{name: "never expires", claims: good + `,"iat":1782907200`, want: []string{"never expires"}},
		{name: "another issuer", claims: good + times, expected: operator.Expectation{Issuer: issuer + "/"}, want: []string{"of the issuer " + issuer}},
		{name: "another audience", claims: good + times, expected: operator.Expectation{Audience: []string{"b"}}, want: []string{"is for " + issuer}},
		{name: "hardly any claim", claims: `"a":1`, want: []string{"no iss", "no aud", "no sub", "no jti", "no sid"}},
		{name: "a header with crit", header: `{"alg":"HS256","kid":"KID","typ":"at+jwt","crit":["b64"]}`, claims: good + times, want: []string{"no verifier accepts the header"}},
		{name: "no kid", header: `{"alg":"HS256","typ":"at+jwt"}`, claims: good + times, accepts: true, want: []string{"no kid"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.header == "" {
				tt.header = header
			}
			if tt.keys == nil {
				tt.keys = set
			}
			tt.expected.Now = func() time.Time { return start }
			tt.expected.Keys = []operator.NamedKeys{{Name: "keys.json", Set: tt.keys}}
			i := must(operator.Inspect(t.Context(), sign(t, set, tt.header, "{"+tt.claims+"}"), tt.expected))(t)
			if v := i.Verdicts[0]; v.Accepts != tt.accepts || v.Accepts == (v.Reason != "") {
				t.Errorf("%+v", v)
			}
			if len(tt.want) == 0 && len(i.Findings) > 0 {
				t.Errorf("found %+v", i.Findings)
			}
			for _, want := range tt.want {
				if !slices.ContainsFunc(i.Findings, func(f operator.Finding) bool { return strings.Contains(f.Text, want) }) {
					t.Errorf("did not find %q but %+v", want, i.Findings)
				}
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"a word":          {"secret-word", "three parts"},
		"an encrypted":    {"a.b.c.d.e", "JWE"},
		"no base64":       {"!.e30.x", "header of the token is not base64url"},
		"no JSON":         {"c2VjcmV0.e30.x", "header of the token is not a JSON object"},
		"a list":          {"e30.W10.x", "payload of the token is not a JSON object"},
		"nested too deep": {"e30." + jose.Base64URL.EncodeToString([]byte(`{"a":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+"}")) + ".x", "nested"},
		"too long":        {strings.Repeat("a", 1<<17), "not a JWT"},
	} {
		if _, err := operator.Decode(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestTokenIDs(t *testing.T) {
	set := newKeys(t, keys.HS256)
	token := func(claims string) string { return sign(t, set, `{"alg":"HS256"}`, claims) }
	for _, tt := range []struct{ name, claims, issuer, refreshes, want string }{
		{name: "an access token", claims: `{"iss":"i","sub":"a","jti":"j","sid":"s"}`},
		{name: "a refresh token", claims: `{"iss":"i","sub":"a","jti":"s.3","sid":"s"}`, refreshes: "s"},
		{name: "an id with a dot of another session", claims: `{"iss":"i","sub":"a","jti":"x.3","sid":"s"}`},
		{name: "another issuer", claims: `{"iss":"i","sub":"a","jti":"j"}`, issuer: "other", want: "of the issuer i"},
	} {
		id, err := operator.TokenIDOf(token(tt.claims), tt.issuer)
		if tt.want != "" {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err != nil || id.Refreshes != tt.refreshes || id.Subject != "a" {
			t.Errorf("%s: %+v %v", tt.name, id, err)
		}
	}
	if id := operator.TokenIDFrom("a", "s.3"); id.Refreshes != "s" {
		t.Errorf("%+v", id)
	}
	if id := operator.TokenIDFrom("a", "s.x"); id.Refreshes != "" {
		t.Errorf("%+v", id)
	}
}
