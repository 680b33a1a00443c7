package benchmarks

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGenerated checks that the committed code of oapi-guard and oapi-codegen is up to date, and
// that api.gen.go of oapi-guard is the output of oapi-codegen, which the stack floor uses.
func TestGenerated(t *testing.T) {
	dir := t.TempDir()
	// The same as in oapi-guard.yaml. oapi-guard keeps the schema of the claims, to which only
	// x-guard refers.
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
	ogenDir := filepath.Join(dir, "ogen")
	ogenFiles := map[string]string{}
	names, err := filepath.Glob("stacks/ogen/gen/*.go")
	if err != nil || len(names) == 0 {
		t.Fatal("no code of ogen", err)
	}
	for _, name := range names {
		ogenFiles[name] = filepath.Join(ogenDir, filepath.Base(name))
	}
	for _, tt := range []struct {
		name    string
		command []string
		files   map[string]string // by the committed file
	}{
		{"oapi-guard", []string{"oapi-guard", "generate", "--output", dir},
			map[string]string{"api/api.gen.go": file, "api/guard.gen.go": filepath.Join(dir, "guard.gen.go")}},
		{"oapi-codegen", []string{"oapi-codegen", "-config", config, "-o", file, "api.yaml"},
			map[string]string{"api/api.gen.go": file}},
		{"oapi-codegen for echo", []string{"oapi-codegen", "-config", "stacks/echo/api/oapi-codegen.yaml", "-o", file, "api.yaml"},
			map[string]string{"stacks/echo/api/api.gen.go": file}},
		{"oapi-codegen for gin", []string{"oapi-codegen", "-config", "stacks/gin/api/oapi-codegen.yaml", "-o", file, "api.yaml"},
			map[string]string{"stacks/gin/api/api.gen.go": file}},
		{"oapi-codegen for fiber", []string{"oapi-codegen", "-config", "stacks/fiber/api/oapi-codegen.yaml", "-o", file, "api.yaml"},
			map[string]string{"stacks/fiber/api/api.gen.go": file}},
		{"ogen", []string{"ogen", "--loglevel", "error", "--config", "stacks/ogen/ogen.yaml", "--target", ogenDir, "--package", "gen", "api.yaml"}, ogenFiles},
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
