package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"

	"github.com/oapi-guard/oapi-guard/security"
)

func bearer(text string) string { return "Bearer " + text }

// TestGuardAnswers checks what a client sees for each way to be refused, and that no handler runs then.
func TestGuardAnswers(t *testing.T) {
	f := newFixture(t)
	pair := must(f.issuer.IssueTokenPair(t.Context(), "alice", userClaims{Name: "Alice"}, nil, security.WithRoles("USER"), security.WithFresh()))(t)
	access, refresh := pair.Access.Text(), pair.Refresh.Text()
	stale := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithSessionStart(f.clock.Now().Add(-time.Hour))))(t).Text()
	revoked := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	if err := f.validator.Revoke(t.Context(), f.token(t, revoked, accessToken)); err != nil {
		t.Fatal(err)
	}

	scoped := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithScopes("write", "read")))(t).Text()
	ahead := compactHS256(goodHeader, payloadWith("auth_time", "1700003600"))
	noAuthTime := compactHS256(goodHeader, payloadWith())

	required := Requirement{{accessScheme}}
	optional := Requirement{{}, {accessScheme}}
	const challenge = `Bearer realm="api"`
	withError := func(code string) string { return challenge + `, error="` + code + `"` }

	for _, tt := range []struct {
		name          string
		requirement   Requirement
		rules         Rules
		authorization []string
		status        int
		challenge     string // the beginning; "" for no header
		exact         bool   // the challenge is all of the header
	}{
		{"access token", required, Rules{}, []string{bearer(access)}, 200, "", true},
		{"71 bearer in lower case", required, Rules{}, []string{"bearer " + access}, 200, "", true},
		{"71 BEARER", required, Rules{}, []string{"BEARER " + access}, 200, "", true},
		{"two spaces", required, Rules{}, []string{"Bearer  " + access}, 200, "", true},
		{"no token", required, Rules{}, nil, 401, challenge, true},
		{"another auth scheme", required, Rules{}, []string{"Basic YTpi"}, 401, challenge, true},
		{"70 two headers", required, Rules{}, []string{bearer(access), bearer(access)}, 400, withError("invalid_request"), false},
		{"72 blank header", required, Rules{}, []string{""}, 401, challenge, true},
		{"72 scheme alone", required, Rules{}, []string{"Bearer"}, 400, withError("invalid_request"), false},
		{"72 scheme and a space", required, Rules{}, []string{"Bearer "}, 400, withError("invalid_request"), false},
		{"72 two tokens", required, Rules{}, []string{bearer(access + " " + access)}, 400, withError("invalid_request"), false},
		{"tab", required, Rules{}, []string{"Bearer\t" + access}, 400, withError("invalid_request"), false},
		{"garbage", required, Rules{}, []string{bearer("garbage")}, 401, withError("invalid_token"), false},
		{"refresh token for access", required, Rules{}, []string{bearer(refresh)}, 401, withError("invalid_token"), false},
		{"access token for refresh", Requirement{{refreshScheme}}, Rules{}, []string{bearer(access)}, 401, withError("invalid_token"), false},
		{"refresh token", Requirement{{refreshScheme}}, Rules{}, []string{bearer(refresh)}, 200, "", true},
		{"revoked", required, Rules{}, []string{bearer(revoked)}, 401, withError("invalid_token"), false},
		{"second alternative", Requirement{{refreshScheme}, {accessScheme}}, Rules{}, []string{bearer(access)}, 200, "", true},

		{"optional, no token", optional, Rules{}, nil, 200, "", true},
		{"optional, token", optional, Rules{}, []string{bearer(access)}, 200, "", true},
		{"optional, bad token", optional, Rules{}, []string{bearer("garbage")}, 401, withError("invalid_token"), false},
		{"optional, revoked token", optional, Rules{}, []string{bearer(revoked)}, 401, withError("invalid_token"), false},
		{"optional, malformed", optional, Rules{}, []string{"Bearer"}, 400, withError("invalid_request"), false},
		{"optional, another auth scheme", optional, Rules{}, []string{"Basic YTpi"}, 401, challenge, true},
		{"optional with a rule, no token", optional, Rules{Fresh: true}, nil, 200, "", true},
		{"optional with a rule, token that fails it", optional, Rules{Fresh: true}, []string{bearer(stale)}, 401, withError("insufficient_user_authentication"), false},

		{"fresh", required, Rules{Fresh: true}, []string{bearer(access)}, 200, "", true},
		{"not fresh", required, Rules{Fresh: true}, []string{bearer(stale)}, 401, withError("insufficient_user_authentication"), false},
		{"recent", required, Rules{MaxAge: time.Hour}, []string{bearer(stale)}, 200, "", true},
		{"not recent", required, Rules{MaxAge: time.Hour - time.Second}, []string{bearer(stale)}, 401,
			challenge + `, error="insufficient_user_authentication", error_description="A more recent authentication is required.", max_age="3599"`, true},
		{"authenticated in the future", required, Rules{MaxAge: time.Hour}, []string{bearer(ahead)}, 401, withError("insufficient_user_authentication"), false},
		{"no authentication time", required, Rules{MaxAge: 100 * 365 * 24 * time.Hour}, []string{bearer(noAuthTime)}, 401, withError("insufficient_user_authentication"), false},
		{"scopes", Requirement{{accessScheme.With("read", "write")}}, Rules{}, []string{bearer(scoped)}, 200, "", true},
		{"a scope is missing", Requirement{{accessScheme.With("read", "admin")}}, Rules{}, []string{bearer(scoped)}, 403,
			challenge + `, error="insufficient_scope", error_description="The credentials do not allow this.", scope="read admin"`, true},
		{"no scopes at all", Requirement{{accessScheme.With("read")}}, Rules{}, []string{bearer(access)}, 403, withError("insufficient_scope"), false},
		{"the second alternative has the scope", Requirement{{accessScheme.With("admin")}, {accessScheme.With("read")}}, Rules{}, []string{bearer(scoped)}, 200, "", true},
		{"roles before scopes", Requirement{{accessScheme.With("admin")}}, Rules{AllowRoles: []string{"ADMIN"}}, []string{bearer(scoped)}, 403,
			challenge + `, error="insufficient_scope", error_description="The credentials do not allow this."`, true},
		{"role allowed", required, Rules{AllowRoles: []string{"ADMIN", "USER"}}, []string{bearer(access)}, 200, "", true},
		{"role not allowed", required, Rules{AllowRoles: []string{"ADMIN"}}, []string{bearer(access)}, 403, withError("insufficient_scope"), false},
		{"no role, allow", required, Rules{AllowRoles: []string{"USER"}}, []string{bearer(stale)}, 403, withError("insufficient_scope"), false},
		{"role denied", required, Rules{DenyRoles: []string{"USER"}}, []string{bearer(access)}, 403, withError("insufficient_scope"), false},
		{"role not denied", required, Rules{DenyRoles: []string{"GUEST"}}, []string{bearer(access)}, 200, "", true},
		{"no role, deny", required, Rules{DenyRoles: []string{"GUEST"}}, []string{bearer(stale)}, 403, withError("insufficient_scope"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			handler, saw := f.serve(t, &Operation{ID: "op", Requirement: tt.requirement, Rules: tt.rules})
			w := get(handler, tt.authorization...)
			if w.Code != tt.status {
				t.Fatalf("status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if ran := saw.calls == 1; ran != (tt.status == 200) {
				t.Errorf("handler ran: %v", ran)
			}
			got := w.Header().Values("WWW-Authenticate")
			switch {
			case tt.challenge == "" && len(got) != 0:
				t.Errorf("challenge %q, want none", got)
			case tt.challenge != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.challenge) || tt.exact && got[0] != tt.challenge):
				t.Errorf("challenge %q, want %q", got, tt.challenge)
			}
			if tt.status == 200 {
				if saw.identified != (len(tt.authorization) > 0) {
					t.Errorf("identified: %v", saw.identified)
				}
				return
			}
			checkProblem(t, w)
		})
	}
}

// token verifies a text, for tests that need a token in hand.
func (f *fixture) token(t testing.TB, text string, typ security.TokenType) security.AnyToken {
	t.Helper()
	return must(f.verifier.Verify(t.Context(), typ, text))(t)
}

// TestUnavailable checks that "could not know" is 503 with Retry-After and that no handler runs, whoever calls.
func TestUnavailable(t *testing.T) {
	f := newFixture(t)
	access := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	f.list.Fail(errSecretive, nil)
	for _, requirement := range []Requirement{{{accessScheme}}, {{}, {accessScheme}}, {{refreshScheme}, {accessScheme}}, {{accessScheme}, {refreshScheme}}} {
		handler, saw := f.serve(t, &Operation{ID: "op", Requirement: requirement})
		w := get(handler, bearer(access))
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || saw.calls != 0 {
			t.Errorf("status %d, Retry-After %q, %d calls", w.Code, w.Header().Get("Retry-After"), saw.calls)
		}
		checkProblem(t, w)
	}
	if !f.list.LastHadADeadline {
		t.Error("the look-up had no deadline")
	}
	if err := f.validator.Ready(t.Context()); !errors.Is(err, security.ErrUnavailable) {
		t.Errorf("ready while the blacklist is down: %v", err)
	}
	f.list.Fail(nil, nil)
	if err := f.validator.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	handler, _ := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{accessScheme}}})
	if w := get(handler, bearer(access)); w.Code != 200 {
		t.Errorf("status %d after the blacklist is back", w.Code)
	}
}

// TestUnguarded reaches the adapter without its guard, and with that of another operation.
func TestUnguarded(t *testing.T) {
	f := newFixture(t)
	access := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	own := &Operation{ID: "own", Requirement: Requirement{{accessScheme}}}
	twin := &Operation{ID: "own", Requirement: Requirement{{accessScheme}}}
	optional := &Operation{ID: "optional", Requirement: Requirement{{}, {accessScheme}}}
	handler, saw := f.serve(t, own)
	get(handler, bearer(access))
	if _, err := RequestToken[userClaims](saw.ctx, own); err != nil {
		t.Fatalf("behind its guard: %v", err)
	}
	for name, err := range map[string]error{
		"no guard":               second(RequestToken[userClaims](t.Context(), own)),
		"another operation":      second(RequestToken[userClaims](saw.ctx, twin)),
		"a nil operation":        second(RequestToken[userClaims](saw.ctx, nil)),
		"another type of claims": second(RequestToken[security.NoClaims](saw.ctx, own)),
	} {
		if !errors.Is(err, security.ErrUnguarded) {
			t.Errorf("%s: %v", name, err)
		}
	}

	anonymous, saw := f.serve(t, optional)
	get(anonymous)
	if _, ok, err := OptionalToken[userClaims](saw.ctx, optional); ok || err != nil {
		t.Errorf("anonymous behind its guard: %v, %v", ok, err)
	}
	if _, err := RequestToken[userClaims](saw.ctx, optional); !errors.Is(err, security.ErrUnguarded) {
		t.Errorf("a token is required and the caller is anonymous: %v", err)
	}
	if _, _, err := OptionalToken[userClaims](t.Context(), optional); !errors.Is(err, security.ErrUnguarded) {
		t.Errorf("anonymous without a guard: %v", err)
	}

	guards := must(NewGuards(f.policy, nil, own))(t)
	w := get(guards.HandlerFunc(twin, func(http.ResponseWriter, *http.Request) { t.Error("handler ran") }), bearer(access))
	if w.Code != 500 {
		t.Errorf("an operation without a guard: status %d", w.Code)
	}
}

func TestOperationsThatCannotBeGuarded(t *testing.T) {
	f := newFixture(t)
	required := Requirement{{accessScheme}}
	for name, o := range map[string]*Operation{
		"nil":                    nil,
		"only anonymous":         {ID: "o", Requirement: Requirement{{}}},
		"two schemes at once":    {ID: "o", Requirement: Requirement{{accessScheme, refreshScheme}}},
		"nil scheme":             {ID: "o", Requirement: Requirement{{nil}}},
		"scheme without a token": {ID: "o", Requirement: Requirement{{&Scheme{Name: "x"}}}},
		"odd scope":              {ID: "o", Requirement: Requirement{{accessScheme.With("a b")}}},
		"odd location":           {ID: "o", Requirement: Requirement{{&Scheme{Name: "x", Token: accessToken, In: 7}}}},
		"no parameter":           {ID: "o", Requirement: Requirement{{&Scheme{Name: "x", Token: accessToken, In: InQuery}}}},
		"prefix in a cookie":     {ID: "o", Requirement: Requirement{{&Scheme{Name: "x", Token: accessToken, In: InCookie, Parameter: "x", Prefix: "y"}}}},
		"prefix of two words":    {ID: "o", Requirement: Requirement{{&Scheme{Name: "x", Token: accessToken, Prefix: "a b"}}}},
		"odd token type":         {ID: "o", Requirement: Requirement{{&Scheme{Name: "x", Token: security.NewTokenType[security.NoClaims]("Access")}}}},
		"rules on public":        {ID: "o", Rules: Rules{Fresh: true}},
		"allow and deny":         {ID: "o", Requirement: required, Rules: Rules{AllowRoles: []string{"a"}, DenyRoles: []string{"b"}}},
		"9 allow nobody":         {ID: "o", Requirement: required, Rules: Rules{AllowRoles: []string{}}},
		"deny nobody":            {ID: "o", Requirement: required, Rules: Rules{DenyRoles: []string{}}},
		"negative age":           {ID: "o", Requirement: required, Rules: Rules{MaxAge: -1}},
	} {
		if _, err := NewGuards(f.policy, nil, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestErrorHandler checks that the hook sees the reason and may change the answer, and that it cannot let a request pass.
func TestErrorHandler(t *testing.T) {
	var failure Failure
	answer := Response{Status: 422, Header: http.Header{"X-Own": {"1"}}, Body: []byte("own")}
	f := newFixture(t, WithErrorHandler(func(_ context.Context, fail Failure) Response {
		failure = fail
		return answer
	}))
	handler, saw := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{accessScheme}}})
	w := get(handler, bearer("garbage"))
	if w.Code != 422 || w.Body.String() != "own" || w.Header().Get("X-Own") != "1" {
		t.Errorf("answer %d %q %v", w.Code, w.Body, w.Header())
	}
	if !errors.Is(failure.Err, security.ErrInvalidToken) || failure.Operation.ID != "op" || failure.Response.Status != 401 {
		t.Errorf("failure %+v", failure)
	}
	for _, status := range []int{0, 200, 302, 600} {
		answer.Status = status
		if w := get(handler, bearer("garbage")); w.Code != 401 || saw.calls != 0 {
			t.Errorf("the hook says %d: status %d, %d calls", status, w.Code, saw.calls)
		}
	}
}

// TestHandlerErrors checks what becomes of the errors that handlers and decoders return.
func TestHandlerErrors(t *testing.T) {
	f := newFixture(t)
	access := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
	guards := must(NewGuards(f.policy, nil, o))(t)
	for _, tt := range []struct {
		name      string
		err       error
		request   bool
		status    int
		challenge string
	}{
		{"one of ours", fmt.Errorf("refreshing: %w", security.ErrTokenRevoked), false, 401, `error="invalid_token"`},
		{"could not know", security.ErrUnavailable.Because("x", errSecretive), false, 503, ""},
		{"any other", errSecretive, false, 500, ""},
		{"a parameter", errSecretive, true, 400, ""},
		{"a body too large", fmt.Errorf("decode: %w", &http.MaxBytesError{Limit: 1}), true, 413, ""},
		{"a body too large, from the handler", &http.MaxBytesError{Limit: 1}, false, 413, ""},
	} {
		w := get(guards.HandlerFunc(o, func(w http.ResponseWriter, r *http.Request) {
			if tt.request {
				f.policy.WriteRequestError(w, r, tt.err)
			} else {
				f.policy.WriteResponseError(w, r, tt.err)
			}
		}), bearer(access))
		if w.Code != tt.status || !strings.Contains(w.Header().Get("WWW-Authenticate"), tt.challenge) {
			t.Errorf("%s: status %d, challenge %q", tt.name, w.Code, w.Header().Get("WWW-Authenticate"))
		}
		checkProblem(t, w)
	}
	w := httptest.NewRecorder()
	(*Policy)(nil).WriteResponseError(w, httptest.NewRequest(http.MethodGet, "/", nil), errSecretive)
	if w.Code != 500 {
		t.Errorf("without a policy: %d", w.Code)
	}
}

func TestRealmIsQuoted(t *testing.T) {
	f := newFixture(t, WithRealm(`a "b" \c`))
	handler, _ := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{accessScheme}}})
	if got, want := get(handler).Header().Get("WWW-Authenticate"), `Bearer realm="a \"b\" \\c"`; got != want {
		t.Errorf("challenge %q, want %q", got, want)
	}
}

// TestNoneBlacklist checks that an application may do without revocation, and that revoking is then an error.
func TestNoneBlacklist(t *testing.T) {
	f := newFixture(t)
	v := must(security.NewValidator(f.verifier, blacklist.None{}))(t)
	f.validator = v
	access := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	token := f.token(t, access, accessToken)
	if err := v.Revoke(t.Context(), token); !errors.Is(err, security.ErrUnavailable) {
		t.Errorf("revoking without a blacklist: %v", err)
	}
}

func TestPolicyConstructorRefuses(t *testing.T) {
	f := newFixture(t)
	for name, err := range map[string]error{
		"no validator":              second(New(nil)),
		"a zero validator":          second(New(&security.Validator{})),
		"a realm with a line break": second(New(f.validator, WithRealm("a\r\nb"))),
		"no error handler":          second(New(f.validator, WithErrorHandler(nil))),
		"no logger":                 second(New(f.validator, WithLogger(nil))),
		"a nil option":              second(New(f.validator, nil)),
		"no CSRF header":            second(New(f.validator, WithCSRFHeader(""))),
		"no CSRF field":             second(New(f.validator, WithCSRFField(""))),
		"an origin with a path":     second(New(f.validator, WithTrustedOrigins("https://app.example.com/x"))),
		"guards without a policy":   second(NewGuards(nil, nil)),
		"guards of a zero policy":   second(NewGuards(&Policy{}, nil)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
