package boltstore

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// childEnv makes the test binary revoke in a loop. It contains the path of the file.
const childEnv = "BOLTSTORE_TEST_CHILD"

// revokeInLoop revokes from several goroutines and prints the acknowledged revocations.
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

// TestAcknowledgedRevocationsSurviveKill kills a process that revokes, many times: every revocation
// that it reported is in the file.
func TestAcknowledgedRevocationsSurviveKill(t *testing.T) {
	const rounds = 100
	path := newPath(t)
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
		// The child is killed after a random number of acknowledgements, at any point of a commit.
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
			t.Fatalf("the child ended after %d of %d acknowledgements", len(acknowledged), enough)
		}
		s, err := Open(path, WithExistingFile())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range acknowledged {
			if !revoked(t, s, token(name)) {
				t.Errorf("%s was acknowledged but is not revoked", name)
			}
		}
		total += len(acknowledged)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d acknowledged revocations in %d rounds, none lost", total, rounds)
}
