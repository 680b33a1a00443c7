package boltstore

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// childEnv makes the test binary revoke in a loop, in the file that it names.
const childEnv = "BOLTSTORE_TEST_CHILD"

// revokeInLoop revokes from several goroutines and says on standard output what was acknowledged.
func revokeInLoop(path string) {
	s, err := Open(path)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d-%d", os.Getpid(), worker, i)
				if _, err := s.Revoke(context.Background(), blacklist.OfToken(token(name), time.Time{})); err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				mu.Lock()
				fmt.Println("revoked", name)
				mu.Unlock()
			}
		})
	}
	group.Wait()
}

// TestKill kills a process that revokes, again and again: whatever it was told is revoked is revoked.
func TestKill(t *testing.T) {
	const rounds = 100
	path := filepath.Join(t.TempDir(), "blacklist.db")
	open(t, path).Close()
	total := 0
	for range rounds {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childEnv+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		// Killed after so many acknowledgements, at whatever point of the next commits it is then.
		acknowledged, enough := []string(nil), 1+rand.IntN(60)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			name, ok := strings.CutPrefix(lines.Text(), "revoked ")
			if !ok {
				t.Fatal(lines.Text())
			}
			acknowledged = append(acknowledged, name)
			if len(acknowledged) == enough {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // it was killed
		if len(acknowledged) < enough {
			t.Fatalf("the child ended after %d of %d", len(acknowledged), enough)
		}
		s, err := Open(path, WithExistingFile())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range acknowledged {
			if !revoked(t, s, token(name)) {
				t.Errorf("%s was acknowledged and is not revoked", name)
			}
		}
		total += len(acknowledged)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d acknowledged revocations in %d rounds, none lost", total, rounds)
}
