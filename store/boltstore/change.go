package boltstore

import (
	"bytes"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// change is what a request writes. It was made from what the transaction contains, without writing,
// so that a request that fails leaves nothing. After that only an error of bbolt itself can stop
// it.
type change struct {
	// pages is an estimate of the pages that the change writes.
	pages int64
	// grows is set if the change adds a session: then it leaves the reserve and as much again.
	grows bool
	// sweeps is set if the change only removes: then it may use the reserve.
	sweeps bool
	// apply makes the change and returns what it adds to the numbers.
	apply func() (added, error)
}

// added is what a change adds to the numbers of the file, and to the copy in memory.
type added struct {
	entries     int
	sessions    sessionCounts
	revocations []recorded
}

func (a *added) add(other added) {
	a.entries += other.entries
	a.sessions = a.sessions.add(other.sessions)
	a.revocations = append(a.revocations, other.revocations...)
}

// change checks what the writes of the step replace.
func (t *tx) change() (change, error) {
	c := change{pages: int64(t.writes()) * pagesPerWrite}
	rows := make([]rowChange, 0, len(t.puts))
	for _, put := range t.puts {
		old, _, found, err := getRow(t.b.rows, put.key)
		if err != nil {
			return change{}, err
		}
		c.grows = c.grows || !found
		rows = append(rows, rowChange{rowPut: put, old: old, replaces: found})
	}
	epoch, err := t.epochChange()
	if err != nil {
		return change{}, err
	}
	for _, r := range t.revocations {
		if _, _, err := getEntry(t.b.entries, r.key); err != nil {
			return change{}, err
		}
	}
	c.apply = func() (a added, err error) {
		for _, row := range rows {
			counts, err := row.apply(t.b, t.prefix)
			if err != nil {
				return added{}, err
			}
			a.sessions = a.sessions.add(counts)
		}
		if epoch != nil {
			if err := epoch.apply(t.b, &a.sessions); err != nil {
				return added{}, err
			}
		}
		for _, r := range t.revocations {
			if _, err := put(t.b, r, t.times.sure, &a); err != nil {
				return added{}, err
			}
		}
		return a, nil
	}
	return c, nil
}

// rowChange is a row to be written, and the one that it replaces.
type rowChange struct {
	rowPut
	old      rowHead
	replaces bool
}

// apply writes the row and its keys in the other buckets, where they change.
func (c rowChange) apply(b buckets, prefix subjectKey) (counts sessionCounts, err error) {
	if err := b.rows.Put(c.key[:], encodeRow(c.key, c.head, c.text)); err != nil {
		return counts, err
	}
	old := c.old // the zero value is neither open nor owed
	if !c.replaces {
		counts.rows++
	} else if old.keep != c.head.keep {
		if err := b.sessionExpiry.Delete(sessionExpiryKey(old.keep, rowExpiry, c.key[:])); err != nil {
			return counts, err
		}
	}
	if !c.replaces || old.keep != c.head.keep {
		if err := putSealedKey(b.sessionExpiry, sessionExpiryKey(c.head.keep, rowExpiry, c.key[:])); err != nil {
			return counts, err
		}
	}
	before, after := indexKey(prefix, old.began, c.id), indexKey(prefix, c.head.began, c.id)
	same := bytes.Equal(before, after)
	if err := moveKey(b.index, before, after, old.open, c.head.open, same, &counts.open); err != nil {
		return counts, err
	}
	return counts, moveKey(b.owed, c.key[:], c.key[:], old.owed, c.head.owed, true, &counts.owed)
}

// moveKey removes a key that was in the bucket and puts the one that is to be there. It adds to the
// number of keys.
func moveKey(bucket *bbolt.Bucket, old, next []byte, was, is, same bool, number *uint64) error {
	if was && (!is || !same) {
		*number--
		if err := bucket.Delete(old); err != nil {
			return err
		}
	}
	if is && (!was || !same) {
		*number++
		return putSealedKey(bucket, next)
	}
	return nil
}

// epochHour is how long an epoch stays after the last row of its subject.
const epochHour = int64(time.Hour / time.Millisecond)

// epochChange is an epoch to be written, and the one that it replaces.
type epochChange struct {
	key       subjectKey
	old, next epochEntry
	replaces  bool
}

// epochChange returns the change of the epoch, or nil.
func (t *tx) epochChange() (*epochChange, error) {
	if t.epoch == nil {
		return nil, nil
	}
	old, found, err := getEpoch(t.b.epochs, t.prefix)
	if err != nil {
		return nil, err
	}
	next := epochEntry{*t.epoch, max(old.until, t.times.wall+epochHour)}
	return &epochChange{t.prefix, old, next, found}, nil
}

// apply writes the epoch.
func (c epochChange) apply(b buckets, counts *sessionCounts) error {
	if !c.replaces {
		counts.epochs++
	} else if err := b.sessionExpiry.Delete(sessionExpiryKey(c.old.until, epochExpiry, c.key[:])); err != nil {
		return err
	}
	if err := putSealedKey(b.sessionExpiry, sessionExpiryKey(c.next.until, epochExpiry, c.key[:])); err != nil {
		return err
	}
	return putEpoch(b.epochs, c.key, c.next)
}

// keepEpoch makes the epoch of a subject, if there is one, stay until then at least.
func keepEpoch(b buckets, key subjectKey, until int64) error {
	e, found, err := getEpoch(b.epochs, key)
	if err != nil || !found || e.until >= until {
		return err
	}
	return epochChange{key, e, epochEntry{e.epoch, until}, true}.apply(b, new(sessionCounts))
}

// put records the revocation, adds it to a, and reports whether it was in force before.
func put(b buckets, r revocation, now int64, a *added) (before bool, err error) {
	old, exists, err := getEntry(b.entries, r.key)
	if err != nil {
		return false, err
	}
	next := r.entry
	if exists {
		next, before = merge(old, next, now)
	} else {
		a.entries++
	}
	a.revocations = append(a.revocations, recorded{revocation{r.key, next}, now})
	if exists {
		if next == old {
			return before, nil
		}
		if err := unindex(b.expiry, r.key, old, next); err != nil {
			return false, err
		}
	}
	if next.until != millis.Never {
		if err := b.expiry.Put(expiryKey(r.key, next.until), nil); err != nil {
			return false, err
		}
	}
	return before, putEntry(b.entries, r.key, next)
}

// merge returns what to store for next, and whether it was in force before. The later end and the
// later cut-off win over an old entry in force. An expired one has no effect.
func merge(old, next entry, now int64) (merged entry, before bool) {
	if !old.inForce(now) {
		return next, false
	}
	before = old.cutOff >= next.cutOff
	next.cutOff, next.until = max(old.cutOff, next.cutOff), max(old.until, next.until)
	return next, before
}

// unindex removes the old end from the index if the entry gets another one.
func unindex(expiry *bbolt.Bucket, key blacklist.Key, old, next entry) error {
	if old.until == next.until || old.until == millis.Never {
		return nil
	}
	return expiry.Delete(expiryKey(key, old.until))
}
