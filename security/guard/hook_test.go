package guard

import (
	"context"
	"fmt"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

type user struct{ name string }

// TestHook has a hook that loads a user, and refuses in each possible way.
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
			t.Error("the value is found as another type")
		}
	}
	// The hook runs only for tokens that passed all other checks.
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
		"hook with other claims than the scheme": second(NewGuards(must(New(mismatch))(t), nil, &Operation{ID: "op", Requirement: Requirement{{accessScheme}}})),
		"two hooks for one type":                 second(security.NewValidator(f.verifier, f.list, security.WithHook("access", hook), security.WithHook("access", hook))),
		"nil hook":                               second(security.NewValidator(f.verifier, f.list, security.WithHook[security.NoClaims]("access", nil))),
		"hook for an invalid type name":          second(security.NewValidator(f.verifier, f.list, security.WithHook("Access", hook))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
