package oapiguard

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestREADMECode checks that the Go code of the README is code that is compiled: it stands in the file that is named above it.
func TestREADMECode(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)<!-- from (\\S+) -->\n```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 4 {
		t.Errorf("%d blocks with a source, want at least 4", len(blocks))
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
