package guard

import (
	"context"
	"fmt"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

type user struct{ name string }

// TestHook loads a user for each token, and refuses in each way that a hook can.
func TestHook(t *testing.T) {
	var ran int
	hook := func(_ context.Context, token security.Token[userClaims]) (any, error) {
		ran++
		switch token.Subject() {
		case "disabled":
			return nil, security.ErrInvalidToken
		case "forbidden":
			return nil, fmt.Errorf("wrapped: %w", security.ErrAccessDenied)
		case "unlucky":
			return nil, errSecretive
		}
		return &user{token.Claims().Name}, nil
	}
	f := newFixture(t, security.WithHook("access", hook))
	for subject, status := range map[string]int{"alice": 200, "disabled": 401, "forbidden": 403, "unlucky": 503} {
		text := must(f.issuer.IssueAccessToken(t.Context(), subject, userClaims{Name: "A"}))(t).Text()
		handler, saw := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{}, {accessScheme}}})
		w := get(handler, bearer(text))
		if w.Code != status || (saw.calls == 1) != (status == 200) {
			t.Errorf("%s: status %d, %d calls; want %d", subject, w.Code, saw.calls, status)
		}
		if status != 200 {
			checkProblem(t, w)
			continue
		}
		if loaded, ok := HookValue[*user](saw.ctx); !ok || loaded.name != "A" {
			t.Errorf("the handler sees %v, %v", loaded, ok)
		}
		if _, ok := HookValue[string](saw.ctx); ok {
			t.Error("a value of another type")
		}
	}
	// It runs for tokens that passed everything else, and for no others.
	before := ran
	stale := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	handler, saw := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{}, {accessScheme}, {refreshScheme}}, Rules: Rules{Fresh: true}})
	get(handler, bearer(stale))
	get(handler, bearer("garbage"))
	get(handler)
	if ran != before || saw.calls != 1 {
		t.Errorf("the hook ran %d times, the handler %d", ran-before, saw.calls)
	}
	if _, ok := HookValue[*user](saw.ctx); ok {
		t.Error("an anonymous caller has a user")
	}
	if _, ok := HookValue[*user](t.Context()); ok {
		t.Error("a user without a guard")
	}

	other := func(context.Context, security.Token[security.NoClaims]) (any, error) { return nil, nil }
	mismatch := must(security.NewValidator(f.verifier, f.list, security.WithHook("access", other)))(t)
	for name, err := range map[string]error{
		"claims that the document does not give": second(NewGuards(must(New(mismatch))(t), nil, &Operation{ID: "op", Requirement: Requirement{{accessScheme}}})),
		"two hooks":                              second(security.NewValidator(f.verifier, f.list, security.WithHook("access", hook), security.WithHook("access", hook))),
		"no hook":                                second(security.NewValidator(f.verifier, f.list, security.WithHook[security.NoClaims]("access", nil))),
		"an odd type":                            second(security.NewValidator(f.verifier, f.list, security.WithHook("Access", hook))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
