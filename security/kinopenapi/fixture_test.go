package kinopenapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/kinopenapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// load returns the document in a file.
func load(t testing.TB, file string) *openapi3.T {
	t.Helper()
	return must(openapi3.NewLoader().LoadFromFile(file))(t)
}

// parse returns the document in a text. It adds the first lines.
func parse(t testing.TB, text string) *openapi3.T {
	t.Helper()
	return must(openapi3.NewLoader().LoadFromData([]byte("openapi: 3.0.3\ninfo: {title: test, version: 1.0.0}\n" + text)))(t)
}

// application issues and verifies tokens.
type application struct {
	issuer    *security.Issuer
	validator *security.Validator
	policy    *guard.Policy
}

func newApplication(t testing.TB, options ...guard.Option) *application {
	t.Helper()
	key := must(keys.NewHMAC(keys.HS256, []byte("0123456789abcdef0123456789abcdef")))(t)
	set := must(keys.NewSet(key))(t)
	authority := must(security.New("https://issuer.example", set, blacklist.None{}))(t)
	return &application{authority.Issuer, authority.Validator, must(guard.New(authority.Validator, options...))(t)}
}

// token returns the text of an access token.
func (a *application) token(t testing.TB, options ...security.TokenOption) string {
	t.Helper()
	return must(a.issuer.IssueAccessToken(t.Context(), "alice", map[string]any{"name": "Alice"}, options...))(t).Text()
}

// checked makes an application that checks requests against the document.
func checked(t testing.TB, document *openapi3.T, options ...kinopenapi.Option) *application {
	t.Helper()
	return newApplication(t, guard.WithSchemaValidator(must(kinopenapi.NewSchemaValidator(document, options...))(t)))
}

// seen is what a handler got from a request.
type seen struct {
	param, query, body string
	header             http.Header
	validated          any
}

// serve serves a guarded handler for each operation of the document, as generated code does. The
// handlers answer 204 and send what they got.
func (a *application) serve(t testing.TB, document *openapi3.T) (string, <-chan seen) {
	t.Helper()
	saw := make(chan seen, 100)
	var operations []*guard.Operation
	patterns := map[*guard.Operation]string{}
	for path, item := range document.Paths.Map() {
		for method, source := range item.Operations() {
			o := &guard.Operation{ID: source.OperationID, Method: method, Path: path}
			operations = append(operations, o)
			patterns[o] = method + " " + strings.ReplaceAll(path, "{item-id}", "{item_id}")
		}
	}
	guards := must(guard.NewGuards(a.policy, nil, operations...))(t)
	mux := http.NewServeMux()
	for o, pattern := range patterns {
		mux.HandleFunc(pattern, guards.HandlerFunc(o, func(w http.ResponseWriter, r *http.Request) {
			one := seen{param: r.PathValue("item_id"), query: r.URL.RawQuery, header: r.Header}
			if b, ok := r.Body.(interface{ ValidatedValue() any }); ok {
				one.validated = b.ValidatedValue()
			}
			text, err := io.ReadAll(r.Body)
			if err != nil {
				t.Errorf("the handler cannot read the body: %v", err)
			}
			one.body = string(text)
			saw <- one
			w.WriteHeader(http.StatusNoContent)
		}))
	}
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return server.URL, saw
}

// problem is the response to a refused request.
type problem struct {
	Title      string
	Status     int
	Detail     string
	Violations []guard.Violation
}

// send sends a request and returns the response. header has lines of the form "Name: value".
func send(t testing.TB, method, url, body string, header ...string) (*http.Response, problem) {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body)))(t)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response := must(client.Do(r))(t)
	defer response.Body.Close()
	text := must(io.ReadAll(response.Body))(t)
	// No response repeats a value of the request. The values of these tests contain this word.
	if bytes.Contains(text, []byte("secret")) {
		t.Errorf("the response repeats a value of the request: %s", text)
	}
	var said problem
	if len(text) > 0 {
		if err := json.Unmarshal(text, &said); err != nil {
			t.Errorf("%v: %s", err, text)
		}
		if said.Status != response.StatusCode || response.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("status %d, %s", response.StatusCode, text)
		}
	}
	return response, said
}
