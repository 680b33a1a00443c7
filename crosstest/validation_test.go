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

// requests is a validator of requests that keeps what it is given, and refuses what has "bad" in
// its query.
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

// TestRequestValidator checks what a validator of requests gets to see, and that its answer counts
// behind the guard's and in front of the handler.
func TestRequestValidator(t *testing.T) {
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
				t.Errorf("%s: status %d, the validator saw %q; want %d, %q: %s", tt.request, got.status, v.last, tt.status, tt.saw, got.body)
			}
			if tt.status == 400 && !strings.Contains(got.body, `"rule":"enum"`) {
				t.Errorf("%s: the answer does not tell the violation: %s", tt.request, got.body)
			}
			if tt.body != "" && !strings.Contains(string(got.seen.Request), tt.body) {
				t.Errorf("%s: the handler saw %s", tt.request, got.seen.Request)
			}
		})
	}
}

// TestParameters checks that the validator of requests gets a parameter of the path as the handler
// does, however it is written.
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
			// These routers read the path after it is decoded: a slash is a slash to them.
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
