package sqlstore

import (
	"database/sql"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/millis"
	"github.com/oapi-guard/oapi-guard/session"
)

// The row of a subject stays for an hour longer than its sessions. When that time has to move, it
// moves by a day more, so that not every log-in writes the row.
const (
	keepSubject      = time.Hour
	keepSubjectExtra = 24 * time.Hour
)

// flush sends the writes of the step.
func (t *transaction) flush() error {
	if t.newEpoch == nil && len(t.puts) == 0 && len(t.entries) == 0 {
		return nil
	}
	t.wrote = true
	if err := t.flushSubject(); err != nil {
		return err
	}
	inserted := false
	for _, row := range t.puts {
		old := t.rows[row.ID]
		if err := t.flushRow(row, old.exists); err != nil {
			return err
		}
		inserted = inserted || !old.exists
	}
	for _, e := range t.entries {
		var record *sql.Stmt
		if t.s.stmt.insertRecord != nil {
			record = t.in(t.s.stmt.insertRecord)
		}
		if _, err := e.write(t.ctx, t.in(t.s.stmt.revoke), record, t.s.places.Load()); err != nil {
			return err
		}
	}
	return t.sweep(inserted)
}

// flushSubject writes the row of the subject, if the epoch or the time that it is kept changes.
func (t *transaction) flushSubject() error {
	keep, needed := t.keepSubject()
	if !needed {
		return nil
	}
	epoch := t.epoch
	if t.newEpoch != nil {
		epoch = int64(*t.newEpoch)
	}
	if keep > t.keepUntil {
		keep += keepSubjectExtra.Milliseconds()
	}
	keep = max(keep, t.keepUntil)
	stmt := t.s.stmt.updateSubject
	if !t.exists {
		stmt = t.s.stmt.insertSubject
	}
	n, err := affected(t.tx.StmtContext(t.ctx, stmt).ExecContext(t.ctx, t.key, epoch, keep))
	if err == nil && n == 0 {
		err = errConflict // another transaction has made the row since this one has read that there is none
	}
	return err
}

// keepSubject returns until when the row of the subject has to be kept, and whether it has to be
// written.
func (t *transaction) keepSubject() (keep int64, needed bool) {
	for _, row := range t.puts {
		if t.concernsSubject(row) {
			keep = max(keep, millis.Floor(row.KeepUntil().Add(keepSubject)))
			needed = needed || !t.exists || keep > t.keepUntil
		}
	}
	if t.newEpoch != nil {
		keep, needed = max(keep, t.clock+keepSubject.Milliseconds()), true
	}
	return keep, needed
}

// flushRow writes a row.
func (t *transaction) flushRow(row session.Row, exists bool) error {
	columns, err := columnsOf(row)
	if err != nil {
		return &stepError{err}
	}
	key := sessionKey(t.subject, row.ID)
	if !exists {
		args := append([]any{key[:], t.key, []byte(row.ID)}, columns...)
		_, err := t.tx.StmtContext(t.ctx, t.s.stmt.insertSession).ExecContext(t.ctx, args...)
		return err
	}
	args := append([]any{key[:]}, columns...)
	n, err := affected(t.tx.StmtContext(t.ctx, t.s.stmt.updateSession).ExecContext(t.ctx, args...))
	if err == nil && n == 0 {
		err = errChangedRow
	}
	return err
}

// columnsOf returns the values of the columns that change: those that statements select by, and the
// text, which has the whole row.
func columnsOf(row session.Row) ([]any, error) {
	data, err := row.Encode()
	if err != nil {
		return nil, err
	}
	liveUntil := min(millis.Floor(row.End), millis.Floor(row.IdleDeadline))
	return []any{
		millis.Floor(row.Began), liveUntil, millis.Ceil(row.KeepUntil()), !row.Ended.IsZero(), row.Owed, string(data),
	}, nil
}

// sweep deletes some expired rows, with some of the transactions.
func (t *transaction) sweep(inserted bool) error {
	if inserted && t.s.inserts.Add(1)%sweepEvery == 1 {
		for _, stmt := range []*sql.Stmt{t.s.stmt.sweepSessions, t.s.stmt.sweepSubjects} {
			if _, err := t.tx.StmtContext(t.ctx, stmt).ExecContext(t.ctx, t.clock, sweepLimit); err != nil {
				return err
			}
		}
	}
	if len(t.entries) > 0 && t.s.revocations.Add(1)%sweepEvery == 1 {
		return t.s.sweepEntries(t.ctx, t.in, t.entries[0].now)
	}
	return nil
}

// in returns the statement in the transaction.
func (t *transaction) in(stmt *sql.Stmt) *sql.Stmt { return t.tx.StmtContext(t.ctx, stmt) }

func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
