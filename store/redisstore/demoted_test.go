package redisstore

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// demotedBehindAddress returns a store whose client has a fixed address. Its pool has connections to
// a former master, which is a replica without a master, and new connections lead to the new master.
// The clock stands still, so that no command asks for the state of the server.
func demotedBehindAddress(t *testing.T) (s *Store, master *redistest.Server) {
	t.Helper()
	old := redistest.Start(t)
	var address atomic.Value
	address.Store(old.Addr())
	options := old.Options()
	options.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address.Load().(string))
	}
	client := redistest.Closed(t, redis.NewClient(options))
	now := time.Now()
	s = open(t, client, WithClock(func() time.Time { return now }))
	revoke(t, s, blacklist.OfToken(user("before"), inAnHour())) // asks for the state
	isRevoked(t, s, user("before"))
	var conns []*redis.Conn
	for range 8 {
		conn := client.Conn()
		if err := conn.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		_ = conn.Close() // the pool has it now
	}
	master = redistest.Start(t, redistest.WithArgs("--replicaof", "127.0.0.1 "+strconv.Itoa(old.Port)))
	redistest.Eventually(t, "the new master has the data", func() error {
		return master.Client(t).Get(t.Context(), s.layout.mark(0)).Err()
	})
	master.Do("REPLICAOF", "NO", "ONE")
	old.Do("REPLICAOF", "127.0.0.1", 1) // nothing listens there
	address.Store(master.Addr())
	revoke(t, open(t, master.Client(t)), blacklist.OfToken(user("after"), inAnHour()))
	return s, master
}

// TestLookUpsLeaveFormerMaster: connections to a former master that stay open give no answer.
func TestLookUpsLeaveFormerMaster(t *testing.T) {
	s, _ := demotedBehindAddress(t)
	failed := 0
	for answers := 0; answers < 10; {
		revoked, err := s.IsRevoked(t.Context(), user("after"))
		if err != nil {
			mustBeUnavailable(t, err)
			if failed++; failed > 10 {
				t.Fatalf("look-ups do not leave the former master: %v", err)
			}
			continue
		}
		if answers++; !revoked {
			t.Fatal("the former master has answered")
		}
	}
}

// TestMarksLeaveFormerMaster: the marks are read from the present master too.
func TestMarksLeaveFormerMaster(t *testing.T) {
	s, master := demotedBehindAddress(t)
	master.Do("SET", s.layout.mark(7), s.layout.markHead+"123456789012345")
	for range 10 {
		newest, err := s.newestMark(t.Context())
		if err != nil {
			mustBeUnavailable(t, err)
			continue
		}
		if newest != 123456789012345 {
			t.Fatalf("the newest mark is %d, want that of the present master", newest)
		}
		return
	}
	t.Error("the marks were not read")
}

// TestSnapshotLeavesFormerMaster: the first snapshot after the demotion is that of the present master,
// however many connections to the former one are in the pool.
func TestSnapshotLeavesFormerMaster(t *testing.T) {
	s, _ := demotedBehindAddress(t)
	f, err := s.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	found := make(map[uint64]bool)
	err = f.Snapshot(t.Context(), func(b replica.Batch) error {
		for _, e := range b.Entries {
			found[e.Name] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"before", "after"} {
		if entry, _ := s.Name(blacklist.Token, user(name)); !found[entry] {
			t.Errorf("the entry %q is missing in the snapshot", name)
		}
	}
}
