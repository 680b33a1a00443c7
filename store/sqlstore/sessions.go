package sqlstore

import (
	"context"
	"database/sql"
	"math"

	"github.com/oapi-guard/oapi-guard/internal/millis"
	"github.com/oapi-guard/oapi-guard/session"
)

var errRow = &storeError{text: "a row of a session is damaged or of another version"}

// decode returns the row of a text in the table.
func decode(data []byte) (session.Row, error) {
	row, err := session.DecodeRow(data)
	if err != nil {
		return session.Row{}, errRow
	}
	return row, nil
}

// List implements session.Store.
func (s *Store) List(ctx context.Context, subject session.Subject, position string, limit int) (rows []session.Row, next string, err error) {
	began, id, err := session.ParsePosition(position)
	if err != nil {
		return nil, "", err
	}
	before := int64(math.MaxInt64)
	if position != "" {
		before = millis.Floor(began)
	}
	key := subjectKey(subject)
	args := []any{key[:], before, []byte(id), limit + 1}
	if s.cfg.dialect == SQLite {
		args = append(args, millis.Floor(s.cfg.now()))
	}
	rows, err = s.read(ctx, s.stmt.list, args...)
	if err != nil || len(rows) <= limit {
		return rows, "", err
	}
	rows = rows[:limit]
	return rows, session.PositionAfter(rows[limit-1]), nil
}

// Owed implements session.Store.
func (s *Store) Owed(ctx context.Context, limit int) ([]session.Row, error) {
	return s.read(ctx, s.stmt.owed, limit)
}

// read returns the rows of a statement that only reads.
func (s *Store) read(ctx context.Context, stmt *sql.Stmt, args ...any) (rows []session.Row, err error) {
	if err := s.usable(ctx, session.ErrClosed); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	err = s.tryOften(ctx, func(int) (err error) {
		rows, err = readRows(ctx, stmt, args)
		return err
	})
	if err != nil {
		return nil, s.callError(err, session.ErrClosed)
	}
	return rows, nil
}

func readRows(ctx context.Context, stmt *sql.Stmt, args []any) ([]session.Row, error) {
	result, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = result.Close() }()
	var rows []session.Row
	for result.Next() {
		var data []byte
		if err := result.Scan(&data); err != nil {
			return nil, err
		}
		row, err := decode(data)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, result.Err()
}

// forgetStep is how many rows a transaction of Forget deletes.
const forgetStep = 1000

// Forget implements session.Store. It deletes the rows in transactions of up to 1000.
func (s *Store) Forget(ctx context.Context, subject session.Subject) error {
	for {
		n, err := s.forgetSome(ctx, subject)
		if err != nil || n < forgetStep {
			return err
		}
	}
}

func (s *Store) forgetSome(ctx context.Context, subject session.Subject) (deleted int64, err error) {
	if err := s.usable(ctx, session.ErrClosed); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	release, err := s.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	err = s.tryOften(ctx, func(int) error {
		return s.transact(ctx, subject, func(t *transaction) (err error) {
			deleted, err = t.forget()
			return err
		})
	})
	if err != nil {
		return 0, s.callError(err, session.ErrClosed)
	}
	return deleted, nil
}

// forget deletes rows of the subject. The row of the subject, which has the epoch, stays as long as
// it would with them.
func (t *transaction) forget() (deleted int64, err error) {
	if err := t.lockSubject(); err != nil {
		return 0, err
	}
	t.wrote = true
	return affected(t.tx.StmtContext(t.ctx, t.s.stmt.forget).ExecContext(t.ctx, t.key, forgetStep))
}
