package crosstest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// observations are what an application learns of refused requests.
type observations struct {
	mu       sync.Mutex
	refusals []guard.Refusal
	subjects []string
}

func (o *observations) refused(_ context.Context, refusal guard.Refusal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refusals = append(o.refusals, refusal)
}

func (o *observations) failed(_ context.Context, failure guard.Failure) guard.Response {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.subjects = append(o.subjects, failure.Identity.Subject)
	return failure.Response
}

// take returns what was observed since the last call.
func (o *observations) take() ([]guard.Refusal, []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	refusals, subjects := o.refusals, o.subjects
	o.refusals, o.subjects = nil, nil
	return refusals, subjects
}

// TestObserverOnEveryRouter refuses requests. The observer gets the same reasons, and the error
// handler the same subjects, whatever the router is.
func TestObserverOnEveryRouter(t *testing.T) {
	seen := &observations{}
	f := newFixture(t, guard.WithObserver(seen.refused), guard.WithErrorHandler(seen.failed))
	alice := f.bearer(accessType, "alice")
	refresh := f.bearer(refreshType, "alice")
	revoked := f.token(accessType, "bob")
	token := must(f.validator.Verify(t.Context(), accessType, revoked.Text()))(t)
	if err := f.validator.Revoke(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, request, authorization string
		fails                        error // of the handler
		status                       int
		operation, reason            string // of the refusal; "" if there is none
		subject                      string
		// router reports whether the router answers in place of the guard; nil for no router.
		router func(Router) bool
	}{
		{name: "served", request: "GET /me", authorization: alice, status: 200},
		{name: "public", request: "GET /public", status: 200},
		{name: "no credentials", request: "GET /me", status: 401, operation: "getMe", reason: "This operation needs credentials."},
		{name: "not a token", request: "GET /me", authorization: "Bearer x", status: 401, operation: "getMe", reason: "not three segments"},
		{name: "another signature", request: "GET /me", authorization: alice[:len(alice)-4] + "AAAA", status: 401, operation: "getMe", reason: "the signature"},
		{
			name: "another type", request: "GET /me", authorization: refresh, status: 401, operation: "getMe",
			reason: "the type of the token", subject: "alice",
		},
		{
			name: "revoked", request: "GET /me", authorization: "Bearer " + revoked.Text(), status: 401, operation: "getMe",
			reason: "The token has been revoked.", subject: "bob",
		},
		{
			name: "no role", request: "DELETE /items/7", authorization: alice, status: 403, operation: "deleteItem",
			reason: "The credentials do not allow this.", subject: "alice",
		},
		{
			name: "a parameter that cannot be decoded", request: "GET /items/x", authorization: alice, status: 400, operation: "getItem",
			reason: "The request could not be read.", subject: "alice",
			router: func(r Router) bool { return r.HasErrorHandler() || r.Name == "iris" },
		},
		{
			name: "a handler without an answer", request: "GET /me", authorization: alice, fails: security.ErrUnavailable.Because("the ledger is down", errOfHandler),
			status: 503, operation: "getMe", reason: "the ledger is down", subject: "alice",
		},
		{
			name: "a handler that fails", request: "GET /me", authorization: alice, fails: errOfHandler, status: 500, operation: "getMe",
			reason: "The request failed.", subject: "alice", router: Router.HasErrorHandler,
		},
	} {
		eachRouter(t, func(t *testing.T, r Router) {
			c := f.start(t, r, service.Server{Fail: func(string) error { return tt.fails }}, Options{})
			var fields []string
			if tt.authorization != "" {
				fields = append(fields, "Authorization: "+tt.authorization)
			}
			got := c.send(tt.request, "", fields...)
			refusals, subjects := seen.take()
			var wantRefusals []guard.Refusal
			var wantSubjects []string
			if tt.reason != "" && (tt.router == nil || !tt.router(r)) {
				wantRefusals = []guard.Refusal{{Operation: tt.operation, Status: tt.status, Reason: tt.reason}}
				wantSubjects = []string{tt.subject}
			}
			if got.status != tt.status || !slices.Equal(refusals, wantRefusals) || !slices.Equal(subjects, wantSubjects) {
				t.Errorf("%s: status %d, refusals %v of %q, want %d, %v of %q", tt.name, got.status, refusals, subjects, tt.status, wantRefusals, wantSubjects)
			}
			if text := fmt.Sprint(refusals, got.body); strings.Contains(text, errOfHandler.Error()) {
				t.Errorf("%s: %s", tt.name, text)
			}
		})
	}
}
