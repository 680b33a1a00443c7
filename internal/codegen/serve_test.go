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

// goTool runs the go command on this module with files added that are not on disk. It returns what
// the command printed.
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

// TestServe serves every case over HTTP and asks each of its operations for what its security
// should answer.
func TestServe(t *testing.T) {
	var apis []servedAPI
	for _, name := range packages(t) {
		apis = append(apis, servedAPI{name: name})
	}
	serve(t, apis)
}

// servedAPI is a generated package in testdata: its folder, and its files if they are not on disk.
type servedAPI struct {
	name  string
	files map[string][]byte
}

// serve runs testdata/serve.go.txt with a server for each API, whose methods do nothing but say
// that they were reached.
func serve(t *testing.T, served []servedAPI) {
	t.Helper()
	program, err := os.ReadFile("testdata/serve.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	var imports, servers, apis strings.Builder
	for i, api := range served {
		pkg := fmt.Sprintf("api%d", i)
		dir := filepath.Join("testdata", api.name)
		guard := api.files[GuardFile]
		if guard == nil {
			if guard, err = os.ReadFile(filepath.Join(dir, GuardFile)); err != nil {
				t.Fatal(err)
			}
		}
		for name, content := range api.files {
			files[filepath.Join(dir, name)] = string(content)
		}
		s := newStub(t, guard, pkg)
		fmt.Fprintf(&imports, "\t%s %q\n%s", pkg, "github.com/oapi-guard/oapi-guard/internal/codegen/testdata/"+api.name, s.imports())
		servers.WriteString(s.methods("Server", "GuardedServer") + s.methods("Authenticator", "Authenticator"))
		authenticator := ""
		if s.has("Authenticator") {
			authenticator = ", " + pkg + "Authenticator{}"
		}
		fmt.Fprintf(&apis, "\t{%q, %s.GuardedOperations(), func(p *guard.Policy, fail func(http.ResponseWriter, *http.Request, error)) (http.Handler, error) {\n"+
			"\t\treturn %s.GuardedHandlerWithOptions(%s.NewGuardedStrictHandler(%sServer{}, p, nil, %s.StrictHTTPServerOptions{RequestErrorHandlerFunc: passed, ResponseErrorHandlerFunc: fail}), p%s, %s.StdHTTPServerOptions{ErrorHandlerFunc: passed})\n\t}, func(p *guard.Policy) (http.Handler, error) {\n"+
			"\t\treturn %s.GuardedHandlerWithOptions(%s.NewGuardedStrictHandler(%s.UnimplementedGuardedServer{}, p, nil, %s.StrictHTTPServerOptions{RequestErrorHandlerFunc: passed}), p%s, %s.StdHTTPServerOptions{ErrorHandlerFunc: passed})\n\t}},\n",
			api.name, pkg, pkg, pkg, pkg, pkg, authenticator, pkg, pkg, pkg, pkg, pkg, authenticator, pkg)
	}
	files["testdata/zz_serve/main.go"] = strings.NewReplacer("//IMPORTS", imports.String(), "//SERVERS", servers.String(), "//APIS", apis.String()).Replace(string(program))
	out, err := goTool(t, files, "run", "./testdata/zz_serve")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, api := range served {
		if !strings.Contains(out, "ok "+api.name+" ") {
			t.Errorf("%s was not served:\n%s", api.name, out)
		}
	}
	t.Log(out)
}

// stub writes types that implement the interfaces of a generated package.
type stub struct {
	pkg  string
	file *ast.File
	used map[string]bool
}

func newStub(t *testing.T, code []byte, pkg string) *stub {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), GuardFile, code, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	s := &stub{pkg: pkg, file: parsed, used: map[string]bool{}}
	for _, name := range []string{"GuardedServer", "Authenticator"} {
		s.methods("", name) // to know the imports
	}
	return s
}

func (s *stub) find(name string) (found *ast.InterfaceType) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.Name == name {
			found, _ = spec.Type.(*ast.InterfaceType)
		}
		return found == nil
	})
	return found
}

func (s *stub) has(name string) bool { return s.find(name) != nil }

// methods returns a type whose methods say that they were reached; those of an Authenticator
// resolve what the program issued.
func (s *stub) methods(suffix, name string) string {
	var b strings.Builder
	of := s.find(name)
	if of == nil {
		return ""
	}
	fmt.Fprintf(&b, "type %s%s struct{}\n\n", s.pkg, suffix)
	for _, m := range of.Methods.List {
		f := m.Type.(*ast.FuncType)
		var params []string
		for _, p := range f.Params.List[1:] {
			params = append(params, s.text(p.Type))
		}
		body := "return nil, errReached"
		if name == "Authenticator" {
			body = fmt.Sprintf("return resolve[%s](p0)", s.text(f.Results.List[0].Type.(*ast.StarExpr).X.(*ast.IndexExpr).Index))
		}
		fmt.Fprintf(&b, "func (%s%s) %s(ctx context.Context, %s) (%s, error) {\n\t%s\n}\n\n",
			s.pkg, suffix, m.Names[0].Name, strings.Join(named(params), ", "), s.text(f.Results.List[0].Type), body)
	}
	return b.String()
}

// text returns a type of the package as another package writes it.
func (s *stub) text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return "*" + s.text(e.X)
	case *ast.IndexExpr:
		return s.text(e.X) + "[" + s.text(e.Index) + "]"
	case *ast.SelectorExpr:
		name := e.X.(*ast.Ident).Name
		if name == "security" || name == "guard" {
			return name + "." + e.Sel.Name
		}
		s.used[name] = true
		return s.pkg + name + "." + e.Sel.Name
	case *ast.Ident:
		if ast.IsExported(e.Name) {
			return s.pkg + "." + e.Name
		}
		return e.Name
	}
	return fmt.Sprintf("%T", e)
}

// imports returns the imports that text needs beside those of the program.
func (s *stub) imports() string {
	var b strings.Builder
	for _, spec := range s.file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if s.used[name] {
			fmt.Fprintf(&b, "\t%s%s %q\n", s.pkg, name, path)
		}
	}
	return b.String()
}

func named(types []string) []string {
	for i, t := range types {
		types[i] = fmt.Sprintf("p%d %s", i, t)
	}
	return types
}

// TestTokenTypes checks that the compiler tells token types apart.
func TestTokenTypes(t *testing.T) {
	for _, tt := range []struct{ name, pkg, call, right, wrong, want string }{
		{
			name: "an operation", pkg: "access-refresh", call: "func(api.RefreshToken) {}(%s)", right: "api.RefreshToken{}", wrong: "api.AccessToken{}",
			want: "cannot use api.AccessToken{} (value of struct type api.AccessToken) as api.RefreshToken value in argument to func",
		},
		{
			name: "the refresh of a session", pkg: "sessions", call: "(&api.GuardedSessions{}).Refresh(nil, %s, session.Device{})", right: "api.RefreshToken{}", wrong: "api.AccessToken{}",
			want: "cannot use api.AccessToken{} (value of struct type api.AccessToken) as api.RefreshToken value in argument to (&api.GuardedSessions{}).Refresh",
		},
		{
			name: "the list of sessions", pkg: "sessions", call: `(&api.GuardedSessions{}).List(nil, %s, "")`, right: "api.AccessToken{}", wrong: "api.RefreshToken{}",
			want: "cannot use api.RefreshToken{} (value of struct type api.RefreshToken) as api.AccessToken value in argument to (&api.GuardedSessions{}).List",
		},
		{
			name: "the end of other sessions", pkg: "sessions", call: "(&api.GuardedSessions{}).EndOthers(nil, %s)", right: "api.AccessToken{}", wrong: "api.RefreshToken{}",
			want: "cannot use api.RefreshToken{} (value of struct type api.RefreshToken) as api.AccessToken value in argument to (&api.GuardedSessions{}).EndOthers",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program := `package main

import (
	api "github.com/oapi-guard/oapi-guard/internal/codegen/testdata/` + tt.pkg + `"
	"github.com/oapi-guard/oapi-guard/session"
)

var _ session.Device

func main() { ` + tt.call + ` }
`
			build := func(argument string) (string, error) {
				files := map[string]string{"testdata/zz_types/main.go": fmt.Sprintf(program, argument)}
				return goTool(t, files, "build", "-o", os.DevNull, "./testdata/zz_types")
			}
			if out, err := build(tt.right); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if out, err := build(tt.wrong); err == nil || !strings.Contains(out, tt.want) {
				t.Errorf("%v\n%s\nwant %s", err, out, tt.want)
			}
		})
	}
}
