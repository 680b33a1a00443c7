package guard

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// requestsFunc is a schema validator.
type requestsFunc func(r *http.Request, params PathParams) error

func (requestsFunc) Knows(*Operation) bool { return true }

func (f requestsFunc) ValidateRequest(r *http.Request, _ *Operation, params PathParams) error {
	return f(r, params)
}

// converted is a request of a router that is not built on net/http.
type converted struct {
	Request
	err error
}

func (converted) Param(name string) string { return "the " + name }

func (c converted) HTTPRequest() (*http.Request, error) {
	r := httptest.NewRequest("POST", "/things?limit=5", strings.NewReader("body"))
	return r, c.err
}

// TestCheckValidatesRequests checks how Check answers what a schema validator returns.
func TestCheckValidatesRequests(t *testing.T) {
	invalid := &InvalidRequestError{Violations: []Violation{{In: "query", Name: "limit", Rule: "maximum"}}}
	for _, tt := range []struct {
		name string
		// token and convertible report whether the request has a token and whether it can become
		// one of net/http.
		token, convertible bool
		conversion, found  error
		status, calls      int
	}{
		{name: "conforms", token: true, convertible: true, status: 0, calls: 1},
		{name: "does not conform", token: true, convertible: true, found: invalid, status: 400, calls: 1},
		{name: "the validator fails", token: true, convertible: true, found: errors.New("secret"), status: 500, calls: 1},
		{name: "refused before", convertible: true, status: 401, calls: 0},
		{name: "too long", token: true, convertible: true, conversion: &http.MaxBytesError{Limit: 1}, status: 413, calls: 0},
		{name: "cannot be read", token: true, convertible: true, conversion: errors.New("secret"), status: 400, calls: 0},
		{name: "cannot be converted", token: true, status: 500, calls: 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			f := newFixture(t, WithSchemaValidator(requestsFunc(func(r *http.Request, params PathParams) error {
				calls++
				if token, ok := FromContext(r.Context()); !ok || token.Subject() != "alice" {
					t.Error("the request of the validator has no credential in its context")
				}
				if body := string(must(io.ReadAll(r.Body))(t)); body != "body" || r.URL.Query().Get("limit") != "5" || params.Param("id") != "the id" {
					t.Errorf("the validator got the body %q, the URL %s, the parameter %q", body, r.URL, params.Param("id"))
				}
				return tt.found
			})))
			o := &Operation{ID: "things", Requirement: Requirement{{accessScheme}}}
			guard := must(NewGuards(f.policy, nil, o))(t).Of(o)
			r := httptest.NewRequest("POST", "/things", nil)
			if tt.token {
				r.Header.Set("Authorization", bearer(must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()))
			}
			request := Request(httpRequest{r})
			if tt.convertible {
				request = converted{request, tt.conversion}
			}
			decision := guard.Check(t.Context(), request)
			if decision.Response.Status != tt.status || (decision.Context != nil) != (tt.status == 0) || calls != tt.calls {
				t.Errorf("status %d, context %v, %d calls; want status %d, %d calls", decision.Response.Status, decision.Context, calls, tt.status, tt.calls)
			}
			if strings.Contains(string(decision.Response.Body), "secret") {
				t.Errorf("the response contains the text of an error: %s", decision.Response.Body)
			}
			if tt.found == invalid && !strings.Contains(string(decision.Response.Body), `"limit"`) {
				t.Errorf("the response lacks the violation: %s", decision.Response.Body)
			}
		})
	}
}

// TestCheckMarksResponsePrivate checks that the response to a request with a token in its URL must
// not be stored.
func TestCheckMarksResponsePrivate(t *testing.T) {
	f := newFixture(t)
	query := &Scheme{Name: "query", Token: accessScheme.Token, In: InQuery, Parameter: "token"}
	o := &Operation{ID: "things", Requirement: Requirement{{accessScheme}, {query}}}
	guard := must(NewGuards(f.policy, nil, o))(t).Of(o)
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	inHeader := httptest.NewRequest("GET", "/things", nil)
	inHeader.Header.Set("Authorization", bearer(text))
	for want, r := range map[string]*http.Request{
		"":                  inHeader,
		"private, no-store": httptest.NewRequest("GET", "/things?token="+text, nil),
	} {
		decision := guard.Check(t.Context(), httpRequest{r})
		if decision.Context == nil || decision.Header.Get("Cache-Control") != want {
			t.Errorf("context %v, header %v, want Cache-Control %q", decision.Context, decision.Header, want)
		}
	}
}
