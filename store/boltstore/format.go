package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// The file has three buckets:
//
//	meta      "mark" -> version, not-before, checksum; "count" -> number of entries, checksum
//	entries   blacklist.Key -> cut-off, until, checksum
//	expiry    until, blacklist.Key -> nothing; only entries that end
//
// Instants are milliseconds since 1970 as 8 bytes, big-endian; checksums are CRC-32C over key and value. The index by expiry is for
// sweeping alone: look-ups compare the end that stands in the entry.
var (
	metaBucket   = []byte("meta")
	entryBucket  = []byte("entries")
	expiryBucket = []byte("expiry")

	markKey  = []byte("mark")
	countKey = []byte("count")
)

const (
	version = 1

	markSize  = 1 + 8 + 4
	entrySize = 8 + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal appends the checksum over key and value.
func seal(key, value []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
	return binary.BigEndian.AppendUint32(value, sum)
}

// sealed reports whether a value of the size has the checksum that belongs to it.
func sealed(key, value []byte, size int) bool {
	if len(value) != size {
		return false
	}
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value[:size-4])
	return binary.BigEndian.Uint32(value[size-4:]) == sum
}

// create makes the buckets and the mark.
func create(tx *bbolt.Tx, notBefore int64) error {
	for _, name := range [][]byte{entryBucket, expiryBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta, err := tx.CreateBucketIfNotExists(metaBucket)
	if err != nil {
		return err
	}
	mark := binary.BigEndian.AppendUint64([]byte{version}, uint64(notBefore))
	if err := putCount(tx, 0); err != nil {
		return err
	}
	return meta.Put(markKey, seal(markKey, mark))
}

// readMark returns the instant up to which every session is refused.
func readMark(tx *bbolt.Tx) (notBefore int64, err error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return 0, unavailable("the mark is missing", nil)
	}
	mark := meta.Get(markKey)
	switch {
	case mark == nil:
		return 0, unavailable("the mark is missing", nil)
	case mark[0] != version:
		return 0, unavailable("the file is of another version", nil)
	case !sealed(markKey, mark, markSize):
		return 0, unavailable("the mark is damaged", nil)
	}
	return int64(binary.BigEndian.Uint64(mark[1:])), nil
}

// entry is a revocation in milliseconds.
type entry struct{ cutOff, until int64 }

func (e entry) inForce(now int64) bool { return now < e.until }

// errEntry is about one entry: the others can be read and written all the same.
var errEntry = unavailable("an entry is damaged", nil)

// getEntry returns the entry under the key, if there is one.
func getEntry(entries *bbolt.Bucket, key blacklist.Key) (e entry, ok bool, err error) {
	value := entries.Get(key[:])
	if value == nil {
		return entry{}, false, nil
	}
	if !sealed(key[:], value, entrySize) {
		return entry{}, false, errEntry
	}
	return entry{int64(binary.BigEndian.Uint64(value)), int64(binary.BigEndian.Uint64(value[8:]))}, true, nil
}

// checkAll walks the whole file: the checksum of every entry, the order of the keys, and how many entries there are. bbolt's own check
// runs in a goroutine of its own, where nobody can catch what damaged pages make it do; an order that only rises also ends a walk
// around a circle of pages.
func checkAll(tx *bbolt.Tx) error {
	var entries uint64
	for _, name := range [][]byte{entryBucket, expiryBucket} {
		var last []byte
		err := tx.Bucket(name).ForEach(func(key, value []byte) error {
			if last != nil && bytes.Compare(last, key) >= 0 {
				return errDamaged
			}
			last = append(last[:0], key...)
			if bytes.Equal(name, expiryBucket) {
				return nil
			}
			entries++
			if !sealed(key, value, entrySize) {
				return errDamaged
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	count, err := readCount(tx)
	if err == nil && count != entries {
		err = errDamaged
	}
	return err
}

var errDamaged = unavailable("the file is damaged", nil)

// readCount returns how many entries there are, expired ones included.
func readCount(tx *bbolt.Tx) (uint64, error) {
	value := tx.Bucket(metaBucket).Get(countKey)
	if !sealed(countKey, value, 8+4) {
		return 0, errDamaged
	}
	return binary.BigEndian.Uint64(value), nil
}

// addCount counts entries that came and went.
func addCount(tx *bbolt.Tx, came, went int) error {
	if came == went {
		return nil
	}
	count, err := readCount(tx)
	if err != nil {
		return err
	}
	return putCount(tx, count+uint64(came)-uint64(went))
}

func putCount(tx *bbolt.Tx, count uint64) error {
	return tx.Bucket(metaBucket).Put(countKey, seal(countKey, binary.BigEndian.AppendUint64(nil, count)))
}

func putEntry(entries *bbolt.Bucket, key blacklist.Key, e entry) error {
	value := binary.BigEndian.AppendUint64(make([]byte, 0, entrySize), uint64(e.cutOff))
	value = binary.BigEndian.AppendUint64(value, uint64(e.until))
	return entries.Put(key[:], seal(key[:], value))
}

// expiryKey sorts by the end of the entry.
func expiryKey(key blacklist.Key, until int64) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(key)), uint64(until)), key[:]...)
}

// lookUp reports whether a revocation in force covers the token, and the mark with it.
func lookUp(tx *bbolt.Tx, id blacklist.Identity, now, start int64) (bool, error) {
	notBefore, err := readMark(tx)
	if err != nil || start <= notBefore {
		return err == nil, err
	}
	entries := tx.Bucket(entryBucket)
	if entries == nil {
		return false, unavailable("the entries are missing", nil)
	}
	for kind := blacklist.Token; kind <= blacklist.Verifier; kind++ {
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

// put puts the revocation in force and reports whether it was before, and whether there is an entry more. The later end and the later cut-off win over an entry in force;
// an expired one counts for nothing.
func put(tx *bbolt.Tx, r *request, now int64) (before, added bool, err error) {
	entries, expiry := tx.Bucket(entryBucket), tx.Bucket(expiryBucket)
	if entries == nil || expiry == nil {
		return false, false, unavailable("the entries are missing", nil)
	}
	next := r.entry
	old, ok, err := getEntry(entries, r.key)
	if err != nil {
		return false, false, err
	}
	if ok {
		if old.inForce(now) {
			before = old.cutOff >= next.cutOff
			next.cutOff, next.until = max(old.cutOff, next.cutOff), max(old.until, next.until)
		}
		if next == old {
			return before, false, nil
		}
		if old.until != next.until && old.until != millis.Never {
			if err := expiry.Delete(expiryKey(r.key, old.until)); err != nil {
				return false, false, err
			}
		}
	}
	if next.until != millis.Never {
		if err := expiry.Put(expiryKey(r.key, next.until), nil); err != nil {
			return false, false, err
		}
	}
	return before, !ok, putEntry(entries, r.key, next)
}

// sweepPerCommit bounds how many expired entries leave with one write.
const sweepPerCommit = 64

// sweep lets the entries leave that expired first, and returns how many.
func sweep(tx *bbolt.Tx, now int64) (left int, err error) {
	entries, expiry := tx.Bucket(entryBucket), tx.Bucket(expiryBucket)
	if entries == nil || expiry == nil {
		return 0, unavailable("the entries are missing", nil)
	}
	var expired [][]byte
	cursor := expiry.Cursor()
	for key, _ := cursor.First(); key != nil && len(expired) < sweepPerCommit; key, _ = cursor.Next() {
		if len(key) != 8+len(blacklist.Key{}) {
			return 0, unavailable("the index is damaged", nil)
		}
		if int64(binary.BigEndian.Uint64(key)) > now {
			break
		}
		expired = append(expired, bytes.Clone(key))
	}
	for _, key := range expired {
		// The entry decides, not the index: an entry in force is never dropped.
		// A damaged one stays, so that whoever it is about gets an error.
		e, ok, err := getEntry(entries, blacklist.Key(key[8:]))
		if err != nil && !errors.Is(err, errEntry) {
			return 0, err
		}
		if ok && !e.inForce(now) {
			if err := entries.Delete(key[8:]); err != nil {
				return 0, err
			}
			left++
		}
		if err := expiry.Delete(key); err != nil {
			return 0, err
		}
	}
	return left, nil
}
