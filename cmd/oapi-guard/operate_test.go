package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/freeport"
	"github.com/oapi-guard/oapi-guard/internal/operator"
	"github.com/oapi-guard/oapi-guard/internal/pgtest"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

const (
	serviceIssuer = "https://reference.example.com"
	serviceSecret = "the-operator-secret-of-32-characters"
)

// serviceFolder has the reference service, or is "".
var serviceFolder string

// removeService removes the reference service, if it was built.
func removeService() {
	if serviceFolder != "" {
		_ = os.RemoveAll(serviceFolder)
	}
}

// buildService builds the reference service once and returns its path.
var buildService = sync.OnceValues(func() (path string, err error) {
	if serviceFolder, err = os.MkdirTemp("", "oapi-guard-service"); err != nil {
		return "", err
	}
	path = filepath.Join(serviceFolder, "service")
	if text, err := exec.Command("go", "build", "-o", path, "../../example").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, text)
	}
	return path, nil
})

// service is a running reference service.
type service struct {
	t   *testing.T
	url string
}

// startService runs the reference service on a free port.
func startService(t *testing.T, env ...string) *service {
	t.Helper()
	path, err := buildService()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = append(append(os.Environ(), "ADDR=127.0.0.1:0", "DATA_DIR="+t.TempDir()), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s := &service{t: t}
	if _, err := fmt.Fscanf(out, "Serving the reference API on %s\n", &s.url); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return s
}

func (s *service) call(method, path, token, body string) (int, []byte) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, text
}

// login is what a log-in has answered.
type login struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (l login) claim(name string) string {
	text, _ := base64.RawURLEncoding.DecodeString(strings.Split(l.Access, ".")[1])
	var claims map[string]any
	_ = json.Unmarshal(text, &claims)
	value, _ := claims[name].(string)
	return value
}

func (s *service) post(path, token, body string) login {
	s.t.Helper()
	status, text := s.call("POST", path, token, body)
	var l login
	if err := json.Unmarshal(text, &l); err != nil || status != 200 {
		s.t.Fatalf("%s: %d %s", path, status, text)
	}
	return l
}

func (s *service) alice() login {
	s.t.Helper()
	return s.post("/login", "", `{"username":"alice","password":"wonderland"}`)
}

func (s *service) admin() login {
	s.t.Helper()
	return s.post("/login", "", `{"username":"admin","password":"rabbit-hole"}`)
}

// wants checks whether the access token of a log-in is accepted.
func (s *service) wants(what string, l login, want int) {
	s.t.Helper()
	if status, _ := s.call("GET", "/protected", l.Access, ""); status != want {
		s.t.Errorf("%s: the service answers %d, want %d", what, status, want)
	}
}

// over checks that no token of a log-in is accepted.
func (s *service) over(what string, l login) {
	s.t.Helper()
	s.wants(what, l, 401)
	if status, _ := s.call("POST", "/refresh", l.Refresh, ""); status != 401 {
		s.t.Errorf("%s: the refresh is answered %d", what, status)
	}
}

// command runs the command in this process.
func command(t *testing.T, want int, stdin string, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if status := run(args, strings.NewReader(stdin), &out, &errs); status != want {
		t.Errorf("%s: status %d, want %d\n%s%s", strings.Join(args, " "), status, want, &out, &errs)
	}
	return out.String(), errs.String()
}

// places are where the command finds the sessions of a service.
func places(t *testing.T) map[string]struct {
	store string   // of the service
	args  []string // of the command
} {
	redis, postgres := redistest.Start(t, redistest.WithPassword("redis-password")), pgtest.Shared(t)
	admin := freeport.Addr(t)
	t.Setenv("ADMIN_ADDR", admin)
	issuer := []string{"--issuer", serviceIssuer}
	return map[string]struct {
		store string
		args  []string
	}{
		"redis":    {"redis://:redis-password@" + redis.Addr(), issuer},
		"postgres": {postgres.DSN(pgtest.User, postgres.NewDatabase(t)), issuer},
		"sqlite":   {"sqlite:" + filepath.Join(t.TempDir(), "store.db"), issuer},
		"bolt":     {"", []string{"--admin-url", "http://" + admin}},
	}
}

// TestRevokeOfARunningService revokes with the command, and the service refuses the tokens.
func TestRevokeOfARunningService(t *testing.T) {
	for name, place := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ADMIN_TOKEN", serviceSecret)
			t.Setenv("STORE", place.store)
			s := startService(t)
			do := func(want int, stdin string, args ...string) (string, string) {
				t.Helper()
				stdout, stderr := command(t, want, stdin, append(args, place.args...)...)
				for _, secret := range []string{"redis-password", serviceSecret, "eyJ"} {
					if strings.Contains(stdout+stderr, secret) {
						t.Errorf("%v prints %q", args, secret)
					}
				}
				return stdout, stderr
			}
			list := func(subject string) []string {
				t.Helper()
				stdout, _ := do(0, "", "sessions", "list", subject, "--format", "json")
				var all struct{ Sessions []operator.Session }
				if err := json.Unmarshal([]byte(stdout), &all); err != nil {
					t.Fatalf("%v\n%s", err, stdout)
				}
				ids := []string{}
				for _, session := range all.Sessions {
					ids = append(ids, session.ID)
				}
				return ids
			}
			phone, laptop, admin := s.alice(), s.alice(), s.admin()
			if ids := list("alice"); len(ids) != 2 || !slices.Contains(ids, phone.claim("sid")) || !slices.Contains(ids, laptop.claim("sid")) {
				t.Errorf("alice has the sessions %v", ids)
			}
			if ids := list("nobody"); len(ids) != 0 {
				t.Errorf("nobody has the sessions %v", ids)
			}

			do(0, "Bearer "+laptop.Access+"\n", "revoke", "token")
			s.wants("a token that was revoked", laptop, 401)
			laptop = s.post("/refresh", laptop.Refresh, "")
			s.wants("the next token of its session", laptop, 200)
			s.wants("another session", phone, 200)
			do(0, laptop.Refresh, "revoke", "token", "-")
			s.over("the session of a refresh token", laptop)
			do(3, laptop.Refresh, "revoke", "token")
			do(3, laptop.Access, "revoke", "token")

			do(3, "", "revoke", "session", "alice", "unknown")
			do(3, "", "revoke", "session", "admin", phone.claim("sid"))
			s.wants("after a session of somebody else", phone, 200)
			do(0, "", "revoke", "session", "alice", phone.claim("sid"))
			s.over("a session", phone)

			do(3, "", "revoke", "subject", "alice")
			tablet, desk, tv := s.alice(), s.alice(), s.alice()
			do(0, "", "sessions", "end", "alice", tablet.claim("sid"))
			s.over("a session that was ended", tablet)
			s.wants("another one", desk, 200)
			do(0, "", "revoke", "token", "--id", desk.claim("jti"), "--subject", "alice", "--unchecked")
			s.wants("a token that was revoked by its id", desk, 401)
			do(0, "", "sessions", "end", "alice", "--all")
			s.over("all sessions", desk)
			s.over("all sessions", tv)
			s.wants("the session of somebody else", admin, 200)
			s.wants("a log-in afterwards", s.alice(), 200)

			do(1, "", "revoke", "all")
			do(3, "", "revoke", "all", "--known-subject", "nobody")
			s.wants("after a refused command", admin, 200)
			do(0, "", "revoke", "all", "--known-subject", "admin")
			s.over("everybody", admin)
			if ids := list("alice"); len(ids) != 0 {
				t.Errorf("alice has the sessions %v", ids)
			}
			s.wants("a log-in afterwards", s.admin(), 200)
		})
	}
}

// TestRevokeRefusesAnotherStore runs the command with what is not that of the service. Nothing is
// revoked, and the error says what to check.
func TestRevokeRefusesAnotherStore(t *testing.T) {
	all := places(t)
	empty := redistest.Start(t)
	postgres := pgtest.Shared(t)
	emptyFile := filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(emptyFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ADMIN_TOKEN", serviceSecret)
	for _, name := range []string{"redis", "postgres", "sqlite", "bolt"} {
		t.Run(name, func(t *testing.T) {
			place := all[name]
			t.Setenv("STORE", place.store)
			s := startService(t)
			alice := s.alice()
			for _, tt := range []struct {
				name, only string
				env        []string
				args       []string
				status     int
				want       string
			}{
				{name: "another prefix", only: "redis postgres sqlite", args: []string{"--issuer", serviceIssuer, "--prefix", "other"}, status: 1, want: "Check that STORE, --prefix"},
				{name: "another issuer", only: "redis postgres sqlite", args: []string{"--issuer", serviceIssuer + "/"}, status: 3, want: "Check the subject, the issuer"},
				{name: "no issuer", only: "redis postgres sqlite", status: 2, want: "--issuer"},
				{name: "another HMAC key", only: "redis", env: []string{"STORE_HMAC_KEY", base64.StdEncoding.EncodeToString([]byte("abcdefghijklmnopqrstuvwxyz0123456789"))},
					args: []string{"--issuer", serviceIssuer}, status: 1, want: "another HMAC key"},
				{name: "an HMAC key that is not one", only: "redis", env: []string{"STORE_HMAC_KEY", "???"}, args: []string{"--issuer", serviceIssuer}, status: 1, want: "base64"},
				{name: "an empty Redis", only: "redis", env: []string{"STORE", "redis://" + empty.Addr()}, args: []string{"--issuer", serviceIssuer}, status: 1, want: "mark is missing"},
				{name: "another password", only: "redis", env: []string{"STORE", strings.Replace(place.store, "redis-password", "wrong-password", 1)},
					args: []string{"--issuer", serviceIssuer}, status: 1, want: "refused the user or password"},
				{name: "an empty database", only: "postgres", env: []string{"STORE", postgres.DSN(pgtest.User, postgres.NewDatabase(t))},
					args: []string{"--issuer", serviceIssuer}, status: 1, want: "tables are missing"},
				{name: "an empty file", only: "sqlite", env: []string{"STORE", "sqlite:" + emptyFile}, args: []string{"--issuer", serviceIssuer}, status: 1, want: "tables are missing"},
				{name: "no file", only: "sqlite", env: []string{"STORE", "sqlite:" + emptyFile + "x"}, args: []string{"--issuer", serviceIssuer}, status: 1, want: "no such file"},
				{name: "a password in an argument", args: []string{"--issuer", serviceIssuer, "--store", "redis://u:argument-password@h"}, status: 2, want: "STORE"},
				{name: "a file of bolt", args: []string{"--issuer", serviceIssuer, "--store", "bolt:x"}, status: 1, want: "--admin-url"},
				{name: "an unknown store", args: []string{"--issuer", serviceIssuer, "--store", "mysql:x"}, status: 1, want: "redis://"},
				{name: "another secret", only: "bolt", env: []string{"ADMIN_TOKEN", "wrong-password"}, args: place.args, status: 1, want: "ADMIN_TOKEN"},
				{name: "no secret", only: "bolt", env: []string{"ADMIN_TOKEN", ""}, args: place.args, status: 1, want: "ADMIN_TOKEN"},
				{name: "the address of the API", only: "bolt", args: []string{"--admin-url", s.url}, status: 1, want: "ADMIN_ADDR"},
				{name: "nobody at the address", only: "bolt", args: []string{"--admin-url", "http://" + freeport.Addr(t)}, status: 1, want: "does not answer"},
				{name: "the secret in clear", only: "bolt", args: []string{"--admin-url", "http://service.example.com"}, status: 1, want: "https"},
			} {
				if tt.only != "" && !strings.Contains(tt.only, name) {
					continue
				}
				t.Run(tt.name, func(t *testing.T) {
					if tt.env != nil {
						t.Setenv(tt.env[0], tt.env[1])
					}
					_, stderr := command(t, tt.status, "", append([]string{"revoke", "subject", "alice"}, tt.args...)...)
					if !strings.Contains(stderr, tt.want) {
						t.Errorf("the error does not contain %q:\n%s", tt.want, stderr)
					}
					for _, secret := range []string{"redis-password", "wrong-password", "argument-password", serviceSecret} {
						if strings.Contains(stderr, secret) {
							t.Errorf("the error contains the secret %s:\n%s", secret, stderr)
						}
					}
				})
			}
			s.wants("after all that", alice, 200)
		})
	}
	if size := empty.Do("DBSIZE"); fmt.Sprint(size) != "0" {
		t.Errorf("the command has written %v keys to an empty Redis", size)
	}
	if info, err := os.Stat(emptyFile); err != nil || info.Size() != 0 {
		t.Errorf("the command has written to an empty file: %v", err)
	}
	if _, err := os.Stat(emptyFile + "x"); err == nil {
		t.Error("the command has made a file")
	}
}
