package codegen

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestListedClaims checks what a listing has of the claims: references are resolved, texts for readers
// are left out, and claims that have the name of a keyword stay.
func TestListedClaims(t *testing.T) {
	file := filepath.Join(t.TempDir(), "spec.yaml")
	const document = `
openapi: 3.0.3
info: {title: Claims, version: 1.0.0}
paths:
  /me: {get: {security: [jwt: []], responses: {'204': {description: done}}}}
components:
  securitySchemes: {jwt: {type: http, scheme: bearer, x-guard: {claims: {$ref: '#/components/schemas/Claims'}}}}
  schemas:
    Claims:
      type: object
      description: for readers
      x-internal: true
      required: [title]
      properties:
        title: {type: string, description: for readers, example: x}
        x-team: {$ref: '#/components/schemas/Team'}
    Team: {type: object, properties: {parent: {$ref: '#/components/schemas/Team'}, name: {type: string, enum: [a, b], default: a}}}
`
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := List(&Config{Spec: file})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Schemes) != 1 {
		t.Fatalf("schemes %+v", l.Schemes)
	}
	var got, want any
	if err := json.Unmarshal(l.Schemes[0].Claims, &got); err != nil {
		t.Fatal(err)
	}
	err = json.Unmarshal([]byte(`{"type": "object", "required": ["title"], "properties": {"title": {"type": "string"},
		"x-team": {"type": "object", "properties": {"parent": {"$ref": "#/components/schemas/Team"}, "name": {"type": "string", "enum": ["a", "b"]}}}}}`), &want)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%v\nwant\n%v", err, got, want)
	}
}

// TestIgnoreUnmatched checks that an older document may lack what the configuration of a newer one
// names, and that this is an error otherwise.
func TestIgnoreUnmatched(t *testing.T) {
	file := filepath.Join(t.TempDir(), "spec.yaml")
	const document = "openapi: 3.0.3\ninfo: {title: Old, version: 1.0.0}\npaths:\n  /public: {get: {operationId: getPublic, security: [], responses: {'204': {description: done}}}}\n"
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a scheme":           "schemes: {later: {token: refresh}}",
		"an operation":       "operations: {later: {fresh: true}}",
		"a rule of a public": "operations: {getPublic: {fresh: true}}",
	} {
		config, err := ReadConfig("oapi-guard.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		config.Spec = file
		if _, err := List(config); err == nil {
			t.Errorf("%s: no error", name)
		}
		config.IgnoreUnmatched = true
		if _, err := List(config); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
