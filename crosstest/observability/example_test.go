package observability

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// example is the running reference service, with a copy of its store.
type example struct {
	t            *testing.T
	url, metrics string
}

func startExample(t *testing.T) *example {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "example")
	build := exec.Command("go", "build", "-o", program, "./example")
	build.Dir = "../.." // in the module of the service
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "ADDR=127.0.0.1:0", "METRICS_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "DATA_DIR="+dir,
		"STORE=sqlite:"+filepath.Join(dir, "store.db"), "REPLICA=2s")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			t.Errorf("%v\n%s", err, log.String())
		}
	})
	e := &example{t: t}
	lines := bufio.NewScanner(out)
	for e.metrics == "" && lines.Scan() {
		_, _ = fmt.Sscanf(lines.Text(), "Serving the reference API on %s", &e.url)
		_, _ = fmt.Sscanf(lines.Text(), "Metrics for Prometheus are served at %s", &e.metrics)
	}
	if e.metrics == "" {
		t.Fatalf("the example does not serve:\n%s", log.String())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return e
}

// send sends a request and returns the status and the body.
func (e *example) send(method, url, token, body string) (int, string) {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (e *example) want(status int, method, path, token, body string) string {
	e.t.Helper()
	got, text := e.send(method, e.url+path, token, body)
	if got != status {
		e.t.Errorf("%s %s: status %d, want %d: %s", method, path, got, status, text)
	}
	return text
}

// login returns the tokens of a new session.
func (e *example) login() (access, refresh string) {
	e.t.Helper()
	var pair struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	text := e.want(200, "POST", "/login", "", `{"username":"alice","password":"wonderland","device":"marked-device"}`)
	if err := json.Unmarshal([]byte(text), &pair); err != nil {
		e.t.Fatal(err)
	}
	return pair.Access, pair.Refresh
}

// use makes the example do everything that has a metric. It returns what must not be exported.
func (e *example) use() (secrets []string) {
	e.t.Helper()
	access, refresh := e.login()
	e.want(200, "GET", "/greeting", "", "")
	e.want(200, "GET", "/protected", access, "")
	e.want(401, "GET", "/protected", "", "")
	e.want(401, "GET", "/protected", access[:len(access)-4]+"AAAA", "")
	next := e.want(200, "POST", "/refresh", refresh, "")
	e.want(204, "DELETE", "/tokens/current", access, "")
	e.want(401, "GET", "/protected", access, "")
	e.want(204, "POST", "/logout", refresh, "")
	secrets = []string{"alice", "marked-", "127.0.0.1", "eyJ", "wonderland", access, refresh}
	id := regexp.MustCompile(`"(access_token|refresh_token)":"([^"]*)"`)
	for _, token := range id.FindAllStringSubmatch(next, -1) {
		secrets = append(secrets, token[2])
	}
	return secrets
}

// page waits until the copy has applied a record, and returns the page that Prometheus reads.
func (e *example) page() string {
	e.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, page := e.send("GET", e.metrics, "", "")
		if strings.Contains(page, "oapiguard_replica_delay_seconds_bucket") || time.Now().After(deadline) {
			return page
		}
		time.Sleep(50 * time.Millisecond)
	}
}
