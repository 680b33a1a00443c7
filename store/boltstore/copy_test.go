package boltstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/entries"
	"github.com/oapi-guard/oapi-guard/session"
)

// checkCopy compares the copy in memory with the entries in the file. No write may be in progress.
// The copy may lack entries that can be removed.
func checkCopy(t *testing.T, s *Store) {
	t.Helper()
	set := s.copied.settled.Load()
	if err := entries.Check(set); err != nil {
		t.Error(err)
	}
	if s.copied.announced.Load() != nil || s.copied.unsettled != nil {
		t.Error("revocations are still announced")
	}
	inBoth := 0
	if err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(entryBucket).ForEach(func(key, value []byte) error {
			e := parseEntry(value)
			slot := set.Find(copyKey(e.kind, blacklist.Key(key), e.place))
			if slot == nil {
				if e.inForce(s.copied.removable) {
					t.Errorf("an entry of kind %d that cannot be removed yet is not in the copy", e.kind)
				}
				return nil
			}
			inBoth++
			if until, cutOff := slot.Load(); until != e.until || cutOff != e.cutOff {
				t.Errorf("kind %d: the copy has until %d and cut-off %d, the file %d and %d", e.kind, until, cutOff, e.until, e.cutOff)
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	if inBoth > set.Len() {
		t.Errorf("the copy has %d entries, and %d of them are in the file", set.Len(), inBoth)
	}
}

// randomRevocation returns one of few revocations of all kinds.
func randomRevocation(now time.Time) blacklist.Revocation {
	id := token(fmt.Sprint(rand.IntN(30)))
	cutOff, until := now.Add(time.Duration(rand.IntN(100))*time.Hour), now.Add(time.Duration(1+rand.IntN(60))*time.Minute)
	switch rand.IntN(4) {
	case 0:
		return blacklist.OfToken(id, until)
	case 1:
		return blacklist.OfSession(id, until)
	case 2:
		return blacklist.OfSubject(id.Issuer, id.Subject, cutOff, until)
	default:
		return blacklist.OfIssuer(id.ID, cutOff, until)
	}
}

// TestCopyIsExact makes random revocations while the clock goes on and jumps ahead, and
// entries expire: the copy has what the file has, also after it grew and after the file was opened
// again.
func TestCopyIsExact(t *testing.T) {
	clocks, path := newTwoClocks(), newPath(t)
	s := open(t, path, WithClock(clocks.now))
	clocks.use(s)
	s.copied.settled.Store(entries.New(1, entries.Forever))
	for i := range 300 {
		switch i % 10 {
		case 0:
			clocks.pass(time.Duration(rand.IntN(15)) * time.Minute)
		case 3:
			clocks.set(time.Duration(rand.IntN(48)) * time.Hour)
		}
		r := randomRevocation(clocks.now())
		if rand.IntN(2) == 0 {
			if _, err := s.Revoke(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		} else if err := s.Update(t.Context(), benchSubject(1), func(tx session.Tx) error {
			return errors.Join(tx.(session.BlacklistTx).Revoke(r), tx.(session.BlacklistTx).Revoke(randomRevocation(clocks.now())))
		}); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			checkCopy(t, s)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkCopy(t, open(t, path, WithClock(clocks.now)))
}

// TestSweepRemovesFromTheCopy lets entries expire: writes remove them from the memory too.
func TestSweepRemovesFromTheCopy(t *testing.T) {
	clock := newTestClock()
	s := open(t, newPath(t), WithClock(clock.now))
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() { revoke(t, s, token(fmt.Sprint(i)), clock.now().Add(time.Minute)) })
	}
	group.Wait()
	clock.add(time.Hour)
	revoke(t, s, token("too early"), time.Time{})
	if n := s.copied.settled.Load().Len(); n != 101 {
		t.Errorf("%d entries in the copy, want 101: nothing can be removed yet", n)
	}
	believe(t, s, clock)
	for i := range s.copied.settled.Load().Shards() {
		revoke(t, s, token(fmt.Sprint("after", i)), time.Time{})
	}
	want := 1 + s.copied.settled.Load().Shards()
	if n := s.copied.settled.Load().Len(); n > want+want/2 {
		t.Errorf("%d entries in the copy, want about %d", n, want)
	}
	checkCopy(t, s)
}

// TestLookUpDuringCommit looks a token up when its revocation is in the file and has not been
// answered yet.
func TestLookUpDuringCommit(t *testing.T) {
	s := open(t, newPath(t))
	if revoked(t, s, token("a")) {
		t.Error("the token is revoked before its revocation")
	}
	commits := 0
	s.afterCommit = func(err error) error {
		commits++
		if err != nil || !revoked(t, s, token("a")) {
			t.Errorf("after the commit: the token is not revoked, or the error %v", err)
		}
		return err
	}
	revoke(t, s, token("a"), time.Time{})
	if commits != 1 || !revoked(t, s, token("a")) {
		t.Errorf("%d commits, or the token is not revoked after Revoke", commits)
	}
	checkCopy(t, s)
}

// TestLookUpsAfterConcurrentCommits revokes tokens from several goroutines. Each token is revoked
// when Revoke returns and stays so, while the copy grows.
func TestLookUpsAfterConcurrentCommits(t *testing.T) {
	const writers, each = 8, 40
	s := open(t, newPath(t))
	s.copied.settled.Store(entries.New(1, entries.Forever))
	var writing, reading sync.WaitGroup
	done, names := make(chan struct{}), make(chan string, writers*each)
	for range 2 {
		reading.Go(func() {
			var all []string
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				case name := <-names:
					all = append(all, name)
				default:
				}
				if len(all) > 0 && !revoked(t, s, token(all[i%len(all)])) {
					t.Errorf("%s is not revoked", all[i%len(all)])
					return
				}
				if revoked(t, s, token("never")) {
					t.Error("a token is revoked that was never revoked")
					return
				}
			}
		})
	}
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				name := fmt.Sprint(w, "-", i)
				if revoked(t, s, token(name)) {
					t.Errorf("%s is revoked before its revocation", name)
				}
				revoke(t, s, token(name), time.Time{})
				names <- name
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	checkCopy(t, s)
	if n := s.copied.settled.Load().Len(); n != writers*each {
		t.Errorf("%d entries, want %d", n, writers*each)
	}
}

var errCommit = errors.New("the commit failed")

// TestFailedCommit makes a commit fail. Its revocation counts until the writer has read the file
// again, and then what is in the file counts.
func TestFailedCommit(t *testing.T) {
	for _, tt := range []struct {
		name string
		// fail makes the next commit fail.
		fail func(t *testing.T, s *Store)
		// result is what the commit returns, after its error.
		result func(error) error
		want   bool
	}{
		{
			name:   "it is on the disk",
			fail:   func(*testing.T, *Store) {},
			result: func(err error) error { return errors.Join(err, errCommit) },
			want:   true,
		},
		{
			name: "it is not on the disk",
			fail: func(t *testing.T, s *Store) {
				if err := s.space.file.Close(); err != nil {
					t.Error(err)
				}
			},
			result: func(err error) error { return err },
			want:   false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := newPath(t)
			s := open(t, path)
			revoke(t, s, token("before"), time.Time{})
			if revoked(t, s, token("a")) {
				t.Error("the token is revoked before its revocation")
			}
			changes := 0
			defer s.OnChange(func() { changes++ })()
			s.beforeCommit = func() { tt.fail(t, s) }
			s.afterCommit = func(err error) error {
				if !revoked(t, s, token("a")) {
					t.Error("the token is not revoked right after the commit")
				}
				return tt.result(err)
			}
			if _, err := s.Revoke(t.Context(), blacklist.OfToken(token("a"), time.Time{})); !errors.Is(err, blacklist.ErrUnavailable) {
				t.Errorf("Revoke returns %v, want ErrUnavailable", err)
			}
			check := func(s *Store) {
				t.Helper()
				if got := revoked(t, s, token("a")); got != tt.want {
					t.Errorf("revoked = %t, want %t", got, tt.want)
				}
				if !revoked(t, s, token("before")) {
					t.Error("a revocation of an earlier commit is gone")
				}
				checkCopy(t, s)
			}
			check(s)
			if changes != 1 {
				t.Errorf("OnChange was called %d times, want 1", changes)
			}
			_ = s.Close() // fails if the file is closed already
			check(open(t, path))
		})
	}
}

// TestUnsettledRevocationsCount: revocations of a failed commit that could not be read again count,
// until the next write reads the file.
func TestUnsettledRevocationsCount(t *testing.T) {
	s := open(t, newPath(t))
	var announced []recorded
	for _, name := range []string{"a", "b"} {
		r, err := newRevocation(s.places, blacklist.OfToken(token(name), time.Time{}), 0)
		if err != nil {
			t.Fatal(err)
		}
		announced = append(announced, recorded{r, 0})
	}
	s.copied.announce(announced)
	for _, name := range []string{"a", "b"} {
		if !revoked(t, s, token(name)) {
			t.Errorf("%s is not revoked", name)
		}
	}
	revoke(t, s, token("b"), time.Time{})
	if revoked(t, s, token("a")) || !revoked(t, s, token("b")) {
		t.Error("after the next write a is revoked, or b is not")
	}
	checkCopy(t, s)
}

// TestOnChange: it is called once for each commit with revocations, before the call returns, and
// not for other writes.
func TestOnChange(t *testing.T) {
	s := open(t, newPath(t))
	row, calls := benchRow(benchSubject(1), 1), 0
	stop := s.OnChange(func() { calls++ })
	for _, tt := range []struct {
		name  string
		write func() error
		want  int
	}{
		{name: "Revoke", want: 1, write: func() error {
			_, err := s.Revoke(t.Context(), blacklist.OfToken(token("a"), time.Time{}))
			return err
		}},
		{name: "a row", want: 0, write: func() error {
			return s.Update(t.Context(), row.Subject, func(tx session.Tx) error { return tx.Put(row) })
		}},
		{name: "a row and a revocation", want: 1, write: func() error { return end(s, row) }},
		{name: "Ping", want: 0, write: func() error { return s.Ping(t.Context()) }},
		{name: "Revoke after stop", want: 0, write: func() error {
			stop()
			_, err := s.Revoke(context.Background(), blacklist.OfToken(token("b"), time.Time{}))
			return err
		}},
	} {
		calls = 0
		if err := tt.write(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if calls != tt.want {
			t.Errorf("%s: %d calls, want %d", tt.name, calls, tt.want)
		}
	}
}
