package claimschema_test

import (
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security/claimschema"
)

const schemaText = `{
	"type": "object", "required": ["name"], "additionalProperties": false, "dependentRequired": {"nickname": ["name"]},
	"properties": {
		"name": {"type": "string", "minLength": 2, "maxLength": 4}, "nickname": {"pattern": "^n"},
		"level": {"type": "integer", "exclusiveMinimum": 0, "maximum": 9, "multipleOf": 3},
		"colour": {"enum": ["red", 1, null]}, "since": {"format": "date-time"}, "id": {"format": "uuid"},
		"mail": {"format": "email"}, "site": {"format": "uri"}, "boss": {"$ref": "#"},
		"tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true}
	}
}`

func TestCheckEnforcesKeywords(t *testing.T) {
	schema := sectest.Must(claimschema.New(schemaText))(t)
	for _, tt := range []struct {
		name, claims string
		// failing is the keyword in the error, "" where the claims satisfy the schema.
		failing string
	}{
		{name: "all properties", claims: `{"name":"Anna","level":3,"colour":null,"since":"2026-01-02T03:04:05Z","id":"0192f0c1-2345-7abc-8def-0123456789ab","mail":"a@b.example","site":"https://a.example","tags":["x"],"boss":{"name":"Bob"}}`},
		{name: "a registered claim that is not declared", claims: `{"name":"Anna","iss":"https://issuer.example","scope":"a b"}`},
		{name: "a missing property", claims: `{}`, failing: "#/required"},
		{name: "null for a required string", claims: `{"name":null}`, failing: "#/properties/name/type"},
		{name: "a short string", claims: `{"name":"A"}`, failing: "#/properties/name/minLength"},
		{name: "a long string", claims: `{"name":"Annabel"}`, failing: "#/properties/name/maxLength"},
		{name: "another pattern", claims: `{"name":"Anna","nickname":"A"}`, failing: "#/properties/nickname/pattern"},
		{name: "the exclusive minimum", claims: `{"name":"Anna","level":0}`, failing: "#/properties/level/exclusiveMinimum"},
		{name: "more than the maximum", claims: `{"name":"Anna","level":12}`, failing: "#/properties/level/maximum"},
		{name: "no multiple", claims: `{"name":"Anna","level":4}`, failing: "#/properties/level/multipleOf"},
		{name: "a fraction for an integer", claims: `{"name":"Anna","level":3.5}`, failing: "#/properties/level/type"},
		{name: "no value of the enumeration", claims: `{"name":"Anna","colour":"blue"}`, failing: "#/properties/colour/enum"},
		{name: "no date-time", claims: `{"name":"Anna","since":"today"}`, failing: "#/properties/since/format"},
		{name: "no UUID", claims: `{"name":"Anna","id":"1"}`, failing: "#/properties/id/format"},
		{name: "no email address", claims: `{"name":"Anna","mail":"anna"}`, failing: "#/properties/mail/format"},
		{name: "no URI", claims: `{"name":"Anna","site":"anna"}`, failing: "#/properties/site/format"},
		{name: "an empty list", claims: `{"name":"Anna","tags":[]}`, failing: "#/properties/tags/minItems"},
		{name: "a repeated item", claims: `{"name":"Anna","tags":["a","a"]}`, failing: "#/properties/tags/uniqueItems"},
		{name: "an item of another type", claims: `{"name":"Anna","tags":[1]}`, failing: "#/properties/tags/items/type"},
		{name: "an additional property", claims: `{"name":"Anna","age":1}`, failing: "#/additionalProperties"},
		{name: "a registered claim in another case", claims: `{"name":"Anna","Iss":"x"}`, failing: "#/additionalProperties"},
		{name: "an error below a reference", claims: `{"name":"Anna","boss":{"name":"B"}}`, failing: "#/properties/name/minLength"},
		{name: "a registered claim below a reference", claims: `{"name":"Anna","boss":{"name":"Bob","iss":"x"}}`, failing: "#/additionalProperties"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := schema.Check([]byte(tt.claims))
			want := "claimschema: the claims do not satisfy " + tt.failing + " of the schema"
			switch {
			case tt.failing == "" && err != nil:
				t.Error(err)
			case tt.failing != "" && (err == nil || err.Error() != want):
				t.Errorf("err = %v, want %s", err, want)
			}
		})
	}
}

func TestCheckJudgesDeclaredRegisteredClaims(t *testing.T) {
	const text = `{"additionalProperties": false, "properties": {"sub": {"minLength": 3}}}`
	schema := sectest.Must(claimschema.New(text, "sub"))(t)
	if err := schema.Check([]byte(`{"sub":"alice","iss":"x"}`)); err != nil {
		t.Error(err)
	}
	if schema.Check([]byte(`{"sub":"al"}`)) == nil {
		t.Error("a short subject was accepted")
	}
}

func TestCheckRefusesWhatItCannotCompare(t *testing.T) {
	schema := sectest.Must(claimschema.New(`{"properties": {"n": {"maximum": 5}, "m": {"enum": [1]}}}`))(t)
	for _, claims := range []string{
		`{"n":1e1000000}`, `{"n":1E-1000000}`, `{"m":1e99999999999999999999}`, `{"x":[{"n":1e401}]}`, `[]`, `"a"`, `{`, `{} {}`, ``,
	} {
		if schema.Check([]byte(claims)) == nil {
			t.Errorf("%s was accepted", claims)
		}
	}
	if err := schema.Check([]byte(`{"n":1e-400}`)); err != nil {
		t.Error(err)
	}
	if new(claimschema.Schema).Check([]byte(`{}`)) == nil || (*claimschema.Schema)(nil).Check([]byte(`{}`)) == nil {
		t.Error("a schema that New did not make accepts claims")
	}
}

func TestSchemasThatDoNotCompile(t *testing.T) {
	for _, text := range []string{
		``, `{`, `[]`, `{"type": "strnig"}`, `{"pattern": "(?=a)"}`, `{"$ref": "other.json"}`, `{"$ref": "https://example.com/schema"}`,
		`{"$ref": "#/$defs/Missing"}`, `{"minLength": -1}`,
	} {
		if _, err := claimschema.New(text); err == nil {
			t.Errorf("New(%s) compiles", text)
		}
		if claimschema.Lazy(text)([]byte(`{}`)) == nil {
			t.Errorf("Lazy(%s) accepts claims", text)
		}
	}
}

// BenchmarkCheck is what a schema costs for each token that is not in the cache.
func BenchmarkCheck(b *testing.B) {
	for _, bench := range []struct{ name, schema, claims string }{
		{"one string", `{"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}`, `{"name":"Alice"}`},
		{"many keywords", schemaText, `{"name":"Anna","level":3,"colour":null,"since":"2026-01-02T03:04:05Z","tags":["x"],"boss":{"name":"Bob"}}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			schema, claims := sectest.Must(claimschema.New(bench.schema))(b), []byte(bench.claims)
			b.ReportAllocs()
			for b.Loop() {
				if err := schema.Check(claims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzCheck checks that no claims make the check panic, and that its errors contain nothing of them.
func FuzzCheck(f *testing.F) {
	for _, claims := range []string{
		`{"name":"Anna"}`, `{"name":"SECRET"}`, `{"SECRET":1}`, `{"name":"Anna","level":1e999}`, `{"name":"Anna","boss":{"boss":{}}}`,
		`{"name":"Anna","colour":["SECRET"],"tags":["SECRET","SECRET"]}`, `SECRET`, `{"name":"Anna","nickname":"SECRET"}`,
	} {
		f.Add([]byte(claims))
	}
	check := claimschema.Lazy(schemaText)
	f.Fuzz(func(t *testing.T, claims []byte) {
		if err := check(claims); err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("the error contains the claims: %v", err)
		}
	})
}
