package oapiguard

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocCode checks that the Go code of the documentation is code that is compiled: it stands in the file that is named above it.
func TestDocCode(t *testing.T) {
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for _, file := range append(files, "README.md") {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, content...)
	}
	sourced := regexp.MustCompile("(?s)<!-- from (\\S+) -->\n```go\n(.*?)```")
	blocks := sourced.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 7 {
		t.Errorf("%d blocks with a source, want at least 7", len(blocks))
	}
	rest := sourced.ReplaceAllString(string(text), "")
	rest = strings.ReplaceAll(rest, "```go\n//go:generate go tool oapi-guard generate\n```", "") // run by cmd/oapi-guard's scripts
	if strings.Contains(rest, "```go") {
		t.Error("a block of Go code does not say which file it is from")
	}
	for _, block := range blocks {
		source, err := os.ReadFile(block[1])
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(string(source), block[2]) {
			t.Errorf("%s has no such code:\n%s", block[1], block[2])
		}
	}
}
