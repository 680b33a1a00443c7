// Command growth generates APIs of many operations, and benchmarks that compare them. They are too
// much code for the repository.
//
//	go run ./growth testdata/growth 10 100 1000
//
// writes a package for each number of operations into the folder, and a package of tests that
// measures them all: go test -bench . ./testdata/growth. The folder is in testdata of this module,
// and is emptied first.
package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
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

// api is the data for the templates of one API.
type api struct {
	Package, Path string
	Operations    []operation
}

// serverPackages are the packages with the code of a stack's server, by stack.
var serverPackages = map[string]string{
	"floor": "plain", "hand-written": "plain", "nethttp-middleware": "validated", "oapi-guard": "guarded", "ogen": "ogen",
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
		a.Path = path + "/" + a.Package
		if err := a.generate(filepath.Join(dir, a.Package), stderr); err != nil {
			return err
		}
	}
	return render(filepath.Join(dir, "growth_test.go"), "growth_test.go.tmpl", map[string]any{"Path": path, "APIs": apis})
}

// importPath returns the import path of a folder in testdata of this module. The folder may not
// exist yet.
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

// generate writes the document and its packages, and runs oapi-guard and ogen on the document:
//
//	guarded    oapi-guard's output, and a server
//	plain      oapi-codegen's output, which is a part of that of oapi-guard, and a server
//	validated  the same with the document in it, for the request validator
//	ogen       ogen's output, and a server
//	cmd/...    a minimal program for each stack
func (a api) generate(dir string, stderr io.Writer) error {
	guarded, ogen := filepath.Join(dir, "guarded"), filepath.Join(dir, "ogen")
	guardedAPI := filepath.Join(guarded, "api.gen.go")
	return errors.Join(
		render(filepath.Join(dir, "api.yaml"), "api.yaml.tmpl", a),
		render(filepath.Join(guarded, "oapi-guard.yaml"), "guarded.yaml.tmpl", a),
		tool(guarded, stderr, "oapi-guard", "generate"),
		render(filepath.Join(guarded, "server.go"), "guarded.go.tmpl", a.in("guarded")),
		a.plain(guardedAPI, filepath.Join(dir, "plain")),
		a.validated(dir, stderr),
		render(filepath.Join(ogen, "ogen.yaml"), "ogen.yaml.tmpl", a),
		tool(dir, stderr, "ogen", "--loglevel", "error", "--config", filepath.Join("ogen", "ogen.yaml"), "--target", "ogen", "--package", "ogen", "api.yaml"),
		render(filepath.Join(ogen, "server.go"), "ogen.go.tmpl", a),
		a.programs(dir),
		render(filepath.Join(dir, "server.go"), "server.go.tmpl", a),
	)
}

// in returns the API for the templates of another package.
func (a api) in(name string) api {
	a.Package = name
	return a
}

// plain writes the package plain with a copy of oapi-codegen's output.
func (a api) plain(source, dir string) error {
	code, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	code = bytes.Replace(code, []byte("\npackage guarded\n"), []byte("\npackage plain\n"), 1)
	return errors.Join(
		render(filepath.Join(dir, "server.go"), "strict.go.tmpl", a.in("plain")),
		os.WriteFile(filepath.Join(dir, "api.gen.go"), code, 0o666),
	)
}

// validated writes the package validated.
func (a api) validated(dir string, stderr io.Writer) error {
	target := filepath.Join(dir, "validated")
	return errors.Join(
		render(filepath.Join(target, "server.go"), "strict.go.tmpl", a.in("validated")),
		render(filepath.Join(target, "oapi-codegen.yaml"), "validated.yaml.tmpl", a),
		tool(dir, stderr, "oapi-codegen", "-config", filepath.Join("validated", "oapi-codegen.yaml"), "-o", filepath.Join("validated", "api.gen.go"), "api.yaml"),
	)
}

// programs writes the minimal programs.
func (a api) programs(dir string) error {
	var errs []error
	for stack, server := range serverPackages {
		program := filepath.Join(dir, "cmd", stack, "main.go")
		errs = append(errs, render(program, "main.go.tmpl", map[string]string{"Stack": stack, "Server": a.Path + "/" + server}))
		if errs[len(errs)-1] == nil {
			errs = append(errs, formatFile(program))
		}
	}
	return errors.Join(errs...)
}

// formatFile formats a file, whose parts depend on the stack.
func formatFile(file string) error {
	code, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if code, err = format.Source(code); err != nil {
		return err
	}
	return os.WriteFile(file, code, 0o666)
}

func tool(dir string, stderr io.Writer, arguments ...string) error {
	cmd := exec.Command("go", append([]string{"tool"}, arguments...)...)
	cmd.Dir, cmd.Stderr = dir, stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s in %s: %w", arguments[0], dir, err)
	}
	return nil
}

// render writes a file, and its folder if there is none.
func render(file, name string, data any) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(templates.ExecuteTemplate(f, name, data), f.Close())
}
