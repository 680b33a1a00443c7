package securitytest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// largeDocument returns an OpenAPI document. Every fifth operation needs something else.
func largeDocument(operations int) string {
	securities := []string{
		"security: []",
		"security: [{}, {access: []}]",
		"security: [{access: []}, {accessCookie: []}], x-guard: {roles: {allow: [ADMIN, OWNER]}}",
		"security: [{oauth: [read, write]}, {key: []}]",
		"security: [{access: []}], x-guard: {fresh: 15m, roles: {deny: [GUEST]}}",
	}
	var b strings.Builder
	b.WriteString("openapi: 3.0.3\ninfo: {title: Large, version: 1.0.0}\npaths:\n")
	for i := range operations {
		method := []string{"get", "post"}[i%2]
		fmt.Fprintf(&b, "  /things%d/{id}/parts/{part}:\n    %s: {operationId: thing%d, %s, responses: {'204': {description: done}}, parameters: [%s, %s]}\n",
			i, method, i, securities[i%len(securities)],
			"{name: id, in: path, required: true, schema: {type: integer}}", "{name: part, in: path, required: true, schema: {type: string}}")
	}
	b.WriteString(`components:
  securitySchemes:
    access: {type: http, scheme: bearer}
    accessCookie: {type: apiKey, in: cookie, name: access_token, x-guard: {token: access}}
    oauth: {type: oauth2, x-guard: {token: access}, flows: {clientCredentials: {tokenUrl: 'https://example.com', scopes: {read: r, write: w}}}}
    key: {type: apiKey, in: header, name: X-API-Key}
`)
	return b.String()
}

// operationsOf reads a document as the generator does, and returns its operations as generated code
// has them.
func operationsOf(t testing.TB, document string) []guard.Operation {
	t.Helper()
	file := filepath.Join(t.TempDir(), "api.yaml")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	listed, err := codegen.List(&codegen.Config{Spec: file})
	if err != nil {
		t.Fatal(err)
	}
	schemes := map[string]*guard.Scheme{"access": access, "accessCookie": accessCookie, "oauth": {Name: "oauth", Token: plainAccess}, "key": key}
	var list []guard.Operation
	for _, l := range listed.Operations {
		o := guard.Operation{ID: l.ID, Method: l.Method, Path: l.Path, Rules: guard.Rules{
			Fresh: l.Fresh, MaxAge: time.Duration(l.MaxAge) * time.Second, AllowRoles: l.AllowRoles, DenyRoles: l.DenyRoles,
		}}
		for _, alternative := range l.Security {
			converted := guard.Alternative{}
			for _, s := range alternative {
				converted = append(converted, schemes[s.Name].With(s.Scopes...))
			}
			o.Requirement = append(o.Requirement, converted)
		}
		list = append(list, o)
	}
	return list
}

// TestMatrixOfALargeDocument asks 500 operations. The log has the time.
func TestMatrixOfALargeDocument(t *testing.T) {
	const size = 500
	list := operationsOf(t, largeDocument(size))
	f := newMatrixFixture(t)
	began := time.Now()
	table := f.Matrix(t, list, mountOf(f, list), credentials(f)...)
	took := time.Since(began)
	asked := map[string]bool{}
	for _, row := range table.Rows {
		asked[row.Operation] = true
	}
	if len(asked) != size {
		t.Errorf("%d of %d operations were asked", len(asked), size)
	}
	t.Logf("%d operations, %d requests: %s", len(asked), len(table.Rows), took)
	began = time.Now()
	lines := strings.Count(table.String(), "\n")
	t.Logf("a table of %d lines: %s", lines, time.Since(began))
}

func BenchmarkMatrix(b *testing.B) {
	for _, size := range []int{50, 500} {
		list := operationsOf(b, largeDocument(size))
		b.Run(fmt.Sprintf("%d operations", size), func(b *testing.B) {
			for b.Loop() {
				f := newMatrixFixture(b)
				f.Matrix(b, list, mountOf(f, list), credentials(f)...)
			}
		})
	}
}
