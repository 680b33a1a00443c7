package boltstore

import (
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// The file has eight buckets. Those of the blacklist:
//
//	meta      "mark" -> version, not-before, place key, checksum; "count" -> number of entries,
//	          checksum; "sessions" -> numbers of rows, keys of index and owed, and epochs, checksum
//	entries   blacklist.Key -> kind, place, cut-off, until, checksum
//	expiry    until, blacklist.Key -> nothing; only for entries that end
//
// Times are milliseconds since 1970 in 8 bytes, big-endian. Checksums are CRC-32C over key and
// value. The bucket expiry is an index for sweep only: the until of the entry decides.
//
// With the kind and the place Open makes the copy of the entries in memory, though the file contains
// no ids of tokens: see blacklist.PlaceOf. The place key is random.
//
// The buckets of the sessions. A subject is the first 16 bytes of its blacklist.Key, a row is its
// subject and the first 16 bytes of the blacklist.Key of the session:
//
//	sessions        row -> flags (1 open, 2 owed), live until, began, keep until,
//	                text of session.Row.Encode, checksum
//	session-index   subject, began, session id -> checksum; only for rows that have not ended
//	session-owed    row -> checksum; only for rows with Owed set
//	session-epochs  subject -> epoch, until, checksum
//	session-expiry  until, "r", row -> checksum; until, "e", subject -> checksum
//
// Times in keys have the highest bit inverted, so that they sort, also before 1970. "Live until" is
// the earlier of the end and the idle deadline. A rotation changes only the bucket sessions,
// because no other has a generation or an idle deadline. Like expiry, session-expiry is for sweep
// only.
//
// Files of version 2 without the buckets of the sessions exist: Open adds the buckets to them.
var (
	metaBucket   = []byte("meta")
	entryBucket  = []byte("entries")
	expiryBucket = []byte("expiry")

	rowBucket           = []byte("sessions")
	indexBucket         = []byte("session-index")
	owedBucket          = []byte("session-owed")
	epochBucket         = []byte("session-epochs")
	sessionExpiryBucket = []byte("session-expiry")

	sessionBuckets = [][]byte{rowBucket, indexBucket, owedBucket, epochBucket, sessionExpiryBucket}

	markKey  = []byte("mark")
	countKey = []byte("count")
)

const (
	// version is the version of the format. Version 1 was never released, so there is no migration.
	version = 2

	checksumSize = 4
	markSize     = 1 + 8 + len(blacklist.PlaceKey{}) + checksumSize
	countSize    = 8 + checksumSize
	entrySize    = 1 + 8 + 8 + 8 + checksumSize
)

// mark is the content of the mark. Sessions that began at or before notBefore are refused.
type mark struct {
	notBefore int64
	places    blacklist.PlaceKey
}

// newMark returns the mark of a new file.
func newMark(notBefore int64) mark {
	m := mark{notBefore: notBefore}
	rand.Read(m.places[:]) // never returns an error
	return m
}

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
func create(tx *bbolt.Tx, m mark) error {
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
	if err := createSessions(tx); err != nil {
		return err
	}
	value := binary.BigEndian.AppendUint64([]byte{version}, uint64(m.notBefore))
	value = append(value, m.places[:]...)
	return meta.Put(markKey, seal(markKey, value))
}

// createSessions makes the buckets of the sessions.
func createSessions(tx *bbolt.Tx) error {
	for _, name := range sessionBuckets {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return putSessionCounts(tx, sessionCounts{})
}

var (
	errMarkMissing = unavailable("the mark is missing", nil)
	errMarkDamaged = unavailable("the mark is damaged", nil)
	errVersion1    = unavailable("the file has format version 1, which this version does not read: "+
		"delete the file, which logs everybody out", nil)
	errVersion = unavailable("the file has another format version", nil)
)

func readMark(tx *bbolt.Tx) (m mark, err error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return mark{}, errMarkMissing
	}
	value := meta.Get(markKey)
	switch {
	case len(value) == 0:
		return mark{}, errMarkMissing
	case value[0] == 1:
		return mark{}, errVersion1
	case value[0] != version:
		return mark{}, errVersion
	case !isSealed(markKey, value, markSize):
		return mark{}, errMarkDamaged
	}
	m.notBefore = int64(binary.BigEndian.Uint64(value[1:]))
	copy(m.places[:], value[1+8:])
	return m, nil
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

// entry is a revocation. Times are in milliseconds since 1970.
type entry struct {
	kind          blacklist.Kind
	place         uint64
	cutOff, until int64
}

func (e entry) hasKind() bool { return e.kind >= blacklist.Token && e.kind <= blacklist.Issuer }

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
	return parseEntry(value), true, nil
}

// parseEntry returns the entry of a sealed value.
func parseEntry(value []byte) entry {
	return entry{
		kind:   blacklist.Kind(value[0]),
		place:  binary.BigEndian.Uint64(value[1:]),
		cutOff: int64(binary.BigEndian.Uint64(value[9:])),
		until:  int64(binary.BigEndian.Uint64(value[17:])),
	}
}

func putEntry(entries *bbolt.Bucket, key blacklist.Key, e entry) error {
	value := append(make([]byte, 0, entrySize), byte(e.kind))
	value = binary.BigEndian.AppendUint64(value, e.place)
	value = binary.BigEndian.AppendUint64(value, uint64(e.cutOff))
	value = binary.BigEndian.AppendUint64(value, uint64(e.until))
	return entries.Put(key[:], seal(key[:], value))
}

// expiryKey returns the key of an entry in the index; the keys sort by until.
func expiryKey(key blacklist.Key, until int64) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, expiryKeySize), uint64(until)), key[:]...)
}

const expiryKeySize = 8 + len(blacklist.Key{})
