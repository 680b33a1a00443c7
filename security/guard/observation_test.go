package guard

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
)

// TestDecisionObserverSeesEachRequestOnce sends each request once. The observer sees one decision
// for it, also where the operation is public.
func TestDecisionObserverSeesEachRequestOnce(t *testing.T) {
	var seen []Observation
	f := newRefusalFixture(t, WithDecisionObserver(func(_ context.Context, o Observation) { seen = append(seen, o) }))
	read := &Operation{ID: "read", Requirement: Requirement{{accessScheme}}}
	either := &Operation{ID: "either", Requirement: eitherTokenOrKey}
	optional := &Operation{ID: "optional", Requirement: Requirement{{accessScheme}, {}}}
	admin := &Operation{ID: "admin", Requirement: Requirement{{accessScheme.With("admin")}}}
	public := &Operation{ID: "public"}
	for _, tt := range []struct {
		name      string
		operation *Operation
		fails     error
		changes   []change
		status    int // of the response
		want      Observation
	}{
		{
			name: "a token for the first time", operation: read, changes: []change{withAuthorization("Bearer " + f.alice)},
			status: 200, want: Observation{TokenTried: true, Scheme: "access", BlacklistAsked: true},
		},
		{
			name: "a token that is cached", operation: read, changes: []change{withAuthorization("Bearer " + f.alice)},
			status: 200, want: Observation{TokenTried: true, Scheme: "access", BlacklistAsked: true, Cached: true},
		},
		{
			name: "a key", operation: either, changes: []change{field("X-API-Key", "bob")},
			status: 200, want: Observation{Scheme: "key"},
		},
		{name: "public", operation: public},
		{name: "anonymous", operation: optional, status: 200},
		{name: "no credentials", operation: read, status: 401, want: Observation{Status: 401, Reason: "This operation needs credentials."}},
		{
			name: "a forged token", operation: read, changes: []change{withAuthorization("Bearer " + forged(f.alice))},
			status: 401, want: Observation{TokenTried: true, Scheme: "access", Status: 401, Reason: "the signature"},
		},
		{
			name: "a token without the scope", operation: admin, changes: []change{withAuthorization("Bearer " + f.alice)},
			status: 403, want: Observation{TokenTried: true, Scheme: "access", Status: 403, Reason: "a scope is missing", BlacklistAsked: true, Cached: true},
		},
		{
			name: "an authenticator that fails", operation: either, changes: []change{field("X-API-Key", "down")},
			status: 503, want: Observation{Scheme: "key", Status: 503, Reason: "the authenticator failed"},
		},
		{
			name: "a malformed request", operation: either, changes: []change{field("X-API-Key", "bobby", "bobby")},
			status: 400, want: Observation{Status: 400, Reason: "the same header or query parameter more than once"},
		},
		{
			name: "a handler that fails", operation: either, changes: []change{field("X-API-Key", "bob")}, fails: errSecretive,
			status: 500, want: Observation{Scheme: "key"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen = nil
			if tt.operation.Public() { // the fixture asks handlers for a credential
				get(must(NewGuards(f.policy, nil, tt.operation))(t).HandlerFunc(tt.operation, func(http.ResponseWriter, *http.Request) {}))
			} else if w := f.sendTo(t, tt.operation, tt.fails, tt.changes...); w.Code != tt.status {
				t.Fatalf("status %d, want %d", w.Code, tt.status)
			}
			if len(seen) != 1 {
				t.Fatalf("%d observations: %+v", len(seen), seen)
			}
			got := seen[0]
			if got.Duration <= 0 || got.BlacklistDuration < 0 || got.BlacklistDuration > got.Duration || !got.BlacklistAsked && got.BlacklistDuration != 0 {
				t.Errorf("duration %s, of the blacklist %s", got.Duration, got.BlacklistDuration)
			}
			got.Duration, got.BlacklistDuration = 0, 0
			tt.want.Operation = tt.operation
			if got != tt.want {
				t.Errorf("observed %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestDecisionObserverMeasuresTheBlacklist has a blacklist that takes its time.
func TestDecisionObserverMeasuresTheBlacklist(t *testing.T) {
	var seen Observation
	f := newFixture(t)
	validator := must(security.NewValidator(f.verifier, slowList{}))(t)
	policy := must(New(validator, WithDecisionObserver(func(_ context.Context, o Observation) { seen = o })))(t)
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
	handler := must(NewGuards(policy, nil, o))(t).HandlerFunc(o, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", userClaims{Name: "Alice"}))(t).Text()
	if w := get(handler, bearer(text)); w.Code != 503 || seen.Status != 503 || seen.Reason != "the blacklist did not answer" {
		t.Errorf("status %d, observed %+v", w.Code, seen)
	}
	if !seen.BlacklistAsked || seen.BlacklistDuration < slowness || seen.Duration < seen.BlacklistDuration {
		t.Errorf("duration %s, of the blacklist %s", seen.Duration, seen.BlacklistDuration)
	}
}

const slowness = 20 * time.Millisecond

// slowList fails after some time.
type slowList struct{ blacklist.None }

func (slowList) IsRevoked(context.Context, blacklist.Identity) (bool, error) {
	time.Sleep(slowness)
	return false, errSecretive
}

// TestDecisionObserversAreCalledInOrder has two of them.
func TestDecisionObserversAreCalledInOrder(t *testing.T) {
	var order []string
	observer := func(name string) Option {
		return WithDecisionObserver(func(context.Context, Observation) { order = append(order, name) })
	}
	f := newFixture(t)
	policy := must(New(f.validator, observer("one"), observer("two")))(t)
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
	get(must(NewGuards(policy, nil, o))(t).HandlerFunc(o, func(http.ResponseWriter, *http.Request) {}))
	if len(order) != 2 || order[0] != "one" || order[1] != "two" {
		t.Errorf("called %v", order)
	}
	if _, err := New(f.validator, WithDecisionObserver(nil)); err == nil {
		t.Error("no error for a nil observer")
	}
}

// TestDecisionObserverSeesTheSchema has a validator of requests that refuses.
func TestDecisionObserverSeesTheSchema(t *testing.T) {
	var seen []Observation
	f := newFixture(t)
	policy := must(New(f.validator, WithSchemaValidator(refusingSchema{}), WithDecisionObserver(func(_ context.Context, o Observation) { seen = append(seen, o) })))(t)
	o := &Operation{ID: "op"}
	w := get(must(NewGuards(policy, nil, o))(t).HandlerFunc(o, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }))
	if w.Code != 400 || len(seen) != 1 || seen[0].Status != 400 || seen[0].Reason != "The request is not what the description of this API says." {
		t.Errorf("status %d, observed %+v", w.Code, seen)
	}
}

// refusingSchema refuses every request.
type refusingSchema struct{}

func (refusingSchema) Knows(*Operation) bool { return true }
func (refusingSchema) ValidateRequest(*http.Request, *Operation, PathParams) error {
	return &InvalidRequestError{}
}

// TestDecisionObserverSeesAuthenticate decides over requests without a handler.
func TestDecisionObserverSeesAuthenticate(t *testing.T) {
	var seen []Observation
	f := newFixture(t)
	policy := must(New(f.validator, WithDecisionObserver(func(_ context.Context, o Observation) { seen = append(seen, o) })))(t)
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
	g := must(NewGuards(policy, nil, o))(t).Of(o)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if _, err := g.Authenticate(r); !errors.Is(err, security.ErrNoCredentials) {
		t.Error(err)
	}
	r.Header.Set("Authorization", "Bearer "+must(f.issuer.IssueAccessToken(t.Context(), "alice", userClaims{Name: "Alice"}))(t).Text())
	if _, err := g.Authenticate(r); err != nil {
		t.Error(err)
	}
	if len(seen) != 2 || seen[0].Status != 401 || seen[1].Status != 0 || seen[1].Scheme != "access" {
		t.Errorf("observed %+v", seen)
	}
}
