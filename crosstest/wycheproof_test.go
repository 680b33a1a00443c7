package crosstest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"
)

// TestWycheproof runs the vectors of Project Wycheproof for signatures and keys in JSON (RFC 7515
// and RFC 7517). What they have to go through is not exported, as an application has whole tokens
// only: the test of this name in the package security runs them, and is given their folder here.
// The cache of go test does not see that package change: run this with -count=1.
func TestWycheproof(t *testing.T) {
	files := []string{"json_web_signature_test.json", "json_web_key_test.json"}
	dir := t.TempDir()
	for _, name := range files {
		text, err := fs.ReadFile(wycheproof.TestVectors, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^TestWycheproof$", ".")
	cmd.Dir = filepath.Join("..", "security")
	cmd.Env = append(os.Environ(), "OAPI_GUARD_WYCHEPROOF="+dir)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	// A test that was skipped or renamed would pass as well.
	for _, name := range files {
		if !strings.Contains(string(output), "--- PASS: TestWycheproof/"+name) {
			t.Errorf("%s was not run:\n%s", name, output)
		}
	}
}
