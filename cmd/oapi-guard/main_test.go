package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/oapi-guard/oapi-guard/internal/pgtest"
)

func TestMain(m *testing.M) {
	testscript.Main(stopping{m}, map[string]func(){"oapi-guard": main})
}

// stopping ends what the tests share.
type stopping struct{ *testing.M }

func (m stopping) Run() int {
	defer pgtest.StopShared()
	defer removeService()
	return m.M.Run()
}

// TestScripts runs the scripts of testdata. In a script, $REPO is this module and own-module makes
// go.mod and go.sum of a user's module that has it as a tool, for which nothing has to be
// downloaded.
func TestScripts(t *testing.T) {
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	goEnv := map[string]string{}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		goEnv[name] = strings.TrimSpace(string(out))
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("REPO", repo)
			e.Setenv("GOPROXY", "off")
			e.Setenv("GOFLAGS", "-mod=mod")
			e.Setenv("GOTOOLCHAIN", "local")
			for name, value := range goEnv {
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"own-module": ownModule, "wait-for": waitFor},
	})
}

// ownModule writes the go.mod and go.sum of a user's module.
func ownModule(ts *testscript.TestScript, _ bool, _ []string) {
	const module = "github.com/oapi-guard/oapi-guard"
	repo := ts.Getenv("REPO")
	mod, err := os.ReadFile(filepath.Join(repo, "go.mod"))
	ts.Check(err)
	own := strings.Replace(string(mod), "module "+module, "module example.com/service", 1) +
		"\nrequire " + module + " v0.0.0\nreplace " + module + " => " + repo +
		"\ntool " + module + "/cmd/oapi-guard\n"
	sum, err := os.ReadFile(filepath.Join(repo, "go.sum"))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("go.mod"), []byte(own), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("go.sum"), sum, 0o644))
}

// waitFor waits until a file that another process writes matches a pattern.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: wait-for FILE PATTERN")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	for deadline := time.Now().Add(2 * time.Minute); ; {
		content, err := os.ReadFile(ts.MkAbs(args[0]))
		switch {
		case err == nil && pattern.Match(content):
			return
		case time.Now().After(deadline):
			ts.Fatalf("%s does not match %s: %v\n%s", args[0], args[1], err, content)
		}
		time.Sleep(50 * time.Millisecond) // between two looks at what another process writes
	}
}
