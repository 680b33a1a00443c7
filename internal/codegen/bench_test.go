package codegen

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

// BenchmarkGenerate compares a whole generation with oapi-codegen alone, loading included: for the
// reference API, and for a document of 500 operations. The type check of the code, which oapi-codegen
// does not have, is measured apart too.
func BenchmarkGenerate(b *testing.B) {
	large := filepath.Join(b.TempDir(), "large.yaml")
	if err := os.WriteFile(large, []byte(largeDocument(500)), 0o644); err != nil {
		b.Fatal(err)
	}
	for _, document := range []struct{ name, path string }{{name: "reference", path: "../../api.yaml"}, {name: "500", path: large}} {
		config := &Config{Spec: document.path, Package: "api"}
		b.Run(document.name+"/oapi-guard", func(b *testing.B) {
			for b.Loop() {
				if _, err := Generate(config, testVersion); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(document.name+"/type check", func(b *testing.B) {
			result, err := Generate(config, testVersion)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				b.StopTimer() // the code is parsed anyway
				g, err := parseGenerated(map[string]string{APIFile: string(result.Files[APIFile])}, config.router())
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if found := g.typeErrors(); len(found) > 0 {
					b.Fatal(found)
				}
			}
		})
		b.Run(document.name+"/oapi-codegen", func(b *testing.B) {
			for b.Loop() {
				settings, err := config.settings()
				if err != nil {
					b.Fatal(err)
				}
				doc, err := load(config.Spec, settings)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := codegen.Generate(doc, settings); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// largeDocument returns a document of n operations that read, write and delete things.
func largeDocument(n int) string {
	var b strings.Builder
	b.WriteString("openapi: 3.0.3\ninfo: {title: large, version: 1.0.0}\nsecurity: [access: []]\npaths:\n")
	for i := range n / 2 {
		fmt.Fprintf(&b, `  /things%[1]d/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getThing%[1]d
      parameters: [{name: page, in: query, schema: {type: integer}}]
      responses:
        '200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Thing%[1]d'}}}}
    put:
      operationId: putThing%[1]d
      x-guard: {fresh: 15m, roles: {allow: [ADMIN]}}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Thing%[1]d'}}}}
      responses: {'204': {description: done}}
`, i)
	}
	b.WriteString("components:\n  securitySchemes:\n    access: {type: http, scheme: bearer, x-guard: {claims: {$ref: '#/components/schemas/Claims'}}}\n  schemas:\n")
	b.WriteString("    Claims: {type: object, properties: {name: {type: string}}}\n")
	for i := range n / 2 {
		fmt.Fprintf(&b, "    Thing%d: {type: object, required: [id], properties: {id: {type: string}, size: {type: integer}, tags: {type: array, items: {type: string}}}}\n", i)
	}
	return b.String()
}
