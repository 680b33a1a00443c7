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

// TestNewSchemaValidator checks what cannot be checked at all: it is an error when the service
// starts, not with every request, and it names what to do.
func TestNewSchemaValidator(t *testing.T) {
	parameter := func(text string) string { return operation("      parameters: [" + text + "]\n") }
	body := func(text string) string { return operation("      requestBody: {content: {" + text + "}}\n") }
	for _, tt := range []struct {
		name, document string
		options        []kinopenapi.Option
		want           string // of the error
	}{
		{name: "a document", document: operation("")},
		{name: "a nil option", document: operation(""), options: []kinopenapi.Option{nil}, want: "nil option"},
		{
			name: "no body at all", document: operation(""), options: []kinopenapi.Option{kinopenapi.WithMaxBody(0)},
			want: "the longest body is positive",
		},
		{name: "no paths", document: "components: {}", want: "paths"},
		{name: "an invalid schema", document: parameter("{name: p, in: query, schema: {type: strong}}"), want: `strong`},
		{
			name:     "a pattern of another engine",
			document: parameter("{name: p, in: query, schema: {type: string, pattern: '^(?!a)'}}"), want: "(?!",
		},
		{
			name:     "with that engine",
			document: parameter("{name: p, in: query, schema: {type: string, pattern: '^(?!b)'}}"),
			options: []kinopenapi.Option{
				kinopenapi.WithDocumentOptions(openapi3.DisableSchemaPatternValidation()), kinopenapi.WithSchemaOptions(openapi3.SetSchemaRegexCompiler(anything))},
		},
		{
			name:     "without that engine",
			document: parameter("{name: p, in: query, schema: {type: string, pattern: '^(?!c)'}}"),
			options: []kinopenapi.Option{
				kinopenapi.WithDocumentOptions(openapi3.DisableSchemaPatternValidation())},
			want: "the query parameter p",
		},
		{name: "a wrong example", document: parameter("{name: p, in: query, schema: {type: integer}, example: secret}")},
		{
			name:     "a wrong example, if asked",
			document: parameter("{name: p, in: query, schema: {type: integer}, example: secret}"),
			options:  []kinopenapi.Option{kinopenapi.WithDocumentOptions(openapi3.EnableExamplesValidation())},
			want:     "example",
		},

		{
			name:     "a list in a cookie",
			document: parameter("{name: p, in: cookie, schema: {type: array, items: {type: string}}}"),
			want:     "the cookie parameter p",
		},
		{
			name:     "a list in a cookie, without explode",
			document: parameter("{name: p, in: cookie, explode: false, schema: {type: array, items: {type: string}}}"),
		},
		{
			name: "a parameter without a type", document: parameter("{name: p, in: query, schema: {enum: [a]}}"),
			want: "its schema has no type",
		},
		{
			name:     "a parameter that is not something",
			document: parameter("{name: p, in: query, schema: {not: {type: string}}}"), want: "the query parameter p",
		},
		{
			name:     "a list of objects",
			document: parameter("{name: p, in: query, schema: {type: array, items: {type: object}}}"),
			want:     "the query parameter p",
		},
		{
			name:     "a parameter in XML",
			document: parameter("{name: p, in: query, content: {application/xml: {schema: {type: string}}}}"),
			want:     "the query parameter p",
		},
		{
			name: "left alone", document: parameter("{name: p, in: query, schema: {enum: [a]}}"),
			options: []kinopenapi.Option{kinopenapi.WithUncheckedParameters("query p")},
		},
		{
			name: "another left alone", document: operation(""),
			options: []kinopenapi.Option{kinopenapi.WithUncheckedParameters("query p")}, want: `["query p"]`,
		},

		{name: "XML", document: body("application/xml: {schema: {type: object}}"), want: "there is no decoder"},
		{name: "XML without a schema", document: body("application/xml: {}")},
		{name: "XML as bytes", document: body("application/xml: {schema: {type: string, format: binary}}")},
		{name: "a range", document: body("'image/*': {schema: {type: string}}")},
		{
			name:     "a form that is no object",
			document: body("application/x-www-form-urlencoded: {schema: {type: string}}"), want: "unsupported schema",
		},
		{
			name:     "an object in a form",
			document: body("application/x-www-form-urlencoded: {schema: {type: object, properties: {o: {type: object}}}}"),
			want:     `"o"`,
		},
		{name: "parts that are no object", document: body("multipart/form-data: {schema: {type: string}}"), want: "unsupported schema"},
		{
			name: "XML that is left alone", document: body("application/xml: {schema: {type: object}}"),
			options: []kinopenapi.Option{kinopenapi.WithUncheckedBodies("x")},
		},
		{
			name: "XML that is left alone by its path", document: body("application/xml: {schema: {type: object}}"),
			options: []kinopenapi.Option{kinopenapi.WithUncheckedBodies("POST /x")},
		},
		{
			name: "another operation left alone", document: operation(""),
			options: []kinopenapi.Option{kinopenapi.WithUncheckedBodies("x", "y")}, want: `["y"]`,
		},
		{name: "no operation", document: operation(""), options: []kinopenapi.Option{kinopenapi.WithUncheckedBodies("")}, want: `[""]`},
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

// TestOtherDocument checks that operations of another document are an error when the guards are
// made, and refused where they get by.
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
