package codegen

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestRemoteDocuments checks that misspelt keys are found in documents behind a URL, and in parts of a
// document that are behind one.
func TestRemoteDocuments(t *testing.T) {
	const item = "get: {operationId: a, securty: [{access: []}], responses: {'204': {description: done}}}\n"
	const components = "components: {securitySchemes: {access: {type: http, scheme: bearer}}}\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := item
		if r.URL.Path == "/spec.yaml" {
			text = "openapi: 3.0.3\ninfo: {title: t, version: '1'}\npaths:\n  /a:\n    " + item + components
		}
		_, _ = w.Write([]byte(text))
	}))
	defer server.Close()
	dir := t.TempDir()
	writeFile(t, dir+"/spec.yaml", "openapi: 3.0.3\ninfo: {title: t, version: '1'}\npaths:\n  /a: {$ref: '"+server.URL+"/item.yaml'}\n"+components)
	for _, path := range []string{server.URL + "/spec.yaml", dir + "/spec.yaml"} {
		_, err := Generate(&Config{Spec: path, Package: "api"}, testVersion)
		if err == nil || !strings.Contains(err.Error(), `unknown key "securty"`) {
			t.Errorf("%s: error %v", path, err)
		}
	}
}
