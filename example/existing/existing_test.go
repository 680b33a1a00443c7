package existing

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const secret = "an example only: 32 bytes or more"

// service is one of the two programs, running.
type service struct{ url string }

// start builds and runs the program of the folder.
func start(t *testing.T, folder string) service {
	t.Helper()
	// go test runs a test again if a file that the test has read has changed.
	for _, pattern := range []string{folder + "/*.go", "api/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			if _, err := os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	program := filepath.Join(t.TempDir(), folder)
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./"+folder).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "ADDR=127.0.0.1:0", "SECRET="+secret)
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
	var s service
	if _, err := fmt.Fscanf(out, "Serving notes on %s\n", &s.url); err != nil {
		t.Fatal(err)
	}
	return s
}

// answer is a response, with the parts that clients look at.
type answer struct {
	status                       int
	contentType, challenge, body string
}

func (s service) send(t *testing.T, method, path, body string, authorization ...string) answer {
	t.Helper()
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header["Authorization"] = authorization
	r.Header.Set("Content-Type", "application/json")
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{w.StatusCode, w.Header.Get("Content-Type"), w.Header.Get("WWW-Authenticate"), string(text)}
}

func (s service) logIn(t *testing.T, name, password string) string {
	t.Helper()
	a := s.send(t, "POST", "/login", fmt.Sprintf(`{"name":%q,"password":%q}`, name, password))
	if a.status != http.StatusOK {
		t.Fatalf("log-in: %+v", a)
	}
	return a.body
}

// TestSameAnswers sends the same requests to the project before and after.
func TestSameAnswers(t *testing.T) {
	before, after := start(t, "before"), start(t, "after")
	const alice, root, wrongKey, noToken = "alice", "root", "a token of another key", ""
	type tokens map[string]string
	logIn := func(s service) tokens {
		return tokens{
			alice: "Bearer " + s.logIn(t, "alice", "wonderland"),
			root:  "Bearer " + s.logIn(t, "root", "rabbit-hole"),
			wrongKey: "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9." +
				"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		}
	}
	tokensBefore, tokensAfter := logIn(before), logIn(after)
	for _, tt := range []struct {
		name, method, path, body, token string
		status                          int
		want                            string // of a response that is served
	}{
		{name: "wrong password", method: "POST", path: "/login", body: `{"name":"alice","password":"x"}`, status: 401},
		{name: "unknown name", method: "POST", path: "/login", body: `{"name":"bob","password":""}`, status: 401},
		{name: "body that is no JSON", method: "POST", path: "/login", body: `name=alice`, status: 400},
		{name: "no token", method: "GET", path: "/notes", token: noToken, status: 401},
		{name: "token of another key", method: "GET", path: "/notes", token: wrongKey, status: 401},
		{name: "no notes yet", method: "GET", path: "/notes", token: alice, status: 200, want: "[]\n"},
		{name: "add a note", method: "POST", path: "/notes", body: `{"text":"buy tea"}`, token: alice, status: 204},
		{name: "see it", method: "GET", path: "/notes", token: alice, status: 200, want: `[{"text":"buy tea"}]` + "\n"},
		{name: "somebody else does not", method: "GET", path: "/notes", token: root, status: 200, want: "[]\n"},
		{name: "a user at the administrator's path", method: "GET", path: "/admin/notes", token: alice, status: 403},
		{name: "an administrator there", method: "GET", path: "/admin/notes", token: root, status: 200, want: `[{"text":"buy tea"}]` + "\n"},
		{name: "no such path", method: "GET", path: "/nothing", token: alice, status: 404},
		{name: "log out", method: "POST", path: "/logout", token: alice, status: 204},
		{name: "revoked token", method: "GET", path: "/notes", token: alice, status: 401},
		{name: "revoked token logs out", method: "POST", path: "/logout", token: alice, status: 401},
		{name: "the other user's token stays valid", method: "GET", path: "/notes", token: root, status: 200, want: "[]\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			send := func(s service, tokens tokens) answer {
				if tt.token == noToken {
					return s.send(t, tt.method, tt.path, tt.body)
				}
				return s.send(t, tt.method, tt.path, tt.body, tokens[tt.token])
			}
			a, b := send(before, tokensBefore), send(after, tokensAfter)
			if a.status != tt.status || b.status != tt.status {
				t.Errorf("status %d before and %d after, want %d", a.status, b.status, tt.status)
			}
			served := tt.status < 300
			if served && (a != b || a.body != tt.want) {
				t.Errorf("before %+v\nafter  %+v\nwant   %q", a, b, tt.want)
			}
		})
	}
}

// TestWhatGuardsAdd sends requests that the middleware by hand answers otherwise.
func TestWhatGuardsAdd(t *testing.T) {
	before, after := start(t, "before"), start(t, "after")
	tokenBefore, tokenAfter := before.logIn(t, "alice", "wonderland"), after.logIn(t, "alice", "wonderland")
	for _, tt := range []struct {
		name, path        string
		authorization     func(token string) []string
		before, after     int
		challenge, detail string // after
	}{
		{
			name: "the challenge names every scheme and no error without a token", path: "/notes",
			authorization: func(string) []string { return nil }, before: 401, after: 401,
			challenge: `Bearer realm="api"`, detail: "This operation needs credentials.",
		},
		{
			name: "the challenge says that the token is bad", path: "/notes",
			authorization: func(string) []string { return []string{"Bearer x"} }, before: 401, after: 401,
			challenge: `error="invalid_token"`, detail: "The token is not valid.",
		},
		{
			name: "the challenge says that the role is missing", path: "/admin/notes",
			authorization: func(token string) []string { return []string{"Bearer " + token} }, before: 403, after: 403,
			challenge: `error="insufficient_scope"`, detail: "The credentials do not allow this.",
		},
		{
			name: "the auth scheme is compared without case (RFC 9110)", path: "/notes",
			authorization: func(token string) []string { return []string{"bearer " + token} }, before: 401, after: 200,
		},
		{
			name: "two credentials are refused", path: "/notes",
			authorization: func(token string) []string { return []string{"Bearer " + token, "Bearer x"} }, before: 200, after: 400,
			challenge: `error="invalid_request"`, detail: "The credentials of the request are malformed.",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := before.send(t, "GET", tt.path, "", tt.authorization(tokenBefore)...)
			b := after.send(t, "GET", tt.path, "", tt.authorization(tokenAfter)...)
			if a.status != tt.before || b.status != tt.after {
				t.Errorf("status %d before and %d after, want %d and %d", a.status, b.status, tt.before, tt.after)
			}
			if !strings.Contains(b.challenge, tt.challenge) || !strings.Contains(b.body, tt.detail) {
				t.Errorf("after: challenge %q, body %s", b.challenge, b.body)
			}
		})
	}
}

// TestUsersLogInAgain shows the price of the move: a guard refuses a token of the middleware, although
// both sign with the same secret.
func TestUsersLogInAgain(t *testing.T) {
	before, after := start(t, "before"), start(t, "after")
	token := before.logIn(t, "alice", "wonderland")
	if a := after.send(t, "GET", "/notes", "", "Bearer "+token); a.status != http.StatusUnauthorized {
		t.Errorf("%+v", a)
	}
}

func TestHandlersStayAsTheyAre(t *testing.T) {
	before, err := os.ReadFile("before/handlers.go")
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile("after/handlers.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("before/handlers.go and after/handlers.go differ")
	}
}

// TestQuotedLines checks that the README quotes what the script prints.
func TestQuotedLines(t *testing.T) {
	printed, err := exec.CommandContext(t.Context(), "../../scripts/migration-lines.sh").Output()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("(?s)```sh\nscripts/migration-lines.sh\n```\n\n```text\n(.*?)```\n").FindSubmatch(readme)
	if quoted == nil {
		t.Fatal("README.md has no block with the command and its output")
	}
	if !bytes.Equal(quoted[1], printed) {
		t.Errorf("README.md quotes\n%s\nthe script prints\n%s", quoted[1], printed)
	}
}
