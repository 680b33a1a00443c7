//go:build ignore

package security

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"
)

type user struct{ name string }

// TestHook loads a user for each token, and refuses in each way that a hook can.
func TestHook(t *testing.T) {
	var ran int
	hook := func(_ context.Context, token Token[userClaims]) (any, error) {
		ran++
		switch token.Subject() {
		case "disabled":
			return nil, ErrInvalidToken
		case "forbidden":
			return nil, fmt.Errorf("wrapped: %w", ErrAccessDenied)
		case "unlucky":
			return nil, errSecretive
		}
		return &user{token.Claims().Name}, nil
	}
	f := newFixture(t, WithHook("access", hook))
	for subject, status := range map[string]int{"alice": 200, "disabled": 401, "forbidden": 403, "unlucky": 503} {
		text := must(f.issuer.Access(t.Context(), subject, userClaims{Name: "A"}))(t).Text()
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
	stale := must(f.issuer.Access(t.Context(), "alice", nil))(t).Text()
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

	other := func(context.Context, Token[NoClaims]) (any, error) { return nil, nil }
	mismatch := must(NewValidator(f.verifier, f.list, WithHook("access", other)))(t)
	for name, err := range map[string]error{
		"claims that the document does not give": second(NewGuards(mismatch, nil, &Operation{ID: "op", Requirement: Requirement{{accessScheme}}})),
		"two hooks":                              second(NewValidator(f.verifier, f.list, WithHook("access", hook), WithHook("access", hook))),
		"no hook":                                second(NewValidator(f.verifier, f.list, WithHook[NoClaims]("access", nil))),
		"an odd type":                            second(NewValidator(f.verifier, f.list, WithHook("Access", hook))),
		"a nil message":                          second(SanicErrors("")),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestSanicErrors has the statuses and the body of Sanic-JWT-Extended, and what remains beside them.
func TestSanicErrors(t *testing.T) {
	f := newFixture(t, WithErrorHandler(must(SanicErrors("msg"))(t)))
	cookie := &Scheme{Name: "cookie", Token: accessToken, In: InCookie, Parameter: "access"}
	pair, _, _ := f.login(t)
	expired := compactHS256(goodHeader, payloadWith("exp", "1699999000", "iat", "1699998000"))
	revoked := must(f.issuer.Access(t.Context(), "alice", nil))(t)
	if err := f.validator.Revoke(t.Context(), f.token(t, revoked.Text(), accessToken)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name          string
		rules         Rules
		authorization []string
		status        int
		message       string
		challenge     bool
	}{
		{"no token", Rules{}, nil, 401, "Missing token", true},
		{"malformed", Rules{}, []string{"Bearer"}, 422, "Bad Authorization header", true},
		{"garbage", Rules{}, []string{bearer("x")}, 422, "Invalid token", true},
		{"expired", Rules{}, []string{bearer(expired)}, 401, "Signature has expired", true},
		{"wrong type", Rules{}, []string{bearer(pair.Refresh.Text())}, 422, "Wrong token type", true},
		{"revoked", Rules{}, []string{bearer(revoked.Text())}, 401, "Token has been revoked", true},
		{"not fresh", Rules{Fresh: true}, []string{bearer(pair.Access.Text())}, 401, "Only fresh access tokens are allowed", true},
		{"role", Rules{AllowRoles: []string{"ADMIN"}}, []string{bearer(pair.Access.Text())}, 403, "You are not allowed to access here", true},
	} {
		handler, _ := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{accessScheme}, {cookie}}, Rules: tt.rules})
		w := get(handler, tt.authorization...)
		var body map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != tt.status || len(body) != 1 || body["msg"] != tt.message {
			t.Errorf("%s: %d %s (%v)", tt.name, w.Code, w.Body, err)
		}
		if (w.Header().Get("WWW-Authenticate") != "") != tt.challenge || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: header %v", tt.name, w.Header())
		}
	}
	f.list.fail(errSecretive, nil)
	handler, _ := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{accessScheme}}})
	if w := get(handler, bearer(pair.Access.Text())); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("could not know: %d %v", w.Code, w.Header())
	}
}

// TestPublicAndPrivateClaims writes claims under a namespace and a prefix, and reads them back.
func TestPublicAndPrivateClaims(t *testing.T) {
	f := newFixture(t)
	keys := must(f.verifier.keys.current())(t)
	f.verifier = must(NewVerifier(testIssuer, keys, WithClock(f.clock.Now), WithPublicNamespace("https://claims.example/"), WithPrivatePrefix("app")))(t)
	f.validator = must(NewValidator(f.verifier, f.list))(t)
	f.issuer = must(NewIssuer(f.verifier))(t)
	tree := map[string]any{
		"user_id": "asdf", "user": map[string]any{"name": "foo", "level": 3.0, "tags": []any{"a", nil}, "deep": map[string]any{"er": true}}, "empty": map[string]any{},
	}
	text := must(f.issuer.Access(t.Context(), "alice", userClaims{Name: "Alice"}, WithPublicClaims(tree)))(t).Text()
	_, payload := members(t, text)
	for name, want := range map[string]any{
		"https://claims.example/user_id": "asdf", "https://claims.example/user/level": 3.0, "https://claims.example/user/deep/er": true, "app_name": "Alice",
	} {
		if payload[name] != want {
			t.Errorf("%s is %v, want %v", name, payload[name], want)
		}
	}
	token := f.token(t, text, accessToken).(Token[userClaims])
	delete(tree, "empty")
	if got, want := fmt.Sprint(token.PublicClaims()), fmt.Sprint(tree); got != want {
		t.Errorf("public claims %s, want %s", got, want)
	}
	token.PublicClaims()["user"].(map[string]any)["name"] = "changed"
	if got := token.PublicClaims()["user"].(map[string]any)["name"]; got != "foo" {
		t.Errorf("a token was changed through its public claims: %v", got)
	}
	if token.Claims().Name != "Alice" {
		t.Errorf("private claims %+v", token.Claims())
	}
	// A claim without the prefix is none of ours, and paths that contradict each other are left out.
	odd := f.token(t, compactHS256(goodHeader, payloadWith("name", `"Mallory"`, "https://claims.example/a", "1", "https://claims.example/a/b", "2")), accessToken).(Token[userClaims])
	if odd.Claims().Name != "" || fmt.Sprint(odd.PublicClaims()) != "map[a:1]" {
		t.Errorf("reads %+v, %v", odd.Claims(), odd.PublicClaims())
	}
	var zero Token[userClaims]
	if zero.PublicClaims() != nil {
		t.Error("the zero token has public claims")
	}

	plain := newFixture(t)
	issue := func(tree map[string]any) error {
		return second(f.issuer.Access(t.Context(), "a", nil, WithPublicClaims(tree)))
	}
	for name, err := range map[string]error{
		"no namespace":              second(plain.issuer.Access(t.Context(), "a", nil, WithPublicClaims(map[string]any{"a": 1}))),
		"a slash":                   issue(map[string]any{"a/b": 1}),
		"an empty name":             issue(map[string]any{"a": map[string]any{"": 1}}),
		"a channel":                 issue(map[string]any{"a": make(chan int)}),
		"not UTF-8":                 issue(map[string]any{"a\xff": 1}),
		"a namespace that is none":  second(NewVerifier(testIssuer, keys, WithPublicNamespace("x"))),
		"a namespace without slash": second(NewVerifier(testIssuer, keys, WithPublicNamespace("https://claims.example"))),
		"an empty prefix":           second(NewVerifier(testIssuer, keys, WithPrivatePrefix(""))),
		"a reserved prefix":         second(NewVerifier(testIssuer, keys, WithPrivatePrefix("sub"))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// With the prefix even a reserved name is a claim of one's own, and stands beside the known one.
	text = must(f.issuer.Access(t.Context(), "alice", map[string]string{"sub": "mallory"}, WithLifetime(time.Minute)))(t).Text()
	if token := f.token(t, text, accessToken); token.Subject() != "alice" {
		t.Errorf("subject %s", token.Subject())
	}
}
