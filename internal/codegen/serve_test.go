package codegen

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// packages returns the cases that generate code.
func packages(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, name := range cases(t) {
		if _, err := os.Stat(filepath.Join("testdata", name, GuardFile)); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// goTool runs the go command on this module with files added that are not on disk. It returns what the command printed.
func goTool(t *testing.T, files map[string]string, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for path, content := range files {
		absolute, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		real := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(real, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[absolute] = real
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", append([]string{args[0], "-overlay", overlayFile}, args[1:]...)...)
	out, err := command.CombinedOutput()
	return string(out), err
}

// TestVet vets the generated code of every case.
func TestVet(t *testing.T) {
	var paths []string
	for _, name := range packages(t) {
		paths = append(paths, "./testdata/"+name)
	}
	if out, err := goTool(t, nil, append([]string{"vet"}, paths...)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestServe serves every case over HTTP and asks each of its operations for what its security should answer. The program
// is testdata/serve.go.txt with a server for each case, whose methods do nothing but say that they were reached.
func TestServe(t *testing.T) {
	names := packages(t)
	program, err := os.ReadFile("testdata/serve.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	var imports, servers, apis strings.Builder
	for i, name := range names {
		pkg := fmt.Sprintf("api%d", i)
		fmt.Fprintf(&imports, "\t%s %q\n", pkg, "github.com/oapi-guard/oapi-guard/internal/codegen/testdata/"+name)
		servers.WriteString(stub(t, filepath.Join("testdata", name, GuardFile), pkg))
		fmt.Fprintf(&apis, "\t{%q, %s.GuardedOperations(), func(v *security.Validator, fail func(http.ResponseWriter, *http.Request, error)) (http.Handler, error) {\n"+
			"\t\treturn %s.GuardedHandlerWithOptions(%s.NewGuardedStrictHandler(%sServer{}, v, nil, %s.StrictHTTPServerOptions{ResponseErrorHandlerFunc: fail}), v, %s.StdHTTPServerOptions{})\n\t}},\n",
			name, pkg, pkg, pkg, pkg, pkg, pkg)
	}
	source := strings.NewReplacer("//IMPORTS", imports.String(), "//SERVERS", servers.String(), "//APIS", apis.String()).Replace(string(program))
	out, err := goTool(t, map[string]string{"testdata/zz_serve/main.go": source}, "run", "./testdata/zz_serve")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range names {
		if !strings.Contains(out, "ok "+name+" ") {
			t.Errorf("%s was not served:\n%s", name, out)
		}
	}
	t.Log(out)
}

// stub returns the Go code of a GuardedServer of the package.
func stub(t *testing.T, file, pkg string) string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "type %sServer struct{}\n\n", pkg)
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "GuardedServer" {
			return true
		}
		for _, m := range spec.Type.(*ast.InterfaceType).Methods.List {
			f := m.Type.(*ast.FuncType)
			var params []string
			for _, p := range f.Params.List[1:] {
				star, kind := "", p.Type
				if pointer, ok := kind.(*ast.StarExpr); ok {
					star, kind = "*", pointer.X
				}
				params = append(params, star+pkg+"."+kind.(*ast.Ident).Name)
			}
			fmt.Fprintf(&b, "func (%sServer) %s(ctx context.Context, %s) (%s.%s, error) {\n\treturn nil, errReached\n}\n\n",
				pkg, m.Names[0].Name, strings.Join(named(params), ", "), pkg, f.Results.List[0].Type.(*ast.Ident).Name)
		}
		return false
	})
	return b.String()
}

func named(types []string) []string {
	for i, t := range types {
		types[i] = "_ " + t
	}
	return types
}

// TestTokenTypes checks that the compiler tells token types apart.
func TestTokenTypes(t *testing.T) {
	const program = `package main

import api "github.com/oapi-guard/oapi-guard/internal/codegen/testdata/access-refresh"

func logout(api.RefreshToken) {}

func main() { logout(api.%s{}) }
`
	file := "testdata/zz_types/main.go"
	if out, err := goTool(t, map[string]string{file: fmt.Sprintf(program, "RefreshToken")}, "build", "-o", os.DevNull, "./testdata/zz_types"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := goTool(t, map[string]string{file: fmt.Sprintf(program, "AccessToken")}, "build", "-o", os.DevNull, "./testdata/zz_types")
	want := "cannot use api.AccessToken{} (value of struct type api.AccessToken) as api.RefreshToken value in argument to logout"
	if err == nil || !strings.Contains(out, want) {
		t.Errorf("%v\n%s\nwant %s", err, out, want)
	}
}
