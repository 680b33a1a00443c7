package boltstore

import (
	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
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
