package redisstore

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// fenced is a master with one replica, and a store with WithFence on the master.
type fenced struct {
	old, next *redistest.Server
	s         *Store
}

func startFenced(t *testing.T) *fenced {
	t.Helper()
	f := &fenced{old: redistest.Start(t)}
	f.next = redistest.Start(t, redistest.WithArgs("--replicaof", "127.0.0.1 "+strconv.Itoa(f.old.Port)))
	redistest.Eventually(t, "the replica is connected", func() error {
		_, err := f.connected(t)
		return err
	})
	f.s = open(t, f.old.Client(t), WithFence(1, 100*time.Millisecond), WithBreaker(0, 0))
	return f
}

// connected waits for the replica, as a fence does.
func (f *fenced) connected(t *testing.T) (int64, error) {
	f.old.Do("SET", "connected", "1")
	n, err := f.old.Client(t).Wait(t.Context(), 1, 100*time.Millisecond).Result()
	if err == nil && n == 0 {
		err = errors.New("no replica")
	}
	return n, err
}

// promote makes the replica a master. The old master does not learn of it, and goes on answering.
// It returns a store on the new master.
func (f *fenced) promote(t *testing.T) *Store {
	t.Helper()
	f.next.Do("REPLICAOF", "NO", "ONE")
	return open(t, f.next.Client(t))
}

// TestFenceRefusesAnOldMaster: an old master that does not know that its replica was promoted gives
// no answer with a fence. Without one it accepts a token that was revoked at the new master.
func TestFenceRefusesAnOldMaster(t *testing.T) {
	f := startFenced(t)
	revoke(t, f.s, blacklist.OfToken(user("before"), inAnHour()))
	if !isRevoked(t, f.s, user("before")) || isRevoked(t, f.s, user("after")) {
		t.Fatal("wrong answers before the promotion")
	}
	revoke(t, f.promote(t), blacklist.OfToken(user("after"), inAnHour()))
	if isRevoked(t, open(t, f.old.Client(t)), user("after")) {
		t.Fatal("the old master has the revocation: the test shows nothing")
	}
	for _, name := range []string{"before", "after"} {
		if revoked, err := f.s.IsRevoked(t.Context(), user(name)); !errors.Is(err, errUnconfirmed) || revoked {
			t.Errorf("%s: revoked = %t, %v; want the error of the fence", name, revoked, err)
		}
	}
	if err := f.s.Ping(t.Context()); !errors.Is(err, errUnconfirmed) {
		t.Errorf("Ping: %v", err)
	}
	f.next.Do("REPLICAOF", "127.0.0.1", f.old.Port) // as if nothing had happened
	redistest.Eventually(t, "look-ups answer again", func() error {
		revoked, err := f.s.IsRevoked(t.Context(), user("before"))
		if err == nil && !revoked {
			t.Error("a revoked token is accepted when the replica is back")
		}
		return err
	})
}

// TestFencedCopyOfAnOldMaster: a copy that reads from the old master grows too old, and then its
// look-ups are errors. Without a fence it would accept the token for as long as the old master lives.
func TestFencedCopyOfAnOldMaster(t *testing.T) {
	const bound = time.Second
	f := startFenced(t)
	unfenced := open(t, f.old.Client(t))
	copies := make(map[string]*replica.Replica)
	for name, store := range map[string]*Store{"fenced": f.s, "unfenced": unfenced} {
		r, err := replica.New(store, replica.WithBound(bound), replica.WithLogger(discard()), replica.WithSnapshotStagger(0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		if err := r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		copies[name] = r
	}
	// A copy under load reads more often than it has a fence: it stays fresh.
	for i := range 200 {
		revoke(t, f.s, blacklist.OfToken(user(fmt.Sprint("load", i)), inAnHour()))
		time.Sleep(bound / 100)
		if s := copies["fenced"].Stats(); s.Age > bound {
			t.Fatalf("under load the copy is %s old: %v", s.Age, s.LastError)
		}
	}
	revoke(t, f.promote(t), blacklist.OfToken(user("after"), inAnHour()))
	time.Sleep(bound + bound/10)
	for range 20 {
		if revoked, err := copies["fenced"].IsRevoked(t.Context(), user("after")); !errors.Is(err, blacklist.ErrUnavailable) || revoked {
			t.Errorf("fenced: revoked = %t, %v; want an error", revoked, err)
		}
		time.Sleep(bound / 40)
	}
	if revoked, err := copies["unfenced"].IsRevoked(t.Context(), user("after")); revoked || err != nil {
		t.Errorf("unfenced: revoked = %t, %v: the test shows nothing", revoked, err)
	}
	if revoked, err := copies["fenced"].IsRevoked(t.Context(), user("load7")); !revoked || err != nil {
		t.Errorf("a token that the copy knows: revoked = %t, %v", revoked, err)
	}
	if err := copies["fenced"].Stats().LastError; !errors.Is(err, errUnconfirmed) {
		t.Errorf("the last error of the copy is %v", err)
	}
	f.next.Do("REPLICAOF", "127.0.0.1", f.old.Port)
	redistest.Eventually(t, "the copy answers again", func() error {
		_, err := copies["fenced"].IsRevoked(t.Context(), user("never"))
		return err
	})
}

// TestFenceOnACluster: the masters of a Cluster have a replica each. Without it those look-ups return
// errors that the master of their bucket answers, and no others.
func TestFenceOnACluster(t *testing.T) {
	c := redistest.StartCluster(t)
	s := open(t, c.Client(t), WithFence(1, 100*time.Millisecond), WithBreaker(0, 0))
	const tokens = 60
	for i := 0; i < tokens; i += 2 {
		revoke(t, s, blacklist.OfToken(user(fmt.Sprint(i)), inAnHour()))
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range tokens {
		if isRevoked(t, s, user(fmt.Sprint(i))) != (i%2 == 0) {
			t.Errorf("token %d: a wrong answer with all replicas", i)
		}
	}
	c.Nodes[4].Kill() // the replica of the second master
	answered, refused := 0, 0
	for i := range tokens {
		switch revoked, err := s.IsRevoked(t.Context(), user(fmt.Sprint(i))); {
		case errors.Is(err, errUnconfirmed):
			refused++
		case err != nil || revoked != (i%2 == 0):
			t.Errorf("token %d: revoked = %t, %v", i, revoked, err)
		default:
			answered++
		}
	}
	t.Logf("%d look-ups answered, %d refused", answered, refused)
	if answered == 0 || refused == 0 {
		t.Error("want some of each")
	}
}

// TestReadsWithoutAFenceAreUnconfirmed: a follower has a fence behind one read, and none behind the
// next ones for a while.
func TestReadsWithoutAFenceAreUnconfirmed(t *testing.T) {
	f := startFenced(t)
	follower, err := f.s.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = follower.Close() })
	if err := follower.Snapshot(t.Context(), func(replica.Batch) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		var first replica.Batch
		redistest.Eventually(t, "a read has a fence", func() (err error) {
			if first, err = follower.Read(t.Context(), 0); err == nil && first.Unconfirmed {
				err = errors.New("it has none")
			}
			return err
		})
		fenced := time.Now()
		second, err := follower.Read(t.Context(), 0)
		if soon := time.Since(fenced) < fenceInterval/2; err != nil || soon && !second.Unconfirmed {
			t.Errorf("round %d: the read after the fence: %v, unconfirmed = %t", round, err, second.Unconfirmed)
		}
	}
	for _, batch := range unfencedReads(t, f) {
		if batch.Unconfirmed {
			t.Error("without WithFence a read is unconfirmed")
		}
	}
}

// unfencedReads returns what a follower of a store without a fence reads.
func unfencedReads(t *testing.T, f *fenced) (batches []replica.Batch) {
	t.Helper()
	follower, err := open(t, f.old.Client(t)).Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = follower.Close() }()
	if err := follower.Snapshot(t.Context(), func(replica.Batch) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		batch, err := follower.Read(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, batch)
	}
	return batches
}
