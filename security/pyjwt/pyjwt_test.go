package pyjwt_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
)

// pythonSecret signed the sample tokens, which have the header and the payload, member for member, that the Python libraries write.
const pythonSecret = "interop-test-key-0123456789-abcdefghijklmnop"

const (
	sanicAccess  = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImNsYXNzIjoiYWNjZXNzIn0.eyJzdWIiOiJ1c2VyLTEiLCJuYmYiOjE3MDAwMDAwMDAsInJvbGUiOiJBRE1JTiIsImZyZXNoIjp0cnVlLCJodHRwczovL2p3dC5pby9zc29fdXNlcl9pZCI6ImFzZGYiLCJodHRwczovL2p3dC5pby91c2VyX2luZm8vbmFtZSI6ImZvbyIsImh0dHBzOi8vand0LmlvL3VzZXJfaW5mby9sZXZlbCI6Mywic2plX3RlbmFudCI6ImFjbWUiLCJqdGkiOiIwZjhmYWQ1YmQ5Y2I0NjlmYTE2NTcwODY3NzI4OTUwZSIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAwOTAwfQ._CxsUKDgXzuUKk7y-BRwY57GzzUIZ_TTpbBBqZ7dMjg"
	sanicRefresh = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImNsYXNzIjoicmVmcmVzaCJ9.eyJzdWIiOiJ1c2VyLTEiLCJuYmYiOjE3MDAwMDAwMDAsInJvbGUiOiJBRE1JTiIsImh0dHBzOi8vand0LmlvL3Nzb191c2VyX2lkIjoiYXNkZiIsImh0dHBzOi8vand0LmlvL3VzZXJfaW5mby9uYW1lIjoiZm9vIiwiaHR0cHM6Ly9qd3QuaW8vdXNlcl9pbmZvL2xldmVsIjozLCJzamVfLnRlbmFudCI6ImFjbWUiLCJqdGkiOiI3YzllNjY3OTc0MjU0MGRlOTQ0YmUwN2ZjMWY5MGFlNyIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAyNTkyMDAwfQ.46axgHA0qCwiF6Wq8nR_BbvL6YJ7kzk1d7y7GQcdAJQ"
	// With an issuer and an audience of their own, a csrf claim and fresh false.
	sanicIssuer  = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImNsYXNzIjoiYWNjZXNzIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwic3ViIjoidXNlci0xIiwiYXVkIjoiYXBpIiwibmJmIjoxNzAwMDAwMDAwLCJmcmVzaCI6ZmFsc2UsImp0aSI6IjBmOGZhZDViZDljYjQ2OWZhMTY1NzA4Njc3Mjg5NTBlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDAsImNzcmYiOiJjNTZhNDE4MGFhNzU0MmVjODk0NWQwZTVmMGYzYzBiMSJ9.fBMHGSg-dKDwC95f1TzJLCqf1u4wUSkffYsu37308rU"
	flaskAccess  = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJmcmVzaCI6dHJ1ZSwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiIwZjhmYWQ1Yi1kOWNiLTQ2OWYtYTE2NS03MDg2NzcyODk1MGUiLCJ0eXBlIjoiYWNjZXNzIiwic3ViIjoidXNlci0xIiwibmJmIjoxNzAwMDAwMDAwLCJjc3JmIjoiYzU2YTQxODAtNjVhYS00MmVjLWE5NDUtNWZkMjFkZWMwNTM4IiwiZXhwIjoxNzAwMDAwOTAwLCJyb2xlIjoiYWRtaW4ifQ.Unfj2xQCmbgT-c0rYL01LcdxKxn7Z5arIz5-7Jgmayk"
	flaskRefresh = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJmcmVzaCI6ZmFsc2UsImlhdCI6MTcwMDAwMDAwMCwianRpIjoiN2M5ZTY2NzktNzQyNS00MGRlLTk0NGItZTA3ZmMxZjkwYWU3IiwidHlwZSI6InJlZnJlc2giLCJzdWIiOiJ1c2VyLTEiLCJuYmYiOjE3MDAwMDAwMDAsImNzcmYiOiI5YjJkNmUwYS0xZjdjLTRjNTUtOGQ1ZS0yZjNhNGI1YzZkN2UiLCJleHAiOjE3MDI1OTIwMDB9.MXrD7sU7xS9UdA4aygA-jg7GENjZpqfzRevNleUo5DE"
	// Fresh until 1700000300.25.
	flaskUntil = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJmcmVzaCI6MTcwMDAwMDMwMC4yNSwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiIwZjhmYWQ1Yi1kOWNiLTQ2OWYtYTE2NS03MDg2NzcyODk1MGUiLCJ0eXBlIjoiYWNjZXNzIiwic3ViIjoidXNlci0xIiwibmJmIjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDB9.3LsYJCy6EbzPPleASqV6mju0e8XVx0Ff_GSXMl5SxFE"
)

// newApp makes an application with the layout and the secret of the samples.
func newApp(t testing.TB, layout security.Layout, options ...security.VerifierOption) *apptest.App {
	t.Helper()
	key := must(keys.NewHMAC(keys.HS256, []byte(pythonSecret)))(t)
	app := apptest.NewWith(t, must(keys.NewSet(key))(t))
	app.UseLayout(t, layout, options...)
	return app
}

func must[T any](value T, err error) func(testing.TB) T { return sectest.Must(value, err) }

func second[T any](_ T, err error) error { return err }

// TestPythonTokens verifies tokens of the Python libraries, and refuses them where they do not belong.
func TestPythonTokens(t *testing.T) {
	sanic, flask := pyjwt.Sanic("role"), pyjwt.Flask("role")
	for _, tt := range []struct {
		name    string
		profile security.Layout
		text    string
		typ     security.TokenType
		want    error
	}{
		{"Sanic access", sanic, sanicAccess, apptest.AccessToken, nil},
		{"Sanic refresh", sanic, sanicRefresh, apptest.RefreshToken, nil},
		{"Sanic refresh for access", sanic, sanicRefresh, apptest.AccessToken, security.ErrWrongTokenType},
		{"Sanic access for refresh", sanic, sanicAccess, apptest.RefreshToken, security.ErrWrongTokenType},
		{"Sanic for Flask", flask, sanicAccess, apptest.AccessToken, security.ErrWrongTokenType},
		{"Sanic for the default", security.RFC9068(), sanicAccess, apptest.AccessToken, security.ErrInvalidToken},
		{"Sanic with an audience that is not ours", sanic, sanicIssuer, apptest.AccessToken, security.ErrInvalidToken},
		{"Flask access", flask, flaskAccess, apptest.AccessToken, nil},
		{"Flask refresh", flask, flaskRefresh, apptest.RefreshToken, nil},
		{"Flask refresh for access", flask, flaskRefresh, apptest.AccessToken, security.ErrWrongTokenType},
		{"Flask access for refresh", flask, flaskAccess, apptest.RefreshToken, security.ErrWrongTokenType},
		{"Flask for Sanic", sanic, flaskAccess, apptest.AccessToken, security.ErrWrongTokenType},
		{"Flask, fresh until", flask, flaskUntil, apptest.AccessToken, nil},
		{"Flask, fresh until, for Sanic", sanic, flaskUntil, apptest.AccessToken, security.ErrInvalidToken},
	} {
		f := newApp(t, tt.profile)
		if err := f.Refuses(t, tt.text, tt.typ); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}

	f := newApp(t, sanic)
	typ := security.NewTokenType[struct {
		Tenant string `json:"sje_tenant"`
	}]("access")
	token := f.Token(t, sanicAccess, typ).(security.Token[struct {
		Tenant string `json:"sje_tenant"`
	}])
	if token.Subject() != "user-1" || token.Role() != "ADMIN" || !token.Fresh() || token.ID() != "0f8fad5bd9cb469fa16570867728950e" || token.Claims().Tenant != "acme" {
		t.Errorf("Sanic's token reads as %s %s %v %s %+v", token.Subject(), token.Role(), token.Fresh(), token.ID(), token.Claims())
	}
	f = newApp(t, sanic, security.WithAudience("api"))
	if err := f.Refuses(t, sanicIssuer, apptest.AccessToken); err != nil {
		t.Errorf("with its audience: %v", err)
	}
	f = newApp(t, flask)
	fresh := f.Token(t, flaskUntil, apptest.AccessToken).(security.Token[security.NoClaims])
	f.Clock.Advance(300*time.Second + 128*time.Millisecond) // to a millisecond behind the end
	if stale := f.Token(t, flaskUntil, apptest.AccessToken).(security.Token[security.NoClaims]); !fresh.Fresh() || stale.Fresh() {
		t.Errorf("fresh before its time: %v, after it: %v", fresh.Fresh(), stale.Fresh())
	}
	if token := f.Token(t, flaskAccess, apptest.AccessToken).(security.Token[security.NoClaims]); token.Role() != "admin" || token.CSRF() == "" || !token.Fresh() {
		t.Errorf("Flask's token reads as %s %s %v", token.Role(), token.CSRF(), token.Fresh())
	}
}

// TestPythonLayout issues in the Python layouts: the same members of the same JSON types, and two that the libraries do not know.
func TestPythonLayout(t *testing.T) {
	for _, tt := range []struct {
		name    string
		profile security.Layout
		typ     security.TokenType
		sample  string
		options []security.TokenOption
		lacks   string // what the sample has and ours has only on request
	}{
		{"Sanic access", pyjwt.Sanic("role"), apptest.AccessToken, sanicAccess, []security.TokenOption{security.WithRoles("ADMIN"), security.WithFresh()}, "https://jwt.io/sso_user_id https://jwt.io/user_info/name https://jwt.io/user_info/level sje_tenant"},
		{"Sanic refresh", pyjwt.Sanic("role"), apptest.RefreshToken, sanicRefresh, []security.TokenOption{security.WithRoles("ADMIN")}, "https://jwt.io/sso_user_id https://jwt.io/user_info/name https://jwt.io/user_info/level sje_.tenant"},
		{"Flask access", pyjwt.Flask("role"), apptest.AccessToken, flaskAccess, []security.TokenOption{security.WithRoles("admin"), security.WithFresh(), security.WithCSRF()}, ""},
		{"Flask refresh", pyjwt.Flask(""), apptest.RefreshToken, flaskRefresh, []security.TokenOption{security.WithCSRF()}, "fresh"},
	} {
		f := newApp(t, tt.profile)
		text := must(f.Issuer.Issue(t.Context(), tt.typ, "user-1", nil, tt.options...))(t).Text()
		theirHeader, theirPayload := members(t, tt.sample)
		ourHeader, ourPayload := members(t, text)
		if fmt.Sprint(ourHeader) != fmt.Sprint(theirHeader) {
			t.Errorf("%s: header %v, theirs %v", tt.name, ourHeader, theirHeader)
		}
		for _, name := range []string{"sid", "auth_time"} {
			if _, ok := ourPayload[name]; !ok {
				t.Errorf("%s: no %s", tt.name, name)
			}
			delete(ourPayload, name)
		}
		for _, name := range strings.Fields(tt.lacks) {
			delete(theirPayload, name)
		}
		for name, their := range theirPayload {
			ours, ok := ourPayload[name]
			if !ok || fmt.Sprintf("%T", ours) != fmt.Sprintf("%T", their) {
				t.Errorf("%s: %s is %v, theirs %v", tt.name, name, ours, their)
			}
			if seconds, ok := ours.(float64); ok && seconds != float64(int64(seconds)) {
				t.Errorf("%s: %s is %v, not whole seconds", tt.name, name, ours)
			}
			delete(ourPayload, name)
		}
		if len(ourPayload) > 0 {
			t.Errorf("%s: members that theirs has not: %v", tt.name, ourPayload)
		}
		if err := f.Refuses(t, text, tt.typ); err != nil {
			t.Errorf("%s: our own is refused: %v", tt.name, err)
		}
	}
	f := newApp(t, pyjwt.Flask(""))
	for name, err := range map[string]error{
		"two roles":      second(f.Issuer.IssueAccessToken(t.Context(), "a", nil, security.WithRoles("a", "b"))),
		"a role":         second(f.Issuer.IssueAccessToken(t.Context(), "a", nil, security.WithRoles("a"))),
		"a half second":  second(f.Issuer.IssueAccessToken(t.Context(), "a", nil, security.WithLifetime(500*time.Millisecond))),
		"the claim type": second(f.Issuer.IssueAccessToken(t.Context(), "a", map[string]string{"type": "refresh"})),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	f = newApp(t, pyjwt.Sanic("permission"))
	if _, err := f.Issuer.IssueAccessToken(t.Context(), "a", map[string]string{"permission": "ADMIN"}); err == nil {
		t.Error("a private claim stands in for the role")
	}
}

// members decodes a token loosely.
func members(t *testing.T, text string) (header, payload map[string]any) {
	t.Helper()
	segments := strings.Split(text, ".")
	for i, into := range []*map[string]any{&header, &payload} {
		if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(segments[i]))(t), into); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

// TestTakeOver refreshes a token of a Python service: the session gets an id, keeps its beginning, and can be ended.
func TestTakeOver(t *testing.T) {
	f := newApp(t, pyjwt.Flask("role"))
	old := f.Token(t, flaskRefresh, apptest.RefreshToken)
	if err := f.Validator.Consume(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	pair := must(f.Issuer.IssueTokenPair(t.Context(), "user-1", nil, nil, security.WithSession(old)))(t)
	access := f.Token(t, pair.Access.Text(), apptest.AccessToken).(security.Token[security.NoClaims])
	if access.Session() == "" || access.AuthTime().Unix() != 1700000000 || pair.Refresh.ExpiresAt().Unix() != 1702592000 {
		t.Errorf("session %q since %s until %s", access.Session(), access.AuthTime(), pair.Refresh.ExpiresAt())
	}
	if err := f.Refuses(t, flaskRefresh, apptest.RefreshToken); !errors.Is(err, security.ErrTokenRevoked) {
		t.Errorf("the consumed token: %v", err)
	}
	if err := f.Validator.RevokeSession(t.Context(), access); err != nil {
		t.Fatal(err)
	}
	if err := f.Refuses(t, pair.Refresh.Text(), apptest.RefreshToken); !errors.Is(err, security.ErrTokenRevoked) {
		t.Errorf("after the log-out: %v", err)
	}
}

// TestSanicErrors has the statuses and the body of Sanic-JWT-Extended, and what remains beside them.
func TestSanicErrors(t *testing.T) {
	f := apptest.New(t)
	handle, calls := guard.WithErrorHandler(must(pyjwt.SanicErrors("msg"))(t)), 0
	cookie := &guard.Scheme{Name: "cookie", Token: apptest.AccessToken, In: guard.InCookie, Parameter: "access"}
	pair := must(f.Issuer.IssueTokenPair(t.Context(), "alice", nil, nil))(t)
	expired := sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith("exp", "1699999000", "iat", "1699998000"))
	revoked := must(f.Issuer.IssueAccessToken(t.Context(), "alice", nil))(t)
	if err := f.Validator.Revoke(t.Context(), f.Token(t, revoked.Text(), apptest.AccessToken)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name          string
		rules         guard.Rules
		authorization []string
		status        int
		message       string
		challenge     bool
	}{
		{"no token", guard.Rules{}, nil, 401, "Missing token", true},
		{"malformed", guard.Rules{}, []string{"Bearer"}, 422, "Bad Authorization header", true},
		{"garbage", guard.Rules{}, []string{"Bearer " + "x"}, 422, "Invalid token", true},
		{"expired", guard.Rules{}, []string{"Bearer " + expired}, 401, "Signature has expired", true},
		{"wrong type", guard.Rules{}, []string{"Bearer " + pair.Refresh.Text()}, 422, "Wrong token type", true},
		{"revoked", guard.Rules{}, []string{"Bearer " + revoked.Text()}, 401, "Token has been revoked", true},
		{"not fresh", guard.Rules{Fresh: true}, []string{"Bearer " + pair.Access.Text()}, 401, "Only fresh access tokens are allowed", true},
		{"role", guard.Rules{AllowRoles: []string{"ADMIN"}}, []string{"Bearer " + pair.Access.Text()}, 403, "You are not allowed to access here", true},
	} {
		handler := f.Serve(t, &guard.Operation{ID: "op", Requirement: guard.Requirement{{apptest.AccessScheme}, {cookie}}, Rules: tt.rules}, &calls, handle)
		w := apptest.Get(handler, tt.authorization...)
		var body map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != tt.status || len(body) != 1 || body["msg"] != tt.message {
			t.Errorf("%s: %d %s (%v)", tt.name, w.Code, w.Body, err)
		}
		if (w.Header().Get("WWW-Authenticate") != "") != tt.challenge || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: header %v", tt.name, w.Header())
		}
	}
	f.List.Fail(sectest.ErrSecretive, nil)
	handler := f.Serve(t, &guard.Operation{ID: "op", Requirement: guard.Requirement{{apptest.AccessScheme}}}, &calls, handle)
	if w := apptest.Get(handler, "Bearer "+pair.Access.Text()); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("the blacklist is down: %d %v", w.Code, w.Header())
	}
	if _, err := pyjwt.SanicErrors(""); err == nil {
		t.Error("no key for the message: no error")
	}
	if response := must(pyjwt.SanicErrors("msg"))(t)(t.Context(), guard.Failure{Err: security.ErrInvalidToken}); response.Status != 422 || response.Header.Get("Content-Type") == "" {
		t.Errorf("a failure without a response: %+v", response)
	}
}

// TestPythonReuse uses a token of a Python service twice: what it was refreshed into ends, although it had no session.
func TestPythonReuse(t *testing.T) {
	f := newApp(t, pyjwt.Flask("role"))
	old := f.Token(t, flaskRefresh, apptest.RefreshToken)
	if err := f.Validator.Consume(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	thief := must(f.Issuer.IssueTokenPair(t.Context(), "user-1", nil, nil, security.WithSession(old)))(t)
	if err := f.Refuses(t, flaskRefresh, apptest.RefreshToken); !errors.Is(err, security.ErrTokenRevoked) {
		t.Errorf("the second use: %v", err)
	}
	for text, typ := range map[string]security.TokenType{thief.Access.Text(): apptest.AccessToken, thief.Refresh.Text(): apptest.RefreshToken} {
		if err := f.Refuses(t, text, typ); !errors.Is(err, security.ErrTokenRevoked) {
			t.Errorf("%s token after the reuse: %v", typ.Name(), err)
		}
	}
	cutOff := must(f.Validator.RevokeSubject(t.Context(), "user-1"))(t)
	again := must(f.Issuer.IssueAccessToken(t.Context(), "user-1", nil, security.WithSessionStart(cutOff.Add(time.Millisecond))))(t)
	if err := f.Refuses(t, again.Text(), apptest.AccessToken); err != nil {
		t.Errorf("a log-in begun after the cut-off, in whole seconds: %v", err)
	}
}

// TestCacheFreshUntil is about tokens that are fresh until a time: each request has to find out.
func TestCacheFreshUntil(t *testing.T) {
	for _, typ := range []security.TokenType{apptest.AccessToken, security.NewTokenType[struct {
		Name string `json:"name"`
	}]("access")} {
		f := newApp(t, pyjwt.Flask("role"))
		calls := 0
		handler := f.Serve(t, &guard.Operation{ID: "op", Requirement: guard.Requirement{{&guard.Scheme{Name: "access", Token: typ}}}, Rules: guard.Rules{Fresh: true}}, &calls)
		for _, step := range []struct {
			wait time.Duration
			want int
		}{{0, 200}, {300 * time.Second, 200}, {time.Second, 401}, {-time.Second, 200}} {
			f.Clock.Advance(step.wait)
			if w := apptest.Get(handler, "Bearer "+flaskUntil); w.Code != step.want {
				t.Errorf("after %s: status %d, want %d", step.wait, w.Code, step.want)
			}
		}
	}
}
