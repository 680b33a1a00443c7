package guard

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
)

// refusalFixture is an application that records what it learns of refused requests: from the error
// handler, from the observer and from the log.
type refusalFixture struct {
	*credentialFixture
	mu       sync.Mutex
	failures []Failure
	refusals []Refusal
	log      *bytes.Buffer
}

func newRefusalFixture(t *testing.T, options ...Option) *refusalFixture {
	t.Helper()
	f := &refusalFixture{credentialFixture: newCredentialFixture(t), log: &bytes.Buffer{}}
	f.watch(t, options...)
	return f
}

// watch makes the policy with the validator of the fixture. The log has the clock of the tests.
func (f *refusalFixture) watch(t *testing.T, options ...Option) {
	t.Helper()
	logger := slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.policy = must(New(f.validator, append([]Option{
		WithLogger(logger),
		WithErrorHandler(func(_ context.Context, failure Failure) Response {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.failures = append(f.failures, failure)
			return failure.Response
		}),
		WithObserver(func(_ context.Context, refusal Refusal) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.refusals = append(f.refusals, refusal)
		}),
	}, options...)...))(t)
	f.policy.limiter.now = f.clock.Now
}

// served is a response, and what the handler saw: "" where it did not run.
type served struct {
	*httptest.ResponseRecorder
	who string
}

// send sends a request to an operation with the id "op".
func (f *refusalFixture) send(t *testing.T, requirement Requirement, rules Rules, changes ...change) served {
	t.Helper()
	return f.sendTo(t, &Operation{ID: "op", Requirement: requirement, Rules: rules}, nil, changes...)
}

// sendTo sends a request to the operation. The handler fails with the error.
func (f *refusalFixture) sendTo(t *testing.T, o *Operation, fails error, changes ...change) served {
	t.Helper()
	response := served{ResponseRecorder: httptest.NewRecorder()}
	handler := must(NewGuards(f.policy, testAuthenticators(), o))(t).HandlerFunc(o, func(w http.ResponseWriter, r *http.Request) {
		response.who = identified(t, r.Context(), o)
		if fails != nil {
			f.policy.WriteResponseError(w, r, fails)
		}
	})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, change := range changes {
		change(r)
	}
	handler.ServeHTTP(response, r)
	return response
}

// records returns the records of the log since the last call, without their times.
func (f *refusalFixture) records(t *testing.T) []map[string]any {
	t.Helper()
	var records []map[string]any
	for line := range strings.Lines(f.log.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("record %q: %v", line, err)
		}
		delete(record, "time")
		records = append(records, record)
	}
	f.log.Reset()
	return records
}

// lastFailure returns the failure of the last request.
func (f *refusalFixture) lastFailure(t *testing.T) Failure {
	t.Helper()
	if len(f.failures) == 0 {
		t.Fatal("the error handler was not called")
	}
	return f.failures[len(f.failures)-1]
}

// accessWith returns an access token of alice with the id "genuine" and changed members.
func accessWith(changes ...string) string {
	return compactHS256(goodHeader, payloadWith(append([]string{"jti", `"genuine"`, "sid", `"session"`}, changes...)...))
}

// expiredToken is an access token of alice that has expired.
func expiredToken() string { return accessWith("iat", "1699990000", "exp", "1699990900") }

// forged returns the token with another signature.
func forged(text string) string {
	at := strings.LastIndexByte(text, '.') + 1
	return text[:at] + strings.Repeat("A", len(text)-at)
}

// swapped returns the requirement in the other order.
func swapped(requirement Requirement) Requirement {
	other := slices.Clone(requirement)
	slices.Reverse(other)
	return other
}

// serveChanged sends a GET for / with the changes.
func serveChanged(handler http.Handler, changes []change) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}
