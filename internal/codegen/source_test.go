package codegen

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFind looks up places across anchors, merge keys and references to other files, those that go
// round in circles too.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"spec.yaml": `a:
  b: [x, y,
    z]
  c: &anchor
    d: 1
e: *anchor
f:
  <<: *anchor
g: {$ref: '#/a'}
h: {$ref: 'sub/other.json#/x~1y'}
i: {$ref: '#/i'}
j: {$ref: 'gone.yaml'}
k: {$ref: 'https://example.com/spec.yaml#/a'}
l~m/n: 1
`,
		"sub/other.json": `{
  "x/y": {
    "back": {"$ref": "../spec.yaml#/a/c"}
  }
}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := &source{path: filepath.Join(dir, "spec.yaml")}
	for _, tt := range []struct {
		keys  []string
		file  string
		line  int
		exact bool
	}{
		{keys: nil, file: "spec.yaml", line: 1, exact: true},
		{keys: []string{"a"}, file: "spec.yaml", line: 1, exact: true},
		{keys: []string{"a", "b", "1"}, file: "spec.yaml", line: 2, exact: true},
		{keys: []string{"a", "b", "2"}, file: "spec.yaml", line: 3, exact: true},
		{keys: []string{"a", "b", "3"}, file: "spec.yaml", line: 2, exact: false},
		{keys: []string{"a", "b", "-1"}, file: "spec.yaml", line: 2, exact: false},
		{keys: []string{"a", "none", "deeper"}, file: "spec.yaml", line: 1, exact: false},
		{keys: []string{"e", "d"}, file: "spec.yaml", line: 5, exact: true},
		{keys: []string{"f", "d"}, file: "spec.yaml", line: 5, exact: true},
		{keys: []string{"g", "c", "d"}, file: "spec.yaml", line: 5, exact: true},
		{keys: []string{"h", "back"}, file: "sub/other.json", line: 3, exact: true},
		{keys: []string{"h", "back", "d"}, file: "spec.yaml", line: 5, exact: true},
		{keys: []string{"i", "x"}, file: "spec.yaml", line: 11, exact: false},
		{keys: []string{"j", "x"}, file: "spec.yaml", line: 12, exact: false},
		{keys: []string{"k", "x"}, file: "spec.yaml", line: 13, exact: false},
		{keys: []string{"l~m/n"}, file: "spec.yaml", line: 14, exact: true},
	} {
		at := place{source: s}.at(tt.keys...)
		file, line, exact := s.find(at.pointer)
		if want := filepath.Join(dir, tt.file); file != want || line != tt.line || exact != tt.exact {
			t.Errorf("%s: %s:%d %v, want %s:%d %v", at.pointer, file, line, exact, want, tt.line, tt.exact)
		}
	}
}

// TestFindNothing checks that a problem in a document that cannot be read again still says where it is.
func TestFindNothing(t *testing.T) {
	for _, s := range []*source{{path: "https://example.com/spec.yaml"}, {path: "gone.yaml"}} {
		got := place{source: s}.at("a/b", "c").problem("it is wrong").Error()
		if want := s.path + ": it is wrong (at #/a~1b/c)"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
