package replica_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/blacklist/replica/internal/fakefeed"
)

func TestNewRefusesOptions(t *testing.T) {
	store := fakefeed.New(time.Now)
	for name, opt := range map[string]replica.Option{
		"nil option":         nil,
		"bound too small":    replica.WithBound(200*time.Millisecond - 1),
		"capacity 0":         replica.WithCapacity(0),
		"nil clock":          replica.WithClock(nil),
		"nil monotonic":      replica.WithMonotonic(nil),
		"nil logger":         replica.WithLogger(nil),
		"no look-ups":        replica.WithLookups(0),
		"no look-up timeout": replica.WithLookupTimeout(0),
		"negative stagger":   replica.WithSnapshotStagger(-1),
		"no mark interval":   replica.WithMarkInterval(0),
	} {
		if r, err := replica.New(store, opt); err == nil || r != nil || !strings.HasPrefix(err.Error(), "replica: ") {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	if r, err := replica.New(nil); err == nil || r != nil {
		t.Errorf("no feed: %v, %v", r, err)
	}
}

// TestReplicaHidesNothing: optional methods of the store are found behind the Replica, and the
// validator sets no deadline.
func TestReplicaHidesNothing(t *testing.T) {
	r := open(t, time.Now)
	if store, ok := blacklist.As[*fakefeed.Store](r); !ok || store == nil {
		t.Error("the store was not found behind the Replica")
	}
	if _, ok := blacklist.As[blacklist.InProcess](r); !ok {
		t.Error("the Replica is not InProcess")
	}
}

// TestCloseEndsEverything: Close ends a read that waits, a snapshot that is silent, and Ready. It
// does not close the store.
func TestCloseEndsEverything(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*fakefeed.Store)
	}{
		{name: "while a read waits", prepare: func(*fakefeed.Store) {}},
		{name: "while the store is silent", prepare: func(s *fakefeed.Store) { s.SetSilent(true) }},
		{name: "while the store is away", prepare: func(s *fakefeed.Store) { s.SetDown(errAway) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, tt.prepare)
				time.Sleep(bound / 3)
				begun := time.Now()
				for range 2 {
					if err := f.r.Close(); err != nil {
						t.Error(err)
					}
				}
				if took := time.Since(begun); took > 0 {
					t.Errorf("Close took %s", took)
				}
				_, err1 := f.r.IsRevoked(t.Context(), token("a"))
				_, err2 := f.r.Revoke(t.Context(), blacklist.OfToken(token("a"), time.Now().Add(time.Hour)))
				for _, err := range []error{err1, err2, f.r.Ping(t.Context())} {
					if !errors.Is(err, blacklist.ErrClosed) {
						t.Errorf("after Close: %v", err)
					}
				}
				f.store.SetDown(nil)
				if _, err := f.store.IsRevoked(t.Context(), token("a")); err != nil {
					t.Errorf("the store: %v", err)
				}
				time.Sleep(10 * bound) // the timer of the age does nothing
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(s *fakefeed.Store) { s.SetFollowError(errAway) })
		done := make(chan error)
		go func() { done <- f.r.Ready(t.Context()) }()
		synctest.Wait()
		_ = f.r.Close()
		if err := <-done; !errors.Is(err, blacklist.ErrClosed) {
			t.Errorf("Ready: %v", err)
		}
	})
}

// TestOneGoroutine: a Replica has one goroutine, whatever the number of its look-ups.
func TestOneGoroutine(t *testing.T) {
	const n = 20
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		before := runtime.NumGoroutine()
		for range n {
			r := f.another()
			if err := r.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, _ = r.IsRevoked(t.Context(), token("a"))
		}
		synctest.Wait()
		if more := runtime.NumGoroutine() - before; more > n {
			t.Errorf("%d goroutines for %d copies", more, n)
		}
	})
}

// TestProcessesStaggerTheirSnapshots: after a gap that all see at once, each takes its snapshot at
// another time, within the stagger.
func TestProcessesStaggerTheirSnapshots(t *testing.T) {
	const n = 20
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		for range n {
			f.another(replica.WithSnapshotStagger(time.Second))
		}
		synctest.Wait()
		_ = f.r.Close()
		first := f.store.Snapshots.Load()
		f.store.Exchange()
		f.store.MakeMark() // wakes all
		synctest.Wait()
		if taken := f.store.Snapshots.Load() - first; taken > n/4 {
			t.Errorf("%d of %d snapshots at once", taken, n)
		}
		time.Sleep(500 * time.Millisecond)
		if taken := f.store.Snapshots.Load() - first; taken < 1 || taken > n-1 {
			t.Errorf("%d of %d snapshots within half of the stagger", taken, n)
		}
		time.Sleep(501 * time.Millisecond)
		if taken := f.store.Snapshots.Load() - first; taken != n {
			t.Errorf("%d of %d snapshots within the stagger", taken, n)
		}
	})
}

// TestOnChangeIsCalled after what a watcher has to look at.
func TestOnChangeIsCalled(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		var calls, others atomic.Int64
		stop := f.r.OnChange(func() { calls.Add(1) })
		defer f.r.OnChange(func() { others.Add(1) })()
		f.wait() // the first snapshot may not have told everybody yet
		calls.Store(0)
		others.Store(0)
		expect := func(why string, change func()) {
			f.Helper()
			before := calls.Load()
			change()
			f.wait()
			if calls.Load() == before {
				f.Errorf("no call after %s", why)
			}
		}
		time.Sleep(10 * bound)
		if calls.Load() > 0 {
			f.Errorf("%d calls while nothing happened", calls.Load())
		}
		expect("a record", func() { f.revokeElsewhere(token("a")) })
		expect("a mark", f.store.MakeMark)
		f.store.SetSilent(true)
		f.wait()
		expect("a revocation of this process", func() {
			_, _ = f.r.Revoke(f.Context(), blacklist.OfToken(token("b"), time.Now().Add(time.Hour)))
		})
		f.store.SetSilent(false)
		time.Sleep(bound)
		expect("a mark without a record", func() {
			time.Sleep(time.Second)
			f.store.MakeMarkSilently()
			time.Sleep(replica.DefaultMarkInterval + bound)
		})
		expect("a snapshot", func() {
			f.store.Exchange()
			time.Sleep(bound)
		})
		f.store.SetSilent(true)
		time.Sleep(bound / 2)
		expect("the copy became too old", func() { time.Sleep(bound + time.Millisecond) })
		expect("it was read again", func() {
			f.store.SetSilent(false)
			time.Sleep(bound)
		})
		if calls.Load() != others.Load() {
			f.Errorf("%d calls, of another function %d", calls.Load(), others.Load())
		}
		stop()
		before := calls.Load()
		f.revokeElsewhere(token("c"))
		f.wait()
		if calls.Load() != before || others.Load() == before {
			f.Error("a call after stop, or none of the other function")
		}
	})
}

// TestDelaysAreCounted by the time of the feed.
func TestDelaysAreCounted(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		for i := range 3 {
			f.revokeElsewhere(numbered(i))
			f.wait()
		}
		f.store.SetSilent(true)
		f.wait()
		f.revokeElsewhere(token("late")) // read half a second or a second later
		time.Sleep(time.Millisecond)
		f.store.SetSilent(false)
		time.Sleep(bound)
		s, bounds := f.r.Stats(), replica.DelayBounds()
		var sum uint64
		for _, n := range s.Delays {
			sum += n
		}
		if len(s.Delays) != len(bounds)+1 || s.Delays[0] != 3 || sum != 4 {
			f.Errorf("delays %v of bounds %v", s.Delays, bounds)
		}
		if s.DelaySum < 100*time.Millisecond || s.DelaySum > 2*time.Second {
			f.Errorf("the sum of the delays is %s", s.DelaySum)
		}
	})
}

// TestLookupsDoNotAllocate: neither if the copy covers the token nor if it does not. Of a long id
// the digest that names an entry allocates, but it is computed only for an entry with the place.
func TestLookupsDoNotAllocate(t *testing.T) {
	r := open(t, time.Now)
	id := token("a")
	until := time.Now().Add(time.Hour)
	long := token(strings.Repeat("long", 200))
	for _, rev := range []blacklist.Revocation{
		blacklist.OfToken(id, until), blacklist.OfSession(id, until),
		blacklist.OfSubject(id.Issuer, "another", time.Now(), until), blacklist.OfIssuer("another", time.Now(), until),
	} {
		if _, err := r.Revoke(t.Context(), rev); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []blacklist.Identity{id, token("b"), long} {
		if n := testing.AllocsPerRun(100, func() { _, _ = r.IsRevoked(context.Background(), id) }); n != 0 {
			t.Errorf("a look-up of %.10s allocates %v times", id.ID, n)
		}
	}
}

// TestErrorsAndLogContainNoIDs: texts are fixed, and the cause is in the chain only.
func TestErrorsAndLogContainNoIDs(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		secret := errors.New("redis: dial 10.0.0.7 with password hunter2")
		f.store.SetDown(secret)
		time.Sleep(10 * bound)
		_, err := f.r.IsRevoked(f.Context(), token("a"))
		for _, text := range []string{err.Error(), f.log.String()} {
			if strings.Contains(text, "hunter2") || strings.Contains(text, "t-a") {
				f.Errorf("the text contains the cause or an id: %s", text)
			}
		}
		if !errors.Is(err, secret) || !strings.Contains(f.log.String(), "older than the bound") {
			f.Errorf("%v; log %s", err, f.log)
		}
	})
}

func TestDefaultsWork(t *testing.T) {
	r, err := replica.New(fakefeed.New(time.Now), replica.WithLogger(slog.Default()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if revoked, err := r.IsRevoked(t.Context(), token("a")); revoked || err != nil || r.Stats().Asked != 0 {
		t.Errorf("%t, %v", revoked, err)
	}
}
