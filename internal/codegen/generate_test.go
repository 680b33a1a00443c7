package codegen

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"

	"github.com/oapi-guard/oapi-guard/internal/codegen/oracle"
	"github.com/oapi-guard/oapi-guard/internal/race"
)

// TestReservedClaims checks that the generator reserves the claims that the runtime does. It reads
// the list of package security, which it may not import.
func TestReservedClaims(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../payload/claims.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "reserved" {
			return true
		}
		for _, e := range spec.Values[0].(*ast.CompositeLit).Elts {
			name, err := strconv.Unquote(e.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, name)
		}
		return false
	})
	slices.Sort(found)
	ours := slices.Sorted(slices.Values(reservedClaims))
	if len(found) == 0 || !slices.Equal(found, ours) {
		t.Errorf("package security reserves %q, this one %q", found, ours)
	}
}

// TestFailClosed changes api.gen.go in ways that oapi-codegen does not, or not yet, and checks that
// each is refused: a route that is not understood would be a route without a guard.
func TestFailClosed(t *testing.T) {
	result, err := generateCase(t, "access-refresh")
	if err != nil {
		t.Fatal(err)
	}
	code := string(result.Files[APIFile])
	line := `	m.HandleFunc(http.MethodGet+" "+options.BaseURL+"/me", wrapper.GetMe)` + "\n"
	for _, tt := range []struct{ name, old, new, want string }{
		{name: "nothing changed", old: "", new: "", want: ""},
		{name: "a route too many", old: line, new: line + strings.Replace(line, "/me", "/you", 1), want: `registers "GET /you"`},
		{name: "a route twice", old: line, new: line + line, want: `registers "GET /me"`},
		{name: "a route of another method", old: line, new: strings.Replace(line, "MethodGet", "MethodPut", 1), want: `registers "PUT /me"`},
		{name: "a route missing", old: line, new: "", want: "registers no handler for GET /me"},
		{name: "the handler of another operation", old: line, new: strings.Replace(line, "wrapper.GetMe", "wrapper.Login", 1), want: "same Go name Login"},
		{name: "a handler that is not strict", old: line, new: strings.Replace(line, "wrapper.GetMe", "wrapper.Other", 1), want: "no method Other"},
		{name: "a handler in a function", old: line, new: strings.Replace(line, "wrapper.GetMe", "func(w http.ResponseWriter, r *http.Request) { wrapper.GetMe(w, r) }", 1), want: "does not understand"},
		{name: "a pattern in a variable", old: line, new: strings.Replace(line, `"/me"`, "path", 1), want: "does not understand"},
		{name: "a pattern by Sprintf", old: line, new: strings.Replace(line, `http.MethodGet+" "+options.BaseURL+"/me"`, `fmt.Sprintf("GET /me")`, 1), want: "does not understand"},
		{name: "another router", old: line, new: strings.Replace(line, "m.", "other.", 1), want: "does not understand"},
		{name: "Handle", old: line, new: strings.Replace(line, "HandleFunc", "Handle", 1), want: "does not understand"},
		{name: "a route in a loop", old: line, new: "for range 1 {\n" + line + "}\n", want: "does not understand"},
		{name: "no strict interface", old: "type StrictServerInterface interface", new: "type Strict interface", want: "no StrictServerInterface"},
		{name: "no registrations", old: "func HandlerWithOptions(", new: "func Handlers(", want: "no HandlerWithOptions"},
		{name: "an embedded interface", old: "type StrictServerInterface interface {", new: "type StrictServerInterface interface {\n\tio.Closer", want: "not a method"},
		{name: "other parameters", old: "Login(ctx context.Context, request LoginRequestObject) (LoginResponseObject, error)\n", new: "Login(ctx context.Context) (LoginResponseObject, error)\n", want: "parameters or results"},
		{name: "a method that is registered nowhere", old: "type StrictServerInterface interface {", new: "type StrictServerInterface interface {\n\tMore(ctx context.Context, request LoginRequestObject) (LoginResponseObject, error)", want: "method More"},
		{name: "not Go", old: "package api", new: "package", want: "does not parse"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(code, tt.old) {
				t.Fatalf("%s has no %q", APIFile, tt.old)
			}
			err := bindCase(t, "access-refresh", strings.Replace(code, tt.old, tt.new, 1))
			switch {
			case tt.want == "":
				if err != nil {
					t.Error(err)
				}
			case err == nil || !strings.Contains(err.Error(), tt.want):
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// bindCase reads a case's document and binds its operations to other generated code.
func bindCase(t *testing.T, name, code string) error {
	t.Helper()
	return bindCode(t, name, DefaultServer, code)
}

// bindCode is bindCase for the code of any server.
func bindCode(t *testing.T, name, server, code string) error {
	t.Helper()
	config, err := readCase(t, name)
	if err != nil {
		t.Fatal(err)
	}
	config.Server = server
	settings, err := config.settings()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := load(config.Spec, settings)
	if err != nil {
		t.Fatal(err)
	}
	spec := &source{path: config.Spec}
	doc := newDocument(loaded, settings)
	r := &reader{doc: loaded, document: doc, spec: spec, config: config, ids: doc.ids, used: map[string]bool{}, askedList: map[*scheme]bool{}}
	r.schemes = readSchemes(loaded, spec, config, &r.problems)
	operations := r.readOperations()
	g, err := parseGenerated(map[string]string{APIFile: code}, config.router())
	if err != nil {
		return err
	}
	bind(operations, g, spec, &r.problems)
	return r.err()
}

// TestTwoRuns checks that filtering first and generating then gives what oapi-codegen gives at
// once: on its output for the documents of testdata see TestOapiCodegenOutput, these are larger
// ones.
func TestTwoRuns(t *testing.T) {
	for _, path := range specs(t, "hydra.json", "realworld.yml", "train-travel.yaml", "lakefs.yml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			config := &Config{Spec: path, Package: "api"}
			settings, err := config.settings()
			if err != nil {
				t.Fatal(err)
			}
			libraryLock.Lock()
			defer libraryLock.Unlock()
			once, err := load(path, settings)
			if err != nil {
				t.Fatal(err)
			}
			want, wantErr := codegen.Generate(once, settings)
			again, err := load(path, settings)
			if err != nil {
				t.Fatal(err)
			}
			doc := newDocument(again, settings)
			if err := doc.filter(); err != nil {
				t.Fatal(err)
			}
			got, err := doc.generateUnpruned()
			if wantErr != nil {
				if err == nil || err.Error() != wantErr.Error() {
					t.Errorf("error %v, want %v", err, wantErr)
				}
				return
			}
			if err != nil || got != want {
				t.Errorf("%v\n%s", err, difference(want, got))
			}
		})
	}
}

// specs returns the paths of real documents by their names. They are not part of the repository.
func specs(t *testing.T, names ...string) []string {
	t.Helper()
	dir := os.Getenv("OAPI_GUARD_SPECS")
	if dir == "" {
		dir = "../../../shared/specs"
	}
	var paths []string
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			t.Skipf("no real documents: %v; OAPI_GUARD_SPECS names their folder", err)
		}
		paths = append(paths, path)
	}
	return paths
}

// realDocuments are the names of the real documents, with what their users write into the configuration.
var realDocuments = map[string]string{
	"airflow.yaml":      "",
	"asana.yaml":        "fallback-schemas: raw\nschemes: {personalAccessToken: {token: personal}}",
	"hydra.json":        "",
	"kratos.json":       "",
	"lago.yaml":         "fallback-schemas: raw",
	"lakefs.yml":        "",
	"qdrant.json":       "fallback-schemas: raw",
	"realworld.yml":     "schemes: {Token: {token: access, prefix: Token}}",
	"train-travel.yaml": "",
}

// rawSchemas are how many schemas of the real documents have to become raw JSON.
var rawSchemas = map[string]string{"asana.yaml": "17 of 606", "lago.yaml": "1 of 373", "qdrant.json": "1 of 481"}

// TestRealDocuments generates from real documents, serves what comes of them, and asks every operation
// for what its security should answer.
func TestRealDocuments(t *testing.T) {
	race.Skip(t)
	var apis []servedAPI
	for _, path := range specs(t, slices.Sorted(maps.Keys(realDocuments))...) {
		name := filepath.Base(path)
		config, err := ReadConfig("oapi-guard.yaml", []byte(realDocuments[name]))
		if err != nil {
			t.Fatal(err)
		}
		config.Spec, config.Package = path, "api"
		result, err := Generate(config, testVersion)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		cut := ""
		for _, warning := range result.Warnings {
			if _, found, ok := strings.Cut(warning, keyFallback+": "); ok {
				cut, _, _ = strings.Cut(found, " schemas")
			}
		}
		if cut != rawSchemas[name] {
			t.Errorf("%s: raw JSON of %q schemas, want %q", name, cut, rawSchemas[name])
		}
		want, err := oracle.Read(path, []byte(realDocuments[name]))
		if err != nil {
			t.Fatal(err)
		}
		table, err := oracle.Generated(result.Files[GuardFile])
		if err != nil {
			t.Fatal(err)
		}
		if found := oracle.Differences(table, want); len(found) > 0 || len(want) == 0 {
			t.Errorf("%s: %d of %d operations differ, such as %s", name, len(found), len(want), found)
		}
		apis = append(apis, servedAPI{"zz_" + strings.NewReplacer(".", "_", "-", "_").Replace(name), result.Files})
	}
	serve(t, apis)
}

// TestUncompiled generates from real documents whose schemas oapi-codegen refuses or does not compile,
// without a configuration: the errors name the schemas and the way on.
func TestUncompiled(t *testing.T) {
	race.Skip(t)
	for _, tt := range []struct{ document, schema, way string }{
		{document: "asana.yaml", schema: "oapi-codegen refuses schema AttachmentResponse: merging two schemas", way: "fallback-schemas: raw"},
		{document: "lago.yaml", schema: "oapi-codegen refuses schema Currency: another part of the document", way: "resolve-type-name-collisions: true"},
		{document: "qdrant.json", schema: "oapi-codegen's code for schema VectorStorageType does not compile", way: "always-prefix-enum-values: true"},
	} {
		_, err := Generate(&Config{Spec: specs(t, tt.document)[0], Package: "api"}, testVersion)
		if err == nil || !strings.Contains(err.Error(), tt.schema) || !strings.Contains(err.Error(), tt.way) {
			t.Errorf("%s: error %v, want one with %q and %q", tt.document, err, tt.schema, tt.way)
		}
	}
}

// TestConcurrent generates from several documents at once: oapi-codegen alone cannot.
func TestConcurrent(t *testing.T) {
	var group sync.WaitGroup
	for _, name := range []string{"config", "access-refresh", "config", "rules"} {
		group.Go(func() {
			result, err := generateCase(t, name)
			if err != nil {
				t.Error(err)
				return
			}
			want, err := os.ReadFile(filepath.Join("testdata", name, APIFile))
			if err != nil || string(result.Files[APIFile]) != string(want) {
				t.Errorf("%s differs (%v)", name, err)
			}
		})
	}
	group.Wait()
}

// TestAbsolutePath checks that a document is the same by whatever path it is named.
func TestAbsolutePath(t *testing.T) {
	path, err := filepath.Abs("testdata/claims-in-use/spec.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := &Config{Spec: path, Package: "api"}
	config.oapiCodegen.Generate.EmbeddedSpec = true
	config.oapiCodegen.Generate.Models = true
	absolute, err := Generate(config, testVersion)
	if err != nil {
		t.Fatal(err)
	}
	config.Spec = "testdata/claims-in-use/spec.yaml"
	relative, err := Generate(config, testVersion)
	if err != nil {
		t.Fatal(err)
	}
	for name := range relative.Files {
		if string(relative.Files[name]) != string(absolute.Files[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

// FuzzReadConfig checks that no configuration makes the reader panic, and that its errors name the file.
func FuzzReadConfig(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*/oapi-guard.yaml")
	if err != nil || len(seeds) < 15 {
		f.Fatalf("%d seeds, %v", len(seeds), err)
	}
	for _, path := range seeds {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := ReadConfig("dir/oapi-guard.yaml", data)
		if err == nil {
			_, err = config.settings()
		}
		if err != nil && !strings.HasPrefix(err.Error(), "dir/oapi-guard.yaml:") {
			t.Errorf("%q: %v", data, err)
		}
	})
}
