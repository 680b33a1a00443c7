package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/pgtest"
	"github.com/oapi-guard/oapi-guard/session"
)

// stopping stops the shared server before goleak looks for goroutines.
type stopping struct{ *testing.M }

func (m stopping) Run() int {
	defer pgtest.StopShared()
	return m.M.Run()
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(stopping{m}) }

// database is a database of the tests.
type database struct {
	dialect     Dialect
	driver, dsn string
	// options are the prefix of the tables, which no other test uses, and a silent logger.
	options []Option
	prefix  string
	db      *sql.DB
}

var prefixes atomic.Int64

// eachDialect runs the test on both databases. No tables exist yet.
func eachDialect(t *testing.T, test func(t *testing.T, d *database)) {
	t.Helper()
	t.Run("PostgreSQL", func(t *testing.T) { test(t, postgres(t, pgtest.Shared(t))) })
	t.Run("SQLite", func(t *testing.T) { test(t, sqlite(t, filepath.Join(t.TempDir(), "guard.db"))) })
}

func postgres(t testing.TB, server *pgtest.Server) *database {
	return newDatabase(t, PostgreSQL, "pgx", server.DSN(pgtest.User, "postgres"))
}

const pragmas = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"

func sqlite(t testing.TB, path string) *database {
	return newDatabase(t, SQLite, "sqlite", "file:"+path+pragmas)
}

func newDatabase(t testing.TB, dialect Dialect, driver, dsn string) *database {
	prefix := fmt.Sprintf("t%d_", prefixes.Add(1))
	if dialect == PostgreSQL {
		prefix = "p" + prefix
	}
	d := &database{
		dialect: dialect, driver: driver, dsn: dsn, prefix: prefix,
		options: []Option{WithTablePrefix(prefix), WithLogger(discard()), WithTimeouts(10*time.Second, 10*time.Second)},
	}
	d.db = d.pool(t)
	return d
}

// pool returns another pool of connections to the database.
func (d *database) pool(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(d.driver, d.dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(32)
	db.SetMaxIdleConns(32)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// migrate makes the tables. The mark is an hour old, so that sessions that begin now are not
// refused.
func (d *database) migrate(t testing.TB) {
	t.Helper()
	past := WithClock(func() time.Time { return time.Now().Add(-time.Hour) })
	if err := Migrate(t.Context(), d.db, d.dialect, append(d.options, past)...); err != nil {
		t.Fatal(err)
	}
}

// open returns a store on a pool.
func (d *database) open(t testing.TB, db *sql.DB, options ...Option) *Store {
	t.Helper()
	s, err := New(t.Context(), db, d.dialect, append(d.options[:len(d.options):len(d.options)], options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// store makes the tables and returns a store.
func (d *database) store(t testing.TB, options ...Option) *Store {
	t.Helper()
	d.migrate(t)
	return d.open(t, d.db, options...)
}

// exec runs a statement, with the names of the tables in braces.
func (d *database) exec(t testing.TB, text string, args ...any) {
	t.Helper()
	c := &config{dialect: d.dialect, prefix: d.prefix}
	if _, err := d.db.ExecContext(t.Context(), c.render(text), args...); err != nil {
		t.Fatal(err)
	}
}

// count returns the number that a statement returns.
func (d *database) count(t testing.TB, text string, args ...any) (n int) {
	t.Helper()
	c := &config{dialect: d.dialect, prefix: d.prefix}
	if err := d.db.QueryRowContext(t.Context(), c.render(text), args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// user returns the identity of a token; tokens with the same name are the same token.
func user(name string) blacklist.Identity {
	return blacklist.Identity{
		Issuer: "https://issuer.example", ID: "jti-" + name, Session: "sid-" + name, Subject: "sub-" + name,
		SessionStart: time.Now().Add(-time.Minute),
	}
}

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

func isRevoked(t testing.TB, s *Store, id blacklist.Identity) bool {
	t.Helper()
	revoked, err := s.IsRevoked(t.Context(), id)
	if err != nil {
		t.Fatalf("IsRevoked: %v", err)
	}
	return revoked
}

var alice = session.Subject{Issuer: "https://issuer.example", Name: "sub-alice"}

// newRow returns the row of a session that begins at a time of the store.
func newRow(subject session.Subject, id string, now time.Time) session.Row {
	return session.Row{
		Subject: subject, ID: id, Began: now, End: now.Add(720 * time.Hour), IdleDeadline: now.Add(24 * time.Hour),
		IdleTimeout: 24 * time.Hour, Generation: 1, IssuedAt: now, ExpiresAt: now.Add(24 * time.Hour), Rotated: now,
		Nonce: "nonce", CSRF: "0123456789abcdef0123456789abcdef", LastSeen: now,
		Device: session.Device{Name: "Alice's phone", UserAgent: "Mozilla/5.0 (X11; Linux x86_64)", Address: "192.0.2.7"},
	}
}

// put writes a new session.
func put(t testing.TB, s *Store, subject session.Subject, id string) {
	t.Helper()
	err := s.Update(t.Context(), subject, func(tx session.Tx) error {
		if _, err := tx.Epoch(); err != nil {
			return err
		}
		return tx.Put(newRow(subject, id, tx.Now()))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rotate raises the generation of a session.
func rotate(ctx context.Context, s *Store, subject session.Subject, id string) error {
	return s.Update(ctx, subject, func(tx session.Tx) error {
		row, found, err := tx.Session(id)
		if err != nil {
			return err
		}
		if !found {
			return errAbsent
		}
		row.Generation++
		row.Rotated, row.IdleDeadline = tx.Now(), tx.Now().Add(row.IdleTimeout)
		return tx.Put(row)
	})
}

var errAbsent = errors.New("the session does not exist")

// load returns a row.
func load(t testing.TB, s *Store, subject session.Subject, id string) (row session.Row, found bool) {
	t.Helper()
	err := s.Update(t.Context(), subject, func(tx session.Tx) (err error) {
		row, found, err = tx.Session(id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return row, found
}

// mustBeUnavailable checks an error of the store: it wraps both sentinels, and its text contains
// nothing that a client or a log must not see.
func mustBeUnavailable(t testing.TB, err error, wanted ...string) {
	t.Helper()
	if !errors.Is(err, blacklist.ErrUnavailable) || !errors.Is(err, session.ErrUnavailable) {
		t.Fatalf("error %v, want one that wraps blacklist.ErrUnavailable and session.ErrUnavailable", err)
	}
	for _, secret := range []string{"127.0.0.1", "postgres://", pgtest.User, "jti-", "sub-", "sid-", "issuer.example", "SELECT", "/tmp"} {
		if strings.Contains(err.Error(), secret) || strings.Contains(fmt.Sprintf("%+v", err), secret) {
			t.Errorf("the error contains %q: %v", secret, err)
		}
	}
	for _, words := range wanted {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("the error is %q, want %q in it", err, words)
		}
	}
}
