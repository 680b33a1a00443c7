package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

// stubRequests is a schema validator that returns what it is told to.
type stubRequests struct {
	knows bool
	err   error
	calls int
	ctx   context.Context
	param string
}

func (s *stubRequests) Knows(*Operation) bool { return s.knows }

func (s *stubRequests) ValidateRequest(r *http.Request, _ *Operation, params PathParams) error {
	s.calls++
	s.ctx, s.param = r.Context(), params.Param("id")
	return s.err
}

// TestSchemaValidator checks when requests are validated, and how violations and errors are
// answered.
func TestSchemaValidator(t *testing.T) {
	for _, tt := range []struct {
		name       string
		err        error
		status     int
		detail     string
		violations []Violation
	}{
		{name: "a good request", status: 200},
		{
			name:   "violations",
			err:    &InvalidRequestError{Violations: []Violation{{"query", "q", "minLength"}, {"body", "/a/0", "type"}}},
			status: 400, detail: "is not what the description",
			violations: []Violation{{"query", "q", "minLength"}, {"body", "/a/0", "type"}},
		},
		{name: "no violations", err: &InvalidRequestError{}, status: 400, detail: "is not what the description"},
		{name: "another status", err: &InvalidRequestError{Status: 415}, status: 415, detail: "is not what the description"},
		{name: "a status that lets it pass", err: &InvalidRequestError{Status: 204}, status: 500, detail: "The request failed"},
		{name: "a status of a server", err: &InvalidRequestError{Status: 500}, status: 500, detail: "The request failed"},
		{
			name: "wrapped", err: fmt.Errorf("hunter2: %w", &InvalidRequestError{Status: 422}), status: 422,
			detail: "is not what the description",
		},
		{name: "an error of this package", err: fmt.Errorf("hunter2: %w", security.ErrUnavailable), status: 503, detail: "Try again"},
		{name: "an unreadable body", err: fmt.Errorf("%w: hunter2", ErrUnreadable), status: 400, detail: "could not be read"},
		{name: "a long body", err: &http.MaxBytesError{Limit: 1}, status: 413, detail: "too large"},
		{name: "any other", err: errSecretive, status: 500, detail: "The request failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			requests := &stubRequests{knows: true, err: tt.err}
			f := newFixture(t, WithSchemaValidator(requests))
			for _, o := range []*Operation{{ID: "secured", Requirement: Requirement{{accessScheme}}}, {ID: "public"}} {
				h, saw := f.serve(t, o)
				if w := get(h); !o.Public() && (w.Code != 401 || requests.calls != 0) {
					t.Errorf("%s, without a token: status %d, %d validations", o.ID, w.Code, requests.calls)
				}
				saw.calls, requests.calls = 0, 0
				w := get(h, bearer(must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()))
				if w.Code != tt.status || requests.calls != 1 || (saw.calls == 1) != (tt.status == 200) {
					t.Errorf("%s: status %d, %d validations, %d calls of the handler", o.ID, w.Code, requests.calls, saw.calls)
				}
				if _, ok := FromContext(requests.ctx); ok == o.Public() {
					t.Errorf("%s: the validator sees a token: %v", o.ID, ok)
				}
				requests.calls = 0
				if tt.status == 200 {
					continue
				}
				var said problem
				if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || said.Status != tt.status || !strings.Contains(said.Detail, tt.detail) || !reflect.DeepEqual(said.Violations, tt.violations) {
					t.Errorf("%s: %s %v", o.ID, w.Body, err)
				}
				if strings.Contains(w.Body.String(), "hunter2") || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("WWW-Authenticate") != "" {
					t.Errorf("%s: %v %s", o.ID, w.Header(), w.Body)
				}
			}
		})
	}
}

// TestSchemaValidatorOptions checks what is an error before the first request.
func TestSchemaValidatorOptions(t *testing.T) {
	f := newFixture(t)
	for _, requests := range []SchemaValidator{nil, (*stubRequests)(nil)} {
		if _, err := New(f.validator, WithSchemaValidator(requests)); err == nil {
			t.Error("a nil schema validator is accepted")
		}
	}
	policy := must(New(f.validator, WithSchemaValidator(&stubRequests{})))(t)
	if _, err := NewGuards(policy, nil, &Operation{ID: "o", Method: "GET", Path: "/x"}); err == nil || !strings.Contains(err.Error(), "GET /x") {
		t.Errorf("an operation that the schema validator does not know: %v", err)
	}
}

// TestSchemaValidatorParams checks that the validator gets the path parameters of the router of
// net/http.
func TestSchemaValidatorParams(t *testing.T) {
	requests := &stubRequests{knows: true}
	f := newFixture(t, WithSchemaValidator(requests))
	h, _ := f.serve(t, &Operation{ID: "public"})
	mux := http.NewServeMux()
	mux.Handle("GET /x/{id}", h)
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x/a%2Fb", nil))
	if requests.param != "a/b" {
		t.Errorf("%q", requests.param)
	}
}

// TestAuthenticate checks that Authenticate decides and answers as the guard of a route does.
func TestAuthenticate(t *testing.T) {
	requests := &stubRequests{knows: true, err: errSecretive}
	said := fmt.Errorf("hunter2: %w", security.ErrAccessDenied)
	f := newFixture(t, WithSchemaValidator(requests), security.WithHook("refresh", func(context.Context, security.Token[security.NoClaims]) (any, error) { return nil, said }),
		WithErrorHandler(func(_ context.Context, failure Failure) Response {
			failure.Response.Header.Set("X-Operation", failure.Operation.ID)
			return failure.Response
		}))
	key := &Scheme{Name: "key", Kind: KindKey, Parameter: "X-Key"}
	authenticators := Authenticators{"key": AuthenticateKey(func(context.Context, string) (*Caller[Principal], error) {
		return &Caller[Principal]{}, nil
	})}
	o := &Operation{ID: "o", Requirement: Requirement{{accessScheme, key}, {refreshScheme}, {}}}
	guards := must(NewGuards(f.policy, authenticators, o))(t)
	access := bearer(must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text())
	for _, tt := range []struct {
		name, authorization, key string
		err                      error
		schemes                  []string
	}{
		{name: "both schemes", authorization: access, key: "x", schemes: []string{"access", "key"}},
		{name: "nobody"},
		{name: "a bad token", authorization: "Bearer x", err: security.ErrInvalidToken},
		{
			name:          "a hook that refuses",
			authorization: bearer(must(f.issuer.IssueRefreshToken(t.Context(), "alice", nil))(t).Text()),
			err:           security.ErrAccessDenied,
		},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for name, value := range map[string]string{"Authorization": tt.authorization, "X-Key": tt.key} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		ctx, err := guards.Of(o).Authenticate(r)
		if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
			continue
		}
		if err == nil {
			c, err := RequestCredentials(ctx, o)
			if err != nil || !slices.Equal(c.Schemes(), tt.schemes) {
				t.Errorf("%s: schemes %v, %v", tt.name, c.Schemes(), err)
			}
			continue
		}
		var refused *RefusedError
		if ctx != nil || !errors.As(err, &refused) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, %v", tt.name, ctx, err)
			continue
		}
		got, want := httptest.NewRecorder(), httptest.NewRecorder()
		refused.Write(got)
		guards.Of(o).HTTP(want, r, nil)
		if got.Code != want.Code || got.Body.String() != want.Body.String() || !reflect.DeepEqual(got.Header(), want.Header()) || got.Header().Get("X-Operation") != "o" {
			t.Errorf("%s: %d %v %s, want as the guard of a route: %d %v %s", tt.name, got.Code, got.Header(), got.Body, want.Code, want.Header(), want.Body)
		}
	}
	if requests.calls != 0 {
		t.Error("the request was validated")
	}
	if names := (Credentials{}).Schemes(); names != nil {
		t.Errorf("the zero Credentials have the schemes %v", names)
	}
	public := &Operation{ID: "public"}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if ctx, err := must(NewGuards(f.policy, nil, public, &Operation{ID: "r", Requirement: Requirement{{refreshScheme}}}))(t).Of(public).Authenticate(r); err != nil || ctx != r.Context() {
		t.Errorf("a public operation: %v", err)
	}
	if _, err := guards.Of(public).Authenticate(r); !errors.Is(err, security.ErrUnguarded) {
		t.Errorf("an operation without a guard: %v", err)
	}
}
