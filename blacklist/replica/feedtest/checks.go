package feedtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
)

// checks are the promises of the contract.
var checks = []check{
	{name: "Names", promise: "Name has a name where KeyOf has a key, always the same, and the place key does not change.", run: names},
	{name: "Snapshot", promise: "A snapshot contains all entries, as they are.", run: snapshot},
	{name: "SnapshotMarks", promise: "A snapshot contains the marks, and Marks returns the newest.", run: snapshotMarks},
	{name: "SnapshotApplyError", promise: "An error of apply ends the snapshot and is returned.", run: applyError},
	{name: "SnapshotContext", promise: "A snapshot ends with its context.", run: snapshotContext},
	{name: "Records", promise: "Every revocation has a record, as it is.", run: records},
	{name: "RecordsAgain", promise: "A revocation whose entry was there before has a record too.", run: recordsAgain},
	{name: "RecordOfMark", promise: "A mark has a record.", run: recordOfMark},
	{name: "ConcurrentWriters", promise: "Nothing is lost between the snapshot and the reads, whatever is written meanwhile.", run: concurrentWriters},
	{name: "Complete", promise: "A read that is complete has returned all that was recorded before it, and the last read of many is complete.", run: complete},
	{name: "Followers", promise: "Each follower has its position.", run: independent},
	{name: "Wait", promise: "A read without records takes as long as it may wait, and no longer.", run: wait},
	{name: "Wakes", promise: "A record ends the wait of a read.", run: wakes},
	{name: "Context", promise: "A read ends with its context and then loses nothing.", run: readContext},
	{name: "Close", promise: "Close may be called twice and ends reads. Later calls return ErrClosed, and the store works.", run: closed},
	{name: "Gap", promise: "Where records may be missing Read returns ErrGap, and a new follower reads on.", run: gap},
}

func names(h *harness) {
	if first, again := h.Feed.PlaceKey(), h.Feed.PlaceKey(); first != again {
		h.fail("PlaceKey changes")
	}
	seen := make(map[uint64]string)
	for i, id := range []blacklist.Identity{
		h.id("a"), h.id("b"), {Issuer: issuer}, {Issuer: issuer, ID: "a"}, {Issuer: issuer, Subject: "a"},
		{Issuer: issuer, Session: "a"}, {Issuer: "i", Template: "{t}", ID: "a", Session: "a", Subject: "a"},
	} {
		for kind := blacklist.Kind(0); kind <= blacklist.Issuer+1; kind++ {
			key, want := blacklist.KeyOf(kind, id)
			name, ok := h.Feed.Name(kind, id)
			if again, _ := h.Feed.Name(kind, id); ok && again != name {
				h.fail("the name of a %s changes", kind)
			}
			if ok != want {
				h.fail("identity %d: Name reports %t for a %s, KeyOf %t", i, ok, kind, want)
			}
			if other, exists := seen[name&^7]; ok && exists && other != string(key[:]) {
				h.fail("identity %d: the name of the %s is that of another entry", i, kind)
			}
			seen[name&^7] = string(key[:])
		}
	}
}

func snapshot(h *harness) {
	var list []blacklist.Revocation
	for i := range 75 {
		list = append(list, h.ofEveryKind(fmt.Sprint(i))...)
	}
	for i, r := range list {
		h.revoke(i, r)
	}
	r := h.follow(0)
	for _, rev := range list {
		r.expectExactly("the entry in the snapshot", rev)
	}
	if len(r.seen) != len(list) && !h.failed() {
		h.fail("the snapshot contains %d entries, want %d", len(r.seen), len(list))
	}
}

func snapshotMarks(h *harness) {
	if h.MakeMark == nil {
		return
	}
	first := h.follow(0)
	first.expectMark("the snapshot of a new store", math.MinInt64+1)
	h.makeMark()
	second := h.follow(0)
	second.expectMark("the snapshot after a mark was made", first.newest+1)
	if h.failed() {
		return
	}
	newest, err := first.follower.Marks(h.ctx)
	if err != nil || newest != second.newest {
		h.fail("Marks = %d, %v; want %d", newest, err, second.newest)
	}
}

// makeMark makes a mark at a later millisecond than the last one.
func (h *harness) makeMark() {
	pause(h.ctx, 20*time.Millisecond)
	if err := h.MakeMark(h.ctx); err != nil {
		h.fail("MakeMark: %w", err)
	}
}

// newFollower returns a follower without a snapshot.
func (h *harness) newFollower() replica.Follower {
	f, err := h.Feed.Follow(h.ctx)
	if err != nil {
		h.fail("Follow: %w", err)
		return nil
	}
	h.followers = append(h.followers, f)
	return f
}

func applyError(h *harness) {
	for i := range 10 {
		h.revoke(i, h.token(fmt.Sprint(i)))
	}
	stop := errors.New("stop")
	if f := h.newFollower(); f != nil {
		if err := f.Snapshot(h.ctx, func(replica.Batch) error { return stop }); !errors.Is(err, stop) {
			h.fail("Snapshot returned %v, want the error of apply", err)
		}
	}
}

func snapshotContext(h *harness) {
	h.revoke(0, h.token("a"))
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	f := h.newFollower()
	if f == nil {
		return
	}
	_, err := h.inTime("a snapshot whose context is done", patience, func() error {
		return f.Snapshot(ctx, func(replica.Batch) error { return nil })
	})
	if err == nil {
		h.fail("a snapshot whose context is done returned no error")
	}
}

func records(h *harness) {
	r := h.follow(0)
	list := h.ofEveryKind("a")
	for i, rev := range list {
		h.revoke(i, rev)
	}
	r.drain()
	for _, rev := range list {
		r.expectRecord("after a revocation", rev)
		r.expectExactly("the record", rev)
	}
}

func recordsAgain(h *harness) {
	list := h.ofEveryKind("a")
	for i, rev := range list {
		h.revoke(i, rev)
	}
	r := h.follow(0)
	r.drain()
	for i, rev := range list {
		r.records = nil
		h.revoke(i+1, rev)
		r.drain()
		r.expectRecord("revoked again", rev)
		if !rev.Until.IsZero() {
			r.records, rev.Until = nil, rev.Until.Add(time.Hour)
			h.revoke(i, rev)
			r.drain()
			r.expectRecord("prolonged", rev)
		}
		if !rev.CutOff.IsZero() {
			r.records, rev.CutOff = nil, rev.CutOff.Add(time.Hour)
			h.revoke(i, rev)
			r.drain()
			r.expectRecord("with a later cut-off", rev)
		}
	}
}

func recordOfMark(h *harness) {
	if h.MakeMark == nil {
		return
	}
	r := h.follow(0)
	before := r.newest
	h.makeMark()
	r.drain()
	r.expectMark("the records after a mark was made", before+1)
}

func concurrentWriters(h *harness) {
	const writers, followers, each = 4, 4, 150
	var wg sync.WaitGroup
	var running atomic.Int64
	running.Store(writers)
	for w := range writers {
		wg.Go(func() {
			defer running.Add(-1)
			for i := range each {
				h.revoke(w, h.token(fmt.Sprint(w, "-", i)))
				if i%10 == w {
					pause(h.ctx, time.Millisecond)
				}
			}
		})
	}
	var readers []*reader
	for !h.failed() && (running.Load() > 0 || len(readers) < followers) {
		pause(h.ctx, time.Millisecond)
		r := h.follow(0)
		if h.failed() {
			break
		}
		if len(readers) < followers {
			readers = append(readers, r)
		} else {
			r.drain()
			i := rand.IntN(followers)
			_ = readers[i].follower.Close()
			readers[i] = r
		}
		for _, r := range readers {
			if _, err := r.read(0); err != nil && !h.failed() {
				h.fail("Read: %w", err)
			}
		}
	}
	wg.Wait()
	for _, r := range readers {
		r.drain()
		r.expectSeen("a follower that began while others wrote", h.acknowledged())
	}
}

func complete(h *harness) {
	r := h.follow(0)
	n := 3*h.Limit + 1
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				h.revoke(w, h.token(fmt.Sprint(i)))
			}
		})
	}
	wg.Wait()
	r.drain()
	r.expectSeen("the reads until a complete one", h.acknowledged())
	h.revoke(0, h.token("one more"))
	r.drain()
}

func independent(h *harness) {
	first, second := h.follow(0), h.follow(0)
	for i := range 5 {
		h.revoke(i, h.token(fmt.Sprint(i)))
		first.drain()
	}
	second.drain()
	second.expectSeen("another follower has read before", h.acknowledged())
}

func wait(h *harness) {
	r := h.follow(0)
	r.drain()
	if h.failed() {
		return
	}
	for _, tt := range []struct{ wait, least, most time.Duration }{
		{wait: 0, least: 0, most: time.Second},
		{wait: 400 * time.Millisecond, least: 200 * time.Millisecond, most: 2 * time.Second},
	} {
		var b replica.Batch
		took, err := h.inTime(fmt.Sprint("a read that may wait ", tt.wait), tt.most, func() (err error) {
			b, err = r.follower.Read(h.ctx, tt.wait)
			return err
		})
		if h.failed() {
			return
		}
		if err != nil || !b.Complete || took < tt.least {
			h.fail("a read without records that may wait %s: complete = %t, %v, after %s", tt.wait, b.Complete, err, took)
		}
	}
}

func wakes(h *harness) {
	r := h.follow(0)
	r.drain()
	for i := range 3 {
		if h.failed() {
			return
		}
		rev, written := h.token(fmt.Sprint(i)), make(chan struct{})
		go func() {
			defer close(written)
			pause(h.ctx, 100*time.Millisecond) // the read waits by then
			h.revoke(i, rev)
		}()
		var b replica.Batch
		_, err := h.inTime("a read that waits while a record is written", patience, func() (err error) {
			b, err = r.follower.Read(h.ctx, 30*time.Second)
			return err
		})
		<-written
		if h.failed() {
			return
		}
		if err != nil {
			h.fail("a read that waits while a record is written: %w", err)
			return
		}
		r.take(b)
		r.records = append(r.records, b.Entries...)
		r.expectRecord("the read that waited", rev)
	}
}

func readContext(h *harness) {
	r := h.follow(0)
	r.drain()
	if h.failed() {
		return
	}
	done, cancel := context.WithCancel(h.ctx)
	cancel()
	h.revoke(0, h.token("before"))
	if _, err := r.follower.Read(done, 0); !errors.Is(err, context.Canceled) {
		h.fail("a read whose context is done returned %v", err)
	}
	r.drain()
	soon, cancel := context.WithTimeout(h.ctx, 100*time.Millisecond)
	defer cancel()
	_, err := h.inTime("a read that waits while its context ends", patience, func() error {
		_, err := r.follower.Read(soon, 20*time.Second)
		return err
	})
	if err == nil {
		h.fail("a read that waited while its context ended returned no error")
	}
	for i := range 50 {
		if h.failed() {
			return
		}
		h.revoke(i, h.token(fmt.Sprint(i)))
		short, cancel := context.WithTimeout(h.ctx, time.Duration(rand.Int64N(int64(time.Millisecond))))
		if b, err := r.follower.Read(short, 0); err == nil {
			r.take(b)
		}
		cancel()
	}
	r.drain()
	r.expectSeen("reads whose context ended", h.acknowledged())
}

func closed(h *harness) {
	r := h.follow(0)
	r.drain()
	if h.failed() {
		return
	}
	go func() {
		pause(h.ctx, 100*time.Millisecond) // the read waits by then
		_ = r.follower.Close()
	}()
	_, err := h.inTime("a read during Close", patience, func() error {
		_, err := r.follower.Read(h.ctx, 20*time.Second)
		return err
	})
	if h.failed() {
		return
	}
	if err == nil {
		h.fail("a read during Close returned no error")
	}
	if err := r.follower.Close(); err != nil {
		h.fail("a second Close: %w", err)
	}
	_, readErr := r.follower.Read(h.ctx, 0)
	_, marksErr := r.follower.Marks(h.ctx)
	for _, err := range []error{readErr, marksErr, r.follower.Snapshot(h.ctx, func(replica.Batch) error { return nil })} {
		if !errors.Is(err, blacklist.ErrClosed) {
			h.fail("a call after Close returned %v, want ErrClosed", err)
		}
	}
	h.revoke(0, h.token("after"))
	h.follow(0).drain()
}

func gap(h *harness) {
	for name := range h.Gaps {
		h.Store = h.open() // the gap before may have left another store
		h.prepare()
		lose := h.Gaps[name]
		h.acked = nil
		r := h.follow(0)
		r.drain()
		id := h.id("unread")
		id.SessionStart = time.Now()
		h.revoke(0, blacklist.OfToken(id, time.Now().Add(time.Hour)))
		unread := h.acked
		h.acked = nil // a gap may lose it, if there is a mark instead
		if err := lose(h.ctx); err != nil {
			h.fail("%s: %w", name, err)
		}
		h.expectGap(name, r)
		next := h.follow(time.Minute)
		next.drain()
		if next.newest < id.SessionStart.UnixMilli() {
			next.expectSeen(name+": the snapshot afterwards has no newer mark", unread)
		}
		h.revoke(0, h.token("after"))
		next.drain()
		if h.failed() {
			return
		}
	}
}

// expectGap reads until ErrGap. Other errors may come before, but no answer.
func (h *harness) expectGap(name string, r *reader) {
	for end := time.Now().Add(time.Minute); !h.failed(); pause(h.ctx, 100*time.Millisecond) {
		_, err := r.follower.Read(h.ctx, 0)
		switch {
		case errors.Is(err, replica.ErrGap):
			return
		case err == nil:
			h.fail("%s: Read returned no error", name)
		case time.Now().After(end):
			h.fail("%s: Read returned %w, want ErrGap", name, err)
		}
	}
}
