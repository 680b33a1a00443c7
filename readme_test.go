package oapiguard

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	sourcedBlock = regexp.MustCompile("(?s)<!-- from (\\S+) -->\n```go\n(.*?)```")
	triedBlock   = regexp.MustCompile("(?s)<!-- try: file \\S+ -->\n```go\n.*?```")
	pageLink     = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	sourceMark   = regexp.MustCompile("<!-- from ")
)

// pages returns the documentation by file name.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range append(files, "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.ToSlash(file)] = string(text)
	}
	return all
}

// TestDocCode checks that the Go code of the documentation is compiled. Either the block is in the file
// that is named above it, or a script of cmd/oapi-guard compiles it in an empty module ("try: file").
func TestDocCode(t *testing.T) {
	found := 0
	for file, text := range pages(t) {
		blocks := sourcedBlock.FindAllStringSubmatch(text, -1)
		found += len(blocks)
		if marks := sourceMark.FindAllString(text, -1); len(marks) != len(blocks) {
			t.Errorf("%s: %d marks \"from\", and %d of them are in front of a block", file, len(marks), len(blocks))
		}
		rest := triedBlock.ReplaceAllString(sourcedBlock.ReplaceAllString(text, ""), "")
		if strings.Contains(rest, "```go") {
			t.Errorf("%s: a block of Go code has no mark \"from FILE\"", file)
		}
		for _, block := range blocks {
			source, err := os.ReadFile(block[1])
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if !strings.Contains(string(source), block[2]) {
				t.Errorf("%s: %s has no such code:\n%s", file, block[1], block[2])
			}
		}
	}
	if found < 30 {
		t.Errorf("%d blocks with a source, want at least 30", found)
	}
}

// TestLinks checks that the files exist that the documentation links to, and that the README links to
// each page.
func TestLinks(t *testing.T) {
	all := pages(t)
	for file, text := range all {
		prose := sourcedBlock.ReplaceAllString(text, "") // a type argument in Go looks like a link
		for _, link := range pageLink.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), link[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		if file != "README.md" && file != "docs/releasing.md" && !strings.Contains(all["README.md"], "("+file+")") {
			t.Errorf("README.md has no link to %s", file)
		}
	}
}

// TestArchitecture checks that the files exist that the table "Where to change what" names. A name
// without a folder is in the folder of the name in front of it.
func TestArchitecture(t *testing.T) {
	text := pages(t)["ARCHITECTURE.md"]
	rows, found := 0, 0
	for _, row := range regexp.MustCompile(`(?m)^\|[^|]*\|([^|]*)\|$`).FindAllStringSubmatch(text, -1) {
		rows++
		folder := "."
		for _, quoted := range regexp.MustCompile("`([^`\\s]+)`").FindAllStringSubmatch(row[1], -1) {
			name := quoted[1]
			if !strings.ContainsAny(name, "./") && folder != "." {
				continue // a word of the code, such as the name of a function
			}
			matches, err := filepath.Glob(name)
			if err == nil && len(matches) == 0 {
				matches, err = filepath.Glob(filepath.Join(folder, name))
			}
			if err != nil || len(matches) == 0 {
				t.Errorf("ARCHITECTURE.md names %s, which does not exist", name)
				continue
			}
			found++
			if folder = matches[0]; filepath.Ext(folder) != "" {
				folder = filepath.Dir(folder)
			}
		}
	}
	if rows < 30 || found < 40 {
		t.Errorf("%d names in %d rows, want at least 40 in 30", found, rows)
	}
}
