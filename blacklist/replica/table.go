package replica

import (
	"cmp"
	"errors"
	"hash/maphash"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/entries"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// grace is how long the copy keeps an entry after its end, so that a clock that is a little ahead,
// here or in the store, removes none that is in force elsewhere.
const grace = 5 * time.Minute

// table is the copy: the entries, the newest mark, and what a look-up needs to find them.
type table struct {
	entries    *entries.Set
	names      func(blacklist.Kind, blacklist.Identity) (uint64, bool)
	key        [16]byte
	namespaces namespaces
	// notBefore is the newest mark. A look-up in the store compares with one of the marks, so the
	// newest refuses at least the same sessions.
	notBefore atomic.Int64
	overflows atomic.Uint64 // entries that did not fit
}

// noMark is the value of notBefore before there is a mark.
const noMark = math.MinInt64

func newTable(feed Feed, capacity int) *table {
	t := &table{entries: entries.New(capacity, grace.Milliseconds()), names: feed.Name, key: feed.PlaceKey()}
	t.namespaces.key, t.namespaces.seed = t.key, maphash.MakeSeed()
	t.notBefore.Store(noMark)
	return t
}

// covered reports whether the table covers the token, and the latest end of what covers it.
func (t *table) covered(id *blacklist.Identity) (until int64, ok bool) {
	start := millis.Floor(id.SessionStart)
	if mark := t.notBefore.Load(); start <= mark && mark != noMark {
		return millis.Never, true
	}
	hasToken := id.ID != "" && t.has(blacklist.Token)
	hasSession := id.Session != "" && t.has(blacklist.Session)
	hasSubject := id.Subject != "" && t.has(blacklist.Subject)
	var computed entries.Namespace // unless it is cached
	if hasToken || hasSession || hasSubject {
		n := t.namespaces.of(id.Issuer, &computed)
		if hasToken {
			until = t.find(blacklist.Token, n.One(uint8(blacklist.Token), id.ID), id, start)
		}
		if hasSession {
			place := n.Two(uint8(blacklist.Session), id.Subject, id.Session)
			until = max(until, t.find(blacklist.Session, place, id, start))
		}
		if hasSubject {
			place := n.One(uint8(blacklist.Subject), id.Subject)
			until = max(until, t.find(blacklist.Subject, place, id, start))
		}
	}
	if t.has(blacklist.Issuer) {
		n := t.namespaces.of(cmp.Or(id.Template, id.Issuer), &computed)
		until = max(until, t.find(blacklist.Issuer, n.Issuer(), id, start))
	}
	return until, until != notFound
}

// notFound is the end of no entry. An entry that ended in 1970 or before is as good as none.
const notFound = 0

func (t *table) has(kind blacklist.Kind) bool { return t.entries.Has(uint8(kind)) }

// find returns the end of the entry that covers a session that began at start, or notFound. The
// digest of the store costs more than the rest of a look-up, so it is computed only if there is an
// entry with the place.
func (t *table) find(kind blacklist.Kind, place uint64, id *blacklist.Identity, start int64) int64 {
	if !t.entries.MayContain(place) {
		return notFound
	}
	return t.findNamed(kind, place, id, start)
}

func (t *table) findNamed(kind blacklist.Kind, place uint64, id *blacklist.Identity, start int64) int64 {
	slot := t.entries.FindPlace(uint8(kind), place)
	if slot == nil {
		return notFound
	}
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

// namespaces caches those of issuers and templates, of which a process sees few. The first 256
// stay; those of others are computed for each look-up.
type namespaces struct {
	key   [16]byte
	seed  maphash.Seed
	slots [256]atomic.Pointer[namespace]
}

type namespace struct {
	issuer string
	entries.Namespace
}

// maxCachedIssuer is the length of the longest issuer that is cached.
const maxCachedIssuer = 512

// of returns the Namespace of the issuer. It uses computed if that is not cached.
func (s *namespaces) of(issuer string, computed *entries.Namespace) *entries.Namespace {
	slot := &s.slots[maphash.String(s.seed, issuer)%uint64(len(s.slots))]
	n := slot.Load()
	if n != nil && n.issuer == issuer {
		return &n.Namespace
	}
	*computed = entries.NewNamespace(s.key, issuer)
	if n == nil && len(issuer) <= maxCachedIssuer {
		slot.CompareAndSwap(nil, &namespace{strings.Clone(issuer), *computed})
	}
	return computed
}
