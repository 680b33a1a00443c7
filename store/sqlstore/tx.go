package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// transaction is the transaction of a step.
//
// On PostgreSQL the transactions of a subject are serializable, because each locks what it reads
// until its end: Session locks the row, Epoch and Live lock the row of the subject, and so does what
// inserts a session. A session that does not exist has no row to lock, so the row of the subject is
// locked instead. A subject without a row cannot be locked either. Then the transaction assumes that
// no other one makes the row meanwhile. If it writes, it makes the row itself, and finds out.
//
// On SQLite a transaction has the lock of the whole database from its first statement on.
type transaction struct {
	ctx     context.Context
	s       *Store
	tx      *sql.Tx
	subject session.Subject
	key     []byte // of the subject

	// clock is the time of the store, read after the last lock, or 0 if it was not read yet.
	clock int64
	// rows are the rows that the transaction has locked, also those that do not exist.
	rows map[string]lockedRow
	// known is set once the row of the subject was read and locked; exists tells whether there is one.
	known, exists    bool
	epoch, keepUntil int64
	liveLocked       bool

	// Of one run of the step:

	// timeTaken is set once the step knows the time; again if a lock was taken since then.
	timeTaken, again bool
	newEpoch         *uint64
	puts             []session.Row
	putAt            map[string]int // index in puts
	entries          []*entry

	wrote bool
	over  bool
	// err is the first error of the database. After it nothing else is tried.
	err error
}

type lockedRow struct {
	row    session.Row
	exists bool
}

var _ session.BlacklistTx = (*transaction)(nil)

// errConflict is the error of a transaction whose assumption another one has refuted.
var errConflict = errors.New("sqlstore: another transaction interfered")

// errAgain makes a step return early.
var errAgain = errors.New("sqlstore: the step runs again")

func newTransaction(ctx context.Context, s *Store, tx *sql.Tx, subject session.Subject) *transaction {
	key := subjectKey(subject)
	return &transaction{ctx: ctx, s: s, tx: tx, subject: subject, key: key[:], rows: map[string]lockedRow{}}
}

// subjectKey returns the key of a subject, which is also that of a cut-off of it.
func subjectKey(subject session.Subject) blacklist.Key {
	key, _ := blacklist.KeyOf(blacklist.Subject, blacklist.Identity{Issuer: subject.Issuer, Subject: subject.Name})
	return key
}

// sessionKey returns the key of a session, which is also that of its revocation.
func sessionKey(subject session.Subject, id string) blacklist.Key {
	key, _ := blacklist.KeyOf(blacklist.Session,
		blacklist.Identity{Issuer: subject.Issuer, Subject: subject.Name, Session: id})
	return key
}

// begin begins a run of the step.
func (t *transaction) begin() {
	t.timeTaken, t.again = false, false
	t.newEpoch, t.puts, t.putAt, t.entries = nil, nil, nil, nil
}

// Now implements session.Tx. On PostgreSQL the time is read after the locks of the transaction.
func (t *transaction) Now() time.Time {
	if t.clock == 0 && t.usable() == nil {
		_ = t.fail(t.row(t.s.stmt.selectClock).Scan(&t.clock))
	}
	t.timeTaken = true
	return time.UnixMilli(t.clock).UTC()
}

// Epoch implements session.Tx.
func (t *transaction) Epoch() (uint64, error) {
	err := t.lockSubject()
	return uint64(t.epoch), err
}

// SetEpoch implements session.Tx.
func (t *transaction) SetEpoch(epoch uint64) error {
	t.newEpoch = &epoch
	return t.lockSubject()
}

// Session implements session.Tx.
func (t *transaction) Session(id string) (session.Row, bool, error) {
	if err := t.usable(); err != nil {
		return session.Row{}, false, err
	}
	found, locked := t.rows[id]
	if !locked {
		var err error
		if found, err = t.lockSession(id); err != nil {
			return session.Row{}, false, err
		}
		t.rows[id] = found
	}
	if t.again {
		return session.Row{}, false, errAgain
	}
	return found.row, found.exists, nil
}

// lockSession reads and locks a row. If there is none, it locks the subject, so that no other
// transaction inserts the row.
func (t *transaction) lockSession(id string) (lockedRow, error) {
	known := t.known
	found, err := t.readSession(id)
	if err != nil || found.exists || known {
		return found, err
	}
	if err := t.lockSubject(); err != nil && !errors.Is(err, errAgain) {
		return lockedRow{}, err
	}
	if !t.exists {
		return found, nil
	}
	return t.readSession(id)
}

func (t *transaction) readSession(id string) (lockedRow, error) {
	key := sessionKey(t.subject, id)
	var data []byte
	var clock int64
	if err := t.row(t.s.stmt.selectSession, key[:]).Scan(&data, &clock); err != nil {
		return lockedRow{}, t.fail(err)
	}
	t.advance(clock)
	if data == nil {
		return lockedRow{}, nil
	}
	if t.known && !t.exists {
		return lockedRow{}, t.fail(errConflict) // it was made since the subject was read
	}
	row, err := decode(data)
	if err != nil {
		return lockedRow{}, t.fail(err)
	}
	return lockedRow{row, true}, nil
}

// lockSubject reads and locks the row of the subject.
func (t *transaction) lockSubject() error {
	if err := t.usable(); err != nil {
		return err
	}
	if !t.known {
		var epoch, keepUntil sql.NullInt64
		var clock int64
		if err := t.row(t.s.stmt.selectSubject, t.key).Scan(&epoch, &keepUntil, &clock); err != nil {
			return t.fail(err)
		}
		t.known, t.exists, t.epoch, t.keepUntil = true, epoch.Valid, epoch.Int64, keepUntil.Int64
		t.advance(clock)
	}
	if t.again {
		return errAgain
	}
	return nil
}

// Live implements session.Tx.
func (t *transaction) Live(limit int) ([]session.Row, error) {
	if err := t.lockSubject(); err != nil {
		return nil, err
	}
	if !t.exists {
		return nil, nil
	}
	// Other transactions cannot add live rows, because the subject is locked. But while this one waits
	// for the lock of a row, another row can end or expire, and one behind it takes its place. So the
	// rows are locked and then read again, until all that were read had been locked.
	for range maxRuns {
		if !t.liveLocked {
			if _, err := t.readLive(t.s.stmt.lockLive, limit); err != nil {
				return nil, err
			}
			t.liveLocked = true
		}
		rows, err := t.readLive(t.s.stmt.live, limit)
		if err != nil {
			return nil, err
		}
		if t.again {
			return nil, errAgain
		}
		if t.haveLocked(rows) {
			return rows, nil
		}
		t.liveLocked = false
	}
	return nil, t.fail(errConflict)
}

// readLive runs live or lockLive. The latter adds the rows to those that are locked.
func (t *transaction) readLive(stmt *sql.Stmt, limit int) ([]session.Row, error) {
	result, err := t.tx.StmtContext(t.ctx, stmt).QueryContext(t.ctx, t.key, t.clock, limit)
	if err != nil {
		return nil, t.fail(err)
	}
	defer func() { _ = result.Close() }()
	var rows []session.Row
	for result.Next() {
		var data []byte
		var clock int64
		into := []any{&data, &clock}
		locks := stmt == t.s.stmt.lockLive
		if !locks {
			into = into[:1]
		}
		if err := result.Scan(into...); err != nil {
			return nil, t.fail(err)
		}
		row, err := decode(data)
		if err != nil {
			return nil, t.fail(err)
		}
		if _, before := t.rows[row.ID]; locks && !before {
			t.advance(clock)
			t.rows[row.ID] = lockedRow{row, true}
		}
		rows = append(rows, row)
	}
	return rows, t.fail(result.Err())
}

// haveLocked reports whether all rows are locked.
func (t *transaction) haveLocked(rows []session.Row) bool {
	for _, row := range rows {
		if _, locked := t.rows[row.ID]; !locked && t.s.cfg.dialect == PostgreSQL {
			return false
		}
	}
	return true
}

// Put implements session.Tx. The row is written when the step has returned.
func (t *transaction) Put(row session.Row) error {
	if err := t.usable(); err != nil {
		return err
	}
	if _, err := row.Encode(); err != nil {
		return err
	}
	if at, found := t.putAt[row.ID]; found {
		t.puts[at] = row
	} else {
		if t.putAt == nil {
			t.putAt = map[string]int{}
		}
		t.putAt[row.ID] = len(t.puts)
		t.puts = append(t.puts, row)
	}
	if t.concernsSubject(row) {
		return t.lockSubject()
	}
	return nil
}

// concernsSubject reports whether the row of the subject has to be locked to put the row: for a new
// session, for one that is kept longer, and for one that becomes live again, because another
// transaction may have counted the live sessions.
func (t *transaction) concernsSubject(row session.Row) bool {
	old := t.rows[row.ID]
	return !old.exists || concernsSubject(old.row, row, time.UnixMilli(t.clock))
}

// concernsSubject reports the same for a row that exists.
func concernsSubject(old, row session.Row, now time.Time) bool {
	return row.KeepUntil().After(old.KeepUntil()) || row.IsLive(now) && !old.IsLive(now)
}

// Revoke implements session.BlacklistTx. The entry is written when the step has returned.
func (t *transaction) Revoke(r blacklist.Revocation) error {
	if err := t.usable(); err != nil {
		return err
	}
	e, err := t.s.newEntry(r)
	if err != nil {
		return err
	}
	t.entries = append(t.entries, e)
	return nil
}

// usable returns the error of a transaction that has failed, or whose step has returned.
func (t *transaction) usable() error {
	if t.over {
		return errUsedLater
	}
	if t.err != nil {
		return unavailable(t.err)
	}
	return nil
}

// fail keeps the first error of the database, and returns it as the step sees it.
func (t *transaction) fail(err error) error {
	if err == nil {
		return nil
	}
	if t.err == nil {
		t.err = err
	}
	return unavailable(err)
}

// advance takes note of a time that was read after a lock was taken.
func (t *transaction) advance(clock int64) {
	if t.s.cfg.dialect == SQLite {
		return // the lock of the database came first
	}
	t.clock = max(t.clock, clock)
	t.again = t.again || t.timeTaken
}

func (t *transaction) row(stmt *sql.Stmt, args ...any) *sql.Row {
	return t.tx.StmtContext(t.ctx, stmt).QueryRowContext(t.ctx, args...)
}
