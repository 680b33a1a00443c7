package oapiguard

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/oapi-guard/oapi-guard"

// TestDirectRequirements checks that every direct requirement of the root module is one that was
// decided on: users of the library get them all into their module graph.
func TestDirectRequirements(t *testing.T) {
	allowed := []string{
		// what tokens are made of
		"github.com/golang-jwt/jwt/v5", "github.com/go-json-experiment/json", "github.com/go-jose/go-jose/v4",
		// ids of tokens for the Python libraries
		"github.com/google/uuid",
		// which verified tokens are kept
		"github.com/maypok86/otter/v2",
		// the generator; kin-openapi also checks requests, in a package that nothing else here imports
		"github.com/oapi-codegen/oapi-codegen/v2", "github.com/getkin/kin-openapi", "gopkg.in/yaml.v3", "golang.org/x/tools",
		// schemas of private claims: generated code checks them where a document has constraints;
		// kin-openapi has it too
		"github.com/santhosh-tekuri/jsonschema/v6",
		// the overlay of a document that oapi-codegen cannot read before it; oapi-codegen has it too
		"github.com/speakeasy-api/openapi",
		// the verbs and flags of the command, and whether it writes to a terminal; modernc.org/sqlite has
		// isatty too
		"github.com/spf13/cobra", "github.com/mattn/go-isatty",
		// generated code
		"github.com/oapi-codegen/runtime",
		// client/oauth2source, the bridge to its token sources, whose type no other package can make
		"golang.org/x/oauth2",
		// stores
		"go.etcd.io/bbolt", "github.com/redis/go-redis/v9",
		// drivers of databases for store/sqlstore, which itself reaches none: only the command, the
		// example and tests do
		"github.com/jackc/pgx/v5", "modernc.org/sqlite",
		// metrics and span attributes: the API only. The SDK is for tests and for the example
		"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/metric", "go.opentelemetry.io/otel/trace",
		"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/sdk/metric",
		// the example: metrics for Prometheus
		"go.opentelemetry.io/otel/exporters/prometheus", "github.com/prometheus/client_golang",
		// the example: hashes of passwords, and the limits of failed log-ins. oapi-codegen's runtime
		// requires x/time too
		"golang.org/x/crypto", "golang.org/x/time",
		// tests
		"github.com/rogpeppe/go-internal", "go.uber.org/goleak",
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for scanner := bufio.NewScanner(bytes.NewReader(mod)); scanner.Scan(); {
		line := strings.TrimSpace(strings.TrimPrefix(scanner.Text(), "require "))
		if !strings.Contains(line, " v") || strings.HasSuffix(line, "// indirect") || strings.HasPrefix(line, "module") {
			continue
		}
		found++
		if path, _, _ := strings.Cut(line, " "); !slices.Contains(allowed, path) {
			t.Errorf("go.mod requires %s, which is not on the list; add it with a reason", path)
		}
	}
	if found == 0 {
		t.Error("no requirement found in go.mod")
	}
}

// TestOnlyTestsReachTheTestKit checks that no package but the test kit itself reaches it, which
// imports testing and registers a flag.
func TestOnlyTestsReachTheTestKit(t *testing.T) {
	const kit = module + "/security/securitytest"
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{.Imports}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
		found = found || path == kit && slices.Contains(strings.Fields(strings.Trim(imports, "[]")), "testing")
		if slices.Contains(strings.Fields(strings.Trim(imports, "[]")), kit) {
			t.Errorf("%s imports the test kit", path)
		}
	}
	if !found {
		t.Error("the test kit is not among the packages")
	}
}

// TestImports checks the arrows of ARCHITECTURE.md: what a package may reach, directly or not.
func TestImports(t *testing.T) {
	tests := []string{"go.uber.org/goleak", "github.com/rogpeppe/go-internal"}
	testPkg := []string{"testing"} // which oapi-codegen itself reaches
	generator := []string{module + "/internal/codegen", "github.com/oapi-codegen/oapi-codegen/v2", "github.com/getkin/kin-openapi"}
	drivers := []string{"github.com/jackc/pgx/v5", "modernc.org/sqlite", "modernc.org/libc"}
	stores := append([]string{module + "/store", "go.etcd.io/bbolt", "github.com/redis/go-redis/v9"}, drivers...)
	for _, tt := range []struct {
		name, pkg string
		forbidden [][]string
	}{
		{"keys", "./security/keys", [][]string{tests, testPkg, generator, stores, {module + "/security", module + "/blacklist", module + "/internal/payload"}}},
		{"key files", "./internal/keyfile", [][]string{tests, testPkg, generator, stores, {module + "/security", module + "/blacklist", module + "/internal/payload"}}},
		{"claims and layouts", "./internal/payload", [][]string{tests, testPkg, generator, stores, {module + "/security", module + "/blacklist", "github.com/golang-jwt/jwt/v5"}}},
		{"strict JOSE", "./internal/jose", [][]string{tests, testPkg, generator, stores, {module + "/security", module + "/internal/payload", "github.com/golang-jwt/jwt/v5"}}},
		{"schemas of claims", "./security/claimschema", [][]string{tests, testPkg, generator, stores, {module + "/security", module + "/blacklist"}}},
		{"tokens", "./security", [][]string{tests, testPkg, generator, stores, {"github.com/santhosh-tekuri/jsonschema/v6", module + "/security/guard", module + "/security/cookies", module + "/security/pyjwt", module + "/security/providers"}}},
		{"identity providers", "./security/providers", [][]string{tests, testPkg, generator, stores, {module + "/security/guard"}}},
		{"requests", "./security/guard", [][]string{tests, testPkg, generator, stores, {module + "/security/cookies", module + "/security/pyjwt"}}},
		{"the developer console", "./security/console", [][]string{tests, testPkg, generator, stores, {module + "/gen", module + "/session", module + "/security/cookies", module + "/security/pyjwt", module + "/security/providers"}}},
		{"cookies", "./security/cookies", [][]string{tests, testPkg, generator, stores, {module + "/security/guard"}}},
		{"layouts of Python libraries", "./security/pyjwt", [][]string{tests, testPkg, generator, stores}},
		{"requests against the document", "./security/kinopenapi", [][]string{tests, testPkg, generator[:2], stores, {"github.com/gorilla/mux"}}},
		{"the contract", "./blacklist", [][]string{tests, testPkg, generator, stores, {module + "/security", "github.com/golang-jwt/jwt/v5"}}},
		{"generated code", "./gen", [][]string{tests, testPkg, generator, stores}},
		{"the generator", "./internal/codegen", [][]string{tests, stores, {module + "/security", module + "/blacklist"}}},
		{"comparisons of documents", "./internal/audit", [][]string{tests, stores, {module + "/security", module + "/blacklist"}}},
		{"the command", "./cmd/oapi-guard", [][]string{tests, {module + "/gen", module + "/store/boltstore", "go.etcd.io/bbolt", module + "/security/guard", module + "/security/cookies"}}},
		{"the command for operators", "./internal/operator", [][]string{tests, testPkg, generator, drivers, {module + "/gen", module + "/store/boltstore", "go.etcd.io/bbolt", module + "/security/guard"}}},
		{"the example", "./example", [][]string{tests, testPkg, generator}},
		{"a store in a file", "./store/boltstore", [][]string{tests, testPkg, generator, drivers, {module + "/security/guard", "github.com/redis/go-redis/v9"}}},
		{"a store in Redis", "./store/redisstore", [][]string{tests, testPkg, generator, drivers, {module + "/security/guard", "go.etcd.io/bbolt"}}},
		{"entries in memory", "./internal/entries", [][]string{tests, testPkg, generator, stores, {module + "/security", module + "/blacklist"}}},
		{"copies of a blacklist", "./blacklist/replica", [][]string{tests, testPkg, generator, stores, {module + "/security", module + "/session"}}},
		{"a store in a database", "./store/sqlstore", [][]string{tests, testPkg, generator, drivers, {module + "/security/guard", "go.etcd.io/bbolt", "github.com/redis/go-redis/v9"}}},
		{"the test kit", "./security/securitytest", [][]string{tests, generator, stores, {module + "/gen", module + "/security/cookies", module + "/security/pyjwt", module + "/security/providers"}}},
		{"the runtime of clients", "./client", [][]string{tests, testPkg, generator, stores, {module + "/security", module + "/blacklist", module + "/session", "golang.org/x/oauth2", "github.com/oapi-codegen/runtime"}}},
		{"a generated client alone", "./example/clients/api", [][]string{tests, testPkg, generator, stores, {module + "/security", module + "/blacklist", module + "/session", "golang.org/x/oauth2"}}},
		{"sessions", "./session", [][]string{tests, testPkg, generator, stores, {module + "/security/guard", module + "/security/cookies", module + "/security/pyjwt"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := exec.Command("go", "list", "-deps", tt.pkg).Output()
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Fields(string(out))
			this := module + strings.TrimPrefix(tt.pkg, ".")
			for _, path := range slices.DeleteFunc(all, func(path string) bool { return path == this }) {
				for _, forbidden := range slices.Concat(tt.forbidden...) {
					if path == forbidden || strings.HasPrefix(path, forbidden+"/") {
						t.Errorf("%s reaches %s", tt.pkg, path)
					}
				}
			}
		})
	}
}

// TestOnlyTheExampleReachesAnSDK checks that no other package than the example reaches an SDK of
// OpenTelemetry or a client of Prometheus: an application chooses its SDK and its exporter.
func TestOnlyTheExampleReachesAnSDK(t *testing.T) {
	const format = `{{$path := .ImportPath}}{{range .Deps}}{{$path}} {{.}}{{"\n"}}{{end}}`
	out, err := exec.Command("go", "list", "-f", format, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for line := range strings.Lines(string(out)) {
		path, dep, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, heavy := range []string{"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters", "github.com/prometheus"} {
			if !strings.HasPrefix(dep, heavy) {
				continue
			}
			if path == module+"/example" {
				found = true
			} else {
				t.Errorf("%s reaches %s", path, dep)
			}
		}
	}
	if !found {
		t.Error("the example reaches no SDK")
	}
}

// TestDrivers checks that drivers of databases are reached only by the command, the example and the
// servers for tests.
func TestDrivers(t *testing.T) {
	const format = `{{$path := .ImportPath}}{{range .Deps}}{{$path}} {{.}}{{"\n"}}{{end}}`
	out, err := exec.Command("go", "list", "-f", format, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		path, dep, _ := strings.Cut(strings.TrimSpace(line), " ")
		allowed := slices.ContainsFunc([]string{"/cmd/", "/example", "/internal/pgtest", "/internal/chaos"}, func(prefix string) bool {
			return strings.HasPrefix(path, module+prefix)
		})
		if !allowed && (strings.HasPrefix(dep, "github.com/jackc/pgx/") || strings.HasPrefix(dep, "modernc.org/sqlite")) {
			t.Errorf("%s reaches %s", path, dep)
		}
	}
}
