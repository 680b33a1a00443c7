package pgtest

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Programs returns the directory of the programs of PostgreSQL, such as postgres and initdb.
func Programs(t testing.TB) string {
	t.Helper()
	return binaries(t)
}

// StartStandby copies the server that listens on the port, and starts the copy as an asynchronous
// standby of it. The port may be that of a proxy. The standby ends with the test.
func StartStandby(t testing.TB, port int, options ...Option) *Server {
	t.Helper()
	s := newServer(t, options)
	t.Cleanup(s.remove)
	cmd := exec.Command(filepath.Join(s.bin, "pg_basebackup"), "--pgdata", s.data(), "--host", "127.0.0.1",
		"--port", strconv.Itoa(port), "--username", User, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pgtest: pg_basebackup: %v\n%s", err, out)
	}
	s.launch()
	return s
}

// Promote makes a standby a primary, and waits until it is one.
func (s *Server) Promote() {
	s.t.Helper()
	s.Exec(s.t, "SELECT pg_promote()")
}
