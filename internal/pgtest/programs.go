package pgtest

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// binaries returns the directory of initdb and postgres.
func binaries(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("POSTGRES_BIN")
	if dir == "no" {
		t.Skip("POSTGRES_BIN=no: tests with PostgreSQL are skipped")
	}
	if dir != "" {
		return dir
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path)
		}
	}
	var found []string
	for _, pattern := range installed {
		paths, _ := filepath.Glob(pattern)
		found = append(found, paths...)
	}
	if len(found) == 0 {
		t.Fatal("these tests need PostgreSQL (13 or later): initdb and postgres on PATH, where Debian or brew install " +
			"them, or in the directory that POSTGRES_BIN names: run `make test` or scripts/services.sh, or install it " +
			"(apt-get install postgresql, brew install postgresql@17)")
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
}

// installed are the places where Debian and brew install initdb.
var installed = []string{
	"/usr/lib/postgresql/*/bin/initdb", "/opt/homebrew/opt/postgresql@*/bin/initdb", "/usr/local/opt/postgresql@*/bin/initdb",
}

// version returns 15 for /usr/lib/postgresql/15/bin/initdb.
func version(path string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(filepath.Base(filepath.Dir(filepath.Dir(path))), "postgresql@"))
	return n
}

// credential returns the user of the server if the test runs as root.
func credential(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(found.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(found.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Fatal("pgtest: PostgreSQL does not run as root, and there is no user postgres or nobody")
	return nil
}

// children returns the processes that a process has started.
func children(parent int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the process has ended
		}
		// pid (name) state parent; the name may contain anything
		_, rest, found := strings.Cut(string(text[max(strings.LastIndexByte(string(text), ')'), 0):]), ") ")
		if fields := strings.Fields(rest); found && len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	if len(stats) > 0 {
		return pids
	}
	list, _ := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	for line := range strings.Lines(string(list)) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[1] == strconv.Itoa(parent) {
			if pid, err := strconv.Atoi(fields[0]); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
