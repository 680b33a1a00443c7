package replica_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/blacklist/replica/internal/fakefeed"
)

// TestRevocationIsInForceAtOnceInItsProcess has a store without records: the copy knows what its
// process revoked, also what was revoked elsewhere before.
func TestRevocationIsInForceAtOnceInItsProcess(t *testing.T) {
	inBubble(t, func(s *fakefeed.Store) { s.Fault = fakefeed.NoRecords }, func(f *fixture) {
		for _, elsewhere := range []bool{false, true} {
			id := token("a")
			if elsewhere {
				id = token("b")
				f.revokeElsewhere(id)
				f.wait()
			}
			before, err := f.r.Revoke(f.Context(), blacklist.OfToken(id, time.Now().Add(time.Hour)))
			if err != nil || before != elsewhere {
				f.Errorf("revoked elsewhere = %t: before = %t, %v", elsewhere, before, err)
			}
			f.expect("revoked here", id, true, false)
		}
	})
}

// TestGapNeedsANewSnapshot removes a record before it was read. Until the new snapshot is complete,
// the age does not count again.
func TestGapNeedsANewSnapshot(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose func(*fakefeed.Store)
	}{
		{name: "trimmed", lose: (*fakefeed.Store).Trim},
		{name: "fail-over", lose: (*fakefeed.Store).Exchange},
		{name: "emptied", lose: (*fakefeed.Store).Empty},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, nil, func(f *fixture) {
				id := token("a")
				f.store.SetSilent(true)
				f.wait()
				f.revokeElsewhere(id)
				tt.lose(f.store)
				f.store.SetFollowError(errAway)
				f.store.SetSilent(false)
				later := token("later")
				later.SessionStart = time.Now().Add(time.Hour)
				time.Sleep(bound + time.Second)
				f.expect("the record is lost", id, true, true)
				f.expect("too old", later, false, true)
				time.Sleep(time.Minute)
				f.expect("still too old", later, false, true)
				f.store.SetFollowError(nil)
				time.Sleep(10 * time.Second)
				f.expect("after the snapshot", id, true, false)
				f.expect("after the snapshot", later, false, false)
				if s := f.r.Stats(); s.Snapshots[replica.Gap] != 1 || s.Snapshots[replica.First] != 1 {
					f.Errorf("snapshots: %v", s.Snapshots)
				}
				if !strings.Contains(f.log.String(), "records of the store are missing") {
					f.Errorf("the log has no warning: %s", f.log)
				}
			})
		})
	}
}

// TestSnapshotThatDoesNotFitIsThrownAway exchanges the store during the second snapshot.
func TestSnapshotThatDoesNotFitIsThrownAway(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.revokeElsewhere(token("known"))
		f.wait()
		exchanged := 0
		f.store.InSnapshot = func() {
			if exchanged++; exchanged == 1 {
				f.store.Exchange()
			}
		}
		f.store.Exchange()
		time.Sleep(10 * time.Second)
		if s := f.r.Stats(); s.SnapshotsFailed != 1 || s.Snapshots[replica.Gap] != 1 || !s.Fresh {
			f.Errorf("%d snapshots failed, %v", s.SnapshotsFailed, s.Snapshots)
		}
	})
}

// TestSnapshotKeepsWhatTheCopyContains looks up tokens while a snapshot runs, and revokes one that
// the snapshot does not contain.
func TestSnapshotKeepsWhatTheCopyContains(t *testing.T) {
	inBubble(t, func(s *fakefeed.Store) { s.Fault, s.Limit = fakefeed.NoRecords, 5 }, func(f *fixture) {
		const n = 20
		revoke := func(id blacklist.Identity) {
			if _, err := f.r.Revoke(f.Context(), blacklist.OfToken(id, time.Now().Add(time.Hour))); err != nil {
				f.Fatal(err)
			}
		}
		for i := range n {
			revoke(numbered(i))
		}
		batches := 0
		f.store.InSnapshot = func() {
			batches++
			revoke(numbered(n + batches))
			for i := range n {
				f.expect("during the snapshot", numbered(i), true, false)
			}
		}
		f.store.Exchange()
		time.Sleep(10 * time.Second)
		if f.r.Stats().Snapshots[replica.Gap] != 1 || batches == 0 {
			f.Fatal("there was no second snapshot")
		}
		f.store.SetDown(errAway)
		for i := range batches {
			f.expect("revoked during the snapshot", numbered(n+1+i), true, false)
		}
	})
}

// TestFullCopyAsksTheStore: what does not fit is found in the store, what fits stays, and when
// entries have expired a new snapshot brings the others.
func TestFullCopyAsksTheStore(t *testing.T) {
	const capacity = 16
	inBubble(t, nil, func(f *fixture) {
		for i := range capacity {
			f.revokeElsewhere(numbered(i))
		}
		f.wait()
		f.expect("a copy with room for all", token("unknown"), false, false)
		other := token("other")
		if _, err := f.store.Revoke(f.Context(), blacklist.OfToken(other, time.Now().Add(3*time.Hour))); err != nil {
			f.Fatal(err)
		}
		f.wait()
		f.expect("did not fit", other, true, true)
		f.expect("not revoked", token("unknown"), false, true)
		if s := f.r.Stats(); !s.Full || s.Fresh || s.Entries != capacity {
			f.Errorf("full = %t, fresh = %t, %d entries", s.Full, s.Fresh, s.Entries)
		}
		mine := token("mine")
		if _, err := f.r.Revoke(f.Context(), blacklist.OfToken(mine, time.Now().Add(3*time.Hour))); err != nil {
			f.Fatal(err)
		}
		f.expect("revoked here, did not fit", mine, true, true)
		for i := range capacity {
			f.expect("fits", numbered(i), true, false)
		}
		time.Sleep(10*time.Minute + time.Second)
		if n := strings.Count(f.log.String(), "level=ERROR"); n < 10 || n > 12 {
			f.Errorf("%d errors in the log in ten minutes", n)
		}
		time.Sleep(2 * time.Hour)
		if s := f.r.Stats(); s.Full || s.Snapshots[replica.Room] != 1 || s.Entries != 2 {
			f.Errorf("after the entries have expired: full = %t, snapshots %v, %d entries", s.Full, s.Snapshots, s.Entries)
		}
		f.expect("after the snapshot", other, true, false)
		f.expect("after the snapshot", mine, true, false)
		f.expect("after the snapshot", token("unknown"), false, false)
	}, replica.WithCapacity(capacity))
}

// TestEntriesEndByTheTimeOfTheFeed: the clock of the process alone ends no entry, and the copy keeps
// it for five minutes. Within these the store answers.
func TestEntriesEndByTheTimeOfTheFeed(t *testing.T) {
	const life = 10 * time.Minute
	for _, tt := range []struct {
		name         string
		store, local time.Duration // how far the clocks are ahead
		ends         time.Duration // when the entry ends by both
	}{
		{name: "right clocks", ends: life},
		{name: "the process an hour ahead", local: time.Hour, ends: life},
		{name: "the process an hour behind", local: -time.Hour, ends: life + time.Hour},
		{name: "the store an hour ahead", store: time.Hour, ends: life},
		{name: "the store an hour behind", store: -time.Hour, ends: life + time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := token("a")
			inBubble(t, func(s *fakefeed.Store) {
				s.Clock = func() time.Time { return time.Now().Add(tt.store) }
				id = token("a")
				s.PutToken(id, time.Now().Add(life))
			}, func(f *fixture) {
				f.wallStep.Store(int64(tt.local))
				time.Sleep(bound)
				if !f.r.Stats().Fresh {
					f.Fatal("the copy is not fresh")
				}
				time.Sleep(tt.ends - bound - time.Second)
				f.expect("before the end", id, true, false)
				time.Sleep(2 * time.Second)
				asked := f.r.Stats().Asked
				if _, err := f.r.IsRevoked(f.Context(), id); err != nil || f.r.Stats().Asked != asked+1 {
					f.Errorf("after the end: %v, the store was asked %d times", err, f.r.Stats().Asked-asked)
				}
				f.store.SetDown(errAway)
				f.expectUnavailable("after the end, the store is away", id)
				f.store.SetDown(nil)
				time.Sleep(5*time.Minute - 2*time.Second)
				if n := f.r.Stats().Entries; n != 1 {
					f.Errorf("%d entries within five minutes after the end", n)
				}
				time.Sleep(time.Minute) // not all shards are swept at once
				if n := f.r.Stats().Entries; n != 0 {
					f.Errorf("%d entries six minutes after the end", n)
				}
				f.expect("removed", id, false, false)
			})
		})
	}
}

// TestCutOffsOnlyRise applies records in another order than they were written.
func TestCutOffsOnlyRise(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		id := token("a")
		at := time.Now()
		record := func(cutOff, until time.Time) {
			place, _ := blacklist.PlaceOf(f.store.PlaceKey(), blacklist.Subject, id)
			name, _ := f.store.Name(blacklist.Subject, id)
			f.store.Append(replica.Entry{Kind: blacklist.Subject, Place: place, Name: name, CutOff: cutOff.UnixMilli(), Until: until.UnixMilli()})
			f.wait()
		}
		record(at.Add(time.Second), at.Add(time.Hour))
		record(at, at.Add(2*time.Hour))
		record(at, at.Add(time.Minute))
		id.SessionStart = at.Add(time.Second)
		f.expect("the highest cut-off", id, true, false)
		time.Sleep(2*time.Hour - time.Second)
		f.expect("the latest end", id, true, false)
		id.SessionStart = at.Add(time.Second + time.Millisecond)
		f.expect("begun later", id, false, false)
	})
}

// TestNewestMarkCounts: marks come with the snapshot, as records, and from a read of all marks.
func TestNewestMarkCounts(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		begunAt := func(at time.Time) blacklist.Identity {
			id := token("a")
			id.SessionStart = at
			return id
		}
		old := time.Now().AddDate(-1, 0, 0)
		f.expect("the mark of the snapshot", begunAt(old), true, false)
		f.expect("after the mark of the snapshot", begunAt(old.Add(time.Millisecond)), false, false)
		mark := time.Now()
		f.store.MakeMark()
		f.wait()
		f.expect("a mark with a record", begunAt(mark), true, false)
		f.store.Append(replica.Entry{CutOff: old.UnixMilli(), Until: math.MaxInt64})
		f.wait()
		f.expect("an older mark came later", begunAt(mark), true, false)
		f.expect("after the newest mark", begunAt(mark.Add(time.Millisecond)), false, false)
		time.Sleep(time.Second)
		mark = time.Now()
		f.store.MakeMarkSilently()
		time.Sleep(replica.DefaultMarkInterval + bound)
		f.expect("a mark without a record", begunAt(mark), true, false)
	})
}

// TestStoreWithoutMarksRefusesNoSession, not even one that began before all times.
func TestStoreWithoutMarksRefusesNoSession(t *testing.T) {
	inBubble(t, func(s *fakefeed.Store) { s.Fault = fakefeed.SnapshotWithoutMarks }, func(f *fixture) {
		for _, begun := range []time.Time{{}, time.Unix(-1<<60, 0)} {
			id := token("a")
			id.SessionStart = begun
			f.expect("no mark", id, false, false)
		}
	})
}

// TestMarksThatCannotBeReadCountAsAFailedRead: the copy becomes too old.
func TestMarksThatCannotBeReadCountAsAFailedRead(t *testing.T) {
	inBubble(t, func(s *fakefeed.Store) { s.Fault = fakefeed.MarksFail }, func(f *fixture) {
		time.Sleep(replica.DefaultMarkInterval - time.Second)
		f.expect("before the marks are read", token("a"), false, false)
		time.Sleep(bound + 2*time.Second)
		f.expect("after the marks could not be read", token("a"), false, true)
	})
}

// TestUnknownKindMakesTheCopyUseless: an entry that this version does not understand is not ignored.
func TestUnknownKindMakesTheCopyUseless(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		f.store.PutRaw(replica.Entry{Kind: blacklist.Issuer + 1, Place: 1, Name: 1, CutOff: math.MaxInt64, Until: math.MaxInt64})
		f.store.Append(replica.Entry{Kind: blacklist.Issuer + 1, Place: 1, Name: 1, CutOff: math.MaxInt64, Until: math.MaxInt64})
		time.Sleep(time.Minute)
		f.expect("the store answers", token("a"), false, true)
		if s := f.r.Stats(); s.Fresh || s.SnapshotsFailed == 0 {
			f.Errorf("%+v", s)
		}
	})
}

// TestTokenWithTheSamePlaceIsNotRevoked: the name decides, for each kind.
func TestTokenWithTheSamePlaceIsNotRevoked(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		id := token("a")
		for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
			place, _ := blacklist.PlaceOf(f.store.PlaceKey(), kind, id)
			name, _ := f.store.Name(kind, id)
			e := replica.Entry{Kind: kind, Place: place, Name: name ^ 1<<40, CutOff: math.MaxInt64, Until: math.MaxInt64}
			f.store.Append(e)
			f.wait()
			f.expect("another name: "+kind.String(), id, false, false)
		}
		for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
			one := token("a" + kind.String())
			one.Issuer = "https://another.example/" + kind.String()
			place, _ := blacklist.PlaceOf(f.store.PlaceKey(), kind, one)
			name, _ := f.store.Name(kind, one)
			for _, flip := range []uint64{1 << 40, 0} { // the second in the same place
				f.store.Append(replica.Entry{Kind: kind, Place: place, Name: name ^ flip, CutOff: math.MaxInt64, Until: math.MaxInt64})
			}
			f.wait()
			f.expect("the same place and the name: "+kind.String(), one, true, false)
		}
	})
}

// TestSilentSnapshotIsGivenUp: a snapshot that passes nothing for ten seconds is tried again.
func TestSilentSnapshotIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := true
		f := newFixture(t, func(s *fakefeed.Store) {
			s.PutToken(token("a"), time.Now().Add(time.Hour))
			s.InSnapshot = func() {
				if slow {
					slow = false
					time.Sleep(11 * time.Second)
				}
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		if err := f.r.Ready(ctx); err != nil || f.r.Stats().SnapshotsFailed != 1 {
			t.Errorf("Ready: %v, %d snapshots failed", err, f.r.Stats().SnapshotsFailed)
		}
	})
}
