package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/pgtest"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

func TestOpenStore(t *testing.T) {
	dir := t.TempDir()
	quiet := slog.New(slog.DiscardHandler)
	redis := redistest.Start(t, redistest.WithPassword("hunter2"))
	postgres := pgtest.Shared(t)
	for text, about := range map[string]string{
		"":                                       filepath.Join(dir, "store.db"),
		"memory:":                                "memory",
		"bolt:" + filepath.Join(dir, "other.db"): "other.db",
		"redis://:hunter2@" + redis.Addr():       "Redis at " + redis.Addr(),
		"sqlite:" + filepath.Join(dir, "guard.db"):                    "guard.db",
		postgres.DSN(pgtest.User+":hunter2", postgres.NewDatabase(t)): "PostgreSQL at 127.0.0.1",
	} {
		s, err := openStore(t.Context(), text, dir, quiet)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if !strings.Contains(s.about, about) || strings.Contains(s.about, "hunter2") {
			t.Errorf("%q is said to be %q", text, s.about)
		}
		if _, err := s.IsRevoked(t.Context(), blacklist.Identity{Issuer: "v", ID: "1", SessionStart: time.Now().Add(time.Hour)}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%q: closing: %v", text, err)
		}
	}
	for _, text := range []string{"nonsense", "mysql:x", "bolt:", "sqlite:", "sqlite:" + dir, "postgres://u:hunter2@127.0.0.1:1/x", "postgres://u:hunter2@127.0.0.1:nonsense/x",
		"redis://:hunter2@" + redis.Addr() + "/x?y=\x7f", "redis://:hunter2@127.0.0.1:1", "redis://:wrong-hunter2@" + redis.Addr()} {
		if s, err := openStore(t.Context(), text, dir, quiet); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
}

// TestReadyAsksTheStore lets the health check of a store fail whose look-ups work: a server that has
// begun to evict keys.
func TestReadyAsksTheStore(t *testing.T) {
	redis := redistest.Start(t)
	p := startProcess(t, "STORE=redis://"+redis.Addr(), "DATA_DIR="+t.TempDir())
	if got := p.call("GET", "/readyz", "", ""); got.status != 200 {
		t.Fatalf("before: %d %s", got.status, got.body)
	}
	redis.Do("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
	if got := p.call("GET", "/readyz", "", ""); got.status != 503 {
		t.Errorf("ready while the server evicts keys: %d", got.status)
	}
	redis.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	if got := p.call("GET", "/readyz", "", ""); got.status != 200 {
		t.Errorf("after: %d %s", got.status, got.body)
	}
	p.stop()
}

// TestStoresKeepTheirMethods checks that the validator sees the optional methods of each store.
func TestStoresKeepTheirMethods(t *testing.T) {
	redis := redistest.Start(t)
	for _, tt := range []struct {
		text            string
		pings, inMemory bool
	}{
		{text: "memory:", inMemory: true},
		{text: "", pings: true, inMemory: true}, // boltstore looks up in a copy
		{text: "redis://" + redis.Addr(), pings: true},
	} {
		s, err := openStore(t.Context(), tt.text, t.TempDir(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		_, pings := blacklist.As[blacklist.Pinger](s)
		_, inMemory := blacklist.As[blacklist.InProcess](s)
		if pings != tt.pings || inMemory != tt.inMemory {
			t.Errorf("%q: Ping %t, InProcess %t", tt.text, pings, inMemory)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%q: closing: %v", tt.text, err)
		}
	}
}

// process is the program in another process.
type process struct {
	*app
	cmd *exec.Cmd
}

func startProcess(t *testing.T, env ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childEnv+"=1", "ADDR=127.0.0.1:0"), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{&app{t: t}, cmd}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := fmt.Fscanf(out, "Serving the reference API on %s\n", &p.url); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return p
}

// stop ends the process as an operator does, with SIGTERM.
func (p *process) stop() {
	p.t.Helper()
	if err := errors.Join(p.cmd.Process.Signal(syscall.SIGTERM), p.cmd.Wait()); err != nil {
		p.t.Error(err)
	}
}

// TestTwoProcesses runs the program twice on one Redis: a log-out at one process is in force at the
// other one with the next request.
func TestTwoProcesses(t *testing.T) {
	redis := redistest.Start(t)
	env := []string{"STORE=redis://" + redis.Addr(), "DATA_DIR=" + t.TempDir()}
	one := startProcess(t, env...)
	other := startProcess(t, env...)
	// A new Redis refuses the sessions of its first second, so this one begins after it.
	p := one.login("alice", "wonderland")
	other.call("GET", "/protected", p.Access, "").want(t, 200, "")
	one.call("POST", "/logout", p.Refresh, "").want(t, 204, "")
	other.call("GET", "/protected", p.Access, "").want(t, 401, `error="invalid_token"`)
	other.call("POST", "/refresh", p.Refresh, "").want(t, 401, `error="invalid_token"`)

	// While Redis does not answer, requests with tokens are answered 503. When it answers again, no
	// restart is needed.
	stays := other.login("alice", "wonderland")
	redis.Pause()
	if got := one.call("GET", "/protected", stays.Access, ""); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("while Redis is paused: %d %s", got.status, got.body)
	}
	redis.Resume()
	for deadline := time.Now().Add(20 * time.Second); one.call("GET", "/protected", stays.Access, "").status != 200; {
		if time.Now().After(deadline) {
			t.Fatal("the service does not come back with Redis")
		}
	}
	one.call("GET", "/protected", p.Access, "").want(t, 401, `error="invalid_token"`)

	redis.Kill()
	if got := other.call("GET", "/protected", p.Access, ""); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("without Redis: %d %s", got.status, got.body)
	}
	if got := other.call("GET", "/readyz", "", ""); got.status != 503 {
		t.Errorf("ready without Redis: %d", got.status)
	}
	other.call("GET", "/greeting", "", "").want(t, 200, "") // needs no token and no blacklist
	one.stop()
	other.stop()
}

// TestTwoProcessesOnADatabase lists and ends a session at another process than the one of the log-in.
func TestTwoProcessesOnADatabase(t *testing.T) {
	server := pgtest.Shared(t)
	for name, store := range map[string]string{
		"PostgreSQL": server.DSN(pgtest.User, server.NewDatabase(t)),
		"SQLite":     "sqlite:" + filepath.Join(t.TempDir(), "store.db"),
	} {
		t.Run(name, func(t *testing.T) {
			env := []string{"STORE=" + store, "DATA_DIR=" + t.TempDir()}
			one := startProcess(t, env...)
			other := startProcess(t, env...)
			phone, laptop := one.loginFrom("phone", "Browser/1"), other.loginFrom("laptop", "Browser/2")
			next := other.call("POST", "/refresh", phone.Refresh, "").pair(t)
			if again := one.call("POST", "/refresh", phone.Refresh, "").pair(t); again.Refresh != next.Refresh {
				t.Error("the processes have given out different refresh tokens")
			}
			if page := one.call("GET", "/sessions", next.Access, "").page(t); len(page.Sessions) != 2 {
				t.Errorf("%+v", page)
			}
			one.call("DELETE", "/sessions", next.Access, "").want(t, 204, "")
			other.over(laptop)
			other.works(next)
			one.stop()
			other.stop()
		})
	}
}

// TestRestart kills the program: the file still has the uses of refresh tokens and the log-out.
func TestRestart(t *testing.T) {
	env := "DATA_DIR=" + t.TempDir()
	first := startProcess(t, env)
	p := first.login("alice", "wonderland")
	stays := first.login("alice", "wonderland")
	before := first.call("POST", "/refresh", p.Refresh, "").pair(t)
	next := first.call("POST", "/refresh", before.Refresh, "").pair(t)
	out := first.login("admin", "rabbit-hole")
	first.call("POST", "/logout", out.Refresh, "").want(t, 204, "")
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.cmd.Wait() // it was killed

	second := startProcess(t, env)
	second.call("GET", "/readyz", "", "").want(t, 200, "")
	second.call("GET", "/protected", stays.Access, "").want(t, 200, "")
	second.call("GET", "/protected", out.Access, "").want(t, 401, `error="invalid_token"`)
	second.call("GET", "/protected", next.Access, "").want(t, 200, "")
	if again := second.call("POST", "/refresh", before.Refresh, "").pair(t); again.Refresh != next.Refresh {
		t.Error("within the grace the refresh token is another one")
	}
	second.call("POST", "/refresh", p.Refresh, "").want(t, 401, `error="invalid_token"`)
	second.call("GET", "/protected", next.Access, "").want(t, 401, `error="invalid_token"`) // the reuse ended the session
	second.stop()
}

// TestRefreshRacesLogout runs refreshes and a log-out of one session at the same time. Afterwards no
// token of the session is accepted.
func TestRefreshRacesLogout(t *testing.T) {
	a := newApp(t)
	for range 20 {
		p := a.login("alice", "wonderland")
		refreshed := make(chan answer)
		go func() { refreshed <- a.call("POST", "/refresh", p.Refresh, "") }()
		logout := a.call("POST", "/logout", p.Refresh, "")
		next := <-refreshed
		a.call("GET", "/protected", p.Access, "").want(t, 401, `error="invalid_token"`)
		if next.status == 200 {
			pair := next.pair(t)
			a.call("GET", "/protected", pair.Access, "").want(t, 401, `error="invalid_token"`)
			a.call("POST", "/refresh", pair.Refresh, "").want(t, 401, `error="invalid_token"`)
		}
		if logout.status != 204 && logout.status != 401 {
			t.Errorf("log-out: %d %s", logout.status, logout.body)
		}
	}
}

// TestDisabledUser removes an account: its refresh token gets no new tokens.
func TestDisabledUser(t *testing.T) {
	a := newApp(t)
	p := a.login("alice", "wonderland")
	a.accounts.mu.Lock()
	delete(a.accounts.byName, "alice")
	a.accounts.mu.Unlock()
	a.call("POST", "/refresh", p.Refresh, "").want(t, 401, `error="invalid_token"`)
	if got := a.call("POST", "/login", "", `{"username":"alice","password":"wonderland"}`); got.status != 401 {
		t.Errorf("log-in: %d", got.status)
	}
}

// TestColdStart starts without Redis: no service begins before the store has answered.
func TestColdStart(t *testing.T) {
	env := map[string]string{"ADDR": "127.0.0.1:0", "DATA_DIR": t.TempDir(), "STORE": "redis://127.0.0.1:1"}
	err := run(context.Background(), nil, func(name string) string { return env[name] }, io.Discard, io.Discard)
	if !errors.Is(err, blacklist.ErrUnavailable) {
		t.Errorf("starting without Redis: %v", err)
	}
}
