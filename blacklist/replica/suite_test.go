package replica_test

import (
	"log/slog"
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
func open(t *testing.T, clock func() time.Time, opts ...replica.Option) *replica.Replica {
	t.Helper()
	epoch := clock()
	opts = append([]replica.Option{
		replica.WithClock(clock), replica.WithMonotonic(func() time.Duration { return clock().Sub(epoch) }), quiet,
	}, opts...)
	r, err := replica.New(fakefeed.New(clock), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReplicaConforms(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist { return open(t, clock) })
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
