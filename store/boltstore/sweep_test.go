package boltstore

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// testClock is a clock that tests set.
type testClock struct {
	mu   sync.Mutex
	time time.Time
}

func newTestClock() *testClock { return &testClock{time: time.Now()} }

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

// believe makes the store read the time now and twice more, a period apart each, so that it removes
// what has expired now.
func believe(t testing.TB, s *Store, clock *testClock) {
	t.Helper()
	for range 2 {
		s.clock.read()
		clock.add(period)
	}
}

// counts returns the number of entries and of keys in the index.
func counts(t *testing.T, s *Store) (entries, index int) {
	t.Helper()
	if err := s.db.View(func(tx *bbolt.Tx) error {
		entries, index = tx.Bucket(entryBucket).Stats().KeyN, tx.Bucket(expiryBucket).Stats().KeyN
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return entries, index
}

// TestWritesRemoveExpiredEntries lets entries expire: each write removes a bounded number of them,
// and the entries in force stay.
func TestWritesRemoveExpiredEntries(t *testing.T) {
	clock := newTestClock()
	s := open(t, newPath(t), WithClock(clock.now))
	const n = 3 * sweepPerCommit
	begun := clock.now()
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { revoke(t, s, token(fmt.Sprint(i)), begun.Add(time.Minute)) })
	}
	group.Wait()
	revoke(t, s, token("an hour"), begun.Add(time.Hour))
	revoke(t, s, token("prolonged"), begun.Add(time.Minute))
	revoke(t, s, token("prolonged"), begun.Add(time.Hour))
	revoke(t, s, token("forever"), time.Time{})
	clock.add(time.Minute + time.Millisecond) // ends are rounded up
	believe(t, s, clock)

	last, _ := counts(t, s)
	for {
		revoke(t, s, token("forever"), time.Time{})
		entries, index := counts(t, s)
		if last-entries > sweepPerCommit {
			t.Fatalf("one write removed %d entries", last-entries)
		}
		if entries == last {
			if entries != 3 || index != 2 {
				t.Errorf("%d entries and %d keys in the index are left, want 3 and 2", entries, index)
			}
			break
		}
		last = entries
	}
	for _, name := range []string{"an hour", "prolonged", "forever"} {
		if !revoked(t, s, token(name)) {
			t.Errorf("%s: the entry in force was removed", name)
		}
	}
}

// TestSweepKeepsEntriesInForce gives entries in force a second key in the index, with an end that
// has passed: sweeping removes the key and keeps the entry.
func TestSweepKeepsEntriesInForce(t *testing.T) {
	clock := newTestClock()
	path := newPath(t)
	s := open(t, path, WithClock(clock.now))
	ends := map[string]time.Time{"ends later": clock.now().Add(time.Hour), "never ends": {}}
	for name, until := range ends {
		revoke(t, s, token(name), until)
		key, _ := blacklist.KeyOf(blacklist.Token, token(name))
		passed := clock.now().Add(-time.Hour).UnixMilli()
		if err := s.db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket(expiryBucket).Put(expiryKey(key, passed), nil)
		}); err != nil {
			t.Fatal(err)
		}
	}
	believe(t, s, clock)
	revoke(t, s, token("another"), time.Time{}) // sweeps
	if entries, index := counts(t, s); entries != 3 || index != 1 {
		t.Errorf("%d entries and %d keys in the index, want 3 and 1", entries, index)
	}
	for name := range ends {
		if !revoked(t, s, token(name)) {
			t.Errorf("%s: sweeping removed an entry in force", name)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, WithClock(clock.now)) // checks the count
}
