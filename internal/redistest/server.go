// Package redistest starts real redis-server processes for tests: a single server, a master with
// replicas and Sentinels, a Cluster of six nodes, and a proxy that withholds replies and closes
// connections. All of them listen on free ports of 127.0.0.1, keep their files in a temporary
// directory, and end with the test.
//
// The binary is the redis-server on PATH, or the one that REDIS_SERVER names. Without one the test
// fails and says how to install it. It is not skipped, because the Redis store would be untested.
package redistest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/internal/freeport"
)

// Timeout bounds every wait of this package.
const Timeout = 45 * time.Second

// Server is one redis-server process.
type Server struct {
	Port     int
	Password string

	t    testing.TB
	dir  string
	args []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Option sets an option of a server.
type Option func(*Server)

// WithPassword makes the server require a password.
func WithPassword(password string) Option {
	return func(s *Server) {
		s.Password = password
		s.args = append(s.args, "--requirepass", password, "--masterauth", password)
	}
}

// WithAOF makes the server keep an append-only file. fsync is its setting appendfsync. With everysec,
// the default of Redis, a server that is killed can lose what it has acknowledged: it puts writes to
// the file off while an fsync runs. With always it loses nothing.
func WithAOF(fsync string) Option { return WithArgs("--appendonly", "yes", "--appendfsync", fsync) }

// WithArgs adds arguments to the command line, for example "--maxmemory", "10mb".
func WithArgs(args ...string) Option {
	return func(s *Server) { s.args = append(s.args, args...) }
}

// Start starts a server and waits until it answers.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := newServer(t, opts...)
	s.launch()
	return s
}

func newServer(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := &Server{t: t, Port: freeport.New(t), dir: tempDir(t)}
	for _, opt := range opts {
		opt(s)
	}
	t.Cleanup(s.Kill)
	return s
}

// tempDir is like t.TempDir, but a server may still write a file while the directory is removed.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// binary returns the path of redis-server.
func binary(t testing.TB) string {
	t.Helper()
	name := os.Getenv("REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("these tests need a redis-server (6.2 or later) on PATH, or its path in REDIS_SERVER: run `make test` or "+
			"scripts/services.sh, or install it (apt-get install redis-server, brew install redis): %v", err)
	}
	return path
}

// launch starts the process with its arguments and the extra ones, and waits until it answers.
func (s *Server) launch(extra ...string) {
	s.t.Helper()
	args := []string{
		"--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--daemonize", "no",
		"--repl-diskless-sync-delay", "0", "--loglevel", "notice",
	}
	args = append(args, s.args...)
	s.run(append(args, extra...))
	s.WaitReady()
}

// run starts the process.
func (s *Server) run(args []string) {
	s.t.Helper()
	cmd := exec.Command(binary(s.t), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = dieWithParent()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	s.mu.Lock()
	s.cmd, s.done = cmd, done
	s.mu.Unlock()
}

// Addr returns host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Options returns client options that redisstore accepts, with a short timeout for connecting.
func (s *Server) Options() *redis.Options {
	return &redis.Options{Addr: s.Addr(), Password: s.Password, ContextTimeoutEnabled: true, DialTimeout: time.Second}
}

// Client returns a client that is closed at the end of the test.
func (s *Server) Client(t testing.TB) *redis.Client {
	t.Helper()
	return Closed(t, redis.NewClient(s.Options()))
}

// Closed closes c at the end of the test, and returns it.
func Closed[C interface{ Close() error }](t testing.TB, c C) C {
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Do runs a command and returns its reply. An error ends the test.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	v, err := s.do(args...)
	if err != nil {
		s.t.Fatalf("redistest: %v: %v", args, err)
	}
	return v
}

func (s *Server) do(args ...any) (any, error) {
	opts := s.Options()
	opts.MaxRetries, opts.DialerRetries = -1, 1
	c := redis.NewClient(opts)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return c.Do(ctx, args...).Result()
}

// WaitReady waits until the server answers and has loaded its data.
func (s *Server) WaitReady() {
	s.t.Helper()
	Eventually(s.t, fmt.Sprintf("redis-server answers on port %d", s.Port), func() error {
		_, err := s.do("PING")
		return err
	})
}

// Kill ends the process like a crash (SIGKILL), and waits for its end.
func (s *Server) Kill() {
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill()
	<-done
}

// Pause stops the process (SIGSTOP): the system still accepts connections, but the server does not
// answer.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume continues a paused process.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("redistest: %v: %v", sig, err)
	}
}

// Restart kills the server and starts it again with its files. extra is added to the command line.
func (s *Server) Restart(extra ...string) {
	s.t.Helper()
	s.Kill()
	s.launch(extra...)
}

// RestartEmpty kills the server and starts it again without its files.
func (s *Server) RestartEmpty(extra ...string) {
	s.t.Helper()
	s.Kill()
	for _, pattern := range []string{"*.rdb", "appendonlydir", "*.aof"} {
		found, _ := filepath.Glob(filepath.Join(s.dir, pattern))
		for _, f := range found {
			_ = os.RemoveAll(f)
		}
	}
	s.launch(extra...)
}

// Eventually calls f until it returns nil. It fails the test after [Timeout].
func Eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(Timeout)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("redistest: timeout while waiting until %s: %v", what, err)
		}
		time.Sleep(pause)
	}
}
