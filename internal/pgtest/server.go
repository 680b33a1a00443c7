// Package pgtest starts real PostgreSQL servers for tests. They listen on free ports of 127.0.0.1,
// keep their files in a temporary directory, and end with the test.
//
// The programs initdb and postgres are those in the directory that POSTGRES_BIN names, else on
// PATH, else of the newest version that Debian or brew has installed. Without them the test fails
// and says how to install them, because the store would be untested. POSTGRES_BIN=no skips the test
// instead.
//
// PostgreSQL refuses to run as root. As root, the server runs as the user postgres, else nobody.
package pgtest

import (
	"bytes"
	"context"
	"database/sql"
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

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"github.com/oapi-guard/oapi-guard/internal/freeport"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// User is the name of the superuser.
const User = "guardian"

// Server is a PostgreSQL server.
type Server struct {
	Port int

	t    testing.TB
	dir  string
	bin  string
	as   *syscall.Credential // nil: the user of the test
	args []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	out  *bytes.Buffer
	done chan struct{} // closed when the process has ended
}

// Option sets an option of a server.
type Option func(*Server)

// WithSetting sets a parameter of the server, for example "synchronous_commit", "off".
func WithSetting(name, value string) Option {
	return func(s *Server) { s.args = append(s.args, "-c", name+"="+value) }
}

// Start makes an empty database cluster, starts its server, and waits until it answers. The server
// ends with the test.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := newServer(t, options)
	t.Cleanup(s.remove)
	s.initialize()
	s.launch()
	return s
}

var shared struct {
	once   sync.Once
	server *Server
}

// Shared returns a server that the tests of a package share, each with its tables or database. It
// does not wait for the disk. The first call starts it. TestMain calls [StopShared].
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.once.Do(func() {
		s := newServer(t, []Option{WithSetting("fsync", "off")})
		shared.server = s
		s.initialize()
		s.launch()
	})
	if shared.server == nil || shared.server.cmd == nil {
		t.Fatal("pgtest: the shared server did not start")
	}
	return shared.server
}

// StopShared ends the shared server, if there is one.
func StopShared() {
	if shared.server != nil {
		shared.server.remove()
	}
}

func newServer(t testing.TB, options []Option) *Server {
	t.Helper()
	s := &Server{t: t, Port: freeport.New(t), bin: binaries(t), as: credential(t)}
	for _, option := range options {
		option(s)
	}
	var err error
	if s.dir, err = os.MkdirTemp("", "pgtest"); err != nil {
		t.Fatal(err)
	}
	if s.as != nil {
		if err := os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// remove ends the server and removes its files.
func (s *Server) remove() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// initialize makes the files of the cluster.
func (s *Server) initialize() {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, "initdb"), "--pgdata", s.data(), "--username", User, "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync")
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("pgtest: initdb: %v\n%s", err, out)
	}
}

// launch starts the server and waits until it answers.
func (s *Server) launch() {
	s.t.Helper()
	args := append([]string{
		"-D", s.data(), "-p", strconv.Itoa(s.Port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_connections=200",
	}, s.args...)
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = dieWithParent()
	cmd.SysProcAttr.Credential = s.as
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("pgtest: %v", err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	s.mu.Lock()
	s.cmd, s.out, s.done = cmd, out, done
	s.mu.Unlock()
	s.WaitReady()
}

// DSN returns the address of a database of the server for the driver pgx.
func (s *Server) DSN(user, database string) string {
	return DSN(net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)), user, database)
}

// DSN returns the address of a database behind host:port for the driver pgx.
func DSN(address, user, database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", user, address, database)
}

// DB returns a pool of connections of the superuser, which is closed at the end of the test.
func (s *Server) DB(t testing.TB) *sql.DB {
	t.Helper()
	return Open(t, s.DSN(User, "postgres"))
}

// Open returns a pool of connections that is closed at the end of the test.
func Open(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(32)
	db.SetMaxIdleConns(32)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// NewDatabase makes a database and returns its name.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	databases.Lock()
	databases.n++
	name := "test" + strconv.Itoa(databases.n)
	databases.Unlock()
	s.Exec(t, "CREATE DATABASE "+name)
	return name
}

var databases struct {
	sync.Mutex
	n int
}

// Exec runs a statement as the superuser. An error ends the test.
func (s *Server) Exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	if err := s.exec(statement, args...); err != nil {
		t.Fatalf("pgtest: %s: %v", statement, err)
	}
}

func (s *Server) exec(statement string, args ...any) error {
	db, err := sql.Open("pgx", s.DSN(User, "postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = db.ExecContext(ctx, statement, args...)
	return err
}

// WaitReady waits until the server answers.
func (s *Server) WaitReady() {
	s.t.Helper()
	s.mu.Lock()
	out, done := s.out, s.done
	s.mu.Unlock()
	redistest.Eventually(s.t, "PostgreSQL answers", func() error {
		select {
		case <-done:
			s.t.Fatalf("pgtest: postgres ended:\n%s", out)
		default:
		}
		return s.exec("SELECT 1")
	})
}

// CutConnections ends all other connections to the server (pg_terminate_backend).
func (s *Server) CutConnections(t testing.TB) {
	t.Helper()
	s.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
}

// Kill ends the server and its children like a crash (SIGKILL), and waits for its end.
func (s *Server) Kill() {
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	// A parent that is stopped starts no child meanwhile, which would survive.
	_ = syscall.Kill(cmd.Process.Pid, syscall.SIGSTOP)
	family := append(children(cmd.Process.Pid), cmd.Process.Pid)
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-done
}

// Pause stops the server and its children (SIGSTOP): the system still accepts connections, but
// nothing answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume continues a paused server.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	pid := s.cmd.Process.Pid
	// The parent first: it starts no child meanwhile.
	if err := syscall.Kill(pid, sig); err != nil {
		s.t.Fatalf("pgtest: %v: %v", sig, err)
	}
	for _, child := range children(pid) {
		_ = syscall.Kill(child, sig)
	}
}

// Restart kills the server and starts it again with its files.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.launch()
}

// RestartAsStandby kills the server and starts it again with its files as a standby without a
// primary: it answers, and is read-only.
func (s *Server) RestartAsStandby() {
	s.t.Helper()
	s.Kill()
	signal := filepath.Join(s.data(), "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if s.as != nil {
		if err := os.Chown(signal, int(s.as.Uid), int(s.as.Gid)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.launch()
}
