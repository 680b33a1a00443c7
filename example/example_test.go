package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/oapi-guard/oapi-guard/internal/pgtest"
	"github.com/oapi-guard/oapi-guard/security"
)

// childEnv is the variable that makes the test binary run the program.
const childEnv = "EXAMPLE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
		return
	}
	http.DefaultTransport.(*http.Transport).DisableKeepAlives = true
	goleak.VerifyTestMain(stopping{m})
}

// stopping ends the servers that the tests share before the check for leaks.
type stopping struct{ *testing.M }

func (m stopping) Run() int {
	defer pgtest.StopShared()
	return m.M.Run()
}

// app is the example behind a real server.
type app struct {
	url, operatorURL string
	t                *testing.T
	accounts         *accounts
}

func newApp(t *testing.T, options ...security.Option) *app {
	t.Helper()
	return newAppBehind(t, nil, options...)
}

// newAppBehind starts the example behind proxies.
func newAppBehind(t *testing.T, proxies trustedProxies, options ...security.Option) *app {
	t.Helper()
	return newAppOn(t, openTestStore(t, "memory:"), proxies, options...)
}

// openTestStore opens a store as the program does.
func openTestStore(t testing.TB, text string) *store {
	t.Helper()
	opened, err := openStore(t.Context(), text, t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// newAppOn starts the example on a store, which it closes.
func newAppOn(t *testing.T, store *store, proxies trustedProxies, options ...security.Option) *app {
	t.Helper()
	accounts, err := newAccounts(4, bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	operator, err := newOperatorSecret(testOperator)
	if err != nil {
		t.Fatal(err)
	}
	api, err := newAPI(setup{bytes.Repeat([]byte("k!"), 16), accounts, store, proxies, operator, slog.New(slog.DiscardHandler), noop.NewMeterProvider()}, options...)
	if err != nil {
		t.Fatal(err)
	}
	server, operatorServer := httptest.NewServer(api.handler), httptest.NewServer(api.operator)
	t.Cleanup(func() {
		server.Close()
		operatorServer.Close()
		if err := errors.Join(api.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return &app{url: server.URL, operatorURL: operatorServer.URL, t: t, accounts: accounts}
}

// testOperator is the secret of the operator in tests.
const testOperator = "the-operator-secret-of-32-characters"

type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request; an empty token sends no Authorization header.
func (a *app) call(method, path, token, body string) answer {
	a.t.Helper()
	r, err := http.NewRequest(method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", "application/json")
	return a.do(r)
}

func (a *app) do(r *http.Request) answer {
	a.t.Helper()
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return answer{w.StatusCode, w.Header, string(text)}
}

type pair struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
}

func (a answer) pair(t *testing.T) pair {
	t.Helper()
	var p pair
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != 200 || p.Access == "" || p.Refresh == "" {
		t.Fatalf("no pair: %d %s", a.status, a.body)
	}
	if p.Type != "Bearer" || p.ExpiresIn != 900 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("pair %s %d, Cache-Control %q", p.Type, p.ExpiresIn, a.header.Get("Cache-Control"))
	}
	return p
}

func (a *app) login(user, password string) pair {
	a.t.Helper()
	return a.call("POST", "/login", "", fmt.Sprintf(`{"username":%q,"password":%q}`, user, password)).pair(a.t)
}

// want checks the status and a part of the challenge; "" means no challenge.
func (a answer) want(t *testing.T, status int, challenge string) {
	t.Helper()
	got := a.header.Get("WWW-Authenticate")
	if a.status != status || !strings.Contains(got, challenge) || (challenge == "") != (got == "") {
		t.Errorf("status %d, challenge %q; want %d, %q: %s", a.status, got, status, challenge, a.body)
	}
}

// TestMainJob goes through the life of a session: what the README shows, over real HTTP.
func TestMainJob(t *testing.T) {
	a := newApp(t)
	alice := a.login("alice", "wonderland")
	if got := payload(t, alice.Access)["client_id"]; got != clientID {
		t.Errorf("client_id is %v", got)
	}

	var info map[string]any
	protected := a.call("GET", "/protected", alice.Access, "")
	protected.want(t, 200, "")
	if err := json.Unmarshal([]byte(protected.body), &info); err != nil {
		t.Fatal(err)
	}
	if info["identity"] != "alice" || info["type"] != "access" || info["role"] != "USER" || info["fresh"] != true || info["jti"] == "" || info["exp"] == 0.0 {
		t.Errorf("/protected says %v", info)
	}
	a.call("GET", "/protected", alice.Refresh, "").want(t, 401, `error="invalid_token"`)
	a.call("POST", "/refresh", alice.Access, "").want(t, 401, `error="invalid_token"`)
	none := a.call("GET", "/protected", "", "")
	none.want(t, 401, `Bearer realm="api"`)
	if strings.Contains(none.header.Get("WWW-Authenticate"), "error") {
		t.Errorf("a challenge with an error for a request without a token: %q", none.header.Get("WWW-Authenticate"))
	}

	a.call("GET", "/admin/users", alice.Access, "").want(t, 403, `error="insufficient_scope"`)
	admin := a.login("admin", "rabbit-hole")
	users := a.call("GET", "/admin/users", admin.Access, "")
	if users.want(t, 200, ""); !strings.Contains(users.body, `"username":"alice"`) {
		t.Errorf("/admin/users says %s", users.body)
	}

	for token, want := range map[string]string{"": "Hello, stranger!", alice.Access: "Hello, Alice!"} {
		greeting := a.call("GET", "/greeting", token, "")
		if greeting.want(t, 200, ""); !strings.Contains(greeting.body, want) {
			t.Errorf("/greeting says %s", greeting.body)
		}
	}
	a.call("GET", "/greeting", "bad", "").want(t, 401, `error="invalid_token"`)

	a.call("PUT", "/email", alice.Access, `{"email":"a@b.example"}`).want(t, 204, "")
	a.call("PUT", "/email", alice.Access, `{"email":"nonsense"}`).want(t, 400, "")
	refreshed := a.call("POST", "/refresh", alice.Refresh, "").pair(t)
	a.call("PUT", "/email", refreshed.Access, `{"email":"a@b.example"}`).want(t, 401, `error="insufficient_user_authentication"`)

	a.call("DELETE", "/tokens/current", refreshed.Access, "").want(t, 204, "")
	a.call("GET", "/protected", refreshed.Access, "").want(t, 401, `error="invalid_token"`)
	a.call("GET", "/protected", alice.Access, "").want(t, 200, "") // of the same session, and not revoked

	a.call("POST", "/logout", refreshed.Refresh, "").want(t, 204, "")
	a.call("POST", "/logout", refreshed.Refresh, "").want(t, 401, `error="invalid_token"`)
	a.call("GET", "/protected", alice.Access, "").want(t, 401, `error="invalid_token"`)
	a.call("GET", "/greeting", alice.Access, "").want(t, 401, `error="invalid_token"`)
	a.call("GET", "/protected", admin.Access, "").want(t, 200, "")
}

// payload returns the claims of a token.
func payload(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestAuthenticator sends credentials that are not tokens, alone and together with a token.
func TestAuthenticator(t *testing.T) {
	a := newApp(t)
	alice, admin := a.login("alice", "wonderland"), a.login("admin", "rabbit-hole")
	call := func(method, path, body, token, key, user, password string) answer {
		t.Helper()
		r, err := http.NewRequest(method, a.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		if key != "" {
			r.Header.Set("X-API-Key", key)
		}
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		r.Header.Set("Content-Type", "application/json")
		return a.do(r)
	}
	const report = `{"title":"On rabbits"}`
	for name, tt := range map[string]struct {
		got       answer
		status    int
		challenge string
	}{
		"publish, both":             {call("POST", "/reports", report, alice.Access, demoKey, "", ""), 201, ""},
		"publish, no key":           {call("POST", "/reports", report, alice.Access, "", "", ""), 401, "ApiKey"},
		"publish, no token":         {call("POST", "/reports", report, "", demoKey, "", ""), 401, "Bearer"},
		"publish, wrong key":        {call("POST", "/reports", report, alice.Access, "x", "", ""), 401, "ApiKey"},
		"list, key":                 {call("GET", "/reports", "", "", demoKey, "", ""), 200, ""},
		"list, token":               {call("GET", "/reports", "", alice.Access, "", "", ""), 200, ""},
		"list, neither":             {call("GET", "/reports", "", "", "", "", ""), 401, "Bearer"},
		"log out, password":         {call("DELETE", "/admin/users/nobody/sessions", "", "", "", "admin", "rabbit-hole"), 204, ""},
		"log out, wrong password":   {call("DELETE", "/admin/users/nobody/sessions", "", "", "", "admin", "x"), 401, "Basic"},
		"log out, token":            {call("DELETE", "/admin/users/nobody/sessions", "", admin.Access, "", "", ""), 204, ""},
		"log out, a user":           {call("DELETE", "/admin/users/nobody/sessions", "", alice.Access, "", "", ""), 403, "insufficient_scope"},
		"log out, a user, password": {call("DELETE", "/admin/users/nobody/sessions", "", "", "", "alice", "wonderland"), 403, ""},
	} {
		challenges := strings.Join(tt.got.header.Values("WWW-Authenticate"), "; ")
		if tt.got.status != tt.status || !strings.Contains(challenges, tt.challenge) || (tt.challenge == "") != (challenges == "") {
			t.Errorf("%s: status %d, challenges %q: %s", name, tt.got.status, challenges, tt.got.body)
		}
	}
	for _, got := range []answer{call("GET", "/reports", "", "", demoKey, "", ""), call("GET", "/reports", "", alice.Access, "", "", "")} {
		if want := `[{"author":"alice","partner":"partner","title":"On rabbits"}]`; strings.TrimSpace(got.body) != want {
			t.Errorf("reports %s, want %s", got.body, want)
		}
	}
	call("DELETE", "/admin/users/alice/sessions", "", "", "", "admin", "rabbit-hole").want(t, 204, "")
	a.call("GET", "/protected", alice.Access, "").want(t, 401, `error="invalid_token"`)
	a.call("GET", "/protected", admin.Access, "").want(t, 200, "")
}

// TestTimeGoesBy lets the access token expire, then the session.
func TestTimeGoesBy(t *testing.T) {
	var offset atomic.Int64
	start := time.Now()
	a := newApp(t, security.WithClock(func() time.Time { return start.Add(time.Duration(offset.Load())) }))
	p := a.login("alice", "wonderland")
	offset.Store(int64(15*time.Minute + 29*time.Second))
	a.call("GET", "/protected", p.Access, "").want(t, 200, "")
	offset.Store(int64(15*time.Minute + 31*time.Second))
	a.call("GET", "/protected", p.Access, "").want(t, 401, `error="invalid_token"`)
	p = a.call("POST", "/refresh", p.Refresh, "").pair(t)
	a.call("GET", "/protected", p.Access, "").want(t, 200, "")
	offset.Store(int64(sessionLifetime + 31*time.Second))
	a.call("POST", "/refresh", p.Refresh, "").want(t, 401, `error="invalid_token"`)
}

func TestLoginRefuses(t *testing.T) {
	a := newApp(t)
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"wrong password":           {`{"username":"alice","password":"x"}`, 401},
		"unknown user":             {`{"username":"nobody","password":"nobody's password"}`, 401},
		"no password":              {`{"username":"alice"}`, 401},
		"password too long":        {`{"username":"alice","password":"` + strings.Repeat("w", 73) + `"}`, 401},
		"a NUL after the password": {`{"username":"alice","password":"wonderland\u0000wonderland"}`, 401},
		"not JSON":                 {`username=alice`, 400},
		"no body":                  {``, 400},
		"body too large":           {`{"username":"` + strings.Repeat("a", 20<<10) + `"}`, 413},
	} {
		got := a.call("POST", "/login", "", c.body)
		if got.status != c.status || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if got.status == 401 && got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control %q", name, got.header.Get("Cache-Control"))
		}
	}
}

// TestBusyLogin lets a log-in wait for others until its context ends.
func TestBusyLogin(t *testing.T) {
	accounts, err := newAccounts(1, bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	accounts.hashing <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := accounts.logIn(ctx, netip.Prefix{}, "alice", "wonderland"); err != security.ErrUnavailable {
		t.Errorf("while all places are taken: %v", err)
	}
	<-accounts.hashing
	if user, err := accounts.logIn(t.Context(), netip.Prefix{}, "alice", "wonderland"); err != nil || user.role != "USER" {
		t.Errorf("%v %v", user, err)
	}
}

func TestLoadSecret(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sub", "signing.key")
	made, err := loadSecret("", file)
	if err != nil || len(made) != secretSize {
		t.Fatalf("%d bytes, %v", len(made), err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if again, err := loadSecret("", file); err != nil || !bytes.Equal(again, made) {
		t.Errorf("the second start has another secret (%v)", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("left over: %v, %v", entries, err)
	}
	given := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x!"), 20))
	if secret, err := loadSecret(given, "/nowhere"); err != nil || len(secret) != 40 {
		t.Errorf("%d bytes, %v", len(secret), err)
	}
	write := func(name string, mode os.FileMode, size int) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, make([]byte, size), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, file string }{
		"not base64":           {"!!!", file},
		"too short":            {base64.StdEncoding.EncodeToString(make([]byte, 31)), file},
		"readable by others":   {"", write("open", 0o644, secretSize)},
		"a damaged file":       {"", write("short", 0o600, 5)},
		"a link":               {"", link},
		"a directory":          {"", dir},
		"below a regular file": {"", filepath.Join(file, "x")},
	} {
		if _, err := loadSecret(c.text, c.file); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestRun starts the program as make run does, sends a request and stops it.
func TestRun(t *testing.T) {
	env := map[string]string{"ADDR": "127.0.0.1:0", "DATA_DIR": t.TempDir()}
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, nil, func(name string) string { return env[name] }, in, io.Discard)
		in.Close()
	}()
	var url string
	if _, err := fmt.Fscanf(out, "Serving the reference API on %s\n", &url); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if got := (&app{url: url, t: t}).call("GET", "/greeting", "", ""); !strings.Contains(got.body, "Hello, stranger!") {
		t.Errorf("greeting: %d %s", got.status, got.body)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		want string
	}{
		"not loopback":      {nil, map[string]string{"ADDR": "0.0.0.0:0"}, "loopback"},
		"every address":     {nil, map[string]string{"ADDR": ":0"}, "loopback"},
		"a bad secret":      {nil, map[string]string{"JWT_SECRET": "short"}, "JWT_SECRET"},
		"an address in use": {nil, map[string]string{"ADDR": taken.Addr().String()}, "in use"},
		"no proxy":          {nil, map[string]string{"TRUSTED_PROXIES": "proxy.example"}, "TRUSTED_PROXIES"},
		"a former variable": {nil, map[string]string{"BLACKLIST": "memory:"}, "STORE"},
		"a short secret":    {nil, map[string]string{"ADMIN_TOKEN": strings.Repeat("x", 31)}, "ADMIN_TOKEN"},
		"a spaced secret":   {nil, map[string]string{"ADMIN_TOKEN": strings.Repeat("x y", 20)}, "ADMIN_TOKEN"},
		"a public operator": {nil, map[string]string{"ADMIN_TOKEN": testOperator, "ADMIN_ADDR": "0.0.0.0:0", "ADDR": "127.0.0.1:0"}, "loopback"},
		"a public console":  {nil, map[string]string{"CONSOLE_ADDR": "0.0.0.0:0", "ADDR": "127.0.0.1:0"}, "loopback"},
		"an unknown flag":   {[]string{"-x"}, nil, "-x"},
		"no address at all": {nil, map[string]string{"ADDR": "nonsense"}, "nonsense"},
	} {
		getenv := func(name string) string {
			if value, ok := c.env[name]; ok || name != "DATA_DIR" {
				return value
			}
			return t.TempDir()
		}
		if err := run(t.Context(), c.args, getenv, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
