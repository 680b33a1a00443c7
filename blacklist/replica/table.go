package replica

import (
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/entries"
	"github.com/oapi-guard/oapi-guard/internal/millis"
	"github.com/oapi-guard/oapi-guard/internal/places"
)

// grace is how long the copy keeps an entry after its end, so that a clock that is a little ahead,
// here or in the store, removes none that is in force elsewhere.
const grace = 5 * time.Minute

// table is the copy: the entries, the newest mark, and what a look-up needs to find them.
type table struct {
	entries entries.Set
	names   func(blacklist.Kind, blacklist.Identity) (uint64, bool)
	key     blacklist.PlaceKey
	places  places.Maker
	// notBefore is the newest mark. A look-up in the store compares with one of the marks, so the
	// newest refuses at least the same sessions.
	notBefore atomic.Int64
	overflows atomic.Uint64 // entries that did not fit
}

// noMark is the value of notBefore before there is a mark.
const noMark = math.MinInt64

func newTable(feed Feed, capacity int) *table {
	t := &table{names: feed.Name, key: feed.PlaceKey()}
	t.entries.Init(capacity, grace.Milliseconds())
	t.places.Init(t.key)
	t.notBefore.Store(noMark)
	return t
}

// covered reports whether the table covers the token, and the latest end of what covers it. It
// computes the places unless located has them.
func (t *table) covered(id *blacklist.Identity, located *blacklist.Located) (until int64, ok bool) {
	start := millis.Floor(id.SessionStart)
	if mark := t.notBefore.Load(); start <= mark && mark != noMark {
		return millis.Never, true
	}
	version := t.entries.Version()
	if located.IsAbsent(version) {
		return notFound, false
	}
	absent := true
	var common places.Common
	for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
		if !id.Has(kind) || !t.entries.Has(uint8(kind)) {
			continue
		}
		place := t.places.Place(kind, id, located, &common)
		if !t.entries.MayContain(place) {
			continue
		}
		if slot := t.entries.FindPlace(uint8(kind), place); slot != nil {
			absent = false
			until = max(until, t.end(slot, kind, place, id, start))
		}
	}
	if absent {
		located.SetAbsent(version)
	}
	return until, until != notFound
}

// notFound is the end of no entry. An entry that ended in 1970 or before is as good as none.
const notFound = 0

// end returns the end of the entry for the token, if it covers a session that began at start, or
// notFound. slot is the first one with the place of the entry, perhaps of another token. The digest
// of the store costs more than the rest of a look-up, so it is computed only where there is one.
func (t *table) end(slot *entries.Slot, kind blacklist.Kind, place uint64, id *blacklist.Identity, start int64) int64 {
	name, ok := t.names(kind, *id)
	if !ok {
		return notFound
	}
	if k := entries.MakeKey(uint8(kind), name, place); slot.Key() != k {
		if slot = t.entries.Find(k); slot == nil {
			return notFound
		}
	}
	until, cutOff := slot.Load()
	if cutOff < start {
		return notFound
	}
	return max(until, notFound)
}

// errUnknownKind is the error for an entry of a kind that this version does not know.
var errUnknownKind = errors.New("replica: the store has an entry of an unknown kind")

// apply merges the entries into the table. now is the time by which entries end.
func (t *table) apply(batch []Entry, now int64) error {
	for i := range batch {
		e := &batch[i]
		switch {
		case e.Kind == 0:
			t.raiseMark(e.CutOff)
		case e.Kind > blacklist.Issuer:
			return errUnknownKind
		default:
			t.put(e, now)
		}
	}
	return nil
}

// put merges an entry. If there is no room, it counts the entry: from then on, look-ups that find
// nothing ask the store.
func (t *table) put(e *Entry, now int64) {
	if e.Until <= now-grace.Milliseconds() {
		return
	}
	entry := entries.Entry{Key: entries.MakeKey(uint8(e.Kind), e.Name, e.Place), Until: e.Until, CutOff: e.CutOff}
	if _, ok := t.entries.Put(entry, now); !ok {
		t.overflows.Add(1)
	}
}

// record merges a revocation that the store has recorded.
func (t *table) record(r blacklist.Revocation, now int64) {
	place, _ := blacklist.PlaceOf(t.key, r.Kind, r.Identity)
	name, ok := t.names(r.Kind, r.Identity)
	if !ok {
		t.overflows.Add(1) // not possible: the store accepted r
		return
	}
	e := Entry{Kind: r.Kind, Place: place, Name: name, CutOff: entries.Everything, Until: millis.Until(r.Until)}
	if r.Kind == blacklist.Subject || r.Kind == blacklist.Issuer {
		e.CutOff = millis.Floor(r.CutOff)
	}
	t.put(&e, now)
}

// raiseMark records a mark, unless there is a newer one.
func (t *table) raiseMark(notBefore int64) {
	for {
		newest := t.notBefore.Load()
		if notBefore <= newest || t.notBefore.CompareAndSwap(newest, notBefore) {
			return
		}
	}
}
