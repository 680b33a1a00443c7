package boltstore

import (
	"bytes"
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// tx is the transaction that a step sees. It reads from a transaction of bbolt and keeps its writes
// until the step has returned, so a step that fails leaves nothing.
type tx struct {
	b       buckets
	places  blacklist.PlaceKey
	subject session.Subject
	prefix  subjectKey
	times   times

	puts        []rowPut
	epoch       *uint64
	revocations []revocation

	// broken is the error of a read in which bbolt panicked. The transaction of bbolt cannot go on.
	broken error
}

// rowPut is a row that a step has put.
type rowPut struct {
	key  rowKey
	id   string
	head rowHead
	text []byte
}

// revocation is an entry to be written.
type revocation struct {
	key   blacklist.Key
	entry entry
}

var _ session.BlacklistTx = (*tx)(nil)

// newTx returns the transaction of a step. It reads the clock, after the transaction of bbolt has
// begun.
func (s *Store) newTx(b buckets, subject session.Subject, prefix subjectKey) *tx {
	return &tx{b: b, places: s.places, subject: subject, prefix: prefix, times: s.clock.read()}
}

// writes returns the number of writes of the step.
func (t *tx) writes() int {
	n := len(t.puts) + len(t.revocations)
	if t.epoch != nil {
		n++
	}
	return n
}

// read runs a read of bbolt and returns its panics as errors.
func (t *tx) read(f func() error) error {
	err := guarded(f)
	if errors.Is(err, errPanicked) {
		t.broken = err
	}
	return sessionError(err)
}

// Now implements session.Tx.
func (t *tx) Now() time.Time { return time.UnixMilli(t.times.wall).UTC() }

// Epoch implements session.Tx.
func (t *tx) Epoch() (epoch uint64, err error) {
	err = t.read(func() error {
		e, _, err := getEpoch(t.b.epochs, t.prefix)
		epoch = e.epoch
		return err
	})
	return epoch, err
}

// SetEpoch implements session.Tx.
func (t *tx) SetEpoch(epoch uint64) error {
	t.epoch = &epoch
	return nil
}

// Session implements session.Tx.
func (t *tx) Session(id string) (row session.Row, found bool, err error) {
	err = t.read(func() (err error) {
		var text []byte
		_, text, found, err = getRow(t.b.rows, rowKeyOf(t.subject, t.prefix, id))
		if err == nil && found {
			row, err = decodeRow(text, t.subject, id)
		}
		return err
	})
	return row, found && err == nil, err
}

// Live implements session.Tx.
func (t *tx) Live(limit int) (rows []session.Row, err error) {
	err = t.read(func() error {
		cursor := t.b.index.Cursor()
		for key, value := cursor.Seek(t.prefix[:]); len(rows) < limit && bytes.HasPrefix(key, t.prefix[:]); key, value = cursor.Next() {
			row, live, err := t.b.indexed(key, value, t.subject, t.times.wall)
			if err != nil {
				return err
			}
			if live {
				rows = append(rows, row)
			}
		}
		return nil
	})
	return rows, err
}

// indexed returns the row of a key of the index if it is live.
func (b buckets) indexed(key, value []byte, subject session.Subject, now int64) (row session.Row, live bool, err error) {
	_, id, ok := parseIndexKey(key)
	if !ok || !isSealedKey(key, value) {
		return session.Row{}, false, errRow
	}
	head, text, found, err := getRow(b.rows, rowKeyOf(subject, subjectKey(key[:len(subjectKey{})]), id))
	switch {
	case err != nil:
		return session.Row{}, false, err
	case !found:
		return session.Row{}, false, errRow
	case !head.isLive(now):
		return session.Row{}, false, nil
	}
	row, err = decodeRow(text, subject, id)
	return row, err == nil, err
}

// Put implements session.Tx.
func (t *tx) Put(row session.Row) error {
	if row.Subject != t.subject {
		return errOtherSubject
	}
	if row.ID == "" || len(row.ID) > bbolt.MaxKeySize-len(t.prefix)-8 {
		return errNoID
	}
	text, err := row.Encode()
	if err != nil {
		return err
	}
	put := rowPut{rowKeyOf(t.subject, t.prefix, row.ID), row.ID, headOf(row), text}
	for i := range t.puts {
		if t.puts[i].key == put.key {
			t.puts[i] = put
			return nil
		}
	}
	t.puts = append(t.puts, put)
	return nil
}

// Revoke implements session.BlacklistTx.
func (t *tx) Revoke(r blacklist.Revocation) error {
	rev, err := newRevocation(t.places, r, t.times.wall)
	if err == nil {
		t.revocations = append(t.revocations, rev)
	}
	return err
}

// Update implements session.Store.
//
// The step runs in the goroutine of the caller first, and only reads the file. If it returns an
// error or writes nothing, that is all. Otherwise it runs again in the writer, in a transaction
// with other steps. A step that panics has no effect, and Update panics with the same value. A step
// must not call the store, except through its Tx.
func (s *Store) Update(ctx context.Context, subject session.Subject, step func(session.Tx) error) error {
	if step == nil {
		return errors.New("boltstore: a nil step")
	}
	prefix := subjectKeyOf(subject)
	tried, err := s.try(ctx, subject, prefix, step)
	if err != nil || tried.writes() == 0 {
		return err
	}
	q := s.newRequest(ctx, func(b buckets) (change, error) {
		t := s.newTx(b, subject, prefix)
		if err := runStep(t, step); err != nil {
			return change{}, err
		}
		return t.change()
	})
	// A step that revokes may take another way when it runs again. Then only the order was wrong.
	q.urgent = len(tried.revocations) > 0
	err = s.submit(q)
	var failed stepError
	var panicked stepPanic
	switch {
	case errors.As(err, &failed):
		return failed.err
	case errors.As(err, &panicked):
		panic(panicked.value)
	}
	return sessionError(err)
}

// try runs the step on the file as it is. Its writes are dropped.
func (s *Store) try(ctx context.Context, subject session.Subject, prefix subjectKey, step func(session.Tx) error) (*tx, error) {
	var t *tx
	err := s.view(ctx, func(b buckets) error {
		t = s.newTx(b, subject, prefix)
		return nil
	}, func() error { return step(t) })
	return t, err
}

// stepError is the error that a step has returned. Update returns it unchanged.
type stepError struct{ err error }

func (e stepError) Error() string { return "boltstore: the step failed" }

// stepPanic is the panic of a step.
type stepPanic struct{ value any }

func (e stepPanic) Error() string { return "boltstore: the step panicked" }

// runStep runs the step in the writer, which a panic must not end.
func runStep(t *tx, step func(session.Tx) error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = stepPanic{value}
		}
		if t.broken != nil {
			err = t.broken
		}
	}()
	if err := step(t); err != nil {
		return stepError{err}
	}
	return nil
}
