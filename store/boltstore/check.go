package boltstore

import (
	"bytes"

	"go.etcd.io/bbolt"
)

// checkEntries checks the checksum and the kind of every entry, the order of the keys, and the
// number of entries.
//
// The check of bbolt runs in another goroutine, where a panic on a damaged page cannot be
// recovered. Requiring rising keys also ends a walk around a cycle of pages.
func checkEntries(tx *bbolt.Tx) error {
	if _, err := checkBucket(tx.Bucket(expiryBucket), nil); err != nil {
		return err
	}
	entries, err := checkBucket(tx.Bucket(entryBucket), func(key, value []byte) bool {
		return isSealed(key, value, entrySize) && parseEntry(value).hasKind()
	})
	if err != nil {
		return err
	}
	count, err := readCount(tx)
	if err == nil && count != entries {
		err = errDamaged
	}
	return err
}

// checkBucket checks that the keys rise and, unless valid is nil, that each value is valid. It
// returns the number of keys.
func checkBucket(bucket *bbolt.Bucket, valid func(key, value []byte) bool) (keys uint64, err error) {
	var last []byte
	err = bucket.ForEach(func(key, value []byte) error {
		if last != nil && bytes.Compare(last, key) >= 0 || valid != nil && !valid(key, value) {
			return errDamaged
		}
		last = append(last[:0], key...)
		keys++
		return nil
	})
	return keys, err
}

// hasSessions reports whether the file has the buckets of the sessions. Some of them are damage, as
// is their number without them.
func hasSessions(tx *bbolt.Tx) (bool, error) {
	found := 0
	for _, name := range sessionBuckets {
		if tx.Bucket(name) != nil {
			found++
		}
	}
	counted := tx.Bucket(metaBucket).Get(sessionCountsKey) != nil
	switch {
	case found == 0 && !counted:
		return false, nil
	case found == len(sessionBuckets) && counted:
		return true, nil
	default:
		return false, errDamaged
	}
}

// checkSessions checks the checksum of every value in the buckets of the sessions, the order of the
// keys, and the numbers of rows, of keys in the indexes, and of epochs.
func checkSessions(tx *bbolt.Tx) error {
	want, err := readSessionCounts(tx)
	if err != nil {
		return err
	}
	var got sessionCounts
	var open, owed uint64
	got.rows, err = checkBucket(tx.Bucket(rowBucket), func(key, value []byte) bool {
		head, _, ok := parseRow(key, value)
		if head.open {
			open++
		}
		if head.owed {
			owed++
		}
		return ok && len(key) == len(rowKey{})
	})
	if err != nil {
		return err
	}
	for _, check := range []struct {
		bucket []byte
		valid  func(key, value []byte) bool
		keys   *uint64
	}{
		{indexBucket, func(key, value []byte) bool {
			_, _, ok := parseIndexKey(key)
			return ok && isSealedKey(key, value)
		}, &got.open},
		{owedBucket, func(key, value []byte) bool {
			return len(key) == len(rowKey{}) && isSealedKey(key, value)
		}, &got.owed},
		{epochBucket, func(key, value []byte) bool {
			return len(key) == len(subjectKey{}) && isSealed(key, value, epochSize)
		}, &got.epochs},
		{sessionExpiryBucket, func(key, value []byte) bool {
			return isSessionExpiryKey(key) && isSealedKey(key, value)
		}, new(uint64)},
	} {
		if *check.keys, err = checkBucket(tx.Bucket(check.bucket), check.valid); err != nil {
			return err
		}
	}
	if got != want || open != want.open || owed != want.owed {
		return errDamaged
	}
	return nil
}
