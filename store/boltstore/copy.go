package boltstore

import (
	"encoding/binary"
	"errors"
	"math"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/entries"
	"github.com/oapi-guard/oapi-guard/internal/millis"
	"github.com/oapi-guard/oapi-guard/internal/places"
)

// Look-ups read a copy of the mark and the entries, in memory. They take no lock and no transaction.
// Open makes the copy from the file (load). From then on the writer alone changes it:
//
//  1. The last step of a transaction, before bbolt writes anything, announces its revocations: they
//     are in force from now on. So a look-up never misses what is on the disk already.
//  2. After the commit the writer moves them to the copy (settle), and then answers the requests. So
//     a look-up after Revoke finds the revocation.
//  3. If the commit fails, it is unknown whether it is on the disk. The revocations stay announced,
//     and so in force, until the writer has read their entries from the file again (reread). Until
//     that works there is no other transaction.
//
// A look-up reads first what is announced and then the copy, because revocations move from the one
// to the other.
type copied struct {
	notBefore int64
	places    places.Maker
	settled   atomic.Pointer[entries.Set]
	// announced is nil while nothing is.
	announced atomic.Pointer[entries.Set]
	// version changes with each announcement, after look-ups can find it.
	version atomic.Uint64
	// unsettled are the announced revocations, and removable is up to when ended entries leave. Only
	// the writer uses them.
	unsettled []recorded
	removable int64
}

// recorded is a revocation that a transaction has put: its entry as in the file, and the time by
// which it was merged.
type recorded struct {
	revocation
	now int64
}

// minCapacity is the capacity of the copy of a small file.
const minCapacity = 1 << 16

// newCopied returns a copy that has no entries yet, and room for so many and as many again.
func newCopied(m mark, count int) *copied {
	c := &copied{notBefore: m.notBefore, removable: math.MinInt64}
	c.places.Init(m.places)
	c.settled.Store(entries.New(max(2*count, minCapacity), entries.Forever))
	return c
}

// load returns the copy of a file whose content has been checked.
func load(db *bbolt.DB, m mark) (c *copied, err error) {
	err = guarded(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			count, err := readCount(tx)
			if err != nil {
				return err
			}
			c = newCopied(m, int(count))
			return tx.Bucket(entryBucket).ForEach(func(key, value []byte) error {
				c.put(recorded{revocation{blacklist.Key(key), parseEntry(value)}, math.MinInt64})
				return nil
			})
		})
	})
	return c, err
}

// covers reports whether the mark or a revocation in force covers the token. It computes the places
// unless located has them, and reads the clock only if there is an entry for the token.
func (c *copied) covers(id *blacklist.Identity, located *blacklist.Located, clock *clock) bool {
	start := millis.Floor(id.SessionStart)
	if start <= c.notBefore {
		return true
	}
	version := c.version.Load() // before announced
	if located.IsAbsent(version) {
		return false
	}
	announced := c.announced.Load() // before settled
	l := lookUp{id: id, start: start, announced: announced, settled: c.settled.Load()}
	absent := true
	var common places.Common
	for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
		if !id.Has(kind) || !l.has(kind) {
			continue
		}
		found, covers := l.find(clock, kind, c.places.Place(kind, id, located, &common))
		if covers {
			return true
		}
		absent = absent && !found
	}
	if absent {
		located.SetAbsent(version)
	}
	return false
}

// lookUp is a look-up of a token of a session that began at start. The clock is no field: id would
// escape to the heap with it.
type lookUp struct {
	id                 *blacklist.Identity
	start              int64
	announced, settled *entries.Set
}

// has reports whether there are entries of the kind.
func (l *lookUp) has(kind blacklist.Kind) bool {
	return l.settled.Has(uint8(kind)) || l.announced != nil && l.announced.Has(uint8(kind))
}

// find reports whether there are entries of the kind with the place, and whether one covers the
// token.
func (l *lookUp) find(clock *clock, kind blacklist.Kind, place uint64) (found, covers bool) {
	if l.settled.MayContain(place) {
		if found, covers = l.findIn(l.settled, clock, kind, place); covers {
			return found, covers
		}
	}
	if l.announced != nil {
		announced, covers := l.findIn(l.announced, clock, kind, place)
		return found || announced, covers
	}
	return found, false
}

// findIn computes the key only if there is an entry with the place: it costs more than the rest of a
// look-up.
func (l *lookUp) findIn(set *entries.Set, clock *clock, kind blacklist.Kind, place uint64) (found, covers bool) {
	slot := set.FindPlace(uint8(kind), place)
	if slot == nil {
		return false, false
	}
	key, ok := blacklist.KeyOf(kind, *l.id)
	if !ok {
		return true, false
	}
	if k := copyKey(kind, key, place); slot.Key() != k {
		slot = set.Find(k)
	}
	return true, slot != nil && slot.Covers(clock.read().sure, l.start)
}

// copyKey returns the key of an entry in the copy.
func copyKey(kind blacklist.Kind, key blacklist.Key, place uint64) entries.Key {
	return entries.MakeKey(uint8(kind), binary.BigEndian.Uint64(key[:]), place)
}

// announce makes the revocations count from now on. The writer calls it before the commit.
func (c *copied) announce(revocations []recorded) {
	if len(revocations) == 0 {
		return
	}
	set := entries.New(len(revocations), entries.Forever)
	for _, r := range revocations {
		putIn(set, r)
	}
	c.unsettled = revocations
	c.announced.Store(set)
	c.version.Add(1)
}

// settle moves what is announced to the copy. The writer calls it after the commit.
func (c *copied) settle() {
	for _, r := range c.unsettled {
		c.put(r)
	}
	c.forget()
}

// forget ends what is announced.
func (c *copied) forget() {
	if c.unsettled != nil {
		c.announced.Store(nil)
		c.unsettled = nil
	}
}

// reread puts what the file has of the announced revocations into the copy, and ends what is
// announced. A damaged entry stays in force.
func (c *copied) reread(tx *bbolt.Tx) error {
	bucket := tx.Bucket(entryBucket)
	if bucket == nil {
		return errNoBucket
	}
	for _, r := range c.unsettled {
		e, found, err := getEntry(bucket, r.key)
		switch {
		case errors.Is(err, errEntry):
			c.put(r)
		case err != nil:
			return err
		case found:
			c.put(recorded{revocation{r.key, e}, r.now})
		}
	}
	c.forget()
	return nil
}

// put puts an entry into the copy, which grows if it is full.
func (c *copied) put(r recorded) {
	for !putIn(c.settled.Load(), r) {
		full := c.settled.Load()
		c.settled.Store(full.Grown(2*full.Len(), c.removable))
	}
}

// putIn merges an entry as merge does, and reports whether there was room.
func putIn(set *entries.Set, r recorded) bool {
	e := entries.Entry{Key: copyKey(r.entry.kind, r.key, r.entry.place), Until: r.entry.until, CutOff: r.entry.cutOff}
	_, ok := set.Put(e, max(r.now, -entries.Forever))
	return ok
}

// sweep removes some of the entries that ended at or before removable from the copy.
func (c *copied) sweep(removable int64) {
	c.removable = removable
	c.settled.Load().SweepEnded(removable)
}
