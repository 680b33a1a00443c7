package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// lookUp reports whether the mark or a revocation in force covers the token.
func lookUp(tx *bbolt.Tx, id blacklist.Identity, now, start int64) (bool, error) {
	m, err := readMark(tx)
	if err != nil {
		return false, err
	}
	if start <= m.notBefore {
		return true, nil
	}
	entries := tx.Bucket(entryBucket)
	if entries == nil {
		return false, errNoEntries
	}
	for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
		key, ok := blacklist.KeyOf(kind, id)
		if !ok {
			continue
		}
		e, ok, err := getEntry(entries, key)
		if err != nil {
			return false, err
		}
		if ok && e.inForce(now) && start <= e.cutOff {
			return true, nil
		}
	}
	return false, nil
}

var errNoEntries = unavailable("the entries are missing", nil)

// put records the revocation. It reports whether the revocation was in force before, and whether
// the entry is new.
func put(tx *bbolt.Tx, r *request, now int64) (before, isNew bool, err error) {
	entries, expiry := tx.Bucket(entryBucket), tx.Bucket(expiryBucket)
	if entries == nil || expiry == nil {
		return false, false, errNoEntries
	}
	old, exists, err := getEntry(entries, r.key)
	if err != nil {
		return false, false, err
	}
	next := r.entry
	if exists {
		next, before = merge(old, next, now)
		if next == old {
			return before, false, nil
		}
		if err := unindex(expiry, r.key, old, next); err != nil {
			return false, false, err
		}
	}
	if next.until != millis.Never {
		if err := expiry.Put(expiryKey(r.key, next.until), nil); err != nil {
			return false, false, err
		}
	}
	return before, !exists, putEntry(entries, r.key, next)
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

// sweepPerCommit is the largest number of expired entries that one write removes.
const sweepPerCommit = 64

// sweep removes the entries that expired first, and returns their number.
func sweep(tx *bbolt.Tx, now int64) (removed int, err error) {
	entries, expiry := tx.Bucket(entryBucket), tx.Bucket(expiryBucket)
	if entries == nil || expiry == nil {
		return 0, errNoEntries
	}
	expired, err := expiredKeys(expiry, now)
	if err != nil {
		return 0, err
	}
	for _, key := range expired {
		// The entry decides, not the index: an entry in force is never removed. A damaged entry
		// stays, so that look-ups for it return an error.
		e, ok, err := getEntry(entries, blacklist.Key(key[8:]))
		if err != nil && !errors.Is(err, errEntry) {
			return 0, err
		}
		if ok && !e.inForce(now) {
			if err := entries.Delete(key[8:]); err != nil {
				return 0, err
			}
			removed++
		}
		if err := expiry.Delete(key); err != nil {
			return 0, err
		}
	}
	return removed, nil
}

// expiredKeys returns the first keys of the index whose end is not after now.
func expiredKeys(expiry *bbolt.Bucket, now int64) (expired [][]byte, err error) {
	cursor := expiry.Cursor()
	for key, _ := cursor.First(); key != nil && len(expired) < sweepPerCommit; key, _ = cursor.Next() {
		if len(key) != expiryKeySize {
			return nil, unavailable("the index is damaged", nil)
		}
		if int64(binary.BigEndian.Uint64(key)) > now {
			break
		}
		expired = append(expired, bytes.Clone(key))
	}
	return expired, nil
}
