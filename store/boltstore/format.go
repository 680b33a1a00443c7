package boltstore

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// The file has three buckets:
//
//	meta      "mark" -> version, not-before, checksum; "count" -> number of entries, checksum
//	entries   blacklist.Key -> cut-off, until, checksum
//	expiry    until, blacklist.Key -> nothing; only for entries that end
//
// Times are milliseconds since 1970 in 8 bytes, big-endian. Checksums are CRC-32C over key and
// value. The bucket expiry is an index for sweep only: look-ups compare the until of the entry.
var (
	metaBucket   = []byte("meta")
	entryBucket  = []byte("entries")
	expiryBucket = []byte("expiry")

	markKey  = []byte("mark")
	countKey = []byte("count")
)

const (
	version = 1

	checksumSize = 4
	markSize     = 1 + 8 + checksumSize
	countSize    = 8 + checksumSize
	entrySize    = 8 + 8 + checksumSize
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the CRC-32C over key and value.
func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// seal appends the checksum to the value.
func seal(key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(value, checksum(key, value))
}

// isSealed reports whether a value has the size and ends with its checksum.
func isSealed(key, value []byte, size int) bool {
	if len(value) != size {
		return false
	}
	content := value[:size-checksumSize]
	return binary.BigEndian.Uint32(value[size-checksumSize:]) == checksum(key, content)
}

// create makes the buckets, the mark and the count of a new file.
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
	if err := putCount(tx, 0); err != nil {
		return err
	}
	mark := binary.BigEndian.AppendUint64([]byte{version}, uint64(notBefore))
	return meta.Put(markKey, seal(markKey, mark))
}

// readMark returns the not-before of the mark: sessions that began at or before it are refused.
func readMark(tx *bbolt.Tx) (notBefore int64, err error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return 0, unavailable("the mark is missing", nil)
	}
	mark := meta.Get(markKey)
	switch {
	case len(mark) == 0:
		return 0, unavailable("the mark is missing", nil)
	case mark[0] != version:
		return 0, unavailable("the file has another version", nil)
	case !isSealed(markKey, mark, markSize):
		return 0, unavailable("the mark is damaged", nil)
	}
	return int64(binary.BigEndian.Uint64(mark[1:])), nil
}

// readCount returns the number of entries, expired ones included.
func readCount(tx *bbolt.Tx) (uint64, error) {
	value := tx.Bucket(metaBucket).Get(countKey)
	if !isSealed(countKey, value, countSize) {
		return 0, errDamaged
	}
	return binary.BigEndian.Uint64(value), nil
}

// addCount adds to the number of entries.
func addCount(tx *bbolt.Tx, change int) error {
	if change == 0 {
		return nil
	}
	count, err := readCount(tx)
	if err != nil {
		return err
	}
	return putCount(tx, count+uint64(change))
}

func putCount(tx *bbolt.Tx, count uint64) error {
	value := binary.BigEndian.AppendUint64(nil, count)
	return tx.Bucket(metaBucket).Put(countKey, seal(countKey, value))
}

// entry is a revocation, in milliseconds since 1970.
type entry struct{ cutOff, until int64 }

func (e entry) inForce(now int64) bool { return now < e.until }

// getEntry returns the entry of the key, if there is one.
func getEntry(entries *bbolt.Bucket, key blacklist.Key) (e entry, ok bool, err error) {
	value := entries.Get(key[:])
	if value == nil {
		return entry{}, false, nil
	}
	if !isSealed(key[:], value, entrySize) {
		return entry{}, false, errEntry
	}
	e.cutOff = int64(binary.BigEndian.Uint64(value))
	e.until = int64(binary.BigEndian.Uint64(value[8:]))
	return e, true, nil
}

func putEntry(entries *bbolt.Bucket, key blacklist.Key, e entry) error {
	value := binary.BigEndian.AppendUint64(make([]byte, 0, entrySize), uint64(e.cutOff))
	value = binary.BigEndian.AppendUint64(value, uint64(e.until))
	return entries.Put(key[:], seal(key[:], value))
}

// expiryKey returns the key of an entry in the index; the keys sort by until.
func expiryKey(key blacklist.Key, until int64) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, expiryKeySize), uint64(until)), key[:]...)
}

const expiryKeySize = 8 + len(blacklist.Key{})

// checkEntries checks the checksum of every entry, the order of the keys, and the number of
// entries.
//
// The check of bbolt runs in another goroutine, where a panic on a damaged page cannot be
// recovered. Requiring rising keys also ends a walk around a cycle of pages.
func checkEntries(tx *bbolt.Tx) error {
	if _, err := checkBucket(tx.Bucket(expiryBucket), nil); err != nil {
		return err
	}
	entries, err := checkBucket(tx.Bucket(entryBucket), func(key, value []byte) bool {
		return isSealed(key, value, entrySize)
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
