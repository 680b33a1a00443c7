package codegen

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFind looks up places across anchors, merge keys and references to other files, those that go round in circles too.
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
		{nil, "spec.yaml", 1, true},
		{[]string{"a"}, "spec.yaml", 1, true},
		{[]string{"a", "b", "1"}, "spec.yaml", 2, true},
		{[]string{"a", "b", "2"}, "spec.yaml", 3, true},
		{[]string{"a", "b", "3"}, "spec.yaml", 2, false},
		{[]string{"a", "b", "-1"}, "spec.yaml", 2, false},
		{[]string{"a", "none", "deeper"}, "spec.yaml", 1, false},
		{[]string{"e", "d"}, "spec.yaml", 5, true},
		{[]string{"f", "d"}, "spec.yaml", 5, true},
		{[]string{"g", "c", "d"}, "spec.yaml", 5, true},
		{[]string{"h", "back"}, "sub/other.json", 3, true},
		{[]string{"h", "back", "d"}, "spec.yaml", 5, true},
		{[]string{"i", "x"}, "spec.yaml", 11, false},
		{[]string{"j", "x"}, "spec.yaml", 12, false},
		{[]string{"k", "x"}, "spec.yaml", 13, false},
		{[]string{"l~m/n"}, "spec.yaml", 14, true},
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
