package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWatch checks that a run follows each change of a file, and no tick without a change, that an error
// ends nothing, and that the end of the context does.
func TestWatch(t *testing.T) {
	file := filepath.Join(t.TempDir(), "spec.yaml")
	// Each change is one step, because the watcher may still look at the files when the next one comes.
	write := func(text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o600), os.Rename(file+".new", file)); err != nil {
			t.Fatal(err)
		}
	}
	write("a")
	ticks, runs := make(chan time.Time), make(chan int, 10)
	count := 0
	var stdout, stderr bytes.Buffer
	w := watcher{
		ticks: ticks,
		files: func() []string { return []string{file, file + ".missing"} },
		generate: func() error {
			count++
			runs <- count
			if count == 2 {
				return errors.New("spec.yaml:1: wrong")
			}
			return nil
		},
		out: &stdout, err: &stderr,
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx) }()
	tick := func() { ticks <- time.Time{}; ticks <- time.Time{} } // the second is received after the first is handled
	<-runs
	tick()
	write("bb")
	tick()
	write("ccc")
	tick()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	tick()
	cancel()
	<-done
	if count != 4 {
		t.Errorf("%d runs, want one at the beginning and one for each of 3 changes", count)
	}
	if got := strings.Count(stdout.String(), "generated"); got != 3 || stderr.String() != "spec.yaml:1: wrong\n" {
		t.Errorf("printed %q and %q", stdout.String(), stderr.String())
	}
}

// TestReferencedFiles checks which files a document of several files depends on.
func TestReferencedFiles(t *testing.T) {
	contents := map[string]string{
		"docs/api.yaml":         "paths:\n  /a: {$ref: 'paths/a.yaml'}\n  /b:\n    $ref: \"../shared/b.json#/b\"\n  /c: {$ref: '#/paths/~1a'}\n  /d: {$ref: https://example.com/d.yaml}\n",
		"docs/paths/a.yaml":     "get: {responses: {'200': {$ref: ../responses.yaml#/ok}}}\n",
		"docs/responses.yaml":   "ok: {content: {application/json: {schema: {$ref: responses.yaml#/schema}}}}\nmissing: {$ref: nowhere.yaml}\n",
		"shared/b.json":         `{"b": {"$ref": "../docs/paths/a.yaml"}}`,
		"docs/unreferenced.yml": "x: 1\n",
	}
	got := referencedFiles([]string{"docs/api.yaml"}, func(name string) ([]byte, error) {
		content, ok := contents[name]
		if !ok {
			return nil, os.ErrNotExist
		}
		return []byte(content), nil
	})
	want := []string{"docs/api.yaml", "docs/paths/a.yaml", "shared/b.json", "docs/responses.yaml", "docs/nowhere.yaml"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
