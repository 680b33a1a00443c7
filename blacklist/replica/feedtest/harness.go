package feedtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// harness is the store of one check. It keeps the error of the first step that failed. Later steps
// do nothing.
type harness struct {
	Store
	ctx       context.Context
	open      func() Store
	base      time.Time // sessions begin here: after the marks
	followers []replica.Follower

	mu    sync.Mutex
	err   error
	acked []replica.Entry // what revocations recorded that have returned
}

const (
	issuer = "https://issuer.example"
	// patience is how long a call may take that should return at once.
	patience = 5 * time.Second
)

func (h *harness) prepare() {
	if len(h.Clients) == 0 {
		h.Clients = []blacklist.Blacklist{h.Feed}
	}
	if h.Limit == 0 {
		h.Limit = 1000
	}
	h.base = time.Now().Add(time.Hour).Truncate(time.Millisecond)
}

func (h *harness) closeAll() {
	for _, f := range h.followers {
		_ = f.Close()
	}
}

func (h *harness) fail(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = fmt.Errorf(format, args...)
	}
}

func (h *harness) failure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

func (h *harness) failed() bool { return h.failure() != nil }

// id returns the identity of a token whose id, session and subject contain the name.
func (h *harness) id(name string) blacklist.Identity {
	return blacklist.Identity{Issuer: issuer, ID: "t-" + name, Session: "s-" + name, Subject: "u-" + name, SessionStart: h.base}
}

// token returns the revocation of a token for an hour.
func (h *harness) token(name string) blacklist.Revocation {
	return blacklist.OfToken(h.id(name), time.Now().Add(time.Hour))
}

// ofEveryKind returns a revocation of each kind.
func (h *harness) ofEveryKind(name string) []blacklist.Revocation {
	id, until := h.id(name), time.Now().Add(time.Hour)
	return []blacklist.Revocation{
		blacklist.OfToken(id, until), blacklist.OfSession(id, until.Add(1500*time.Microsecond)),
		blacklist.OfSubject(id.Issuer, id.Subject, h.base.Add(time.Millisecond), time.Time{}),
		blacklist.OfIssuer("https://another.example/"+name, h.base, until),
	}
}

// revoke revokes with a client and notes what must be read from then on.
func (h *harness) revoke(client int, r blacklist.Revocation) {
	if h.failed() {
		return
	}
	if _, err := h.Clients[client%len(h.Clients)].Revoke(h.ctx, r); err != nil {
		h.fail("Revoke of a %s: %w", r.Kind, err)
		return
	}
	e := h.entry(r)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked = append(h.acked, e)
}

// entry returns the entry that r makes.
func (h *harness) entry(r blacklist.Revocation) replica.Entry {
	place, _ := blacklist.PlaceOf(h.Feed.PlaceKey(), r.Kind, r.Identity)
	name, ok := h.Feed.Name(r.Kind, r.Identity)
	if !ok {
		h.fail("Name has none for a %s that Revoke accepted", r.Kind)
	}
	e := replica.Entry{Kind: r.Kind, Place: place, Name: name, CutOff: math.MaxInt64, Until: millis.Until(r.Until)}
	if r.Kind == blacklist.Subject || r.Kind == blacklist.Issuer {
		e.CutOff = millis.Floor(r.CutOff)
	}
	return e
}

// acknowledged returns what must be read by now.
func (h *harness) acknowledged() []replica.Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acked[:len(h.acked):len(h.acked)]
}

// entryKey identifies an entry in the store.
type entryKey struct {
	kind        blacklist.Kind
	place, name uint64
}

func keyOf(e replica.Entry) entryKey { return entryKey{e.Kind, e.Place, e.Name &^ 7} }

// reader is a follower and what it has returned.
type reader struct {
	*harness
	follower replica.Follower
	seen     map[entryKey]replica.Entry // the latest end and cut-off
	records  []replica.Entry            // of reads
	newest   int64                      // mark
	batches  int
}

// follow makes a follower and reads its snapshot, with retries after errors if there are any.
func (h *harness) follow(retries time.Duration) *reader {
	for end := time.Now().Add(retries); ; {
		r := &reader{harness: h, seen: make(map[entryKey]replica.Entry), newest: math.MinInt64}
		if h.failed() {
			return r
		}
		err := r.snapshot()
		switch {
		case err == nil:
			return r
		case time.Now().After(end):
			h.fail("Follow or Snapshot: %w", err)
			return r
		}
		pause(h.ctx, 100*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (r *reader) snapshot() (err error) {
	acked := r.acknowledged()
	if r.follower, err = r.Feed.Follow(r.ctx); err != nil {
		return err
	}
	r.followers = append(r.followers, r.follower)
	if err := r.follower.Snapshot(r.ctx, func(b replica.Batch) error { r.take(b); return nil }); err != nil {
		return err
	}
	r.expectSeen("the snapshot", acked)
	return nil
}

// take notes what a batch contains.
func (r *reader) take(b replica.Batch) {
	r.batches++
	if b.Now.Year() < 2000 {
		r.fail("a batch has no time: Now is %s", b.Now)
	}
	for _, e := range b.Entries {
		if e.Kind == 0 {
			r.newest = max(r.newest, e.CutOff)
			continue
		}
		if e.Kind > blacklist.Issuer {
			r.fail("an entry has the unknown kind %d", e.Kind)
		}
		old := r.seen[keyOf(e)]
		e.CutOff, e.Until = max(e.CutOff, old.CutOff), max(e.Until, old.Until)
		r.seen[keyOf(e)] = e
	}
}

// expectSeen expects that all entries were returned.
func (r *reader) expectSeen(where string, want []replica.Entry) {
	missing := 0
	for _, e := range want {
		if got, ok := r.seen[keyOf(e)]; !ok || got.CutOff < e.CutOff || got.Until < e.Until {
			missing++
		}
	}
	if missing > 0 {
		r.fail("%s: %d of %d acknowledged revocations are missing, or have an earlier cut-off or end", where, missing, len(want))
	}
}

// expectExactly expects that the entry of r was returned as it is.
func (r *reader) expectExactly(where string, rev blacklist.Revocation) {
	want := r.entry(rev)
	if got, ok := r.seen[keyOf(want)]; !ok || got.CutOff != want.CutOff || got.Until != want.Until {
		r.fail("%s of a %s: found = %t, cut-off %d, until %d; want cut-off %d, until %d",
			where, rev.Kind, ok, got.CutOff, got.Until, want.CutOff, want.Until)
	}
}

// read reads once. If the batch is complete, all that was acknowledged before the call was
// returned.
func (r *reader) read(wait time.Duration) (replica.Batch, error) {
	if r.failed() {
		return replica.Batch{}, r.failure()
	}
	acked := r.acknowledged()
	b, err := r.follower.Read(r.ctx, wait)
	if err != nil {
		return b, err
	}
	r.take(b)
	r.records = append(r.records, b.Entries...)
	if b.Complete {
		r.expectSeen("a complete read", acked)
	}
	return b, nil
}

// drain reads until a read is complete and counts for the age of a copy.
func (r *reader) drain() {
	for range 100_000 {
		b, err := r.read(0)
		switch {
		case r.failed():
			return
		case err != nil:
			r.fail("Read: %w", err)
			return
		case b.Complete && !b.Unconfirmed:
			return
		}
	}
	r.fail("no read is complete and confirmed")
}

// expectRecord expects a record of the entry among those that were read.
func (r *reader) expectRecord(why string, rev blacklist.Revocation) {
	want := r.entry(rev)
	for _, e := range r.records {
		if keyOf(e) == keyOf(want) && e.CutOff >= want.CutOff && e.Until >= want.Until {
			return
		}
	}
	r.fail("%s: there is no record of a %s", why, rev.Kind)
}

// expectMark expects that a mark at or after the time was returned.
func (r *reader) expectMark(where string, at int64) {
	if r.newest < at {
		r.fail("%s: the newest mark is %d, want at least %d", where, r.newest, at)
	}
}

// inTime runs the call in a goroutine and expects it to return within the time. The call must not
// use the harness.
func (h *harness) inTime(what string, limit time.Duration, call func() error) (took time.Duration, err error) {
	begun, done := time.Now(), make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return time.Since(begun), err
	case <-time.After(limit):
		h.fail("%s did not return within %s", what, limit)
		return limit, errTooLate
	}
}

var errTooLate = errors.New("the call did not return")
