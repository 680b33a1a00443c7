package main

import (
	"io"
	"strings"
	"testing"
)

// TestCompile checks that the compiler runs on one package of this module, with its imports.
func TestCompile(t *testing.T) {
	c, err := compile("../internal/caller")
	if err != nil {
		t.Fatal(err)
	}
	if c.lines < 50 || c.lines > 1000 || c.used <= 0 {
		t.Errorf("%d lines in %v", c.lines, c.used)
	}
	if _, err := compile("../nowhere"); err == nil {
		t.Error("no error for a package that does not exist")
	}
}

func TestRunErrors(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "usage"},
		{[]string{"-rounds", "0", "../testdata/growth/n10"}, "usage"},
		{[]string{"../testdata/growth"}, "is no API of benchmarks/growth"},
		{[]string{"../testdata/size-test/n10"}, "../testdata/size-test/n10: go: exit status 1"},
	} {
		if err := run(tt.args, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.args, err, tt.want)
		}
	}
}
