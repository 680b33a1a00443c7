package guard

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

// TestObserverSeesEveryRefusal sends requests many times within a second. The observer sees each
// refusal, those that are not logged too, and nothing of a request that is served.
func TestObserverSeesEveryRefusal(t *testing.T) {
	f := newRefusalFixture(t)
	const times = 3
	operation := func(id string, requirement Requirement) *Operation {
		return &Operation{ID: id, Requirement: requirement}
	}
	for _, tt := range []struct {
		name      string
		operation *Operation
		fails     error
		changes   []change
		status    int
		reason    string
	}{
		{name: "served", operation: operation("read", eitherTokenOrKey), changes: []change{field("X-API-Key", "bob")}, status: 200},
		{name: "public", operation: operation("public", nil), status: 200},
		{name: "no credentials", operation: operation("read", eitherTokenOrKey), status: 401, reason: "This operation needs credentials."},
		{
			name: "a forged token", operation: operation("read", eitherTokenOrKey), changes: []change{withAuthorization("Bearer " + forged(f.alice))},
			status: 401, reason: "the signature",
		},
		{
			name: "an expired token of another operation", operation: operation("write", eitherTokenOrKey), changes: []change{withAuthorization("Bearer " + expiredToken())},
			status: 401, reason: "The token has expired.",
		},
		{
			name: "a token without the scope", operation: operation("write", Requirement{{accessScheme.With("admin")}}), changes: []change{withAuthorization("Bearer " + f.alice)},
			status: 403, reason: "a scope is missing",
		},
		{
			name: "an authenticator that fails", operation: operation("read", eitherTokenOrKey), changes: []change{field("X-API-Key", "down")},
			status: 503, reason: "the authenticator failed",
		},
		{
			name: "a malformed request", operation: operation("read", eitherTokenOrKey), changes: []change{field("X-API-Key", "bobby", "bobby")},
			status: 400, reason: "the same header or query parameter more than once",
		},
		{
			name: "a handler that fails", operation: operation("read", eitherTokenOrKey), changes: []change{field("X-API-Key", "bob")}, fails: errSecretive,
			status: 500, reason: "The request failed.",
		},
		{
			name: "a public handler that fails", operation: operation("public", nil), fails: errSecretive,
			status: 500, reason: "The request failed.",
		},
		{
			name: "a handler that is not written yet", operation: operation("read", eitherTokenOrKey), changes: []change{field("X-API-Key", "bob")},
			fails: fmt.Errorf("hunter2: %w", security.ErrNotImplemented), status: 501, reason: "This operation is not implemented.",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.refusals = nil
			for range times {
				if tt.operation.Public() {
					if tt.fails != nil { // no guard runs, so that only the policy knows of the request
						f.policy.ResponseError(t.Context(), tt.fails)
					}
					continue
				}
				if w := f.sendTo(t, tt.operation, tt.fails, tt.changes...); w.Code != tt.status {
					t.Fatalf("status %d, want %d", w.Code, tt.status)
				}
			}
			var want []Refusal
			if tt.status != 200 {
				id := tt.operation.ID
				if tt.operation.Public() {
					id = ""
				}
				want = slices.Repeat([]Refusal{{id, tt.status, tt.reason}}, times)
			}
			if !slices.Equal(f.refusals, want) {
				t.Errorf("refusals %v, want %v", f.refusals, want)
			}
		})
	}
}

// TestObserverSeesDecodingErrors has parameters and bodies that cannot be decoded. The text of the
// error may quote the request and is not observed.
func TestObserverSeesDecodingErrors(t *testing.T) {
	f := newRefusalFixture(t)
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
	handler := must(NewGuards(f.policy, nil, o))(t).HandlerFunc(o, func(w http.ResponseWriter, r *http.Request) {
		f.policy.WriteRequestError(w, r, errors.New("the parameter limit is hunter2"))
	})
	w := get(handler, bearer(f.alice))
	if want := []Refusal{{"op", 400, "The request could not be read."}}; w.Code != 400 || !slices.Equal(f.refusals, want) {
		t.Errorf("status %d, refusals %v; want %v", w.Code, f.refusals, want)
	}
	records := f.records(t)
	if len(records) != 1 || strings.Contains(fmt.Sprint(records, w.Body), "hunter2") || f.lastFailure(t).Identity.Subject != "alice" {
		t.Errorf("records %v, response %s, identity %+v", records, w.Body, f.lastFailure(t).Identity)
	}
}

// TestObserverSeesAnUnguardedOperation asks for an operation that the guards do not have.
func TestObserverSeesAnUnguardedOperation(t *testing.T) {
	f := newRefusalFixture(t)
	guards := must(NewGuards(f.policy, nil))(t)
	o := &Operation{ID: "forgotten", Requirement: Requirement{{accessScheme}}}
	w := get(guards.HandlerFunc(o, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }), bearer(f.alice))
	if want := []Refusal{{"forgotten", 500, "The server is not set up for this."}}; w.Code != 500 || !slices.Equal(f.refusals, want) {
		t.Errorf("status %d, refusals %v; want %v", w.Code, f.refusals, want)
	}
}

// TestObserverIsCalledConcurrently refuses requests in many goroutines.
func TestObserverIsCalledConcurrently(t *testing.T) {
	f := newRefusalFixture(t)
	const workers, requests = 8, 50
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
	handler := must(NewGuards(f.policy, nil, o))(t).HandlerFunc(o, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range requests {
				get(handler, bearer(expiredToken()))
			}
		})
	}
	group.Wait()
	if len(f.refusals) != workers*requests || len(f.failures) != workers*requests || len(f.records(t)) != 1 {
		t.Errorf("%d refusals and %d failures of %d", len(f.refusals), len(f.failures), workers*requests)
	}
}
