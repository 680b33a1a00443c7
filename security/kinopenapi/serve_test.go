package kinopenapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/kinopenapi"
)

// TestPathParameters checks that the value of the path is the one that the handler gets, however it
// was written.
func TestPathParameters(t *testing.T) {
	document := load(t, "testdata/api.yaml")
	url, saw := checked(t, document).serve(t, document)
	for _, tt := range []struct{ path, want string }{
		{"a", "a"},
		{"a%2Fb", "a/b"},
		{"%61", "a"},
		{"a%252Fb", "a%2Fb"},
		{"a%20b+c", "a b+c"},
		{"gr%C3%B6%C3%9Fe", "größe"},
		{"%E6%97%A5%E6%9C%AC%E8%AA%9E", "日本語"},
		{"%F0%9F%94%91%F0%9F%94%91%F0%9F%94%91%F0%9F%94%91%F0%9F%94%91%F0%9F%94%91%F0%9F%94%91%F0%9F%94%91", "🔑🔑🔑🔑🔑🔑🔑🔑"},
		{"%61%61%61%61%61%61%61%61%61", ""},    // nine letters
		{"aaaaaaa%252F", ""},                   // ten
		{"gr%C3%B6%C3%9Fegr%C3%B6%C3%9Fe", ""}, // ten
	} {
		response, said := send(t, http.MethodGet, url+"/items/"+tt.path, "")
		switch {
		case tt.want == "":
			if response.StatusCode != 400 || !slices.Equal(said.Violations, at("path item-id maxLength")) {
				t.Errorf("%s: status %d %v", tt.path, response.StatusCode, said.Violations)
			}
		case response.StatusCode != 204:
			t.Errorf("%s: status %d %v", tt.path, response.StatusCode, said.Violations)
		default:
			if one := <-saw; one.param != tt.want {
				t.Errorf("%s: the handler gets %q, want %q", tt.path, one.param, tt.want)
			}
		}
	}
}

// params are parameters of a path.
type params map[string]string

func (p params) Param(name string) string { return p[name] }

// TestParameterNames checks that a router may know a parameter by its name in the document or by
// that of net/http's patterns.
func TestParameterNames(t *testing.T) {
	v := must(kinopenapi.NewSchemaValidator(load(t, "testdata/api.yaml")))(t)
	o := &guard.Operation{Method: http.MethodGet, Path: "/items/{item-id}"}
	for _, tt := range []struct {
		params params
		ok     bool
	}{
		{params{"item-id": "a"}, true},
		{params{"item_id": "a"}, true},
		{params{"item-id": "a", "item_id": "too long for it"}, true},
		{params{"item-id": "too long for it", "item_id": "a"}, false},
		{params{}, false},
		{nil, false},
	} {
		err := v.ValidateRequest(httptest.NewRequest(http.MethodGet, "/", nil), o, tt.params)
		var invalid *guard.InvalidRequestError
		if (err == nil) != tt.ok || err != nil && !errors.As(err, &invalid) {
			t.Errorf("%v: %v", tt.params, err)
		}
	}
	var invalid *guard.InvalidRequestError
	if err := v.ValidateRequest(httptest.NewRequest(http.MethodGet, "/", nil), o, nil); !errors.As(err, &invalid) || !slices.Equal(invalid.Violations, at("path item-id required")) {
		t.Errorf("without parameters: %v", err)
	}
}

// TestBodyOnce checks that the handler gets the value that was checked, and can read the body too.
func TestBodyOnce(t *testing.T) {
	document := load(t, "testdata/api.yaml")
	url, saw := checked(t, document).serve(t, document)
	send(t, http.MethodPost, url+"/items", `{"name":"a","name":"b"}`, asJSON)
	one := <-saw
	if value, ok := one.validated.(map[string]any); !ok || value["name"] != "b" || one.body != `{"name":"a","name":"b"}` {
		t.Errorf("%v %q", one.validated, one.body)
	}
}

// TestStaleGetBody checks that the body that is checked is the one that the handler gets, whatever
// another validator left.
func TestStaleGetBody(t *testing.T) {
	v := must(kinopenapi.NewSchemaValidator(load(t, "testdata/api.yaml")))(t)
	r := httptest.NewRequest(http.MethodPost, "/items", strings.NewReader(`{"name":"checked"}`))
	r.Header.Set("Content-Type", "application/json")
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(`{"name":"never checked"}`)), nil }
	if err := v.ValidateRequest(r, &guard.Operation{Method: http.MethodPost, Path: "/items"}, nil); err != nil {
		t.Fatal(err)
	}
	if text := must(io.ReadAll(r.Body))(t); string(text) != `{"name":"checked"}` {
		t.Errorf("the handler reads %s", text)
	}
}

// TestDefaults checks that defaults reach the handler with the option, and only with it.
func TestDefaults(t *testing.T) {
	for _, tt := range []struct {
		options     []kinopenapi.Option
		query, body string
	}{
		{nil, "exact=true", `{"other":1}`},
		{[]kinopenapi.Option{kinopenapi.WithDefaults()}, "exact=true&limit=10", `{"other":1,"text":"nothing"}`},
	} {
		document := load(t, "testdata/api.yaml")
		url, saw := checked(t, document, tt.options...).serve(t, document)
		send(t, http.MethodGet, url+"/items/a?exact=true", "")
		if one := <-saw; one.query != tt.query {
			t.Errorf("query %s, want %s", one.query, tt.query)
		}
		send(t, http.MethodPut, url+"/notes", `{"other":1}`, asJSON)
		if one := <-saw; strings.TrimSpace(one.body) != tt.body {
			t.Errorf("body %s, want %s", one.body, tt.body)
		}
	}
}

// TestLongBodies checks the limits of bodies, the validator's own and one in front of it.
func TestLongBodies(t *testing.T) {
	document := load(t, "testdata/api.yaml")
	long := `{"name":"` + strings.Repeat("s", 100) + `"}`
	url, saw := checked(t, document, kinopenapi.WithMaxBody(100)).serve(t, document)
	response, said := send(t, http.MethodPost, url+"/items", long, asJSON)
	if response.StatusCode != 413 || said.Violations != nil || len(saw) > 0 {
		t.Errorf("status %d %v", response.StatusCode, said)
	}
	if response, _ := send(t, http.MethodPost, url+"/items", `{"name":"s"}`+strings.Repeat(" ", 88), asJSON); response.StatusCode != 204 {
		t.Errorf("a body of the longest length: status %d", response.StatusCode)
	}

	a := checked(t, document)
	o := &guard.Operation{ID: "addItem", Method: http.MethodPost, Path: "/items"}
	guarded := must(guard.NewGuards(a.policy, nil, o))(t).HandlerFunc(o, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
	server := httptest.NewServer(http.MaxBytesHandler(guarded, 50))
	defer server.Close()
	if response, _ := send(t, http.MethodPost, server.URL, long, asJSON); response.StatusCode != 413 {
		t.Errorf("with http.MaxBytesHandler: status %d", response.StatusCode)
	}
	// An operation whose bodies are not checked streams what it likes.
	url, saw = checked(t, document, kinopenapi.WithMaxBody(1), kinopenapi.WithUncheckedBodies("addItem", "PUT /files/{name}")).serve(t, document)
	for _, route := range []string{"POST /items", "PUT /files/a"} {
		method, path, _ := strings.Cut(route, " ")
		if response, _ := send(t, method, url+path, "not checked"); response.StatusCode != 204 || (<-saw).body != "not checked" {
			t.Errorf("%s: status %d", route, response.StatusCode)
		}
	}
	if response, said := send(t, http.MethodPut, url+"/files/secret", ""); response.StatusCode != 400 || !slices.Equal(said.Violations, at("path name maxLength")) {
		t.Errorf("its parameters: status %d %v", response.StatusCode, said.Violations)
	}
}

// TestBrokenBodies checks that a body which cannot be read is not said to differ from the document.
func TestBrokenBodies(t *testing.T) {
	document := load(t, "testdata/api.yaml")
	var failure guard.Failure
	a := newApplication(t, guard.WithSchemaValidator(must(kinopenapi.NewSchemaValidator(document))(t)),
		guard.WithErrorHandler(func(_ context.Context, f guard.Failure) guard.Response { failure = f; return f.Response }))
	url, _ := a.serve(t, document)
	for _, body := range []string{
		"Transfer-Encoding: chunked\r\n\r\nzz\r\n", // no length of a chunk
		"Content-Length: 100\r\n\r\n{",             // ends before its end
	} {
		conn := must(net.Dial("tcp", strings.TrimPrefix(url, "http://")))(t)
		if _, err := io.WriteString(conn, "POST /items HTTP/1.1\r\nHost: x\r\n"+asJSON+"\r\n"+body); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		text := string(must(io.ReadAll(conn))(t))
		conn.Close()
		if !strings.HasPrefix(text, "HTTP/1.1 400 ") || strings.Contains(text, "violations") || !strings.Contains(text, "could not be read") {
			t.Errorf("%q: %s", body, text)
		}
		if !errors.Is(failure.Err, guard.ErrUnreadable) {
			t.Errorf("%q: %v", body, failure.Err)
		}
	}
}

// TestManyViolations checks that an answer stays short, whatever the request.
func TestManyViolations(t *testing.T) {
	document := load(t, "testdata/api.yaml")
	url, _ := checked(t, document).serve(t, document)
	children := `{"name":""}` + strings.Repeat(`,{"name":""}`, 29)
	_, said := send(t, http.MethodPost, url+"/items", `{"name":"a","children":[`+children+`]}`, asJSON)
	if len(said.Violations) != 20 || said.Violations[19].Name != "/children/19/name" {
		t.Errorf("%d violations: %v", len(said.Violations), said.Violations)
	}
	parameters := ""
	for i := range 25 {
		parameters += fmt.Sprintf("        - {name: p%d, in: query, required: true, schema: {type: string}}\n", i)
	}
	v := must(kinopenapi.NewSchemaValidator(parse(t, operation("      parameters:\n"+parameters))))(t)
	err := v.ValidateRequest(httptest.NewRequest(http.MethodPost, "/x", nil), &guard.Operation{Method: http.MethodPost, Path: "/x"}, nil)
	if invalid, ok := err.(*guard.InvalidRequestError); !ok || len(invalid.Violations) != 20 {
		t.Errorf("%+v", invalid)
	}
	// A name of the request's own stays out where it is long.
	_, said = send(t, http.MethodPost, url+"/items", `{"name":"a","labels":{"`+strings.Repeat("secret", 50)+`":1}}`, asJSON)
	if !slices.Equal(said.Violations, at("body /labels type")) {
		t.Errorf("%v", said.Violations)
	}
}

// TestAfterGuard checks that nothing is said of the document, and nothing read, before the guard
// has let the request pass.
func TestAfterGuard(t *testing.T) {
	document := load(t, "testdata/api.yaml")
	a := checked(t, document)
	access := &guard.Scheme{Name: "access", Token: security.NewTokenType[security.NoClaims]("access")}
	o := &guard.Operation{ID: "addItem", Method: http.MethodPost, Path: "/items", Requirement: guard.Requirement{{access}}}
	ran := 0
	guarded := must(guard.NewGuards(a.policy, nil, o))(t).HandlerFunc(o, func(_ http.ResponseWriter, r *http.Request) {
		ran++
		if _, err := guard.RequestToken[security.NoClaims](r.Context(), o); err != nil {
			t.Errorf("the handler does not get the token: %v", err)
		}
	})
	request := func(token, body string) (int, *countingReader) {
		read := &countingReader{Reader: strings.NewReader(body)}
		r := httptest.NewRequest(http.MethodPost, "/items", read)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		guarded(w, r)
		return w.Code, read
	}
	if status, read := request("x", `{"name":""}`); status != 401 || read.n != 0 {
		t.Errorf("with a bad token: status %d, %d bytes read", status, read.n)
	}
	if status, read := request(a.token(t), `{"name":""}`); status != 400 || read.n == 0 {
		t.Errorf("with a bad body: status %d, %d bytes read", status, read.n)
	}
	if status, _ := request(a.token(t), `{"name":"a"}`); status != 200 || ran != 1 {
		t.Errorf("status %d, the handler ran %d times", status, ran)
	}
}

type countingReader struct {
	io.Reader
	n int
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += n
	return n, err
}

// server implements what the tests need of the reference API.
type server struct {
	gen.GuardedServer
	gen.Authenticator
	login chan gen.Credentials
}

func (s server) Login(_ context.Context, request gen.LoginRequestObject) (gen.LoginResponseObject, error) {
	s.login <- *request.Body
	return gen.Login204Response{}, nil
}

// TestReferenceAPI checks the generated server of this repository: the strict handler binds the
// value that was checked.
func TestReferenceAPI(t *testing.T) {
	a := checked(t, load(t, "../../api.yaml"))
	login := make(chan gen.Credentials, 1)
	own := server{login: login}
	handler := must(gen.GuardedHandlerWithOptions(gen.NewGuardedStrictHandler(own, a.policy, nil, gen.StrictHTTPServerOptions{}), a.policy, own, gen.StdHTTPServerOptions{}))(t)
	ts := httptest.NewServer(handler)
	defer ts.Close()
	for _, tt := range []struct {
		route, body string
		header      []string
		status      int
		want        []guard.Violation
	}{
		{route: "POST /login", body: `{"username":"alice","password":"secret"}`, status: 204},
		// encoding/json alone would bind the last of these, which nobody has checked.
		{route: "POST /login", body: `{"username":"alice","password":"secret","USERNAME":""}`, status: 204},
		{route: "POST /login", body: `{"username":"","password":"secret"}`, status: 400, want: at("body /username minLength")},
		{route: "POST /login", body: `{"username":"alice"}`, status: 400, want: at("body /password required")},
		{route: "POST /login", status: 400, want: at("body - required")},
		{route: "PUT /email", body: `{}`, status: 401},
		{
			route:  "DELETE /admin/users/" + strings.Repeat("u", 65) + "/sessions",
			header: []string{"Authorization: Bearer " + a.token(t, security.WithFresh(), security.WithRoles("ADMIN"))},
			status: 400, want: at("path username maxLength"),
		},
		{
			route: "PUT /email", body: `{}`, header: []string{"Authorization: Bearer " + a.token(t, security.WithFresh())},
			status: 400, want: at("body /email required"),
		},
	} {
		method, path, _ := strings.Cut(tt.route, " ")
		response, said := send(t, method, ts.URL+path, tt.body, append(tt.header, asJSON)...)
		if response.StatusCode != tt.status || !slices.Equal(said.Violations, tt.want) {
			t.Errorf("%s %s: status %d %v, want %d %v", tt.route, tt.body, response.StatusCode, said.Violations, tt.status, tt.want)
		}
		if response.StatusCode == 204 {
			if got := <-login; got.Username != "alice" {
				t.Errorf("%s: the handler gets the name %q", tt.body, got.Username)
			}
		}
	}
}

// TestConcurrently checks many requests at once, for the race detector: the document is shared and
// stays as it is.
func TestConcurrently(t *testing.T) {
	for _, file := range []string{"testdata/api.yaml", "testdata/api31.yaml"} {
		document := load(t, file)
		before := must(document.MarshalJSON())(t)
		v := must(kinopenapi.NewSchemaValidator(document, kinopenapi.WithDefaults(), kinopenapi.WithJSONSchema2020(4096)))(t)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for path, item := range document.Paths.Map() {
					for method := range item.Operations() {
						for _, body := range []string{`{"name":"secret","size":1,"children":[{}]}`, `{"name":1}`, `{}`, `x`} {
							r := httptest.NewRequest(method, "/?limit=1&q=a&f[a][b]=1&ids=1&json={}", strings.NewReader(body))
							r.Header.Set("Content-Type", "application/json")
							r.Header.Set("X-Trace", fmt.Sprint(i))
							var invalid *guard.InvalidRequestError
							err := v.ValidateRequest(r, &guard.Operation{Method: method, Path: path}, params{"item-id": "a", "name": "a"})
							if err != nil && !errors.As(err, &invalid) {
								t.Errorf("%s %s: %v", method, path, err)
							}
						}
					}
				}
			})
		}
		wg.Wait()
		if after := must(document.MarshalJSON())(t); !bytes.Equal(before, after) {
			t.Errorf("%s was changed", file)
		}
	}
}

// broken is a format whose check fails as no check should.
type broken struct{}

func (broken) Validate(value string) error {
	if value == "secret" {
		panic(value)
	}
	return nil
}

// TestPanics checks that kin-openapi and what is plugged into it cannot take the service down, nor
// put the blame on the request.
func TestPanics(t *testing.T) {
	document := load(t, "testdata/api.yaml")
	v := must(kinopenapi.NewSchemaValidator(document, kinopenapi.WithSchemaOptions(openapi3.WithStringFormatValidator("date", broken{}))))(t)
	var failure guard.Failure
	a := newApplication(t, guard.WithSchemaValidator(v),
		guard.WithErrorHandler(func(_ context.Context, f guard.Failure) guard.Response { failure = f; return f.Response }))
	url, saw := a.serve(t, document)
	response, said := send(t, http.MethodGet, url+"/items/a?since=secret", "")
	if response.StatusCode != 500 || said.Violations != nil || len(saw) > 0 {
		t.Errorf("status %d %v", response.StatusCode, said)
	}
	if failure.Err == nil || strings.Contains(failure.Err.Error(), "secret") {
		t.Errorf("%v", failure.Err)
	}
}
