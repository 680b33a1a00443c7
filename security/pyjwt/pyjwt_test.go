package pyjwt_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
)

// pythonSecret is the key of the sample tokens. Their headers and payloads have exactly the members
// that the Python libraries write.
const pythonSecret = "interop-test-key-0123456789-abcdefghijklmnop"

const (
	sanicAccess  = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImNsYXNzIjoiYWNjZXNzIn0.eyJzdWIiOiJ1c2VyLTEiLCJuYmYiOjE3MDAwMDAwMDAsInJvbGUiOiJBRE1JTiIsImZyZXNoIjp0cnVlLCJodHRwczovL2p3dC5pby9zc29fdXNlcl9pZCI6ImFzZGYiLCJodHRwczovL2p3dC5pby91c2VyX2luZm8vbmFtZSI6ImZvbyIsImh0dHBzOi8vand0LmlvL3VzZXJfaW5mby9sZXZlbCI6Mywic2plX3RlbmFudCI6ImFjbWUiLCJqdGkiOiIwZjhmYWQ1YmQ5Y2I0NjlmYTE2NTcwODY3NzI4OTUwZSIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAwOTAwfQ._CxsUKDgXzuUKk7y-BRwY57GzzUIZ_TTpbBBqZ7dMjg"
	sanicRefresh = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImNsYXNzIjoicmVmcmVzaCJ9.eyJzdWIiOiJ1c2VyLTEiLCJuYmYiOjE3MDAwMDAwMDAsInJvbGUiOiJBRE1JTiIsImh0dHBzOi8vand0LmlvL3Nzb191c2VyX2lkIjoiYXNkZiIsImh0dHBzOi8vand0LmlvL3VzZXJfaW5mby9uYW1lIjoiZm9vIiwiaHR0cHM6Ly9qd3QuaW8vdXNlcl9pbmZvL2xldmVsIjozLCJzamVfLnRlbmFudCI6ImFjbWUiLCJqdGkiOiI3YzllNjY3OTc0MjU0MGRlOTQ0YmUwN2ZjMWY5MGFlNyIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAyNTkyMDAwfQ.46axgHA0qCwiF6Wq8nR_BbvL6YJ7kzk1d7y7GQcdAJQ"
	// Has an issuer, an audience, a csrf claim and fresh false.
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

// TestPythonTokens verifies tokens of the Python libraries, and refuses them in other layouts and
// as other types.
func TestPythonTokens(t *testing.T) {
	sanic, flask := pyjwt.Sanic("role"), pyjwt.Flask("role")
	for _, tt := range []struct {
		name   string
		layout security.Layout
		text   string
		typ    security.TokenType
		want   error
	}{
		{name: "Sanic access", layout: sanic, text: sanicAccess, typ: apptest.AccessToken},
		{name: "Sanic refresh", layout: sanic, text: sanicRefresh, typ: apptest.RefreshToken},
		{name: "Sanic refresh for access", layout: sanic, text: sanicRefresh, typ: apptest.AccessToken, want: security.ErrWrongTokenType},
		{name: "Sanic access for refresh", layout: sanic, text: sanicAccess, typ: apptest.RefreshToken, want: security.ErrWrongTokenType},
		{name: "Sanic for Flask", layout: flask, text: sanicAccess, typ: apptest.AccessToken, want: security.ErrWrongTokenType},
		{
			name: "Sanic for the default", layout: security.RFC9068(), text: sanicAccess, typ: apptest.AccessToken,
			want: security.ErrInvalidToken,
		},
		{
			name: "Sanic with another audience", layout: sanic, text: sanicIssuer, typ: apptest.AccessToken,
			want: security.ErrInvalidToken,
		},
		{name: "Flask access", layout: flask, text: flaskAccess, typ: apptest.AccessToken},
		{name: "Flask refresh", layout: flask, text: flaskRefresh, typ: apptest.RefreshToken},
		{name: "Flask refresh for access", layout: flask, text: flaskRefresh, typ: apptest.AccessToken, want: security.ErrWrongTokenType},
		{name: "Flask access for refresh", layout: flask, text: flaskAccess, typ: apptest.RefreshToken, want: security.ErrWrongTokenType},
		{name: "Flask for Sanic", layout: sanic, text: flaskAccess, typ: apptest.AccessToken, want: security.ErrWrongTokenType},
		{name: "Flask, fresh until", layout: flask, text: flaskUntil, typ: apptest.AccessToken},
		{name: "Flask, fresh until, for Sanic", layout: sanic, text: flaskUntil, typ: apptest.AccessToken, want: security.ErrInvalidToken},
	} {
		f := newApp(t, tt.layout)
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
		t.Errorf("Sanic access token: subject %s, role %s, fresh %v, id %s, claims %+v", token.Subject(), token.Role(), token.Fresh(), token.ID(), token.Claims())
	}
	f = newApp(t, sanic, security.WithAudience("api"))
	if err := f.Refuses(t, sanicIssuer, apptest.AccessToken); err != nil {
		t.Errorf("with its audience: %v", err)
	}
	f = newApp(t, flask)
	fresh := f.Token(t, flaskUntil, apptest.AccessToken).(security.Token[security.NoClaims])
	f.Clock.Advance(300*time.Second + 128*time.Millisecond) // to the millisecond after the end
	if stale := f.Token(t, flaskUntil, apptest.AccessToken).(security.Token[security.NoClaims]); !fresh.Fresh() || stale.Fresh() {
		t.Errorf("fresh before its time: %v, after it: %v", fresh.Fresh(), stale.Fresh())
	}
	if token := f.Token(t, flaskAccess, apptest.AccessToken).(security.Token[security.NoClaims]); token.Role() != "admin" || token.CSRF() == "" || !token.Fresh() {
		t.Errorf("Flask access token: role %s, csrf %q, fresh %v", token.Role(), token.CSRF(), token.Fresh())
	}
}

// TestPythonLayout issues tokens in the Python layouts. They have the same members of the same JSON
// types, and additionally sid and auth_time.
func TestPythonLayout(t *testing.T) {
	for _, tt := range []struct {
		name    string
		layout  security.Layout
		typ     security.TokenType
		sample  string
		options []security.TokenOption
		lacks   string // members of the sample that an issuer writes only on request
	}{
		{
			name: "Sanic access", layout: pyjwt.Sanic("role"), typ: apptest.AccessToken, sample: sanicAccess,
			options: []security.TokenOption{security.WithRoles("ADMIN"), security.WithFresh()},
			lacks:   "https://jwt.io/sso_user_id https://jwt.io/user_info/name https://jwt.io/user_info/level sje_tenant",
		},
		{
			name: "Sanic refresh", layout: pyjwt.Sanic("role"), typ: apptest.RefreshToken, sample: sanicRefresh,
			options: []security.TokenOption{security.WithRoles("ADMIN")},
			lacks:   "https://jwt.io/sso_user_id https://jwt.io/user_info/name https://jwt.io/user_info/level sje_.tenant",
		},
		{
			name: "Flask access", layout: pyjwt.Flask("role"), typ: apptest.AccessToken, sample: flaskAccess,
			options: []security.TokenOption{security.WithRoles("admin"), security.WithFresh(), security.WithCSRF()},
		},
		{
			name: "Flask refresh", layout: pyjwt.Flask(""), typ: apptest.RefreshToken, sample: flaskRefresh,
			options: []security.TokenOption{security.WithCSRF()}, lacks: "fresh",
		},
	} {
		f := newApp(t, tt.layout)
		text := must(f.Issuer.Issue(t.Context(), tt.typ, "user-1", nil, tt.options...))(t).Text()
		sampleHeader, samplePayload := members(t, tt.sample)
		header, payload := members(t, text)
		if fmt.Sprint(header) != fmt.Sprint(sampleHeader) {
			t.Errorf("%s: header %v, want %v", tt.name, header, sampleHeader)
		}
		for _, name := range []string{"sid", "auth_time", "session_start"} {
			if _, ok := payload[name]; !ok {
				t.Errorf("%s: no %s", tt.name, name)
			}
			delete(payload, name)
		}
		for _, name := range strings.Fields(tt.lacks) {
			delete(samplePayload, name)
		}
		for name, inSample := range samplePayload {
			value, ok := payload[name]
			if !ok || fmt.Sprintf("%T", value) != fmt.Sprintf("%T", inSample) {
				t.Errorf("%s: %s is %v, in the sample %v", tt.name, name, value, inSample)
			}
			if seconds, ok := value.(float64); ok && seconds != float64(int64(seconds)) {
				t.Errorf("%s: %s is %v, not whole seconds", tt.name, name, value)
			}
			delete(payload, name)
		}
		if len(payload) > 0 {
			t.Errorf("%s: members that the sample lacks: %v", tt.name, payload)
		}
		if err := f.Refuses(t, text, tt.typ); err != nil {
			t.Errorf("%s: the issued token is refused: %v", tt.name, err)
		}
	}
	f := newApp(t, pyjwt.Flask(""))
	for name, err := range map[string]error{
		"two roles":                        second(f.Issuer.IssueAccessToken(t.Context(), "a", nil, security.WithRoles("a", "b"))),
		"a role in a layout without roles": second(f.Issuer.IssueAccessToken(t.Context(), "a", nil, security.WithRoles("a"))),
		"a lifetime below a second":        second(f.Issuer.IssueAccessToken(t.Context(), "a", nil, security.WithLifetime(500*time.Millisecond))),
		"a private claim type":             second(f.Issuer.IssueAccessToken(t.Context(), "a", map[string]string{"type": "refresh"})),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	f = newApp(t, pyjwt.Sanic("permission"))
	if _, err := f.Issuer.IssueAccessToken(t.Context(), "a", map[string]string{"permission": "ADMIN"}); err == nil {
		t.Error("a private claim replaces the role")
	}
}

// members decodes the header and the payload of a token without checks.
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

// TestTakeOver refreshes a token of a Python service. The session gets an id, keeps its start, and
// can be revoked.
func TestTakeOver(t *testing.T) {
	f := newApp(t, pyjwt.Flask("role"))
	old := f.Token(t, flaskRefresh, apptest.RefreshToken)
	if err := f.Validator.Consume(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	pair := must(f.Issuer.IssueTokenPair(t.Context(), "user-1", nil, nil, security.WithSession(old)))(t)
	access := f.Token(t, pair.Access.Text(), apptest.AccessToken).(security.Token[security.NoClaims])
	if access.Session() == "" || access.AuthTime().Unix() != 1700000000 || pair.Refresh.ExpiresAt().Unix() != 1702592000 {
		t.Errorf("session %q from %s to %s", access.Session(), access.AuthTime(), pair.Refresh.ExpiresAt())
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

// TestSanicErrors checks the statuses and bodies of Sanic-JWT-Extended, and the header fields that
// they keep.
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
		{name: "no token", status: 401, message: "Missing token", challenge: true},
		{name: "malformed", authorization: []string{"Bearer"}, status: 422, message: "Bad Authorization header", challenge: true},
		{name: "garbage", authorization: []string{"Bearer " + "x"}, status: 422, message: "Invalid token", challenge: true},
		{name: "expired", authorization: []string{"Bearer " + expired}, status: 401, message: "Signature has expired", challenge: true},
		{
			name: "wrong type", authorization: []string{"Bearer " + pair.Refresh.Text()}, status: 422,
			message: "Wrong token type", challenge: true,
		},
		{
			name: "revoked", authorization: []string{"Bearer " + revoked.Text()}, status: 401,
			message: "Token has been revoked", challenge: true,
		},
		{
			name: "not fresh", rules: guard.Rules{Fresh: true}, authorization: []string{"Bearer " + pair.Access.Text()},
			status: 401, message: "Only fresh access tokens are allowed", challenge: true,
		},
		{
			name: "role", rules: guard.Rules{AllowRoles: []string{"ADMIN"}},
			authorization: []string{"Bearer " + pair.Access.Text()}, status: 403,
			message: "You are not allowed to access here", challenge: true,
		},
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

// TestPythonReuse uses a refresh token of a Python service twice. The session that the first use
// began ends, although the token had none.
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

// TestCacheFreshUntil has cached tokens that are fresh until a time. Each request decides anew
// whether they are.
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
