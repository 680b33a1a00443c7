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

// TestGuardAnswers checks the response to each refused request, and that no handler runs for it.
func TestGuardAnswers(t *testing.T) {
	f := newFixture(t)
	pair := must(f.issuer.IssueTokenPair(t.Context(), "alice", userClaims{Name: "Alice"}, nil, security.WithRoles("USER"), security.WithFresh()))(t)
	access, refresh := pair.Access.Text(), pair.Refresh.Text()
	stale := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithSessionStart(f.clock.Now().Add(-time.Hour+time.Second))))(t).Text()
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
		challenge     string // prefix of the header; "" for no header
		exact         bool   // the header is the challenge
	}{
		{name: "access token", requirement: required, authorization: []string{bearer(access)}, status: 200, exact: true},
		{name: "bearer in lower case", requirement: required, authorization: []string{"bearer " + access}, status: 200, exact: true},
		{name: "BEARER", requirement: required, authorization: []string{"BEARER " + access}, status: 200, exact: true},
		{name: "two spaces", requirement: required, authorization: []string{"Bearer  " + access}, status: 200, exact: true},
		{name: "no token", requirement: required, status: 401, challenge: challenge, exact: true},
		{
			name: "another auth scheme", requirement: required, authorization: []string{"Basic YTpi"}, status: 401,
			challenge: challenge, exact: true,
		},
		{
			name: "two headers", requirement: required, authorization: []string{bearer(access), bearer(access)},
			status: 400, challenge: withError("invalid_request"),
		},
		{name: "blank header", requirement: required, authorization: []string{""}, status: 401, challenge: challenge, exact: true},
		{
			name: "scheme alone", requirement: required, authorization: []string{"Bearer"}, status: 400,
			challenge: withError("invalid_request"),
		},
		{
			name: "scheme and a space", requirement: required, authorization: []string{"Bearer "}, status: 400,
			challenge: withError("invalid_request"),
		},
		{
			name: "two tokens", requirement: required, authorization: []string{bearer(access + " " + access)}, status: 400,
			challenge: withError("invalid_request"),
		},
		{
			name: "tab", requirement: required, authorization: []string{"Bearer\t" + access}, status: 400,
			challenge: withError("invalid_request"),
		},
		{
			name: "garbage", requirement: required, authorization: []string{bearer("garbage")}, status: 401,
			challenge: withError("invalid_token"),
		},
		{
			name: "refresh token for access", requirement: required, authorization: []string{bearer(refresh)}, status: 401,
			challenge: withError("invalid_token"),
		},
		{
			name: "access token for refresh", requirement: Requirement{{refreshScheme}},
			authorization: []string{bearer(access)}, status: 401, challenge: withError("invalid_token"),
		},
		{
			name: "refresh token", requirement: Requirement{{refreshScheme}}, authorization: []string{bearer(refresh)},
			status: 200, exact: true,
		},
		{
			name: "revoked", requirement: required, authorization: []string{bearer(revoked)}, status: 401,
			challenge: withError("invalid_token"),
		},
		{
			name: "second alternative", requirement: Requirement{{refreshScheme}, {accessScheme}},
			authorization: []string{bearer(access)}, status: 200, exact: true,
		},

		{name: "optional, no token", requirement: optional, status: 200, exact: true},
		{name: "optional, token", requirement: optional, authorization: []string{bearer(access)}, status: 200, exact: true},
		{
			name: "optional, bad token", requirement: optional, authorization: []string{bearer("garbage")}, status: 401,
			challenge: withError("invalid_token"),
		},
		{
			name: "optional, revoked token", requirement: optional, authorization: []string{bearer(revoked)}, status: 401,
			challenge: withError("invalid_token"),
		},
		{
			name: "optional, malformed", requirement: optional, authorization: []string{"Bearer"}, status: 400,
			challenge: withError("invalid_request"),
		},
		{
			name: "optional, another auth scheme", requirement: optional, authorization: []string{"Basic YTpi"},
			status: 401, challenge: challenge, exact: true,
		},
		{name: "optional with a rule, no token", requirement: optional, rules: Rules{Fresh: true}, status: 200, exact: true},
		{
			name: "optional with a rule, token that fails it", requirement: optional, rules: Rules{Fresh: true},
			authorization: []string{bearer(stale)}, status: 401, challenge: withError("insufficient_user_authentication"),
		},

		{name: "fresh", requirement: required, rules: Rules{Fresh: true}, authorization: []string{bearer(access)}, status: 200, exact: true},
		{
			name: "not fresh", requirement: required, rules: Rules{Fresh: true}, authorization: []string{bearer(stale)},
			status: 401, challenge: withError("insufficient_user_authentication"),
		},
		{
			name: "recent", requirement: required, rules: Rules{MaxAge: time.Hour}, authorization: []string{bearer(stale)},
			status: 200, exact: true,
		},
		{
			name: "not recent", requirement: required, rules: Rules{MaxAge: time.Hour - 3*time.Second},
			authorization: []string{bearer(stale)}, status: 401,
			challenge: challenge + `, error="insufficient_user_authentication", error_description="A more recent authentication is required.", max_age="3597"`,
			exact:     true,
		},
		{
			name: "authenticated in the future", requirement: required, rules: Rules{MaxAge: time.Hour},
			authorization: []string{bearer(ahead)}, status: 401, challenge: withError("insufficient_user_authentication"),
		},
		{
			name: "no authentication time", requirement: required, rules: Rules{MaxAge: 100 * 365 * 24 * time.Hour},
			authorization: []string{bearer(noAuthTime)}, status: 401,
			challenge: withError("insufficient_user_authentication"),
		},
		{
			name: "scopes", requirement: Requirement{{accessScheme.With("read", "write")}},
			authorization: []string{bearer(scoped)}, status: 200, exact: true,
		},
		{
			name: "a scope is missing", requirement: Requirement{{accessScheme.With("read", "admin")}},
			authorization: []string{bearer(scoped)}, status: 403,
			challenge: challenge + `, error="insufficient_scope", error_description="The credentials do not allow this.", scope="read admin"`,
			exact:     true,
		},
		{
			name: "no scopes at all", requirement: Requirement{{accessScheme.With("read")}},
			authorization: []string{bearer(access)}, status: 403, challenge: withError("insufficient_scope"),
		},
		{
			name:          "the second alternative has the scope",
			requirement:   Requirement{{accessScheme.With("admin")}, {accessScheme.With("read")}},
			authorization: []string{bearer(scoped)}, status: 200, exact: true,
		},
		{
			name: "roles before scopes", requirement: Requirement{{accessScheme.With("admin")}},
			rules: Rules{AllowRoles: []string{"ADMIN"}}, authorization: []string{bearer(scoped)}, status: 403,
			challenge: challenge + `, error="insufficient_scope", error_description="The credentials do not allow this."`,
			exact:     true,
		},
		{
			name: "role allowed", requirement: required, rules: Rules{AllowRoles: []string{"ADMIN", "USER"}},
			authorization: []string{bearer(access)}, status: 200, exact: true,
		},
		{
			name: "role not allowed", requirement: required, rules: Rules{AllowRoles: []string{"ADMIN"}},
			authorization: []string{bearer(access)}, status: 403, challenge: withError("insufficient_scope"),
		},
		{
			name: "no role, allow", requirement: required, rules: Rules{AllowRoles: []string{"USER"}},
			authorization: []string{bearer(stale)}, status: 403, challenge: withError("insufficient_scope"),
		},
		{
			name: "role denied", requirement: required, rules: Rules{DenyRoles: []string{"USER"}},
			authorization: []string{bearer(access)}, status: 403, challenge: withError("insufficient_scope"),
		},
		{
			name: "role not denied", requirement: required, rules: Rules{DenyRoles: []string{"GUEST"}},
			authorization: []string{bearer(access)}, status: 200, exact: true,
		},
		{
			name: "no role, deny", requirement: required, rules: Rules{DenyRoles: []string{"GUEST"}},
			authorization: []string{bearer(stale)}, status: 403, challenge: withError("insufficient_scope"),
		},
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

// token verifies a text and returns the token.
func (f *fixture) token(t testing.TB, text string, typ security.TokenType) security.AnyToken {
	t.Helper()
	return must(f.verifier.Verify(t.Context(), typ, text))(t)
}

// TestUnavailable checks that an unavailable blacklist means 503 with Retry-After, whatever the
// alternatives are, and that no handler runs.
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

// TestUnguarded calls the adapter without its guard, and behind the guard of another operation.
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
		"allow nobody":           {ID: "o", Requirement: required, Rules: Rules{AllowRoles: []string{}}},
		"deny nobody":            {ID: "o", Requirement: required, Rules: Rules{DenyRoles: []string{}}},
		"negative age":           {ID: "o", Requirement: required, Rules: Rules{MaxAge: -1}},
	} {
		if _, err := NewGuards(f.policy, nil, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestErrorHandler checks that the error handler gets the reason, may change the response, and
// cannot let the request pass.
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
		t.Errorf("response %d %q %v", w.Code, w.Body, w.Header())
	}
	if !errors.Is(failure.Err, security.ErrInvalidToken) || failure.Operation.ID != "op" || failure.Response.Status != 401 {
		t.Errorf("failure %+v", failure)
	}
	for _, status := range []int{0, 200, 302, 600} {
		answer.Status = status
		if w := get(handler, bearer("garbage")); w.Code != 401 || saw.calls != 0 {
			t.Errorf("error handler returns %d: status %d, %d calls", status, w.Code, saw.calls)
		}
	}
}

// TestHandlerErrors checks how errors of handlers and decoders are answered.
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
		{name: "sentinel of package security", err: fmt.Errorf("refreshing: %w", security.ErrTokenRevoked), status: 401, challenge: `error="invalid_token"`},
		{name: "unavailable", err: security.ErrUnavailable.Because("x", errSecretive), status: 503},
		{name: "any other error", err: errSecretive, status: 500},
		{name: "decoding of a parameter", err: errSecretive, request: true, status: 400},
		{name: "a body too large", err: fmt.Errorf("decode: %w", &http.MaxBytesError{Limit: 1}), request: true, status: 413},
		{name: "a body too large, from the handler", err: &http.MaxBytesError{Limit: 1}, status: 413},
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

// TestZeroErrorIsAnswered500 writes an error without a meaning, with each kind of policy.
func TestZeroErrorIsAnswered500(t *testing.T) {
	f := newFixture(t)
	for name, policy := range map[string]*Policy{"nil policy": nil, "zero policy": {}, "policy": f.policy} {
		w := httptest.NewRecorder()
		policy.WriteResponseError(w, httptest.NewRequest(http.MethodGet, "/", nil), fmt.Errorf("x: %w", &security.Error{}))
		if w.Code != 500 {
			t.Errorf("%s: status %d, want 500", name, w.Code)
		}
	}
}

func TestRealmIsQuoted(t *testing.T) {
	f := newFixture(t, WithRealm(`a "b" \c`))
	handler, _ := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{accessScheme}}})
	if got, want := get(handler).Header().Get("WWW-Authenticate"), `Bearer realm="a \"b\" \\c"`; got != want {
		t.Errorf("challenge %q, want %q", got, want)
	}
}

// TestNoneBlacklist checks that an application may run without revocation, and that revoking is
// then an error.
// TestNoneBlacklist has an application that records no revocations, and revokes. It is set up wrongly:
// its clients get 500, not 503, because trying again does not help, and its log says why.
func TestNoneBlacklist(t *testing.T) {
	f := newRefusalFixture(t)
	v := must(security.NewValidator(f.verifier, blacklist.None{}))(t)
	f.validator = v
	for name, revoke := range map[string]func(context.Context, security.AnyToken) error{
		"a token":         v.Revoke,
		"a session":       v.RevokeSession,
		"a refresh token": v.Consume,
		"a subject": func(ctx context.Context, _ security.AnyToken) error {
			return second(v.RevokeSubject(ctx, "alice"))
		},
		"the subject of a token": func(ctx context.Context, token security.AnyToken) error { return second(v.RevokeSubjectOf(ctx, token)) },
		"everything":             func(ctx context.Context, _ security.AnyToken) error { return second(v.RevokeAll(ctx)) },
	} {
		f.watch(t)
		f.clock.Advance(time.Second)
		o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
		got := revoke(t.Context(), f.token(t, f.alice, accessToken))
		w := f.sendTo(t, o, got, withAuthorization("Bearer "+f.alice))
		if !errors.Is(got, blacklist.ErrNotRecorded) || errors.Is(got, security.ErrUnavailable) {
			t.Errorf("%s: %v", name, got)
		}
		records := f.records(t)
		if w.Code != 500 || w.Header().Get("Retry-After") != "" || len(records) != 1 || !strings.Contains(fmt.Sprint(records[0]["error"]), "records no revocations") {
			t.Errorf("%s: status %d, records %v", name, w.Code, records)
		}
		if strings.Contains(w.Body.String(), "revocations") {
			t.Errorf("%s: the client learns %s", name, w.Body)
		}
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
		"no observer":               second(New(f.validator, WithObserver(nil))),
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
