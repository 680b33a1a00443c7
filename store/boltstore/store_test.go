package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
		writeInLoop(path)
		return
	}
	goleak.VerifyTestMain(m)
}

func TestConformance(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		return open(t, newPath(t), WithClock(clock))
	})
}

func open(t testing.TB, path string, options ...Option) *Store {
	t.Helper()
	s, err := Open(path, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if blacklist.LocatorOf(s) == nil {
		t.Fatal("a Store is no Locator: the suite would leave its look-ups by places out")
	}
	return s
}

// newPath returns the path of a file that does not exist yet.
func newPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "blacklist.db")
}

// token returns the identity of a token whose session begins in the future, so that no mark refuses
// it.
func token(name string) blacklist.Identity {
	return blacklist.Identity{
		Issuer: "v", ID: name, Session: "s" + name, Subject: "u" + name,
		SessionStart: later,
	}
}

func revoke(t testing.TB, s *Store, id blacklist.Identity, until time.Time) {
	t.Helper()
	if _, err := s.Revoke(context.Background(), blacklist.OfToken(id, until)); err != nil {
		t.Fatal(err)
	}
}

// located are the places of each token in each store.
var located sync.Map

// revoked looks up the token, and once more by its places, of which the store remembers that there
// was no entry in the last call.
func revoked(t testing.TB, s *Store, id blacklist.Identity) bool {
	t.Helper()
	isRevoked, err := s.IsRevoked(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	key := struct {
		s  *Store
		id blacklist.Identity
	}{s, id}
	at, ok := located.Load(key)
	if !ok {
		at, _ = located.LoadOrStore(key, s.Locate(id))
	}
	isRevokedAt, err := s.IsRevokedAt(context.Background(), at.(*blacklist.Located))
	if err != nil {
		t.Fatal(err)
	}
	if isRevoked && !isRevokedAt {
		t.Errorf("%s is revoked, but not by its places", id.ID)
	}
	return isRevokedAt // it may have been revoked meanwhile
}

// TestDamagedEntryFailsItsOwnTokenOnly changes the entry of one token in the file. Look-ups, which
// use the copy in memory, still find it. A revocation of that token returns an error, all others
// still work, and Open refuses the file.
func TestDamagedEntryFailsItsOwnTokenOnly(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	for _, name := range []string{"damaged", "intact"} {
		revoke(t, s, token(name), time.Now().Add(time.Hour))
	}
	key, _ := blacklist.KeyOf(blacklist.Token, token("damaged"))
	err := s.db.Update(func(tx *bbolt.Tx) error {
		value := append([]byte(nil), tx.Bucket(entryBucket).Get(key[:])...)
		clear(value[17:25]) // until is zero: without the checksum the entry would count as expired
		return tx.Bucket(entryBucket).Put(key[:], value)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Revoke(t.Context(), blacklist.OfToken(token("damaged"), time.Time{}))
	if !errors.Is(err, blacklist.ErrUnavailable) {
		t.Errorf("Revoke of the damaged entry returns %v, want ErrUnavailable", err)
	}
	revoke(t, s, token("new"), time.Time{})
	for _, tt := range []struct {
		token string
		want  bool
	}{
		{token: "damaged", want: true},
		{token: "intact", want: true},
		{token: "new", want: true},
		{token: "never revoked", want: false},
	} {
		if got := revoked(t, s, token(tt.token)); got != tt.want {
			t.Errorf("%s: revoked = %v, want %v", tt.token, got, tt.want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, blacklist.ErrUnavailable) {
		t.Errorf("Open of the damaged file returns %v, want ErrUnavailable", err)
	}
}

// TestConcurrentRevocationsShareWrites holds one write while other callers gather: they share the
// next writes, and look-ups still answer.
func TestConcurrentRevocationsShareWrites(t *testing.T) {
	s := open(t, newPath(t))
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
	// A look-up while the write is held.
	if revoked(t, s, token("first")) {
		t.Error("a token is revoked before its revocation was written")
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
		t.Errorf("%d writes for %d callers, want at most %d", writes, callers+1, callers/2)
	}
	if commits() == before {
		t.Error("nothing was written")
	}
	for i := range callers {
		if !revoked(t, s, token(fmt.Sprint(i))) {
			t.Errorf("token %d is not revoked", i)
		}
	}
}
