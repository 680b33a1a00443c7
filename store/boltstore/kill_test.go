package boltstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// childEnv makes the test binary write in a loop. It contains the path of the file.
const childEnv = "BOLTSTORE_TEST_CHILD"

// workers write at once in the child. Each has a session, which it begins, rotates and ends.
const workers = 8

// writeInLoop revokes tokens, and begins, rotates and ends sessions, from several goroutines, and
// prints what was acknowledged.
func writeInLoop(path string) {
	s, err := Open(path)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	print := func(err error, line ...any) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(line...)
	}
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d-%d", os.Getpid(), worker, i)
				if worker%4 == 0 {
					_, err := s.Revoke(context.Background(), blacklist.OfToken(token(name), time.Time{}))
					print(err, "revoked", name)
					continue
				}
				row := killedRow(name)
				for row.Generation = range uint32(1 + i%20) {
					print(rotateTo(s, row), "rotated", name, row.Generation)
				}
				print(end(s, row), "ended", name, 0)
			}
		})
	}
	group.Wait()
}

func killedRow(name string) session.Row {
	row := benchRow(session.Subject{Issuer: "v", Name: name}, 1)
	row.ID = name
	return row
}

var errSkipped = errors.New("a generation was lost")

// rotateTo writes the generation of the row, which must be the one after that in the store. The
// epoch of the subject is the same number.
func rotateTo(s *Store, row session.Row) error {
	return s.Update(context.Background(), row.Subject, func(tx session.Tx) error {
		old, found, err := tx.Session(row.ID)
		if err != nil {
			return err
		}
		if found != (row.Generation > 0) || found && old.Generation != row.Generation-1 {
			return errSkipped
		}
		return errors.Join(tx.Put(row), tx.SetEpoch(uint64(row.Generation)))
	})
}

// end ends the session and revokes it, in one step.
func end(s *Store, row session.Row) error {
	return s.Update(context.Background(), row.Subject, func(tx session.Tx) error {
		row.Ended = tx.Now()
		return errors.Join(tx.Put(row), tx.(session.BlacklistTx).Revoke(endOf(row)))
	})
}

// acknowledgements are the lines that a child has printed.
type acknowledgements struct {
	revoked     []string
	generations map[string]uint32
	ended       map[string]bool
	lines       int
}

func (a *acknowledgements) add(t *testing.T, line string) {
	t.Helper()
	fields := strings.Fields(line)
	a.lines++
	switch {
	case len(fields) == 2 && fields[0] == "revoked":
		a.revoked = append(a.revoked, fields[1])
	case len(fields) == 3 && fields[0] == "rotated":
		generation, err := strconv.Atoi(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		a.generations[fields[1]] = uint32(generation)
	case len(fields) == 3 && fields[0] == "ended":
		a.ended[fields[1]] = true
	default:
		t.Fatal(line)
	}
}

// check compares the file with the acknowledgements. A write that was not acknowledged may be in
// the file, as a whole or not at all.
func (a *acknowledgements) check(t *testing.T, s *Store) {
	t.Helper()
	for _, name := range a.revoked {
		if !revoked(t, s, token(name)) {
			t.Errorf("%s was acknowledged but is not revoked", name)
		}
	}
	for name, generation := range a.generations {
		row, found := getSession(t, s, killedRow(name).Subject, name)
		if !found || row.Generation < generation || row.Generation > generation+1 {
			t.Errorf("generation %d of %s was acknowledged, the row has %d (found: %t)", generation, name, row.Generation, found)
		}
		if epoch := getEpochOf(t, s, row.Subject); epoch != uint64(row.Generation) {
			t.Errorf("the row of %s has generation %d and the epoch is %d: half of a step was written", name, row.Generation, epoch)
		}
		ended := !row.Ended.IsZero()
		if a.ended[name] && !ended {
			t.Errorf("the end of %s was acknowledged but is lost", name)
		}
		id := endOf(row).Identity
		id.SessionStart = time.Now().Add(time.Hour) // no mark covers it
		if revoked(t, s, id) != ended {
			t.Errorf("the row of %s has ended: %t, and its session is revoked: %t", name, ended, !ended)
		}
	}
}

// TestAcknowledgedWritesSurviveKill kills a process that revokes, rotates and ends sessions, many
// times: everything that it reported is in the file.
func TestAcknowledgedWritesSurviveKill(t *testing.T) {
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
		acknowledged := acknowledgements{generations: map[string]uint32{}, ended: map[string]bool{}}
		enough := 1 + rand.IntN(200)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			acknowledged.add(t, lines.Text())
			if acknowledged.lines == enough {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // it was killed
		if acknowledged.lines < enough {
			t.Fatalf("the child ended after %d of %d acknowledgements", acknowledged.lines, enough)
		}
		s, err := Open(path, WithExistingFile())
		if err != nil {
			t.Fatal(err)
		}
		acknowledged.check(t, s)
		total += acknowledged.lines
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d acknowledged writes in %d rounds, none lost", total, rounds)
}
