package benchmarks

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGenerated checks that the code that oapi-guard and oapi-codegen generate is what is
// committed, and that oapi-guard's api.gen.go is oapi-codegen's own output: the floor stands on it.
func TestGenerated(t *testing.T) {
	dir := t.TempDir()
	// What stands in oapi-guard.yaml; oapi-guard keeps the schema of the claims, which only x-guard
	// refers to.
	config := filepath.Join(dir, "oapi-codegen.yaml")
	err := os.WriteFile(config, []byte(`
package: api
generate: {std-http-server: true, strict-server: true, models: true, embedded-spec: true}
output-options: {skip-prune: true}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "api.gen.go")
	for _, tt := range []struct {
		name    string
		command []string
		files   map[string]string // by what is committed
	}{
		{"oapi-guard", []string{"oapi-guard", "generate", "--output", dir},
			map[string]string{"api/api.gen.go": file, "api/guard.gen.go": filepath.Join(dir, "guard.gen.go")}},
		{"oapi-codegen", []string{"oapi-codegen", "-config", config, "-o", file, "api.yaml"},
			map[string]string{"api/api.gen.go": file}},
		{"oapi-codegen for echo", []string{"oapi-codegen", "-config", "stacks/echo/api/oapi-codegen.yaml", "-o", file, "api.yaml"},
			map[string]string{"stacks/echo/api/api.gen.go": file}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if out, err := exec.CommandContext(t.Context(), "go", append([]string{"tool"}, tt.command...)...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for committed, generated := range tt.files {
				want, err := os.ReadFile(generated)
				if err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(committed)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s is not up to date: go generate .", committed)
				}
			}
		})
	}
}
