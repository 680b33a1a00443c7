package boltstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"math"
	"time"

	"github.com/oapi-guard/oapi-guard/session"
)

// maxExamined is the largest number of rows that one page of List examines. A page that would need
// more has fewer rows.
const maxExamined = 10_000

// List implements session.Store.
func (s *Store) List(ctx context.Context, subject session.Subject, position string, limit int) (rows []session.Row, next string, err error) {
	began, id, err := session.ParsePosition(position)
	if err != nil || limit < 1 {
		return nil, "", err
	}
	prefix := subjectKeyOf(subject)
	before := indexKey(prefix, math.MaxInt64, "\xff")
	if position != "" {
		before = indexKey(prefix, began.UnixMilli(), id)
	}
	err = s.view(ctx, func(b buckets) (err error) {
		rows, next, err = b.page(subject, prefix, before, limit, s.clock.read().wall)
		return err
	}, nil)
	if err != nil {
		return nil, "", err
	}
	return rows, next, nil
}

// page returns the live rows whose keys in the index are smaller than before, in falling order.
func (b buckets) page(subject session.Subject, prefix subjectKey, before []byte, limit int, now int64) (rows []session.Row, next string, err error) {
	cursor := b.index.Cursor()
	key, value := cursor.Seek(before)
	if key == nil {
		key, value = cursor.Last()
	}
	for ; key != nil && bytes.Compare(key, before) >= 0; key, value = cursor.Prev() {
	}
	for examined := 0; bytes.HasPrefix(key, prefix[:]); key, value = cursor.Prev() {
		row, live, err := b.indexed(key, value, subject, now)
		switch {
		case err != nil:
			return nil, "", err
		case live && len(rows) == limit:
			return rows, session.PositionAfter(rows[limit-1]), nil
		case live:
			rows = append(rows, row)
		}
		if examined++; examined == maxExamined && len(rows) < limit {
			began, id, _ := parseIndexKey(key)
			return rows, session.PositionAfter(session.Row{ID: id, Began: time.UnixMilli(began)}), nil
		}
	}
	return rows, "", nil
}

// Owed implements session.Store. It begins at a random row, so that rows that stay owed do not keep
// the others from being returned.
func (s *Store) Owed(ctx context.Context, limit int) (rows []session.Row, err error) {
	var begin rowKey
	rand.Read(begin[:]) // never returns an error
	err = s.view(ctx, func(b buckets) error {
		rows, err = b.owedRows(begin, limit)
		return err
	}, nil)
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// owedRows returns the rows of the bucket owed from begin on, and then those before begin.
func (b buckets) owedRows(begin rowKey, limit int) (rows []session.Row, err error) {
	add := func(key, value []byte) error {
		if len(key) != len(rowKey{}) || !isSealedKey(key, value) {
			return errRow
		}
		_, text, found, err := getRow(b.rows, rowKey(key))
		if err == nil && !found {
			err = errRow
		}
		if err != nil {
			return err
		}
		row, err := session.DecodeRow(text)
		rows = append(rows, row)
		return err
	}
	cursor := b.owed.Cursor()
	for key, value := cursor.Seek(begin[:]); key != nil && len(rows) < limit; key, value = cursor.Next() {
		if err := add(key, value); err != nil {
			return nil, err
		}
	}
	for key, value := cursor.First(); key != nil && len(rows) < limit && bytes.Compare(key, begin[:]) < 0; key, value = cursor.Next() {
		if err := add(key, value); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// forgetPerCommit is the largest number of rows that Forget removes in one transaction.
const forgetPerCommit = 64

// Forget implements session.Store. It removes the rows in several transactions, so that other
// subjects do not wait. It also works on a full disk.
func (s *Store) Forget(ctx context.Context, subject session.Subject) error {
	prefix := subjectKeyOf(subject)
	for {
		removed := 0
		err := s.submit(s.newRequest(ctx, func(b buckets) (change, error) {
			rows, err := b.removals(prefix, forgetPerCommit)
			removed = len(rows)
			return change{pages: int64(removed), sweeps: true, apply: func() (a added, err error) {
				now := s.clock.read().wall
				for _, row := range rows {
					counts, err := row.apply(b, now)
					if err != nil {
						return added{}, err
					}
					a.sessions = a.sessions.add(counts)
				}
				return a, nil
			}}, err
		}))
		if err != nil {
			return sessionError(err)
		}
		if removed < forgetPerCommit {
			return nil
		}
	}
}

// removals returns the removals of the first rows of the subject.
func (b buckets) removals(prefix subjectKey, limit int) (rows []removal, err error) {
	cursor := b.rows.Cursor()
	for key, _ := cursor.Seek(prefix[:]); bytes.HasPrefix(key, prefix[:]) && len(rows) < limit; key, _ = cursor.Next() {
		if len(key) != len(rowKey{}) {
			return nil, errRow
		}
		r, _, err := b.removal(rowKey(key))
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// view runs read in a transaction that does not write, and then step, unless it is nil. Panics of
// bbolt in read become errors. A panic of step reaches the caller.
func (s *Store) view(ctx context.Context, read func(b buckets) error, step func() error) error {
	if err := s.usable(ctx); err != nil {
		return sessionError(err)
	}
	if s.stuck.Load() {
		return sessionError(errDamaged)
	}
	bolt, err := s.begin()
	if err != nil {
		return sessionError(callerError("the file cannot be read", err))
	}
	defer func() { _ = bolt.Rollback() }() // it ends a transaction that did not write
	err = guarded(func() error {
		b, err := bucketsOf(bolt)
		if err != nil {
			return err
		}
		return read(b)
	})
	if err != nil || step == nil {
		return sessionError(callerError("the file cannot be read", err))
	}
	return step()
}
