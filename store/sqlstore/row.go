package sqlstore

import (
	"context"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// rowTx is the Tx of a step that reads one row and writes at most this row, as a refresh does. It
// reads the row without a lock, and then writes it on condition that it is unchanged. Both are single
// statements, so a refresh takes two round trips to PostgreSQL instead of four.
//
// The time is read with the row. If the condition holds, every transaction that has written the row
// had ended before. A step that does more gets errAgain and runs again in a transaction.
type rowTx struct {
	ctx     context.Context
	s       *Store
	subject session.Subject

	id    string // "" until the row was read
	found bool
	row   session.Row
	data  []byte // the row as it was read
	clock int64
	next  *session.Row

	done func() // ends the turn in the queue of the row
	left bool   // the step needs a transaction
	over bool
	err  error
}

var _ session.BlacklistTx = (*rowTx)(nil)

// tryRow runs the step on a rowTx. It reports whether that was enough. If not, nothing was written,
// and order tells how to begin the transaction.
func (s *Store) tryRow(ctx context.Context, subject session.Subject, step func(session.Tx) error, order *lockOrder) (done bool, err error) {
	t := &rowTx{ctx: ctx, s: s, subject: subject, done: func() {}}
	defer func() {
		t.over = true
		t.done()
	}()
	err = step(t)
	switch {
	case t.err != nil:
		return true, t.err
	case t.left:
		order.subjectFirst = t.id != "" && !t.found // to insert the row
		return false, nil
	case err != nil:
		return true, &stepError{err}
	case t.next == nil:
		return true, nil
	}
	columns, err := columnsOf(*t.next)
	if err != nil {
		return true, &stepError{err}
	}
	key := sessionKey(subject, t.id)
	args := append(append([]any{key[:]}, columns...), string(t.data))
	n, err := affected(s.stmt.replaceSession.ExecContext(ctx, args...))
	if err != nil {
		return true, &commitError{err}
	}
	return n > 0, nil // else another transaction has written the row
}

// leave makes the step run again in a transaction.
func (t *rowTx) leave() error {
	if t.over {
		return errUsedLater
	}
	t.left = true
	return errAgain
}

// Now implements session.Tx. Before the row was read there is no time.
func (t *rowTx) Now() time.Time {
	if t.id == "" {
		_ = t.leave()
	}
	return time.UnixMilli(t.clock).UTC()
}

// Session implements session.Tx.
func (t *rowTx) Session(id string) (session.Row, bool, error) {
	if t.over || t.left || t.id != "" && t.id != id || id == "" {
		return session.Row{}, false, t.leave()
	}
	if t.id == "" && t.err == nil {
		t.err = t.read(id)
	}
	if t.err != nil {
		return session.Row{}, false, unavailable(t.err)
	}
	return t.row, t.found, nil
}

func (t *rowTx) read(id string) error {
	key := sessionKey(t.subject, id)
	done, err := t.s.rows.wait(t.ctx, key)
	if err != nil {
		return err
	}
	t.done = done
	var standby bool
	if err := t.s.stmt.peekSession.QueryRowContext(t.ctx, key[:]).Scan(&t.data, &t.clock, &standby); err != nil {
		return err
	}
	if standby {
		return errStandby
	}
	t.id, t.found = id, t.data != nil
	if !t.found {
		return nil
	}
	t.row, err = decode(t.data)
	return err
}

// Put implements session.Tx.
func (t *rowTx) Put(row session.Row) error {
	if _, err := row.Encode(); err != nil {
		return err
	}
	if t.over || !t.found || row.ID != t.id || concernsSubject(t.row, row, time.UnixMilli(t.clock)) {
		return t.leave()
	}
	t.next = &row
	return nil
}

// Epoch implements session.Tx.
func (t *rowTx) Epoch() (uint64, error) { return 0, t.leave() }

// SetEpoch implements session.Tx.
func (t *rowTx) SetEpoch(uint64) error { return t.leave() }

// Live implements session.Tx.
func (t *rowTx) Live(int) ([]session.Row, error) { return nil, t.leave() }

// Revoke implements session.BlacklistTx.
func (t *rowTx) Revoke(blacklist.Revocation) error { return t.leave() }
