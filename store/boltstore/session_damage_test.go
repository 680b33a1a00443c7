package boltstore

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// sessionFile returns the path of a file with sessions of three subjects, each with an owed row and
// an epoch.
func sessionFile(t *testing.T) (path string) {
	t.Helper()
	path = newPath(t)
	s := open(t, path)
	for i := range 3 {
		owed := benchRow(benchSubject(i), 10+i)
		owed.Ended, owed.Owed = time.Now(), true
		putRows(t, s, benchRow(benchSubject(i), i), owed)
		setEpoch(t, s, benchSubject(i), 7)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// changeFile changes a file in a transaction of bbolt, so that all pages are valid.
func changeFile(t *testing.T, path string, change func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(change), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// firstOf changes the value of the first key of a bucket.
func firstOf(name []byte, change func(value []byte)) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		key, value := tx.Bucket(name).Cursor().First()
		value = bytes.Clone(value)
		change(value)
		return tx.Bucket(name).Put(bytes.Clone(key), value)
	}
}

// TestOpenRefusesChangedSessions changes each bucket of the sessions: a value, a key that is
// missing, a key too many.
func TestOpenRefusesChangedSessions(t *testing.T) {
	type change struct {
		name   string
		change func(*bbolt.Tx) error
	}
	changes := []change{
		{name: "the numbers are missing", change: func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(sessionCountsKey) }},
		{name: "the numbers have another checksum", change: func(tx *bbolt.Tx) error {
			value := bytes.Clone(tx.Bucket(metaBucket).Get(sessionCountsKey))
			value[7]++
			return tx.Bucket(metaBucket).Put(sessionCountsKey, value)
		}},
		{name: "all buckets of the sessions are missing", change: func(tx *bbolt.Tx) error {
			var err error
			for _, name := range sessionBuckets {
				err = errors.Join(err, tx.DeleteBucket(name))
			}
			return err
		}},
		{name: "a row has other flags and the old checksum", change: firstOf(rowBucket, func(v []byte) { v[0] ^= 1 })},
		{name: "a row ends at another time", change: firstOf(rowBucket, func(v []byte) { v[5]++ })},
		{name: "a row has another text", change: firstOf(rowBucket, func(v []byte) { v[len(v)-20]++ })},
		{name: "an epoch is lower", change: firstOf(epochBucket, func(v []byte) { v[7]-- })},
		{name: "an epoch ends at another time", change: firstOf(epochBucket, func(v []byte) { v[12]++ })},
		{name: "a key of the index has another checksum", change: firstOf(indexBucket, func(v []byte) { v[0]++ })},
		{name: "an owed row has another checksum", change: firstOf(owedBucket, func(v []byte) { v[0]++ })},
		{name: "a key of the expiry has another checksum", change: firstOf(sessionExpiryBucket, func(v []byte) { v[0]++ })},
		{name: "the counted and the stored rows differ in their flags", change: func(tx *bbolt.Tx) error {
			rows := tx.Bucket(rowBucket)
			cursor := rows.Cursor()
			for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
				if head, text, _ := parseRow(key, value); head.open {
					head.open = false
					key := rowKey(key)
					return rows.Put(key[:], encodeRow(key, head, bytes.Clone(text)))
				}
			}
			return errors.New("no open row")
		}},
	}
	for _, bucket := range sessionBuckets {
		changes = append(changes, change{string(bucket) + " is missing", func(tx *bbolt.Tx) error { return tx.DeleteBucket(bucket) }})
		if !bytes.Equal(bucket, sessionExpiryBucket) { // a missing key there only keeps a row for ever
			changes = append(changes, change{string(bucket) + " lacks a key", func(tx *bbolt.Tx) error {
				key, _ := tx.Bucket(bucket).Cursor().First()
				return tx.Bucket(bucket).Delete(bytes.Clone(key))
			}})
		}
		changes = append(changes, change{string(bucket) + " has a key of another form", func(tx *bbolt.Tx) error {
			return putSealedKey(tx.Bucket(bucket), []byte("x"))
		}})
	}
	for _, c := range changes {
		path := sessionFile(t)
		changeFile(t, path, c.change)
		checkRefused(t, c.name, path, nil, true, "damaged")
	}
}

// TestOpenAddsTheBucketsOfSessions opens a file of version 2 that was written before sessions
// existed: the revocations stay, and the file keeps sessions.
func TestOpenAddsTheBucketsOfSessions(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	revoke(t, s, token("a"), time.Time{})
	places := s.places
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	changeFile(t, path, func(tx *bbolt.Tx) error {
		err := tx.Bucket(metaBucket).Delete(sessionCountsKey)
		for _, name := range sessionBuckets {
			err = errors.Join(err, tx.DeleteBucket(name))
		}
		return err
	})
	for _, when := range []string{"first", "second"} {
		s := open(t, path, WithExistingFile())
		if !revoked(t, s, token("a")) || s.places != places {
			t.Errorf("%s time: the revocation or the place key is lost", when)
		}
		row := benchRow(benchSubject(1), 1)
		if _, found := getSession(t, s, row.Subject, row.ID); found != (when == "second") {
			t.Errorf("%s time: the session is found: %t", when, found)
		}
		putRows(t, s, row)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamagedSessionFailsItsOwnSubjectOnly damages the row, the epoch or the index of one subject
// while the store is open: its methods return errors, never "no session", and others still work.
func TestDamagedSessionFailsItsOwnSubjectOnly(t *testing.T) {
	damaged, intact := benchSubject(1), benchSubject(2)
	row := benchRow(damaged, 1)
	prefix := subjectKeyOf(damaged)
	key := rowKeyOf(damaged, prefix, row.ID)
	began := row.Began.UnixMilli()
	getRow := func(s *Store) error {
		return s.Update(t.Context(), damaged, func(tx session.Tx) error { _, _, err := tx.Session(row.ID); return err })
	}
	put := func(s *Store) error {
		return s.Update(t.Context(), damaged, func(tx session.Tx) error { return tx.Put(row) })
	}
	live := func(s *Store) error {
		return s.Update(t.Context(), damaged, func(tx session.Tx) error { _, err := tx.Live(10); return err })
	}
	list := func(s *Store) error { _, _, err := s.List(t.Context(), damaged, "", 10); return err }
	owed := func(s *Store) error { _, err := s.Owed(t.Context(), 10); return err }
	forget := func(s *Store) error { return s.Forget(t.Context(), damaged) }
	epoch := func(s *Store) error {
		return s.Update(t.Context(), damaged, func(tx session.Tx) error { _, err := tx.Epoch(); return err })
	}
	setEpoch := func(s *Store) error {
		return s.Update(t.Context(), damaged, func(tx session.Tx) error { return tx.SetEpoch(9) })
	}
	for _, tt := range []struct {
		name   string
		bucket []byte
		key    []byte
		fail   map[string]func(*Store) error
	}{
		{name: "row", bucket: rowBucket, key: key[:], fail: map[string]func(*Store) error{
			"Session": getRow, "Put": put, "Live": live, "List": list, "Owed": owed, "Forget": forget,
		}},
		{name: "index", bucket: indexBucket, key: indexKey(prefix, began, row.ID), fail: map[string]func(*Store) error{"Live": live, "List": list}},
		{name: "owed", bucket: owedBucket, key: key[:], fail: map[string]func(*Store) error{"Owed": owed}},
		{name: "epoch", bucket: epochBucket, key: prefix[:], fail: map[string]func(*Store) error{"Epoch": epoch, "SetEpoch": setEpoch}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, newPath(t))
			other := benchRow(intact, 2)
			row := row
			row.Owed = true
			putRows(t, s, row)
			putRows(t, s, other)
			if err := setEpoch(s); err != nil {
				t.Fatal(err)
			}
			if err := s.db.Update(func(tx *bbolt.Tx) error {
				value := bytes.Clone(tx.Bucket(tt.bucket).Get(tt.key))
				value[len(value)-1] ^= 1
				return tx.Bucket(tt.bucket).Put(tt.key, value)
			}); err != nil {
				t.Fatal(err)
			}
			for name, call := range tt.fail {
				if err := call(s); !errors.Is(err, session.ErrUnavailable) {
					t.Errorf("%s of the damaged subject: %v", name, err)
				}
			}
			putRows(t, s, other)
			if rows, _, err := s.List(t.Context(), intact, "", 10); err != nil || len(rows) != 1 {
				t.Errorf("List of another subject: %d rows, %v", len(rows), err)
			}
			if err := s.Forget(t.Context(), intact); err != nil {
				t.Errorf("Forget of another subject: %v", err)
			}
			revoke(t, s, token("a"), time.Time{})
		})
	}
}

// TestDamagedRevocationFailsItsWholeStep revokes in a step whose entry is damaged: its row is not
// written either, and another request of the same commit works.
func TestDamagedRevocationFailsItsWholeStep(t *testing.T) {
	s := open(t, newPath(t))
	row := benchRow(benchSubject(1), 1)
	r := endOf(row)
	if _, err := s.Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	key, _ := blacklist.KeyOf(r.Kind, r.Identity)
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(entryBucket).Put(key[:], make([]byte, entrySize))
	}); err != nil {
		t.Fatal(err)
	}
	// While the writer is held, the test takes two requests. Later it commits them as one batch.
	entered, proceed := make(chan struct{}), make(chan struct{})
	s.beforeCommit = func() { entered <- struct{}{}; <-proceed }
	var first, others sync.WaitGroup
	first.Go(func() { revoke(t, s, token("first"), time.Time{}) })
	<-entered
	results := make(chan error, 1)
	others.Go(func() {
		results <- s.Update(t.Context(), row.Subject, func(tx session.Tx) error {
			return errors.Join(tx.Put(row), tx.(session.BlacklistTx).Revoke(r))
		})
	})
	batch := []*request{<-s.urgent}
	others.Go(func() { revoke(t, s, token("other"), time.Time{}) })
	batch = append(batch, <-s.urgent)
	proceed <- struct{}{}
	first.Wait()
	s.beforeCommit = nil // the writer has nothing to do
	if n := s.commit(batch); n != len(batch) {
		t.Errorf("commit answers %d requests, want %d", n, len(batch))
	}
	others.Wait()
	if err := <-results; !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("Update returns %v", err)
	}
	if _, found := getSession(t, s, row.Subject, row.ID); found {
		t.Error("the row was written without the revocation")
	}
	if !revoked(t, s, token("other")) {
		t.Error("another request of the commit was not made")
	}
}
