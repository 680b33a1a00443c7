package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/blacklisttest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		revokeInLoop(path)
		return
	}
	goleak.VerifyTestMain(m)
}

func TestSuite(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		return open(t, filepath.Join(t.TempDir(), "blacklist.db"), WithClock(clock))
	})
}

func open(t testing.TB, path string, options ...Option) *Store {
	t.Helper()
	s, err := Open(path, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// token returns the identity of a token whose session begins in the future, so that no mark refuses it.
func token(name string) blacklist.Identity {
	return blacklist.Identity{Verifier: "v", ID: name, Session: "s" + name, Subject: "u" + name, SessionStart: time.Now().Add(time.Hour)}
}

func revoke(t testing.TB, s *Store, id blacklist.Identity, until time.Time) {
	t.Helper()
	if _, err := s.Revoke(context.Background(), blacklist.OfToken(id, until)); err != nil {
		t.Fatal(err)
	}
}

func revoked(t testing.TB, s *Store, id blacklist.Identity) bool {
	t.Helper()
	is, err := s.IsRevoked(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// TestReopen closes and opens the file: every kind of revocation is there, and the mark is the old one.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blacklist.db")
	start := time.Now()
	s := open(t, path)
	until := time.Now().Add(time.Hour)
	a := token("a")
	for _, r := range []blacklist.Revocation{
		blacklist.OfToken(a, until), blacklist.OfSession(token("b"), time.Time{}),
		blacklist.OfSubject("v", "uc", token("c").SessionStart, until), blacklist.OfVerifier("w", a.SessionStart, until),
	} {
		if before, err := s.Revoke(t.Context(), r); before || err != nil {
			t.Fatal(before, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, WithExistingFile())
	other := token("d")
	other.Verifier = "w"
	other.SessionStart = a.SessionStart
	for _, id := range []blacklist.Identity{a, token("b"), token("c"), other} {
		if id.Subject == "uc" {
			id.SessionStart = id.SessionStart.Add(-time.Minute)
		}
		if !revoked(t, s, id) {
			t.Errorf("%s is not revoked after reopening", id.ID)
		}
	}
	if revoked(t, s, token("e")) {
		t.Error("what nobody revoked is revoked after reopening")
	}
	old := token("old")
	old.SessionStart = start.Add(-time.Second)
	if !revoked(t, s, old) {
		t.Error("a session from before the file was made is let in")
	}
	between := token("between")
	between.SessionStart = time.Now()
	if revoked(t, s, between) {
		t.Error("reopening made the mark anew")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	held := filepath.Join(dir, "held.db")
	open(t, held)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(held, link); err != nil {
		t.Fatal(err)
	}
	// edited returns a file of ours after a change.
	edited := func(name string, change func(*bbolt.Tx) error) string {
		path := filepath.Join(dir, name)
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		revoke(t, s, token("a"), time.Time{})
		if err := errors.Join(s.db.Update(change), s.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name, path  string
		options     []Option
		unavailable bool
		says        string
	}{
		{"no path", "", nil, false, "path"},
		{"a nil option", filepath.Join(dir, "x"), []Option{nil}, false, "option"},
		{"no clock", filepath.Join(dir, "x"), []Option{WithClock(nil)}, false, "clock"},
		{"missing, and it has to exist", filepath.Join(dir, "none.db"), []Option{WithExistingFile()}, false, "no such file"},
		{"a missing folder", filepath.Join(dir, "none", "x.db"), nil, false, "no such file"},
		{"a folder", dir, nil, false, "regular"},
		{"a link", link, nil, false, "regular"},
		{"others may write", write("open.db", 0o666, ""), nil, false, "chmod"},
		{"another process has it", held, nil, true, "another process"},
		{"text", write("text.db", 0o600, strings.Repeat("no file of bbolt ", 2000)), nil, true, "damaged"},
		{"a few bytes", write("short.db", 0o600, "x"), nil, true, "damaged"},
		{"no mark", edited("nomark.db", func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(markKey) }), nil, true, "mark is missing"},
		{"no meta", edited("nometa.db", func(tx *bbolt.Tx) error { return tx.DeleteBucket(metaBucket) }), nil, true, "damaged"},
		{"no entries", edited("noentries.db", func(tx *bbolt.Tx) error { return tx.DeleteBucket(entryBucket) }), nil, true, "damaged"},
		{"no index", edited("noindex.db", func(tx *bbolt.Tx) error { return tx.DeleteBucket(expiryBucket) }), nil, true, "damaged"},
		{"another version", edited("version.db", func(tx *bbolt.Tx) error {
			return tx.Bucket(metaBucket).Put(markKey, seal(markKey, binary.BigEndian.AppendUint64([]byte{2}, 0)))
		}), nil, true, "version"},
		{"a mark that was changed", edited("mark.db", func(tx *bbolt.Tx) error {
			return tx.Bucket(metaBucket).Put(markKey, make([]byte, markSize))
		}), nil, true, "version"},
		{"a mark with another instant", edited("instant.db", func(tx *bbolt.Tx) error {
			mark := append([]byte(nil), tx.Bucket(metaBucket).Get(markKey)...)
			mark[5]++
			return tx.Bucket(metaBucket).Put(markKey, mark)
		}), nil, true, "mark is damaged"},
	} {
		s, err := Open(tt.path, tt.options...)
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: no error", tt.name)
			continue
		}
		if errors.Is(err, blacklist.ErrUnavailable) != tt.unavailable || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.says)
		}
	}
}

// TestDamagedEntry changes an entry: whoever it is about gets an error, the others an answer, and revoking works.
func TestDamagedEntry(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "blacklist.db"))
	for _, name := range []string{"a", "b"} {
		revoke(t, s, token(name), time.Now().Add(time.Hour))
	}
	key, _ := blacklist.KeyOf(blacklist.Token, token("a"))
	err := s.db.Update(func(tx *bbolt.Tx) error {
		value := append([]byte(nil), tx.Bucket(entryBucket).Get(key[:])...)
		clear(value[8:16]) // it would have expired
		return tx.Bucket(entryBucket).Put(key[:], value)
	})
	if err != nil {
		t.Fatal(err)
	}
	if is, err := s.IsRevoked(t.Context(), token("a")); is || !errors.Is(err, blacklist.ErrUnavailable) {
		t.Errorf("the damaged one: %v, %v", is, err)
	}
	if _, err := s.Revoke(t.Context(), blacklist.OfToken(token("a"), time.Time{})); !errors.Is(err, blacklist.ErrUnavailable) {
		t.Errorf("revoking the damaged one: %v", err)
	}
	revoke(t, s, token("c"), time.Time{})
	if !revoked(t, s, token("b")) || !revoked(t, s, token("c")) || revoked(t, s, token("d")) {
		t.Error("the others")
	}
}

// TestEmptiedFile deletes the file: everybody is logged out, nobody is un-revoked.
func TestEmptiedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blacklist.db")
	now := time.Now()
	s := open(t, path)
	stolen := blacklist.Identity{Verifier: "v", ID: "stolen", SessionStart: now.Add(time.Second)}
	clock := func() time.Time { return now.Add(2 * time.Second) }
	revoke(t, s, stolen, time.Time{})
	if err := errors.Join(s.Close(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, WithClock(clock))
	if !revoked(t, s, stolen) {
		t.Error("a token that was revoked gets in after the file was deleted")
	}
	later := stolen
	later.SessionStart = clock().Add(time.Millisecond)
	if revoked(t, s, later) {
		t.Error("a later session is refused")
	}
}

// TestGroupCommit holds one write and lets others gather: they share the next one, and look-ups go on meanwhile.
func TestGroupCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blacklist.db")
	s := open(t, path)
	entered, proceed := make(chan struct{}), make(chan struct{})
	s.beforeCommit = func() {
		entered <- struct{}{}
		<-proceed
	}
	const callers = 50
	var group sync.WaitGroup
	group.Go(func() { revoke(t, s, token("first"), time.Time{}) })
	<-entered
	commits := func() int64 {
		stats := s.db.Stats()
		return stats.TxStats.GetWrite()
	}
	before := commits()
	for i := range callers {
		group.Go(func() { revoke(t, s, token(fmt.Sprint(i)), time.Time{}) })
	}
	// A look-up while the writer is held.
	if revoked(t, s, token("first")) {
		t.Error("revoked before it was written")
	}
	proceed <- struct{}{}
	writes := 1
	finished := make(chan struct{})
	go func() { group.Wait(); close(finished) }()
	for done := false; !done; {
		select {
		case <-entered:
			writes++
			proceed <- struct{}{}
		case <-finished:
			done = true
		}
	}
	if writes > callers/2 {
		t.Errorf("%d writes for %d callers", writes, callers+1)
	}
	if commits() == before {
		t.Error("nothing was written")
	}
	for i := range callers {
		if !revoked(t, s, token(fmt.Sprint(i))) {
			t.Errorf("%d is not revoked", i)
		}
	}
}

// TestSweep lets entries expire: they leave, a bounded number with each write, and those in force stay.
func TestSweep(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	s := open(t, filepath.Join(t.TempDir(), "blacklist.db"), WithClock(clock))
	const n = 3 * sweepPerCommit
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { revoke(t, s, token(fmt.Sprint(i)), now.Add(time.Minute)) })
	}
	group.Wait()
	revoke(t, s, token("stays"), now.Add(time.Hour))
	revoke(t, s, token("prolonged"), now.Add(time.Minute))
	revoke(t, s, token("prolonged"), now.Add(time.Hour))
	revoke(t, s, token("forever"), time.Time{})
	mu.Lock()
	now = now.Add(time.Minute + time.Millisecond) // ends are rounded up
	mu.Unlock()
	count := func() (entries, index int) {
		if err := s.db.View(func(tx *bbolt.Tx) error {
			entries, index = tx.Bucket(entryBucket).Stats().KeyN, tx.Bucket(expiryBucket).Stats().KeyN
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return entries, index
	}
	last, _ := count()
	for i := 0; ; i++ {
		revoke(t, s, token("forever"), time.Time{})
		entries, index := count()
		if last-entries > sweepPerCommit {
			t.Fatalf("%d entries left with one write", last-entries)
		}
		if entries == last {
			if entries != 3 || index != 2 {
				t.Errorf("%d entries and %d in the index are left", entries, index)
			}
			break
		}
		last = entries
	}
	for _, name := range []string{"stays", "prolonged", "forever"} {
		if !revoked(t, s, token(name)) {
			t.Errorf("%s is gone", name)
		}
	}
}
