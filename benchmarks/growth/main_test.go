package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGrowth generates small APIs and runs the generated tests: each operation of each stack
// requires a token.
func TestGrowth(t *testing.T) {
	testdata := filepath.Join("..", "testdata")
	if err := os.MkdirAll(testdata, 0o777); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(testdata, "growth-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := run([]string{dir, "1", "12"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"go", "test", "-v", "-count=1", "-run", "TestGrowth", "-bench", ".", "-benchtime", "1x"},
		{"gofmt", "-l", "."},
		{"go", "vet", "./n1/cmd/..."},
	} {
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		switch command[1] {
		case "test":
			for _, want := range []string{"--- PASS: TestGrowth/1 ", "--- PASS: TestGrowth/12 ", "BenchmarkGrowth/operations=12/stack=nethttp-middleware", "BenchmarkGrowth/operations=12/stack=ogen"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("the output has no %q:\n%s", want, out)
				}
			}
		case "-l":
			if len(out) > 0 {
				t.Errorf("not formatted: %s", out)
			}
		}
	}
}

func TestRunErrors(t *testing.T) {
	elsewhere := t.TempDir()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "usage"},
		{[]string{"../testdata/growth-errors"}, "usage"},
		{[]string{"../testdata/growth-errors", "0"}, `"0" is no number`},
		{[]string{"../testdata/growth-errors", "x"}, `"x" is no number`},
		{[]string{"../testdata/growth-errors", "10000"}, `"10000" is no number`},
		{[]string{"../testdata", "1"}, "no folder in the testdata"},
		{[]string{"../nowhere", "1"}, "no folder in the testdata"},
		{[]string{elsewhere, "1"}, "no folder in the testdata"},
	} {
		if err := run(tt.args, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.args, err, tt.want)
		}
	}
	if _, err := os.Stat(elsewhere); err != nil {
		t.Errorf("a folder elsewhere was touched: %v", err)
	}
}
