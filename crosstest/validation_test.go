package crosstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// requests is a schema validator that records requests, and refuses those with "bad" in the query.
type requests struct {
	mu   sync.Mutex
	last string
}

func (*requests) Knows(*guard.Operation) bool { return true }

func (v *requests) ValidateRequest(r *http.Request, o *guard.Operation, params guard.PathParams) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	subject := ""
	if token, ok := guard.FromContext(r.Context()); ok {
		subject = token.Subject()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = fmt.Sprintf("%s %s %s?%s id=%s name=%s %s %s %s", o.ID, r.Method, r.URL.Path, r.URL.RawQuery, params.Param("id"), params.Param("name"),
		strings.Join(r.Header["X-Twice"], ","), body, subject)
	if r.URL.Query().Has("bad") {
		return &guard.InvalidRequestError{Violations: []guard.Violation{{In: "query", Name: "bad", Rule: "enum"}}}
	}
	return nil
}

// TestSchemaValidator checks what a schema validator gets, and that it runs after the guard and
// before the handler.
func TestSchemaValidator(t *testing.T) {
	v := &requests{}
	f := newFixture(t, guard.WithSchemaValidator(v))
	token := "Authorization: " + f.bearer(accessType, "alice")
	for _, tt := range []struct {
		request, body string
		fields        []string
		status        int
		saw           string
	}{
		{request: "GET /public", status: 200, saw: "getPublic GET /public? id= name=   "},
		{request: "GET /public?bad", status: 400, saw: "getPublic GET /public?bad id= name=   "},
		{request: "GET /me?bad", status: 401},
		{request: "GET /me?bad", fields: []string{token}, status: 400, saw: "getMe GET /me?bad id= name=   alice"},
		{
			request: "PUT /items/7?a=%20", body: `{"title":"a"}`,
			fields: []string{token, "Content-Type: application/json", "X-Twice: 1", "X-Twice: 2"}, status: 200,
			saw: `putItem PUT /items/7?a=%20 id=7 name= 1,2 {"title":"a"} alice`,
		},
		{request: "GET /items/x?bad", fields: []string{token}, status: 400, saw: "getItem GET /items/x?bad id=x name=   alice"},
		{request: "GET /names/a%20b", fields: []string{token}, status: 200, saw: "getName GET /names/a b? id= name=a b   alice"},
		{request: "GET /names/100%25", fields: []string{token}, status: 200, saw: "getName GET /names/100%? id= name=100%   alice"},
	} {
		eachRouter(t, func(t *testing.T, r Router) {
			v.last = ""
			c := f.start(t, r, service.Server{}, Options{})
			got := c.send(tt.request, tt.body, tt.fields...)
			if got.status != tt.status || v.last != tt.saw {
				t.Errorf("%s: status %d, the validator got %q; want %d, %q: %s", tt.request, got.status, v.last, tt.status, tt.saw, got.body)
			}
			if tt.status == 400 && !strings.Contains(got.body, `"rule":"enum"`) {
				t.Errorf("%s: the response lacks the violation: %s", tt.request, got.body)
			}
			if tt.body != "" && !strings.Contains(string(got.seen.Request), tt.body) {
				t.Errorf("%s: the handler got %s", tt.request, got.seen.Request)
			}
		})
	}
}

// TestParameters checks that the schema validator and the handler get the same path parameter, in
// every encoding.
func TestParameters(t *testing.T) {
	v := &requests{}
	f := newFixture(t, guard.WithSchemaValidator(v))
	token := "Authorization: " + f.bearer(accessType, "alice")
	eachRouter(t, func(t *testing.T, r Router) {
		c := f.start(t, r, service.Server{}, Options{})
		for path, want := range map[string]string{
			"a": "a", "a%2Fb": "a/b", "a%252Fb": "a%2Fb", "a%2520b": "a%20b", "%E4%BD%A0": "\u4f60", "a+b": "a+b", "a%2Bb": "a+b",
			"a%3Fb": "a?b", "%61": "a", "a;b": "a;b", "a%20%2Fb": "a /b",
		} {
			v.last = ""
			got := c.send("GET /names/"+path, "", token)
			// These routers decode the path before they split it at slashes.
			if strings.Contains(want, "/") && slices.Contains([]string{"gorilla", "gin", "iris"}, r.Name) && got.status == 404 {
				continue
			}
			var request struct{ Name string }
			if err := json.Unmarshal(got.seen.Request, &request); err != nil || request.Name != want || !strings.Contains(v.last, " name="+want+" ") {
				t.Errorf("%s: status %d, the handler got %q, the validator %q", path, got.status, request.Name, v.last)
			}
		}
	})
}
