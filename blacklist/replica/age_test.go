package replica_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/blacklist/replica/internal/fakefeed"
)

var errAway = errors.New("the store is away")

func expectUnavailable(t *testing.T, why string, revoked bool, err error) {
	t.Helper()
	if revoked || !errors.Is(err, blacklist.ErrUnavailable) {
		t.Errorf("%s: revoked = %t, %v; want ErrUnavailable", why, revoked, err)
	}
}

// TestRevocationElsewhereIsSeen: records arrive, and look-ups do not ask the store.
func TestRevocationElsewhereIsSeen(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		id := token("a")
		f.expect("before", id, false, false)
		f.revokeElsewhere(id)
		f.wait()
		f.expect("after", id, true, false)
		f.expect("another token", token("b"), false, false)
	})
}

// TestFrozenProcessDoesNotAnswerFromAnOldCopy suspends a look-up after it missed the token. In the
// meantime the token is revoked, and the copy is read again.
func TestFrozenProcessDoesNotAnswerFromAnOldCopy(t *testing.T) {
	for _, name := range []string{"IsRevoked", "IsRevokedAt"} {
		t.Run(name, func(t *testing.T) { testFrozenProcess(t, name) })
	}
}

func testFrozenProcess(t *testing.T, lookUp string) {
	id := token("a")
	inBubble(t, func(s *fakefeed.Store) {
		// An entry that has the place of the token's subject, but another name. The look-up asks
		// for the name of the subject after it has looked for the token.
		place, _ := blacklist.PlaceOf(s.PlaceKey(), blacklist.Subject, id)
		s.InSnapshot = func() {}
		s.PutRaw(replica.Entry{Kind: blacklist.Subject, Place: place, Name: 1 << 40, CutOff: time.Now().UnixMilli(), Until: time.Now().Add(time.Hour).UnixMilli()})
	}, func(f *fixture) {
		id.SessionStart = time.Now()
		frozen := false
		f.store.InName = func() {
			if frozen {
				return
			}
			frozen = true
			f.revokeElsewhere(id)
			time.Sleep(5 * bound)
		}
		f.expectAnswer("frozen for five bounds", f.lookUps(id)[lookUp], true, true)
		if !frozen {
			t.Error("the look-up was not suspended")
		}
		if age := f.r.Stats().Age; age > bound {
			t.Errorf("the copy was not read meanwhile: its age is %s", age)
		}
	})
}

// TestSilentFeedIsNoticed: an answer of the copy is good for the bound, by both clocks.
func TestSilentFeedIsNoticed(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop func(*fixture) // lets more than the bound pass
	}{
		{name: "both clocks", stop: func(*fixture) { time.Sleep(bound + time.Second) }},
		{name: "monotonic clock stands still", stop: func(f *fixture) {
			f.monotonicStep.Add(-int64(bound + time.Second))
			time.Sleep(bound + time.Second)
		}},
		{name: "wall clock is set back an hour", stop: func(f *fixture) {
			f.wallStep.Add(-int64(time.Hour))
			time.Sleep(bound + time.Second)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, nil, func(f *fixture) {
				id, known := token("a"), token("known")
				f.revokeElsewhere(known)
				f.wait()
				f.store.SetSilent(true)
				time.Sleep(time.Millisecond)
				f.revokeElsewhere(id)
				f.expect("within the bound", token("b"), false, false)
				tt.stop(f)
				f.expect("after the bound", id, true, true)
				f.expect("after the bound", token("b"), false, true)
				f.expect("what the copy covers is final", known, true, false)
				if s := f.r.Stats(); s.Fresh || !s.Ready {
					t.Errorf("fresh = %t, ready = %t", s.Fresh, s.Ready)
				}
				f.store.SetSilent(false)
				time.Sleep(bound)
				f.expect("read again", id, true, false)
				f.expect("read again", token("b"), false, false)
			})
		})
	}
}

// TestWallClockStepIsOver: a step of the wall clock makes the copy too old at once, and the next
// reads make it fresh again.
func TestWallClockStepIsOver(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			inBubble(t, nil, func(f *fixture) {
				f.wallStep.Add(int64(step))
				f.expect("after the step", token("a"), false, step > 0)
				time.Sleep(bound)
				f.expect("after the next reads", token("a"), false, false)
			})
		})
	}
}

// TestAgeCountsFromTheBeginningOfTheRead: a read that waited does not say what happened since.
func TestAgeCountsFromTheBeginningOfTheRead(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		time.Sleep(bound)
		for range 1000 {
			time.Sleep(7 * time.Millisecond)
			if age := f.r.Stats().Age; age < bound/4 || age > bound/2 {
				t.Fatalf("the age is %s", age)
			}
		}
	})
}

// TestReadsAreBounded: a read waits a quarter of the bound at most, with a deadline of twice that.
func TestReadsAreBounded(t *testing.T) {
	const short = 400 * time.Millisecond
	waited := 0
	inBubble(t, func(s *fakefeed.Store) {
		s.InRead = func(ctx context.Context, wait time.Duration) {
			if wait > 0 {
				waited++
			}
			if end, ok := ctx.Deadline(); wait > short/4 || !ok || time.Until(end) > short/2 {
				t.Errorf("a read waits %s and ends in %s", wait, time.Until(end))
			}
		}
	}, func(*fixture) { time.Sleep(5 * short) }, replica.WithBound(short))
	if waited < 15 {
		t.Errorf("%d reads in five bounds", waited)
	}
}

// TestIncompleteReadsDoNotCount: records that come during the snapshot take three reads.
func TestIncompleteReadsDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fixture
		reads, opened := 0, make(chan struct{})
		f = newFixture(t, func(s *fakefeed.Store) {
			s.Limit = 10
			s.InSnapshot = func() {}
			s.InRead = func(context.Context, time.Duration) {
				<-opened
				if reads++; reads <= 3 && f.r.Stats().Ready {
					t.Errorf("ready before read %d", reads)
				}
			}
		})
		synctest.Wait() // the first read waits
		for i := range 25 {
			f.revokeElsewhere(numbered(i))
		}
		f.expect("not in the copy yet", numbered(24), true, true)
		close(opened)
		synctest.Wait()
		if s := f.r.Stats(); !s.Ready || reads != 4 || s.Entries != 25 {
			t.Errorf("ready = %t after %d reads, %d entries", s.Ready, reads, s.Entries)
		}
		f.expect("in the copy", numbered(24), true, false)
	})
}

// TestUnconfirmedReadsDoNotCount: what they return counts, and they do not make the copy younger.
func TestUnconfirmedReadsDoNotCount(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.store.Unconfirmed.Store(true)
		f.wait()
		id := token("a")
		f.revokeElsewhere(id)
		f.wait()
		f.expect("of an unconfirmed read", id, true, false)
		f.expect("within the bound", token("b"), false, false)
		time.Sleep(bound + time.Second)
		f.expect("after the bound", token("b"), false, true)
		reads := f.store.Reads.Load()
		time.Sleep(time.Minute)
		if n := f.store.Reads.Load() - reads; n > 1000 {
			t.Errorf("%d reads in a minute", n)
		}
		f.store.Unconfirmed.Store(false)
		time.Sleep(bound)
		f.expect("after a confirmed read", token("b"), false, false)
	})
}

// TestFeedWithoutProgressIsNotReadInALoop: such a feed is wrong, and never counts.
func TestFeedWithoutProgressIsNotReadInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(s *fakefeed.Store) { s.Fault = fakefeed.NeverComplete })
		time.Sleep(time.Minute)
		if n := f.store.Reads.Load(); f.r.Stats().Ready || n > 1000 {
			t.Errorf("ready = %t, %d reads in a minute", f.r.Stats().Ready, n)
		}
	})
}

// TestNotReadyAsksTheStore: until the first snapshot is complete the store answers.
func TestNotReadyAsksTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(s *fakefeed.Store) { s.SetFollowError(errAway) })
		id := token("a")
		f.revokeElsewhere(id)
		f.expect("not ready", id, true, true)
		f.expect("not ready", token("b"), false, true)
		if err := f.r.Ping(t.Context()); !errors.Is(err, blacklist.ErrUnavailable) {
			t.Errorf("Ping: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.r.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ready: %v", err)
		}
		if s := f.r.Stats(); s.Ready || s.Fresh || !errors.Is(s.LastError, errAway) || s.SnapshotsFailed < 10 || s.SnapshotsFailed > 100 {
			t.Errorf("%+v", s)
		}
		f.store.SetFollowError(nil)
		if err := f.r.Ready(t.Context()); err != nil {
			t.Errorf("Ready: %v", err)
		}
		f.expect("ready", id, true, false)
		f.expect("ready", token("b"), false, false)
		if err := f.r.Ping(t.Context()); err != nil {
			t.Errorf("Ping: %v", err)
		}
	})
}

// TestStoreAwayIsAnError: a copy that is too old and a store that does not answer are an error,
// except for what the copy covers.
func TestStoreAwayIsAnError(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		known := token("known")
		f.revokeElsewhere(known)
		f.wait()
		f.store.SetDown(errAway)
		time.Sleep(bound / 2)
		f.expect("within the bound", token("b"), false, false)
		time.Sleep(bound)
		f.expectUnavailable("after the bound", token("b"))
		if _, err := f.r.IsRevoked(f.Context(), token("b")); !errors.Is(err, errAway) {
			t.Errorf("the cause is missing: %v", err)
		}
		time.Sleep(30 * time.Minute)
		f.expect("what the copy covers is final", known, true, false)
		if _, err := f.r.Revoke(f.Context(), blacklist.OfToken(token("c"), time.Now().Add(time.Hour))); !errors.Is(err, errAway) {
			t.Errorf("Revoke: %v", err)
		}
		if err := f.r.Ping(f.Context()); !errors.Is(err, errAway) {
			t.Errorf("Ping: %v", err)
		}
		f.store.SetDown(nil)
		time.Sleep(bound)
		f.expect("back", token("b"), false, false)
		f.expect("not recorded by the failed call", token("c"), false, false)
	})
}

// TestLookupsInTheStoreAreBounded: two wait for the store, the third is an error at once. Each has
// a deadline.
func TestLookupsInTheStoreAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(s *fakefeed.Store) {
			s.SetFollowError(errAway)
			s.InLookup = func(ctx context.Context) { <-ctx.Done() }
		}, replica.WithLookups(2), replica.WithLookupTimeout(time.Second))
		begun := time.Now()
		results := make(chan error)
		for range 2 {
			go func() {
				_, err := f.r.IsRevoked(t.Context(), token("a"))
				results <- err
			}()
		}
		synctest.Wait()
		f.expectUnavailable("two look-ups ask the store", token("a"))
		if took := time.Since(begun); took > 0 || f.r.Stats().Refused != 1 {
			t.Errorf("the third took %s, %d refused", took, f.r.Stats().Refused)
		}
		for range 2 {
			expectUnavailable(t, "at the deadline", false, <-results)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("the deadline came after %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := f.r.IsRevoked(ctx, token("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the context of the caller: %v", err)
		}
	})
}
