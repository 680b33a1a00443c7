package codegen

import (
	"bytes"
	"errors"
	"flag"
	"go/format"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"

	"github.com/oapi-guard/oapi-guard/internal/race"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// testVersion stands in the headers of the golden files in place of the real versions.
var testVersion = Versions{Program: "v0.0.0", Library: "v0.0.0"}

// cases returns the folders of testdata, each of which is a case: a document spec.yaml or
// spec.json, perhaps an oapi-guard.yaml, and what comes of it: the generated files, or the errors
// in stderr.txt.
func cases(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if len(names) < 50 {
		t.Fatalf("%d cases in testdata, there were more", len(names))
	}
	return names
}

// readCase returns the configuration of a case.
func readCase(t *testing.T, name string) (*Config, error) {
	t.Helper()
	dir := "testdata/" + name
	path := dir + "/oapi-guard.yaml"
	data, err := os.ReadFile(path)
	if err == nil {
		return ReadConfig(path, data)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	config := &Config{Spec: dir + "/spec.yaml", Package: "api"}
	if _, err := os.Stat(config.Spec); err != nil {
		config.Spec = dir + "/spec.json"
	}
	return config, nil
}

func generateCase(t *testing.T, name string) (*Result, error) {
	t.Helper()
	config, err := readCase(t, name)
	if err != nil {
		return nil, err
	}
	return Generate(config, testVersion)
}

// outputs are the files of a case that are not its input: the generated files, warnings or errors.
var outputs = []string{APIFile, GuardFile, ClientFile, "warnings.txt", "stderr.txt"}

func TestGolden(t *testing.T) {
	for _, name := range cases(t) {
		t.Run(name, func(t *testing.T) {
			result, err := generateCase(t, name)
			got := map[string][]byte{}
			if err != nil {
				got["stderr.txt"] = []byte(err.Error() + "\n")
			} else {
				got = maps.Clone(result.Files)
				if len(result.Warnings) > 0 {
					got["warnings.txt"] = []byte(strings.Join(result.Warnings, "\n") + "\n")
				}
			}
			for _, output := range outputs {
				path := filepath.Join("testdata", name, output)
				if *update {
					writeGolden(t, path, got[output])
					continue
				}
				want, err := os.ReadFile(path)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				switch {
				case want == nil && got[output] == nil:
				case want == nil:
					t.Errorf("no golden file %s (go test -update writes it) for:\n%s", path, got[output])
				case got[output] == nil:
					t.Errorf("%s should come of it, but %v did; err = %v", path, keys(got), err)
				case !bytes.Equal(want, got[output]):
					t.Errorf("%s differs:\n%s", path, difference(string(want), string(got[output])))
				}
			}
		})
	}
}

func writeGolden(t *testing.T, path string, content []byte) {
	t.Helper()
	var err error
	if content == nil {
		if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		err = os.WriteFile(path, content, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func keys(files map[string][]byte) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// difference returns the first lines that differ.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		if i >= len(w) || i >= len(g) || w[i] != g[i] {
			return "want " + strings.Join(w[min(i, len(w)):min(i+5, len(w))], "\n     ") + "\ngot  " + strings.Join(g[min(i, len(g)):min(i+5, len(g))], "\n     ")
		}
	}
	return ""
}

// TestFormatted checks that the generated code is as gofmt has it, although only parts are formatted.
func TestFormatted(t *testing.T) {
	for _, name := range packages(t) {
		code, err := os.ReadFile(filepath.Join("testdata", name, GuardFile))
		if err != nil {
			t.Fatal(err)
		}
		want, err := format.Source(code)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(code, want) {
			t.Errorf("%s: %s is not formatted:\n%s", name, GuardFile, difference(string(want), string(code)))
		}
	}
}

// TestTwice checks that a document gives the same bytes every time, although Go's maps have no order.
func TestTwice(t *testing.T) {
	race.Skip(t)
	for _, name := range cases(t) {
		first, err := generateCase(t, name)
		second, errAgain := generateCase(t, name)
		if err != nil {
			if errAgain == nil || err.Error() != errAgain.Error() {
				t.Errorf("%s: %v, then %v", name, err, errAgain)
			}
			continue
		}
		for file, content := range first.Files {
			if !bytes.Equal(content, second.Files[file]) {
				t.Errorf("%s: %s differs the second time", name, file)
			}
		}
	}
}

// TestOapiCodegenOutput checks that api.gen.go is what oapi-codegen itself makes of a document, but
// for the line that says who generated it, wherever no schema has to be kept for claims; also where
// the claims are in use elsewhere, so that keeping them keeps nothing.
func TestOapiCodegenOutput(t *testing.T) {
	for _, name := range []string{
		"access-refresh", "aliases", "claims-in-use", "config", "empty", "included", "names", "optional", "overlay", "public-only", "rules", "several-files",
	} {
		config, err := readCase(t, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, embed := range []bool{false, true} {
			config.oapiCodegen.Generate.EmbeddedSpec = embed
			config.oapiCodegen.Generate.Models = true
			result, err := Generate(config, testVersion)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := withHeader(ofLibrary(t, config), testVersion.Library)
			if got := string(result.Files[APIFile]); got != want {
				t.Errorf("%s: %s is not oapi-codegen's:\n%s", name, APIFile, difference(want, got))
			}
		}
	}
}

// ofLibrary returns what oapi-codegen makes of a document that nobody else has touched.
func ofLibrary(t *testing.T, config *Config) string {
	t.Helper()
	settings, err := config.settings()
	if err != nil {
		t.Fatal(err)
	}
	libraryLock.Lock()
	defer libraryLock.Unlock()
	doc, err := load(config.Spec, settings)
	if err != nil {
		t.Fatal(err)
	}
	code, err := codegen.Generate(doc, settings)
	if err != nil {
		t.Fatal(err)
	}
	return code
}
