package replica_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/blacklisttest"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/blacklist/replica/internal/fakefeed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = replica.WithLogger(slog.New(slog.DiscardHandler))

// open returns a Replica of an empty store whose first snapshot is complete. Both have the clock.
// The feed is a day ahead, so that the clock decides when an entry ends: the suite moves it while a
// read is under way.
func open(t *testing.T, clock func() time.Time, opts ...replica.Option) *replica.Replica {
	t.Helper()
	epoch := clock()
	opts = append([]replica.Option{
		replica.WithClock(clock), replica.WithMonotonic(func() time.Duration { return clock().Sub(epoch) }), quiet,
	}, opts...)
	store := fakefeed.New(clock)
	store.FeedClock = func() time.Time { return clock().Add(24 * time.Hour) }
	r, err := replica.New(store, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if blacklist.LocatorOf(r) == nil {
		t.Fatal("a Replica is no Locator: the suite would leave its look-ups by places out")
	}
	return r
}

// applied is a Replica whose Revoke waits until the copy has the record too. The suite moves the clock
// by days between two calls, and a record that arrives after its entry has expired is merged with a
// later one.
type applied struct {
	*replica.Replica
	before  uint64 // records in the copy at first
	revoked atomic.Uint64
}

func openApplied(t *testing.T, clock func() time.Time, opts ...replica.Option) *applied {
	t.Helper()
	r := open(t, clock, opts...)
	return &applied{Replica: r, before: records(r)}
}

// Locate implements blacklist.Locator.
func (a *applied) Locate(id blacklist.Identity) *blacklist.Located {
	located := a.Replica.Locate(id)
	located.Owner = a
	return located
}

func records(r *replica.Replica) (n uint64) {
	for _, delays := range r.Stats().Delays {
		n += delays
	}
	return n
}

// Revoke implements blacklist.Blacklist.
func (a *applied) Revoke(ctx context.Context, r blacklist.Revocation) (bool, error) {
	before, err := a.Replica.Revoke(ctx, r)
	if err != nil {
		return before, err
	}
	n := a.revoked.Add(1)
	for began := time.Now(); records(a.Replica) < a.before+n; time.Sleep(100 * time.Microsecond) {
		if err := a.Ping(ctx); err != nil {
			return before, err // closed meanwhile: the record does not arrive
		}
		if time.Since(began) > 10*time.Second {
			return before, errors.New("the record did not arrive")
		}
	}
	return before, nil
}

func TestReplicaConforms(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist { return openApplied(t, clock) })
}

// TestReplicaConformsFromItsCopy has a copy that is never too old: the store is asked only about
// entries that have ended.
func TestReplicaConformsFromItsCopy(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		return openApplied(t, clock, replica.WithBound(1_000_000*time.Hour), replica.WithMarkInterval(1_000_000*time.Hour))
	})
}

// TestFullReplicaConforms has a copy with room for two entries: most look-ups ask the store.
func TestFullReplicaConforms(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		return open(t, clock, replica.WithCapacity(2))
	})
}

func TestReplicaConformsWithRealClock(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist { return open(t, clock) },
		blacklisttest.WithRealClock(500*time.Millisecond))
}
