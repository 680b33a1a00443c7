package crosstest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestInit runs the scripts of testdata/init: oapi-guard init in a project that has an oapi-codegen with
// a configuration, up to a server that refuses a revoked token. They need no network: the modules are
// those of this module.
func TestInit(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the generator in another module")
	}
	repo, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{"REPO": repo, "GOPROXY": "off", "GOSUMDB": "off", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOWORK": "off"}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		environment[name] = strings.TrimSpace(string(out))
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/init",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for name, value := range environment {
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"own-module": ownModule},
	})
}

// ownModule writes the go.mod and go.sum of a user's module with the commands of oapi-codegen and
// oapi-guard as tools, and what its server needs to issue tokens.
func ownModule(ts *testscript.TestScript, _ bool, _ []string) {
	repo := ts.Getenv("REPO")
	mod, err := os.ReadFile(filepath.Join(repo, "crosstest", "go.mod"))
	ts.Check(err)
	text := strings.Replace(string(mod), "module github.com/oapi-guard/oapi-guard/crosstest", "module example.com/service", 1)
	text = strings.Replace(text, "=> ../", "=> "+repo, 1) +
		"\ntool (\n\tgithub.com/oapi-guard/oapi-guard/cmd/oapi-guard\n\tgithub.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen\n)\n"
	var sums []byte
	for _, dir := range []string{"crosstest", "."} {
		sum, err := os.ReadFile(filepath.Join(repo, dir, "go.sum"))
		ts.Check(err)
		sums = append(sums, sum...)
	}
	ts.Check(os.WriteFile(ts.MkAbs("go.mod"), []byte(text), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("go.sum"), sums, 0o644))
	// go tool does not add the modules that the tools need, and go list does.
	ts.Check(ts.Exec("go", "list", "-deps", "github.com/oapi-guard/oapi-guard/cmd/oapi-guard", "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen"))
}
