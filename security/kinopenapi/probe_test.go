package kinopenapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/kinopenapi"
)

// operation returns a document of one operation, POST /x.
func operation(text string) string {
	return "paths:\n  /x:\n    post:\n      operationId: x\n      responses: {'204': {description: done}}\n" + text
}

// TestNewSchemaValidator checks what cannot be checked at all: it is an error when the service starts, not with every request, and it names
// what to do.
func TestNewSchemaValidator(t *testing.T) {
	parameter := func(text string) string { return operation("      parameters: [" + text + "]\n") }
	body := func(text string) string { return operation("      requestBody: {content: {" + text + "}}\n") }
	for _, tt := range []struct {
		name, document string
		options        []kinopenapi.Option
		want           string // of the error
	}{
		{"a document", operation(""), nil, ""},
		{"a nil option", operation(""), []kinopenapi.Option{nil}, "nil option"},
		{"no body at all", operation(""), []kinopenapi.Option{kinopenapi.WithMaxBody(0)}, "the longest body is positive"},
		{"no paths", "components: {}", nil, "paths"},
		{"an invalid schema", parameter("{name: p, in: query, schema: {type: strong}}"), nil, `strong`},
		{"a pattern of another engine", parameter("{name: p, in: query, schema: {type: string, pattern: '^(?!a)'}}"), nil, "(?!"},
		{"with that engine", parameter("{name: p, in: query, schema: {type: string, pattern: '^(?!b)'}}"), []kinopenapi.Option{
			kinopenapi.WithDocumentOptions(openapi3.DisableSchemaPatternValidation()), kinopenapi.WithSchemaOptions(openapi3.SetSchemaRegexCompiler(anything))}, ""},
		{"without that engine", parameter("{name: p, in: query, schema: {type: string, pattern: '^(?!c)'}}"), []kinopenapi.Option{
			kinopenapi.WithDocumentOptions(openapi3.DisableSchemaPatternValidation())}, "the query parameter p"},
		{"a wrong example", parameter("{name: p, in: query, schema: {type: integer}, example: secret}"), nil, ""},
		{"a wrong example, if asked", parameter("{name: p, in: query, schema: {type: integer}, example: secret}"),
			[]kinopenapi.Option{kinopenapi.WithDocumentOptions(openapi3.EnableExamplesValidation())}, "example"},

		{"a list in a cookie", parameter("{name: p, in: cookie, schema: {type: array, items: {type: string}}}"), nil, "the cookie parameter p"},
		{"a list in a cookie, without explode", parameter("{name: p, in: cookie, explode: false, schema: {type: array, items: {type: string}}}"), nil, ""},
		{"a parameter without a type", parameter("{name: p, in: query, schema: {enum: [a]}}"), nil, "its schema has no type"},
		{"a parameter that is not something", parameter("{name: p, in: query, schema: {not: {type: string}}}"), nil, "the query parameter p"},
		{"a list of objects", parameter("{name: p, in: query, schema: {type: array, items: {type: object}}}"), nil, "the query parameter p"},
		{"a parameter in XML", parameter("{name: p, in: query, content: {application/xml: {schema: {type: string}}}}"), nil, "the query parameter p"},
		{"left alone", parameter("{name: p, in: query, schema: {enum: [a]}}"), []kinopenapi.Option{kinopenapi.WithUncheckedParameters("query p")}, ""},
		{"another left alone", operation(""), []kinopenapi.Option{kinopenapi.WithUncheckedParameters("query p")}, `["query p"]`},

		{"XML", body("application/xml: {schema: {type: object}}"), nil, "there is no decoder"},
		{"XML without a schema", body("application/xml: {}"), nil, ""},
		{"XML as bytes", body("application/xml: {schema: {type: string, format: binary}}"), nil, ""},
		{"a range", body("'image/*': {schema: {type: string}}"), nil, ""},
		{"a form that is no object", body("application/x-www-form-urlencoded: {schema: {type: string}}"), nil, "unsupported schema"},
		{"an object in a form", body("application/x-www-form-urlencoded: {schema: {type: object, properties: {o: {type: object}}}}"), nil, `"o"`},
		{"parts that are no object", body("multipart/form-data: {schema: {type: string}}"), nil, "unsupported schema"},
		{"XML that is left alone", body("application/xml: {schema: {type: object}}"), []kinopenapi.Option{kinopenapi.WithUncheckedBodies("x")}, ""},
		{"XML that is left alone by its path", body("application/xml: {schema: {type: object}}"), []kinopenapi.Option{kinopenapi.WithUncheckedBodies("POST /x")}, ""},
		{"another operation left alone", operation(""), []kinopenapi.Option{kinopenapi.WithUncheckedBodies("x", "y")}, `["y"]`},
		{"no operation", operation(""), []kinopenapi.Option{kinopenapi.WithUncheckedBodies("")}, `[""]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := kinopenapi.NewSchemaValidator(parse(t, tt.document), tt.options...)
			switch {
			case tt.want == "" && (err != nil || !v.Knows(&guard.Operation{Method: http.MethodPost, Path: "/x"})):
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
	if _, err := kinopenapi.NewSchemaValidator(nil); err == nil {
		t.Error("a validator without a document")
	}
}

// anything is an engine of regular expressions for which everything matches.
func anything(string) (openapi3.RegexMatcher, error) { return regexp.MustCompile(""), nil }

// TestFormats checks that formats come from the document, an option, or nowhere.
func TestFormats(t *testing.T) {
	const text = "      parameters: [{name: p, in: query, schema: {type: string, format: own}}]\n"
	own := openapi3.NewRegexpFormatValidator("^own$")
	of := parse(t, operation(text))
	of.SetStringFormatValidator("own", own)
	for name, tt := range map[string]struct {
		document *openapi3.T
		options  []kinopenapi.Option
		want     []guard.Violation
	}{
		"nowhere":      {parse(t, operation(text)), nil, nil},
		"the document": {of, nil, at("query p format")},
		"an option":    {parse(t, operation(text)), []kinopenapi.Option{kinopenapi.WithSchemaOptions(openapi3.WithStringFormatValidator("own", own))}, at("query p format")},
	} {
		v := must(kinopenapi.NewSchemaValidator(tt.document, tt.options...))(t)
		err := v.ValidateRequest(httptest.NewRequest(http.MethodPost, "/x?p=secret", nil), &guard.Operation{Method: http.MethodPost, Path: "/x"}, nil)
		var invalid *guard.InvalidRequestError
		if (err == nil) != (tt.want == nil) || errors.As(err, &invalid) && !slices.Equal(invalid.Violations, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOtherDocument checks that operations of another document are an error when the guards are made, and refused where they get by.
func TestOtherDocument(t *testing.T) {
	v := must(kinopenapi.NewSchemaValidator(load(t, "testdata/api.yaml")))(t)
	a := newApplication(t, guard.WithSchemaValidator(v))
	for _, o := range []*guard.Operation{{Method: http.MethodDelete, Path: "/items"}, {Method: http.MethodPost, Path: "/item"}, {Method: "post", Path: "/items"}, nil} {
		if v.Knows(o) {
			t.Errorf("%v is known", o)
		}
		if _, err := guard.NewGuards(a.policy, nil, o); err == nil {
			t.Errorf("a guard for %v", o)
		}
		var invalid *guard.InvalidRequestError
		if err := v.ValidateRequest(httptest.NewRequest(http.MethodPost, "/items", nil), o, nil); err == nil || errors.As(err, &invalid) {
			t.Errorf("%v: %v", o, err)
		}
	}
	for _, path := range []string{"/items", "/v1/items"} {
		if !v.Knows(&guard.Operation{Method: http.MethodPost, Path: path}) {
			t.Errorf("%s is unknown", path)
		}
	}
}
