package codegen

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFixes applies the fix that a message names, without editing the document, and generates again.
func TestFixes(t *testing.T) {
	for _, tt := range []struct {
		name     string
		document string // the case in testdata
		proposal string // what the message says
		config   string // what the user writes into the configuration for it
		overlay  bool   // the user writes the overlay of the message
		then     string // what is still wrong then, "" where nothing is
		contains string // what guard.gen.go contains then
	}{
		{name: "another token type", document: "error-two-bearers", proposal: "schemes: {ApiKeyAuth: {token: NAME}}",
			config: "schemes: {ApiKeyAuth: {token: user}}", contains: "ListModels(ctx context.Context, token UserToken"},
		{name: "another verifier and type", document: "error-two-bearers", proposal: "{verifier: NAME}",
			config: "schemes: {ApiKeyAuth: {verifier: idp, token: user}}", contains: `.OfVerifier("idp")`},
		{name: "tokens that are not JWTs", document: "error-two-bearers", proposal: "{opaque: true}",
			config: "schemes: {ApiKeyAuth: {opaque: true}}", contains: "ListModels(ctx context.Context, caller "},
		{name: "the same tokens", document: "error-two-bearers", proposal: "{token: access}",
			config: "schemes: {ApiKeyAuth: {token: access}}", contains: "ListModels(ctx context.Context, token AccessToken"},
		{name: "refresh tokens", document: "error-look-like-refresh", proposal: "schemes: {refreshAuth: {token: refresh}}",
			config:   "schemes: {refreshAuth: {token: refresh}, session: {token: refresh}, renewal: {token: access}}",
			contains: "Logout(ctx context.Context, token RefreshToken"},
		{name: "scopes in OpenAPI 3.0", document: "error-lists", proposal: "schemes: {bearer_auth: {list: scopes}}",
			config: "schemes: {bearer_auth: {list: scopes}, key: {list: roles}}", contains: `guardedSchemes.BearerAuth.With("account:read")`},
		{name: "lists that mean nothing", document: "error-lists", proposal: "{list: ignore}",
			config: "schemes: {bearer_auth: {list: ignore}, key: {list: ignore}}", contains: "{guardedSchemes.BearerAuth}"},
		{name: "another Go name of a scheme", document: "error-scheme-names", proposal: "schemes: {apiKey: {go-name: NAME}}",
			config: "schemes: {apiKey: {go-name: OldKey}}", contains: "OldKey(ctx context.Context, key string)"},
		{name: "another Go name of a token type", document: "error-names", proposal: "schemes: {access: {go-type: NAME}}",
			config: "schemes: {access: {go-type: UserToken}}", then: "the Go name GuardedServer"},
		{name: "other names in api.gen.go", document: "error-names", overlay: true, contains: "token AccessToken"},
		{name: "another name of a credential", document: "error-credential-collides", proposal: "operations: {or: {credential: NAME}}",
			config: "operations: {or: {credential: OrCredential}}", then: "the Go name Authenticator"},
		{name: "a path with a query", document: "error-path-signs", overlay: true},
		{name: "an operationId twice", document: "error-repeated-id", overlay: true, contains: "GetCId(ctx context.Context"},
		{name: "operationIds of one Go name", document: "error-operation-names", overlay: true},
		{name: "the empty alternative", document: "error-only-empty", overlay: true, contains: "A(ctx context.Context, request"},
		{name: "a misspelt scheme, and one that is not defined", document: "error-undefined-scheme", overlay: true, then: "would accept each other's tokens"},
		{name: "a scheme of a document without schemes", document: "error-no-schemes", overlay: true},
		{name: "schemes by a reference", document: "error-schemes-ref", overlay: true, contains: "token AccessToken"},
		{name: "another server for a colon", document: "error-colon", proposal: "server: chi", config: "server: chi"},
		{name: "another server for a dash", document: "error-dashes", proposal: "server: chi", overlay: true,
			config: "server: chi\noapi-codegen: {output-options: {overlay: {path: overlay.yaml}}}"},
		{name: "routes left out", document: "error-same-route", proposal: "oapi-codegen: {output-options: {exclude-operation-ids: [getE]}}",
			config: "oapi-codegen: {output-options: {exclude-operation-ids: [getE]}}"},
		{name: "several routes left out", document: "error-routes", proposal: "{exclude-operation-ids: [getB, getC, getE]}",
			config: "oapi-codegen: {output-options: {exclude-operation-ids: [getB, getC, getE]}}"},
		{name: "routes in the order of their paths", document: "error-shadowing-files",
			proposal: "oapi-codegen: {compatibility: {sort-handler-registrations: true}}",
			config:   "oapi-codegen: {compatibility: {sort-handler-registrations: true}}"},
		{name: "a shadowed operation", document: "error-shadowing-files", proposal: "allow-shadowing: [zz]", config: "allow-shadowing: [zz]"},
		{name: "enumerations of one name", document: "error-uncompiled",
			proposal: "oapi-codegen: {compatibility: {always-prefix-enum-values: true}}",
			config:   "oapi-codegen: {compatibility: {always-prefix-enum-values: true}}"},
		{name: "raw JSON of what does not compile", document: "error-uncompiled", config: "fallback-schemas: raw"},
		{name: "schemas that cannot be merged", document: "error-oapi-codegen",
			proposal: "oapi-codegen: {compatibility: {old-merge-schemas: true}}",
			config:   "oapi-codegen: {compatibility: {old-merge-schemas: true}}"},
		{name: "the Go package of another file", document: "error-unmapped", proposal: `oapi-codegen: {import-mapping: {"other.yaml": PACKAGE}}`,
			config: `oapi-codegen: {import-mapping: {"other.yaml": example.com/other}}`},
		{name: "no operation is secured", document: "error-all-public", proposal: "remove require-security", config: "require-security: false"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			copyCase(t, tt.document, dir)
			_, err := generateIn(t, dir, "")
			if err == nil {
				t.Fatal("the case generates without an error")
			}
			message := err.Error()
			if !strings.Contains(message, tt.proposal) {
				t.Fatalf("the message does not say %s:\n%s", tt.proposal, message)
			}
			config := tt.config
			if tt.overlay {
				writeFile(t, filepath.Join(dir, "overlay.yaml"), overlayOf(t, message))
				if config == "" {
					config = "oapi-codegen: {output-options: {overlay: {path: overlay.yaml}}}"
				}
			}
			result, err := generateIn(t, dir, config)
			switch {
			case tt.then != "":
				if err == nil || !strings.Contains(err.Error(), tt.then) {
					t.Errorf("error %v, want one with %q", err, tt.then)
				}
			case err != nil:
				t.Errorf("the fix does not work: %v", err)
			case !strings.Contains(string(result.Files[GuardFile]), tt.contains):
				t.Errorf("%s has no %q:\n%s", GuardFile, tt.contains, result.Files[GuardFile])
			}
		})
	}
}

// TestRefreshTokensOfOthersMayHaveRoles has rules about roles for refresh tokens of another issuer.
func TestRefreshTokensOfOthersMayHaveRoles(t *testing.T) {
	dir := t.TempDir()
	copyCase(t, "error-roles-refresh", dir)
	result, err := generateIn(t, dir, "schemes: {refresh: {verifier: idp}}")
	if err != nil {
		t.Fatal(err)
	}
	if code := string(result.Files[GuardFile]); !strings.Contains(code, `DenyRoles: []string{"GUEST"}`) {
		t.Errorf("%s has no rule:\n%s", GuardFile, code)
	}
}

// copyCase copies the input of a case, with a configuration that says no more than its own.
func copyCase(t *testing.T, name, dir string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "oapi-guard.yaml")
	if _, err := os.Stat(config); err == nil {
		return
	}
	document := "spec.yaml"
	if _, err := os.Stat(filepath.Join(dir, document)); err != nil {
		document = "spec.json"
	}
	writeFile(t, config, "spec: "+document+"\npackage: api\n")
}

// topKey matches a key at the top of a configuration.
var topKey = regexp.MustCompile(`(?m)^([a-z0-9.-]+):.*\n`)

// generateIn generates from a folder whose configuration has more keys, or others in their place.
func generateIn(t *testing.T, dir, more string) (*Result, error) {
	t.Helper()
	path := filepath.Join(dir, "oapi-guard.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, _, _ := strings.Cut(more, ":")
	kept := topKey.ReplaceAllStringFunc(string(text), func(line string) string {
		if strings.HasPrefix(line, key+":") {
			return ""
		}
		return line
	})
	config, err := ReadConfig(path, []byte(kept+more+"\n"))
	if err != nil {
		return nil, err
	}
	return Generate(config, testVersion)
}

// overlayOf returns the overlay that a message prints.
func overlayOf(t *testing.T, message string) string {
	t.Helper()
	_, overlay, found := strings.Cut(message, "\n  overlay: ")
	if !found {
		t.Fatalf("no overlay in:\n%s", message)
	}
	lines := strings.Split("  overlay: "+overlay, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
