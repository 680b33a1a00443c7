package sqlstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/millis"
	"github.com/oapi-guard/oapi-guard/session"
)

const (
	// maxAttempts is how often a transaction is tried.
	maxAttempts = 10
	// maxRuns is how often a step runs in one transaction. Each further run has locked more.
	maxRuns = 100
)

// Update implements session.Store. The Tx is a session.BlacklistTx.
//
// A step runs again if another transaction interfered, and if the connection was lost before the
// commit was sent. A connection that is lost during the commit is an error, because nobody knows
// whether the writes are in force.
func (s *Store) Update(ctx context.Context, subject session.Subject, step func(session.Tx) error) error {
	if err := s.usable(ctx, session.ErrClosed); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	release, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	var order lockOrder
	err = s.tryOften(ctx, func(attempt int) error {
		if attempt == 1 && s.cfg.dialect == PostgreSQL {
			done, err := s.tryRow(ctx, subject, step, &order)
			if done || err != nil {
				return err
			}
		}
		return s.tryStep(ctx, subject, step, &order)
	})
	var failed *stepError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed):
		return failed.err
	default:
		return s.callError(err, session.ErrClosed)
	}
}

// lockOrder tells a transaction to lock the subject first.
type lockOrder struct{ subjectFirst bool }

// tryStep runs the step in a transaction.
func (s *Store) tryStep(ctx context.Context, subject session.Subject, step func(session.Tx) error, order *lockOrder) error {
	err := s.transact(ctx, subject, func(t *transaction) error {
		if order.subjectFirst {
			if err := t.lockSubject(); err != nil {
				return err
			}
		}
		return t.runStep(step)
	})
	switch {
	case errors.Is(err, errOtherMark):
		if err := s.loadMark(ctx); err != nil {
			return err
		}
		return errConflict
	case err != nil && isConflict(err):
		// After a deadlock the next attempt takes the locks in the order of the other transactions.
		order.subjectFirst = true
	}
	return err
}

// stepError is the error of the step.
type stepError struct{ err error }

func (e *stepError) Error() string { return "sqlstore: the step failed" }

// commitError is the error of a commit that may have succeeded.
type commitError struct{ err error }

func (e *commitError) Error() string { return "sqlstore: the commit failed" }

func (e *commitError) Unwrap() error { return e.err }

// tryOften calls try until it succeeds, or fails with an error that another attempt does not help.
func (s *Store) tryOften(ctx context.Context, try func(attempt int) error) error {
	for attempt := 1; ; attempt++ {
		err := try(attempt)
		if err == nil || attempt == maxAttempts || !isTransient(err) {
			return err
		}
		pause := time.Duration(attempt) * 2 * time.Millisecond
		if !isConflict(err) {
			pause *= 10
		}
		timer := time.NewTimer(time.Duration(rand.Int64N(int64(pause))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// isTransient reports whether the transaction had no effect and another attempt may succeed.
func isTransient(err error) bool {
	var failed *stepError
	var commit *commitError
	switch {
	case errors.As(err, &failed):
		return false
	case isConflict(err):
		return true
	default:
		return !errors.As(err, &commit) && isConnection(err)
	}
}

// transact runs f in a transaction. It commits if f returns nil and has written.
func (s *Store) transact(ctx context.Context, subject session.Subject, f func(*transaction) error) error {
	tx, err := s.db.BeginTx(ctx, s.cfg.dialect.txOptions())
	if err != nil {
		return err
	}
	// Also after a panic of the step. After a commit it does nothing.
	defer func() { _ = tx.Rollback() }()
	if s.cfg.dialect == SQLite {
		if _, err := tx.StmtContext(ctx, s.stmt.lock).ExecContext(ctx); err != nil {
			return err
		}
	}
	t := newTransaction(ctx, s, tx, subject)
	defer func() { t.over = true }()
	if s.cfg.dialect == SQLite {
		t.clock = millis.Floor(s.cfg.now())
	}
	if err := f(t); err != nil || !t.wrote {
		return err
	}
	if err := tx.Commit(); err != nil {
		return &commitError{err}
	}
	return nil
}

// runStep runs the step and sends its writes. It runs the step again, in the same transaction and
// with all its locks, if the transaction took a lock after the step had asked for the time: the
// time of the transaction is after its locks.
func (t *transaction) runStep(step func(session.Tx) error) error {
	for range maxRuns {
		t.begin()
		err := step(t)
		switch {
		case t.err != nil:
			return t.err
		case t.again:
			continue
		case err != nil:
			return &stepError{err}
		}
		return t.flush()
	}
	return errManyTries
}
