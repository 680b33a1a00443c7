package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// How the store works:
//
// blacklist.go has look-ups and revocations, which are one statement each. sessions.go has what
// reads or deletes sessions outside of a transaction. update.go runs a step and runs it again after
// a conflict. tx.go is the transaction of a step: it locks what the step reads, keeps the writes,
// and flush.go sends them when the step has returned. row.go is the short way for a step that
// concerns one row. statements.go has every statement, schema.go the tables, and dialect.go what
// differs between the databases. feed.go follows the records that each revocation writes.

// Store is a blacklist and a store of sessions in a database. It is safe for concurrent use and
// starts no goroutine. It is a replica.Feed too.
type Store struct {
	db   *sql.DB
	cfg  *config
	stmt *statements

	// places is the place key of the mark.
	places atomic.Pointer[blacklist.PlaceKey]
	// placeKey is the one that New has read. Copies of the store use it.
	placeKey blacklist.PlaceKey
	// writer has room for one transaction on SQLite, which has one writer at a time. Waiting here is
	// shorter than waiting for its lock, which polls. It is nil on PostgreSQL.
	writer chan struct{}
	// rows are the queues of the short way for one row.
	rows queues
	// revocations and inserts count, to sweep with some of them.
	revocations, inserts atomic.Uint64
	closed               atomic.Bool
}

var (
	_ blacklist.Blacklist = (*Store)(nil)
	_ blacklist.Pinger    = (*Store)(nil)
	_ session.Store       = (*Store)(nil)
)

var errBadConn = driver.ErrBadConn

// New returns a store on the tables that [Migrate] has made. The caller opens the database with a
// driver, limits its connections (SetMaxOpenConns), and closes it after the store.
//
// The error wraps blacklist.ErrUnavailable if the database cannot be reached, if the tables are
// missing or of another version, if the mark is missing, if the server is a standby, or if the
// database is set to lose writes that it has acknowledged.
func New(ctx context.Context, db *sql.DB, dialect Dialect, options ...Option) (*Store, error) {
	c, err := newConfig(dialect, options)
	if err != nil {
		return nil, err
	}
	if db == nil {
		return nil, errors.New("sqlstore: New needs a database")
	}
	ctx, cancel := context.WithTimeout(ctx, c.writeTimeout)
	defer cancel()
	s := &Store{db: db, cfg: c}
	if dialect == SQLite {
		s.writer = make(chan struct{}, 1)
	}
	if err := s.check(ctx, c.logger.Warn); err != nil {
		return nil, err
	}
	if s.stmt, err = prepare(ctx, db, c); err != nil {
		return nil, err
	}
	if err := s.loadMark(ctx); err != nil {
		s.stmt.close()
		return nil, err
	}
	s.placeKey = *s.places.Load()
	return s, nil
}

// loadMark reads the place key of the mark.
func (s *Store) loadMark(ctx context.Context) error {
	var key []byte
	err := s.stmt.readMark.QueryRowContext(ctx).Scan(&key)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errNoMark
	case err != nil:
		return unavailable(err)
	case len(key) != len(blacklist.PlaceKey{}):
		return errEntry
	}
	places := blacklist.PlaceKey(key)
	s.places.Store(&places)
	return nil
}

// Ping reports whether look-ups and writes work: it makes the checks of [New], and a write that
// changes nothing.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.usable(ctx, blacklist.ErrClosed); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	if err := s.check(ctx, func(string, ...any) {}); err != nil {
		return err
	}
	release, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	result, err := s.stmt.touchMark.ExecContext(ctx)
	if err != nil {
		return s.callError(err, blacklist.ErrClosed)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errNoMark
	}
	return nil
}

// Close makes every later call return blacklist.ErrClosed or session.ErrClosed. It does not close
// the database. It returns nil, also when it is called again.
func (s *Store) Close() error {
	if !s.closed.Swap(true) {
		s.stmt.close()
	}
	return nil
}

// usable returns the error of a store that is closed or of a context that is done.
func (s *Store) usable(ctx context.Context, closed error) error {
	if s.closed.Load() {
		return closed
	}
	return ctx.Err()
}

// callError returns the error of a call as callers see it.
func (s *Store) callError(err error, closed error) error {
	if s.closed.Load() {
		return closed
	}
	return unavailable(err)
}

// acquire waits until no other write of this process runs on SQLite.
func (s *Store) acquire(ctx context.Context) (release func(), err error) {
	if s.writer == nil {
		return func() {}, nil
	}
	select {
	case s.writer <- struct{}{}:
		return func() { <-s.writer }, nil
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
}
