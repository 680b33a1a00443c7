package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// subjectKey identifies a subject: the first half of its blacklist.Key.
type subjectKey [16]byte

// rowKey identifies a row: the key of its subject, then the first half of the blacklist.Key of the
// session. So the rows of a subject are neighbours.
type rowKey [2 * len(subjectKey{})]byte

func subjectKeyOf(subject session.Subject) subjectKey {
	key, _ := blacklist.KeyOf(blacklist.Subject, blacklist.Identity{Issuer: subject.Issuer, Subject: subject.Name})
	return subjectKey(key[:len(subjectKey{})])
}

func rowKeyOf(subject session.Subject, prefix subjectKey, id string) (k rowKey) {
	key, _ := blacklist.KeyOf(blacklist.Session, blacklist.Identity{Issuer: subject.Issuer, Subject: subject.Name, Session: id})
	copy(k[copy(k[:], prefix[:]):], key[:])
	return k
}

func (k rowKey) subject() subjectKey { return subjectKey(k[:len(subjectKey{})]) }

// sortable returns a time as 8 bytes that sort as the times do, also before 1970.
func sortable(ms int64) uint64 { return uint64(ms) ^ 1<<63 }

func fromSortable(b []byte) int64 { return int64(binary.BigEndian.Uint64(b) ^ 1<<63) }

// indexKey returns the key of a row in the index: its subject, its beginning and its id.
func indexKey(prefix subjectKey, began int64, id string) []byte {
	key := append(make([]byte, 0, len(prefix)+8+len(id)), prefix[:]...)
	return append(binary.BigEndian.AppendUint64(key, sortable(began)), id...)
}

// parseIndexKey returns the beginning and the id of a row from its key in the index.
func parseIndexKey(key []byte) (began int64, id string, ok bool) {
	rest := key[min(len(key), len(subjectKey{})):]
	if len(rest) <= 8 {
		return 0, "", false
	}
	return fromSortable(rest), string(rest[8:]), true
}

// What a key in the expiry of sessions stands for.
const (
	rowExpiry   = 'r'
	epochExpiry = 'e'
)

// sessionExpiryKey returns a key of the expiry of sessions. key is a rowKey or a subjectKey.
func sessionExpiryKey(until int64, kind byte, key []byte) []byte {
	k := binary.BigEndian.AppendUint64(make([]byte, 0, 8+1+len(key)), sortable(until))
	return append(append(k, kind), key...)
}

// isSessionExpiryKey reports whether a key has the form of sessionExpiryKey.
func isSessionExpiryKey(key []byte) bool {
	switch {
	case len(key) <= 8:
		return false
	case key[8] == rowExpiry:
		return len(key) == 8+1+len(rowKey{})
	default:
		return key[8] == epochExpiry && len(key) == 8+1+len(subjectKey{})
	}
}

// rowHead are the fields of a row that the store reads without decoding it. Times are in
// milliseconds since 1970.
type rowHead struct {
	open bool // not ended
	owed bool
	// live is when an open row ends at the latest, unless it is refreshed.
	live, began, keep int64
}

func headOf(row session.Row) rowHead {
	return rowHead{
		open:  row.Ended.IsZero(),
		owed:  row.Owed,
		live:  min(row.End.UnixMilli(), row.IdleDeadline.UnixMilli()),
		began: row.Began.UnixMilli(),
		keep:  row.KeepUntil().UnixMilli(),
	}
}

func (h rowHead) isLive(now int64) bool { return h.open && now < h.live }

const rowHeadSize = 1 + 8 + 8 + 8

// encodeRow returns the sealed value of a row.
func encodeRow(key rowKey, head rowHead, text []byte) []byte {
	var flags byte
	if head.open {
		flags |= 1
	}
	if head.owed {
		flags |= 2
	}
	value := append(make([]byte, 0, rowHeadSize+len(text)+checksumSize), flags)
	for _, ms := range []int64{head.live, head.began, head.keep} {
		value = binary.BigEndian.AppendUint64(value, uint64(ms))
	}
	return seal(key[:], append(value, text...))
}

// parseRow returns the content of a value of encodeRow. It reports false for a damaged one.
func parseRow(key, value []byte) (head rowHead, text []byte, ok bool) {
	if len(value) < rowHeadSize+checksumSize || !isSealed(key, value, len(value)) || value[0] > 3 {
		return rowHead{}, nil, false
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(value[i:])) }
	head = rowHead{open: value[0]&1 != 0, owed: value[0]&2 != 0, live: at(1), began: at(9), keep: at(17)}
	return head, value[rowHeadSize : len(value)-checksumSize], true
}

// getRow returns the row of the key, if there is one. The text is valid during the transaction.
func getRow(rows *bbolt.Bucket, key rowKey) (head rowHead, text []byte, found bool, err error) {
	value := rows.Get(key[:])
	if value == nil {
		return rowHead{}, nil, false, nil
	}
	head, text, ok := parseRow(key[:], value)
	if !ok {
		return rowHead{}, nil, false, errRow
	}
	return head, text, true, nil
}

// decodeRow returns the row, which must be the one of the subject with the id.
func decodeRow(text []byte, subject session.Subject, id string) (session.Row, error) {
	row, err := session.DecodeRow(text)
	switch {
	case err != nil:
		return session.Row{}, err
	case row.Subject != subject || row.ID != id:
		return session.Row{}, errRow
	}
	return row, nil
}

// epochEntry is the epoch of a subject, and how long it stays if the subject has no row.
type epochEntry struct {
	epoch uint64
	until int64
}

const epochSize = 8 + 8 + checksumSize

func getEpoch(epochs *bbolt.Bucket, key subjectKey) (e epochEntry, found bool, err error) {
	value := epochs.Get(key[:])
	if value == nil {
		return epochEntry{}, false, nil
	}
	if !isSealed(key[:], value, epochSize) {
		return epochEntry{}, false, errEpoch
	}
	return epochEntry{binary.BigEndian.Uint64(value), int64(binary.BigEndian.Uint64(value[8:]))}, true, nil
}

func putEpoch(epochs *bbolt.Bucket, key subjectKey, e epochEntry) error {
	value := binary.BigEndian.AppendUint64(make([]byte, 0, epochSize), e.epoch)
	return epochs.Put(key[:], seal(key[:], binary.BigEndian.AppendUint64(value, uint64(e.until))))
}

// putSealedKey puts a key whose value is only the checksum.
func putSealedKey(bucket *bbolt.Bucket, key []byte) error { return bucket.Put(key, seal(key, nil)) }

func isSealedKey(key, value []byte) bool { return isSealed(key, value, checksumSize) }

// sessionCounts are the numbers of rows and epochs in the file, expired ones included.
type sessionCounts struct{ rows, open, owed, epochs uint64 }

const sessionCountsSize = 4*8 + checksumSize

var sessionCountsKey = []byte("sessions")

func readSessionCounts(tx *bbolt.Tx) (c sessionCounts, err error) {
	value := tx.Bucket(metaBucket).Get(sessionCountsKey)
	if !isSealed(sessionCountsKey, value, sessionCountsSize) {
		return sessionCounts{}, errDamaged
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(value[8*i:]) }
	return sessionCounts{at(0), at(1), at(2), at(3)}, nil
}

func putSessionCounts(tx *bbolt.Tx, c sessionCounts) error {
	var value []byte
	for _, n := range []uint64{c.rows, c.open, c.owed, c.epochs} {
		value = binary.BigEndian.AppendUint64(value, n)
	}
	return tx.Bucket(metaBucket).Put(sessionCountsKey, seal(sessionCountsKey, value))
}

// add returns the sum. The fields of a change wrap around where it takes away.
func (c sessionCounts) add(change sessionCounts) sessionCounts {
	return sessionCounts{c.rows + change.rows, c.open + change.open, c.owed + change.owed, c.epochs + change.epochs}
}

// addSessionCounts adds to the numbers.
func addSessionCounts(tx *bbolt.Tx, change sessionCounts) error {
	if change == (sessionCounts{}) {
		return nil
	}
	counts, err := readSessionCounts(tx)
	if err != nil {
		return err
	}
	return putSessionCounts(tx, counts.add(change))
}

// buckets are the buckets of a transaction.
type buckets struct {
	entries, expiry                          *bbolt.Bucket
	rows, index, owed, epochs, sessionExpiry *bbolt.Bucket
}

// bucketsOf returns the buckets. A missing one is an error.
func bucketsOf(tx *bbolt.Tx) (b buckets, err error) {
	for _, bucket := range []struct {
		name []byte
		to   **bbolt.Bucket
	}{
		{entryBucket, &b.entries}, {expiryBucket, &b.expiry},
		{rowBucket, &b.rows}, {indexBucket, &b.index}, {owedBucket, &b.owed},
		{epochBucket, &b.epochs}, {sessionExpiryBucket, &b.sessionExpiry},
	} {
		if *bucket.to = tx.Bucket(bucket.name); *bucket.to == nil {
			return buckets{}, errNoBucket
		}
	}
	return b, nil
}

// hasRows reports whether the subject has a row.
func (b buckets) hasRows(subject subjectKey) bool {
	key, _ := b.rows.Cursor().Seek(subject[:])
	return bytes.HasPrefix(key, subject[:])
}

var (
	errNoBucket = unavailable("a bucket is missing", nil)

	// errRow concerns one row, errEpoch one epoch. Other subjects can still be read and written.
	errRow   = unavailable("a row is damaged", nil)
	errEpoch = unavailable("an epoch is damaged", nil)

	errOtherSubject = errors.New("boltstore: the row belongs to another subject")
	errNoID         = errors.New("boltstore: the row has no id, or one that is too long")
)
