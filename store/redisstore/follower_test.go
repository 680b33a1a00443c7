package redisstore

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// startFollower returns a follower of the store after its snapshot.
func startFollower(t *testing.T, s *Store) *follower {
	t.Helper()
	f, err := s.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := f.Snapshot(t.Context(), func(replica.Batch) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return f.(*follower)
}

// mustRead reads and expects the number of records.
func mustRead(t *testing.T, f *follower, records int) []replica.Entry {
	t.Helper()
	b, err := f.Read(t.Context(), 0)
	if err != nil || !b.Complete || len(b.Entries) != records {
		t.Fatalf("Read = %d records, complete = %t, %v; want %d", len(b.Entries), b.Complete, err, records)
	}
	return b.Entries
}

// TestDemotedMasterIsAGap: the connection of the follower stays open, and XREAD would answer.
func TestDemotedMasterIsAGap(t *testing.T) {
	for _, tt := range []struct {
		name    string
		blocked bool // the follower waits for a record when the master is demoted
	}{{name: "before the read", blocked: false}, {name: "during the read", blocked: true}} {
		t.Run(tt.name, func(t *testing.T) {
			srv := redistest.Start(t)
			s := open(t, srv.Client(t))
			f := startFollower(t, s)
			done := make(chan error, 1)
			if tt.blocked {
				go func() {
					_, err := f.Read(t.Context(), 30*time.Second)
					done <- err
				}()
			}
			demote(t, srv, true)
			if !tt.blocked {
				_, err := f.Read(t.Context(), 0)
				done <- err
			}
			if err := <-done; !errors.Is(err, replica.ErrGap) {
				mustBeUnavailable(t, err) // the server ended the wait
				if _, err := f.Read(t.Context(), 0); !errors.Is(err, replica.ErrGap) {
					t.Errorf("the next Read: %v, want ErrGap", err)
				}
			}
		})
	}
}

// TestLostReplyHasRecord: the reply to a revocation is lost after the server has made it. The client
// sends it again. Every try has a record.
func TestLostReplyHasRecord(t *testing.T) {
	srv := redistest.Start(t)
	proxy := redistest.StartProxy(t, srv)
	o := srv.Options()
	o.Addr = proxy.Addr()
	s := open(t, redistest.Closed(t, redis.NewClient(o)))
	f := startFollower(t, open(t, srv.Client(t)))
	for i, r := range []blacklist.Revocation{
		blacklist.OfToken(user("a"), inAnHour()), blacklist.OfIssuer("v", time.Now(), inAnHour()),
	} {
		proxy.DropReplyTo(revokeScript.Hash())
		if revoke(t, s, r) || !proxy.Dropped() {
			t.Fatal("the revocation was in force before, or no reply was lost")
		}
		b, err := f.Read(t.Context(), 0)
		if err != nil || len(b.Entries) == 0 {
			t.Fatalf("revocation %d: %d records, %v", i, len(b.Entries), err)
		}
		for _, e := range b.Entries {
			if name, _ := s.Name(r.Kind, r.Identity); e.Kind != r.Kind || e.Name != name {
				t.Errorf("revocation %d: the record is of a %s", i, e.Kind)
			}
		}
	}
}
