package guard

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// userClaims are the private claims of the access tokens of these tests.
type userClaims struct {
	Name string `json:"name,omitempty"`
	Team *struct {
		ID int `json:"id"`
	} `json:"team,omitempty"`
}

var (
	accessToken  = security.NewTokenType[userClaims]("access")
	refreshToken = security.NewTokenType[security.NoClaims]("refresh")

	accessScheme  = &Scheme{Name: "access", Token: accessToken}
	refreshScheme = &Scheme{Name: "refresh", Token: refreshToken}
)

const (
	testIssuer = sectest.Issuer
	goodHeader = sectest.GoodHeader
)

var (
	testSecret   = sectest.Secret
	errSecretive = sectest.ErrSecretive
	newClock     = sectest.NewClock
	compactHS256 = sectest.CompactHS256
	payloadWith  = sectest.PayloadWith
	checkProblem = sectest.CheckProblem
)

type clock = sectest.Clock

func must[T any](value T, err error) func(testing.TB) T { return sectest.Must(value, err) }

// fixture is an application: one issuer, one validator over a blacklist in memory, and a policy.
type fixture struct {
	clock     *clock
	set       *keys.Set
	verifier  *security.Verifier
	issuer    *security.Issuer
	validator *security.Validator
	policy    *Policy
	list      *sectest.FaultyList
}

// newFixture takes options of this package and of package security.
func newFixture(t testing.TB, options ...any) *fixture {
	t.Helper()
	var ofGuard []Option
	var ofSecurity []security.Option
	for _, option := range options {
		switch option := option.(type) {
		case Option:
			ofGuard = append(ofGuard, option)
		case security.Option:
			ofSecurity = append(ofSecurity, option)
		default:
			t.Fatalf("not an option: %T", option)
		}
	}
	f := &fixture{clock: newClock()}
	key := must(keys.NewHMAC(keys.HS256, testSecret, keys.WithID("k1")))(t)
	memory := must(blacklist.NewMemory(blacklist.WithClock(f.clock.Now), blacklist.WithLogger(slog.New(slog.DiscardHandler))))(t)
	t.Cleanup(func() { _ = memory.Close() })
	f.list = &sectest.FaultyList{Blacklist: memory}
	f.set = must(keys.NewSet(key))(t)
	authority := must(security.New(testIssuer, f.set, f.list, append(ofSecurity, security.WithClock(f.clock.Now))...))(t)
	f.verifier, f.issuer, f.validator = authority.Verifier, authority.Issuer, authority.Validator
	f.policy = must(New(f.validator, ofGuard...))(t)
	return f
}

// serve returns the guarded handler of one operation and what its handler saw.
func (f *fixture) serve(t testing.TB, o *Operation) (http.Handler, *seen) {
	t.Helper()
	guards := must(NewGuards(f.policy, nil, o))(t)
	saw := &seen{}
	return guards.HandlerFunc(o, func(w http.ResponseWriter, r *http.Request) {
		saw.calls++
		saw.token, saw.identified = FromContext(r.Context())
		saw.ctx = r.Context()
	}), saw
}

type seen struct {
	calls      int
	token      security.AnyToken
	identified bool
	ctx        context.Context
}

// get sends a request with the Authorization headers given.
func get(h http.Handler, authorization ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, value := range authorization {
		r.Header.Add("Authorization", value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func second[T any](_ T, err error) error { return err }

// TestGuardedRequestAllocatesTwice counts the allocations of a request with a cached token: the
// context with the credential, and the request with that context.
func TestGuardedRequestAllocatesTwice(t *testing.T) {
	f := newFixture(t)
	flat := security.NewTokenType[struct {
		Name string `json:"name"`
	}]("access")
	policy := must(New(must(security.NewValidator(f.verifier, f.list.Blacklist))(t)))(t)
	for name, rules := range map[string]Rules{"no rules": {}, "deny": {DenyRoles: []string{"BANNED"}}, "allow and age": {AllowRoles: []string{"USER"}, MaxAge: time.Hour}} {
		text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithRoles("USER")))(t).Text()
		o := &Operation{ID: "op", Requirement: Requirement{{&Scheme{Name: "access", Token: flat}}}, Rules: rules}
		handler := must(NewGuards(policy, nil, o))(t).HandlerFunc(o, func(http.ResponseWriter, *http.Request) {})
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+text)
		if n := testing.AllocsPerRun(100, func() { handler(nil, r) }); n != 2 {
			t.Errorf("%s: %v allocations, want 2", name, n)
		}
	}
}
