package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

const (
	// everything is the cut-off of a token's or session's entry: it covers every session start.
	everything = math.MaxInt64

	// keepLonger is how long an expired entry stays. The process that looks up an entry decides
	// whether it has expired; another one, whose clock is fast, must not delete it earlier.
	keepLonger = 10 * time.Minute

	// One in sweepEvery writes of a kind deletes up to sweepLimit expired rows.
	sweepEvery = 8
	sweepLimit = 32

	// keepRecords is how long a record stays at least. A follower that has read nothing for longer
	// needs a new snapshot.
	keepRecords = 10 * time.Minute
	// trimLimit is how many of the first records a trim considers. All but one of them can leave.
	trimLimit = 64
)

// IsRevoked implements blacklist.Blacklist. It is one statement. An error is blacklist.ErrClosed,
// the error of ctx, or wraps blacklist.ErrUnavailable.
func (s *Store) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	if err := s.usable(ctx, blacklist.ErrClosed); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.lookupTimeout)
	defer cancel()
	revoked, err := s.lookUp(ctx, id)
	if err != nil && isConnection(err) && ctx.Err() == nil {
		// The connection may have been idle since a restart of the server.
		revoked, err = s.lookUp(ctx, id)
	}
	if err != nil {
		return false, s.callError(err, blacklist.ErrClosed)
	}
	return revoked, nil
}

func (s *Store) lookUp(ctx context.Context, id blacklist.Identity) (bool, error) {
	args := make([]any, 0, blacklist.Issuer)
	for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
		if key, ok := blacklist.KeyOf(kind, id); ok {
			args = append(args, key[:])
		} else {
			args = append(args, []byte(nil))
		}
	}
	rows, err := s.stmt.lookUp.QueryContext(ctx, args...)
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }()
	now, start := millis.Floor(s.cfg.now()), millis.Floor(id.SessionStart)
	marked, revoked := false, false
	for rows.Next() {
		var key []byte
		var cutOff, until int64
		var standby bool
		if err := rows.Scan(&key, &cutOff, &until, &standby); err != nil {
			return false, err
		}
		if standby {
			return false, errStandby
		}
		if len(key) == 0 {
			marked = true
		}
		if now < until && start <= cutOff {
			revoked = true
		}
	}
	if err := rows.Err(); err != nil {
		return false, err
	}
	if !marked {
		return false, errNoMark
	}
	return revoked, nil
}

// Revoke implements blacklist.Blacklist. It is one statement, which the store sends once: after a
// lost connection it returns an error, because it does not know whether the revocation is in force.
// A caller that tries again then may learn that its first call had succeeded.
func (s *Store) Revoke(ctx context.Context, r blacklist.Revocation) (before bool, err error) {
	if err := s.usable(ctx, blacklist.ErrClosed); err != nil {
		return false, err
	}
	e, err := s.newEntry(r)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	release, err := s.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	before, err = s.writeEntry(ctx, e)
	if err != nil {
		return false, s.callError(err, blacklist.ErrClosed)
	}
	if s.revocations.Add(1)%sweepEvery == 1 {
		// The revocation is in force, whether the sweep succeeds or not.
		_ = s.sweepEntries(ctx, func(stmt *sql.Stmt) *sql.Stmt { return stmt }, e.now)
	}
	return before, nil
}

// sweepEntries deletes some expired revocations and old records.
func (s *Store) sweepEntries(ctx context.Context, in func(*sql.Stmt) *sql.Stmt, now int64) error {
	_, err := in(s.stmt.sweepRevocations).ExecContext(ctx, now-keepLonger.Milliseconds(), sweepLimit)
	if err != nil {
		return err
	}
	args := []any{keepRecords.Milliseconds(), trimLimit}
	if s.cfg.dialect == SQLite {
		args = append(args, now)
	} else {
		args = append(args, s.cfg.lockNumber()+1)
	}
	_, err = in(s.stmt.trimRecords).ExecContext(ctx, args...)
	return err
}

// writeEntry writes the entry. It tries again if another transaction interfered, or if the mark has
// another place key since the store has read it.
func (s *Store) writeEntry(ctx context.Context, e *entry) (before bool, err error) {
	for attempt := 1; ; attempt++ {
		before, err = s.writeOnce(ctx, e)
		switch {
		case err == nil || attempt == maxAttempts:
			return before, err
		case errors.Is(err, errOtherMark):
			if err := s.loadMark(ctx); err != nil {
				return false, err
			}
		case !isConflict(err):
			return false, err
		}
	}
}

// writeOnce writes the entry and its record.
func (s *Store) writeOnce(ctx context.Context, e *entry) (before bool, err error) {
	if s.cfg.dialect == PostgreSQL {
		return e.write(ctx, s.stmt.revoke, nil, s.places.Load())
	}
	tx, err := s.db.BeginTx(ctx, s.cfg.dialect.txOptions())
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if before, err = e.write(ctx, tx.StmtContext(ctx, s.stmt.revoke), tx.StmtContext(ctx, s.stmt.insertRecord), s.places.Load()); err != nil {
		return false, err
	}
	return before, tx.Commit()
}

// entry is a revocation that is to be written. Times are in milliseconds since 1970.
type entry struct {
	kind          blacklist.Kind
	identity      blacklist.Identity
	cutOff, until int64
	now           int64 // the clock of the process
}

// newEntry validates the revocation.
func (s *Store) newEntry(r blacklist.Revocation) (*entry, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	e := &entry{kind: r.Kind, identity: r.Identity, cutOff: everything, until: millis.Until(r.Until), now: millis.Floor(s.cfg.now())}
	if e.until <= e.now {
		return nil, fmt.Errorf("%w: Until is not in the future", blacklist.ErrInvalid)
	}
	if r.Kind == blacklist.Subject || r.Kind == blacklist.Issuer {
		e.cutOff = millis.Floor(r.CutOff)
	}
	return e, nil
}

// write runs the statements, and reports whether the revocation was in force before. On PostgreSQL
// the first one writes the record too, and the second one is nil. The error is errOtherMark if the
// mark is missing or has another place key.
func (e *entry) write(ctx context.Context, revoke, record *sql.Stmt, places *blacklist.PlaceKey) (before bool, err error) {
	key, _ := blacklist.KeyOf(e.kind, e.identity)
	place, _ := blacklist.PlaceOf(*places, e.kind, e.identity)
	name := int64(nameOf(key))
	args := []any{key[:], int64(e.kind), int64(place), e.cutOff, e.until, e.now, places[:]}
	if record == nil {
		args = append(args, name)
	}
	rows, err := revoke.QueryContext(ctx, args...)
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }()
	written := false
	var cutOff, until int64
	// Until the last row is read, SQLite has not finished the statement.
	for rows.Next() {
		written = true
		if err := rows.Scan(&before, &cutOff, &until); err != nil {
			return false, err
		}
	}
	if err := rows.Err(); err != nil {
		return false, err
	}
	if err := rows.Close(); err != nil {
		return false, err
	}
	if !written {
		return false, errOtherMark
	}
	if record != nil {
		_, err = record.ExecContext(ctx, int64(e.kind), int64(place), name, cutOff, until, e.now)
	}
	return before, err
}
