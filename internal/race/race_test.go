package race

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// TestSkippedTestsRun checks that the Makefile runs each test without the race detector that is not
// run with it.
func TestSkippedTestsRun(t *testing.T) {
	root := os.DirFS("../..")
	makefile, err := fs.ReadFile(root, "Makefile")
	if err != nil {
		t.Fatal(err)
	}
	expression := regexp.MustCompile(`(?m)^WITHOUT_RACE := (\S+)$`).FindSubmatch(makefile)
	second := regexp.MustCompile(`go test .* -run '\$\(WITHOUT_RACE\)' ([^)]+)\)`).FindSubmatch(makefile)
	if expression == nil || second == nil {
		t.Fatal("the Makefile has no run without the race detector")
	}
	names, packages := regexp.MustCompile(string(expression[1])), strings.Fields(string(second[1]))
	found := 0
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, "_test.go") || name == "internal/race/race_test.go" {
			return nil
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		for _, test := range testsWithoutRace(string(source)) {
			found++
			if !names.MatchString(test) || !inPackages(path.Dir(name), packages) {
				t.Errorf("%s: the Makefile runs %s with the race detector only, which skips it", name, test)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 5 {
		t.Errorf("found %d tests that are skipped, and there are more", found)
	}
}

var function = regexp.MustCompile(`(?ms)^func (Test\w+)\(.*?^}$`)

// testsWithoutRace returns the tests of a file that are not run while the race detector is on.
func testsWithoutRace(source string) []string {
	tagged := strings.HasPrefix(source, "//go:build !race\n")
	var tests []string
	for _, match := range function.FindAllStringSubmatch(source, -1) {
		if tagged || strings.Contains(match[0], "race.Skip(") || strings.Contains(match[0], "race.Enabled") {
			tests = append(tests, match[1])
		}
	}
	return tests
}

func inPackages(dir string, packages []string) bool {
	for _, pkg := range packages {
		parent, all := strings.CutSuffix(strings.TrimPrefix(pkg, "./"), "/...")
		if dir == parent || all && strings.HasPrefix(dir, parent+"/") {
			return true
		}
	}
	return false
}
