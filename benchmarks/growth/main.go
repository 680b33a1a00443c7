// Command growth generates APIs of many operations and the benchmarks that compare them: too much code to keep in the repository.
//
//	go run ./growth testdata/growth 10 100 1000
//
// writes one package for each number of operations into the folder, which lies in this module's testdata and is emptied first,
// and a package of tests that measures them all: go test -bench . ./testdata/growth
package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

//go:embed templates/*.tmpl
var files embed.FS

var templates = template.Must(template.ParseFS(files, "templates/*.tmpl"))

// api is what the templates of one API are given.
type api struct {
	Package    string
	Operations []operation
}

type operation struct{ Name, Path string }

func run(args []string, stderr io.Writer) error {
	if len(args) < 2 {
		return errors.New("usage: growth FOLDER OPERATIONS [OPERATIONS]")
	}
	dir := args[0]
	path, err := importPath(dir)
	if err != nil {
		return err
	}
	var apis []api
	for _, arg := range args[1:] {
		n, err := strconv.Atoi(arg)
		if err != nil || n < 1 || n > 9999 {
			return fmt.Errorf("%q is no number of operations: 1 to 9999", arg)
		}
		apis = append(apis, newAPI(n))
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, a := range apis {
		if err := a.generate(filepath.Join(dir, a.Package), stderr); err != nil {
			return err
		}
	}
	return render(filepath.Join(dir, "growth_test.go"), "growth_test.go.tmpl", map[string]any{"Path": path, "APIs": apis})
}

// importPath returns the import path of a folder in this module's testdata, which may not be there
// yet.
func importPath(dir string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Path}}\n{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list -m: %w", err)
	}
	module, root, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(filepath.Join(root, "testdata"), absolute)
	if err != nil || !filepath.IsLocal(rel) || rel == "." {
		return "", fmt.Errorf("%s is no folder in the testdata of %s", dir, module)
	}
	return module + "/testdata/" + filepath.ToSlash(rel), nil
}

func newAPI(n int) api {
	a := api{Package: fmt.Sprintf("n%d", n)}
	for i := range n {
		number := fmt.Sprintf("%04d", i)
		a.Operations = append(a.Operations, operation{Name: "GetResource" + number, Path: "/resource" + number + "/{id}"})
	}
	return a
}

// generate writes the document, the servers, and what oapi-guard makes of the document.
func (a api) generate(dir string, stderr io.Writer) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, name := range []string{"api.yaml", "oapi-guard.yaml", "server.go"} {
		if err := render(filepath.Join(dir, name), name+".tmpl", a); err != nil {
			return err
		}
	}
	cmd := exec.Command("go", "tool", "oapi-guard", "generate")
	cmd.Dir, cmd.Stderr = dir, stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("oapi-guard generate in %s: %w", dir, err)
	}
	return nil
}

func render(file, name string, data any) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(templates.ExecuteTemplate(f, name, data), f.Close())
}
