package kinopenapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/kinopenapi"
)

// TestSchemas checks which schemas are refused because short values could keep kin-openapi busy for
// hours, or because it would not check them in full.
func TestSchemas(t *testing.T) {
	twenty := kinopenapi.WithJSONSchema2020(4096)
	const long = "take hours"
	for _, tt := range []struct {
		name, version, a, b string // the schemas A, of the body, and B
		options             []kinopenapi.Option
		want                string
	}{
		{name: "a list", version: "3.0.3", a: "{type: object, properties: {next: {$ref: '#/components/schemas/A'}}}", b: "{}"},
		{name: "a tree", version: "3.0.3", a: "{type: array, items: {$ref: '#/components/schemas/A'}}", b: "{}"},
		{
			name: "two that contain each other", version: "3.0.3",
			a: "{type: array, items: {$ref: '#/components/schemas/B'}}",
			b: "{additionalProperties: {$ref: '#/components/schemas/A'}}",
		},
		{
			name: "one of several", version: "3.0.3", a: "{oneOf: [{type: string}, {$ref: '#/components/schemas/B'}]}",
			b: "{type: array, items: {$ref: '#/components/schemas/B'}}",
		},
		{
			name: "one of several, and again", version: "3.0.3",
			a: "{oneOf: [{type: string}, {type: array, items: {$ref: '#/components/schemas/A'}}]}", b: "{}", want: long,
		},
		{
			name: "any of several, and again", version: "3.0.3",
			a: "{type: object, properties: {next: {anyOf: [{type: string}, {$ref: '#/components/schemas/A'}]}}}", b: "{}",
			want: long,
		},
		{
			name: "below the body", version: "3.0.3",
			a: "{type: object, properties: {b: {$ref: '#/components/schemas/B'}}}",
			b: "{oneOf: [{type: array, items: {$ref: '#/components/schemas/B'}}]}", want: long,
		},
		{
			name: "around a corner", version: "3.0.3", a: "{type: array, items: {$ref: '#/components/schemas/B'}}",
			b: "{type: object, properties: {a: {oneOf: [{$ref: '#/components/schemas/A'}]}}}", want: long,
		},
		{
			name: "all of a base", version: "3.0.3",
			a: "{allOf: [{$ref: '#/components/schemas/B'}, {type: object, properties: {next: {$ref: '#/components/schemas/A'}}}]}",
			b: "{type: object}",
		},
		{
			name: "all of two lists", version: "3.0.3",
			a: "{allOf: [{properties: {next: {$ref: '#/components/schemas/A'}}}, {properties: {next: {$ref: '#/components/schemas/A'}}}]}",
			b: "{}", want: long,
		},
		{
			name: "a list and all of one", version: "3.0.3",
			a: "{properties: {next: {$ref: '#/components/schemas/A'}}, allOf: [{properties: {next: {$ref: '#/components/schemas/A'}}}]}",
			b: "{}", want: long,
		},
		{
			name: "a list that is not one", version: "3.0.3",
			a: "{properties: {next: {$ref: '#/components/schemas/A'}}, not: {properties: {next: {$ref: '#/components/schemas/A'}}}}",
			b: "{}", want: long,
		},

		{name: "3.1", version: "3.1.0", a: "{type: [object, 'null'], properties: {next: {$ref: '#/components/schemas/A'}}}", b: "{}"},
		{name: "const", version: "3.1.0", a: "{const: 1}", b: "{}", want: "const"},
		{name: "const below", version: "3.1.0", a: "{type: array, items: {$ref: '#/components/schemas/B'}}", b: "{const: 1}", want: "const"},
		{name: "prefixItems", version: "3.1.0", a: "{prefixItems: [{type: string}]}", b: "{}", want: "prefixItems"},
		{name: "contains", version: "3.1.0", a: "{contains: {type: string}}", b: "{}", want: "contains"},
		{name: "patternProperties", version: "3.1.0", a: "{patternProperties: {a: {type: string}}}", b: "{}", want: "patternProperties"},
		{name: "propertyNames", version: "3.1.0", a: "{propertyNames: {maxLength: 1}}", b: "{}", want: "propertyNames"},
		{name: "dependentSchemas", version: "3.1.0", a: "{dependentSchemas: {a: {type: object}}}", b: "{}", want: "dependentSchemas"},
		{name: "dependentRequired", version: "3.1.0", a: "{dependentRequired: {a: [b]}}", b: "{}", want: "dependentRequired"},
		{name: "unevaluatedProperties", version: "3.1.0", a: "{unevaluatedProperties: false}", b: "{}", want: "unevaluatedProperties"},
		{name: "unevaluatedItems", version: "3.1.0", a: "{unevaluatedItems: {type: string}}", b: "{}", want: "unevaluatedItems"},
		{name: "if", version: "3.1.0", a: "{if: {type: string}, then: {minLength: 1}}", b: "{}", want: "if"},
		{name: "const, with the option", version: "3.1.0", a: "{const: 1}", b: "{}", options: []kinopenapi.Option{twenty}},
		{
			name: "const in a list, with the option", version: "3.1.0",
			a: "{type: object, properties: {next: {$ref: '#/components/schemas/A'}, kind: {const: 1}}}", b: "{}",
			options: []kinopenapi.Option{twenty}, want: long,
		},
		{
			name: "no limit for it", version: "3.1.0", a: "{}", b: "{}",
			options: []kinopenapi.Option{kinopenapi.WithJSONSchema2020(0)}, want: "positive",
		},
		{name: "left alone", version: "3.1.0", a: "{const: 1}", b: "{}", options: []kinopenapi.Option{kinopenapi.WithUncheckedBodies("x")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			document := parse(t, operation("      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/A'}}}}\n"+
				"components:\n  schemas:\n    A: "+tt.a+"\n    B: "+tt.b+"\n"))
			document.OpenAPI = tt.version
			_, err := kinopenapi.NewSchemaValidator(document, tt.options...)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	for name, text := range map[string]string{
		"const": "{name: p, in: query, schema: {type: string, const: a}}",
		long:    "{name: p, in: query, content: {application/json: {schema: {$ref: '#/components/schemas/A'}}}}",
	} {
		document := parse(t, operation("      parameters: ["+text+"]\ncomponents: {schemas: {A: {oneOf: [{type: array, items: {$ref: '#/components/schemas/A'}}]}}}\n"))
		document.OpenAPI = "3.1.0"
		if _, err := kinopenapi.NewSchemaValidator(document, twenty); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("in a parameter: %v, want %q", err, name)
		}
	}
}

// TestJSONSchema2020Limit checks that the bodies of the slow validator have a limit of their own,
// and only they.
func TestJSONSchema2020Limit(t *testing.T) {
	document := load(t, "testdata/api31.yaml")
	url, _ := checked(t, document, kinopenapi.WithJSONSchema2020(100)).serve(t, document)
	for _, tt := range []struct {
		path   string
		length int
		status int
	}{{"/things", 100, 204}, {"/things", 101, 413}, {"/nodes", 100000, 204}} {
		body := `{"name":"secret","size":1}`
		response, _ := send(t, http.MethodPost, url+tt.path, body+strings.Repeat(" ", tt.length-len(body)), asJSON)
		if response.StatusCode != tt.status {
			t.Errorf("%s, %d bytes: status %d", tt.path, tt.length, response.StatusCode)
		}
	}
}

// TestCost checks that a body in which much is wrong, deep down or side by side, costs no more than
// its length suggests: the whole of it would be gigabytes.
func TestCost(t *testing.T) {
	v := must(kinopenapi.NewSchemaValidator(load(t, "testdata/api.yaml")))(t)
	var members strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&members, `"%d":1,`, i)
	}
	for name, body := range map[string]string{
		"deep": strings.Repeat(`{"name":"","children":[`, 4900) + `{}` + strings.Repeat("]}", 4900),
		"wide": `{"name":"a","labels":{` + members.String() + `"a":1}}`,
	} {
		r := httptest.NewRequest(http.MethodPost, "/items", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := v.ValidateRequest(r, &guard.Operation{Method: http.MethodPost, Path: "/items"}, nil)
		runtime.ReadMemStats(&after)
		if invalid, ok := err.(*guard.InvalidRequestError); !ok || len(invalid.Violations) != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Errorf("%s: a body of %d bytes took %d", name, len(body), used)
		}
	}
	// Short ones are told all of it.
	r := httptest.NewRequest(http.MethodPost, "/items", strings.NewReader(`{"name":"","kind":"","count":0.5}`))
	r.Header.Set("Content-Type", "application/json")
	invalid, ok := v.ValidateRequest(r, &guard.Operation{Method: http.MethodPost, Path: "/items"}, nil).(*guard.InvalidRequestError)
	if !ok || !slices.Equal(invalid.Violations, at("body /count type", "body /kind enum", "body /name minLength")) {
		t.Errorf("%+v", invalid)
	}
}
