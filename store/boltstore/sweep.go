package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// sweepPerCommit is the largest number of expired entries, and of expired rows and epochs, that one
// write removes.
const sweepPerCommit = 64

// sweep removes at most limit entries, and at most limit rows and epochs, that expired first.
// removed is the number of keys that left the two expiry buckets.
func sweep(b buckets, t times, limit int) (a added, removed int, err error) {
	a, removed, err = sweepEntries(b, t, limit)
	if err != nil {
		return added{}, 0, err
	}
	counts, n, err := sweepSessions(b, t, limit)
	a.sessions = counts
	return a, removed + n, err
}

// sweepEntries removes the entries that expired first.
func sweepEntries(b buckets, t times, limit int) (a added, removed int, err error) {
	expired, err := expiredKeys(b.expiry, limit, func(key []byte) (until int64, ok bool) {
		if len(key) != expiryKeySize {
			return 0, false
		}
		return int64(binary.BigEndian.Uint64(key)), true
	}, t.removable)
	if err != nil {
		return added{}, 0, err
	}
	for _, key := range expired {
		// The entry decides, not the index: an entry in force is never removed. A damaged entry
		// stays, so that revocations of it, and Open, return an error.
		e, ok, err := getEntry(b.entries, blacklist.Key(key[8:]))
		if err != nil && !errors.Is(err, errEntry) {
			return added{}, 0, err
		}
		if ok && !e.inForce(t.removable) {
			if err := b.entries.Delete(key[8:]); err != nil {
				return added{}, 0, err
			}
			a.entries--
		}
		if err := b.expiry.Delete(key); err != nil {
			return added{}, 0, err
		}
	}
	return a, len(expired), nil
}

// expiredKeys returns the first keys of an expiry bucket whose end is not after removable.
func expiredKeys(bucket *bbolt.Bucket, limit int, end func(key []byte) (int64, bool), removable int64) (expired [][]byte, err error) {
	cursor := bucket.Cursor()
	for key, _ := cursor.First(); key != nil && len(expired) < limit; key, _ = cursor.Next() {
		until, ok := end(key)
		if !ok {
			return nil, unavailable("the index is damaged", nil)
		}
		if until > removable {
			break
		}
		expired = append(expired, bytes.Clone(key))
	}
	return expired, nil
}

// sweepSessions removes the rows and epochs that expired first.
func sweepSessions(b buckets, t times, limit int) (counts sessionCounts, removed int, err error) {
	expired, err := expiredKeys(b.sessionExpiry, limit, func(key []byte) (until int64, ok bool) {
		if !isSessionExpiryKey(key) {
			return 0, false
		}
		return fromSortable(key), true
	}, t.removable)
	if err != nil {
		return sessionCounts{}, 0, err
	}
	for _, key := range expired {
		// The epoch below may get another key, so this one leaves first.
		if err := b.sessionExpiry.Delete(key); err != nil {
			return sessionCounts{}, 0, err
		}
		var change sessionCounts
		if key[8] == rowExpiry {
			change, err = sweepRow(b, t, rowKey(key[9:]))
		} else {
			change, err = sweepEpoch(b, t, subjectKey(key[9:]))
		}
		// A damaged row or epoch stays, so that its subject gets an error.
		if err != nil && !errors.Is(err, errRow) && !errors.Is(err, errEpoch) {
			return sessionCounts{}, 0, err
		}
		counts = counts.add(change)
	}
	return counts, len(expired), nil
}

// sweepRow removes the row if it has expired.
func sweepRow(b buckets, t times, key rowKey) (sessionCounts, error) {
	r, found, err := b.removal(key)
	if err != nil || !found || r.head.keep > t.removable {
		return sessionCounts{}, err
	}
	return r.apply(b, t.wall)
}

// removal is a row to be removed.
type removal struct {
	key  rowKey
	head rowHead
	id   string
}

// removal returns the removal of a row, if it exists.
func (b buckets) removal(key rowKey) (r removal, found bool, err error) {
	head, text, found, err := getRow(b.rows, key)
	if err != nil || !found {
		return removal{}, false, err
	}
	row, err := session.DecodeRow(text)
	if err != nil {
		return removal{}, false, errRow
	}
	return removal{key, head, row.ID}, true, nil
}

// apply removes the row and its keys in the other buckets.
func (r removal) apply(b buckets, now int64) (counts sessionCounts, err error) {
	subject := r.key.subject()
	if r.head.open {
		counts.open--
		if err := b.index.Delete(indexKey(subject, r.head.began, r.id)); err != nil {
			return sessionCounts{}, err
		}
	}
	if r.head.owed {
		counts.owed--
		if err := b.owed.Delete(r.key[:]); err != nil {
			return sessionCounts{}, err
		}
	}
	if err := b.sessionExpiry.Delete(sessionExpiryKey(r.head.keep, rowExpiry, r.key[:])); err != nil {
		return sessionCounts{}, err
	}
	counts.rows--
	if err := b.rows.Delete(r.key[:]); err != nil {
		return sessionCounts{}, err
	}
	if b.hasRows(subject) {
		return counts, nil
	}
	if err := keepEpoch(b, subject, now+epochHour); err != nil && !errors.Is(err, errEpoch) {
		return sessionCounts{}, err
	}
	return counts, nil
}

// sweepEpoch removes the epoch if it has expired. The epoch of a subject that has a row gets
// another hour.
func sweepEpoch(b buckets, t times, key subjectKey) (counts sessionCounts, err error) {
	e, found, err := getEpoch(b.epochs, key)
	switch {
	case err != nil, !found, e.until > t.removable:
		return sessionCounts{}, err
	case b.hasRows(key):
		return sessionCounts{}, keepEpoch(b, key, t.wall+epochHour)
	}
	counts.epochs--
	return counts, b.epochs.Delete(key[:])
}
