package sqlstore

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/pgtest"
	"github.com/oapi-guard/oapi-guard/session"
)

// TestNewRefusesTablesOfAnotherVersion checks that the error tells what to do.
func TestNewRefusesTablesOfAnotherVersion(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		refused := func(words string) {
			t.Helper()
			_, err := New(t.Context(), d.db, d.dialect, d.options...)
			mustBeUnavailable(t, err, words)
		}
		refused("the tables are missing: run sqlstore.Migrate")
		d.migrate(t)
		s := d.open(t, d.db)
		d.exec(t, `UPDATE {schema} SET version = 0`)
		refused("the tables are missing: run sqlstore.Migrate")
		d.exec(t, `UPDATE {schema} SET version = 99`)
		refused("the tables are those of a newer version: update the program")
		mustBeUnavailable(t, s.Ping(t.Context()), "newer version")
		err := Migrate(t.Context(), d.db, d.dialect, d.options...)
		mustBeUnavailable(t, err, "newer version")
		d.exec(t, `UPDATE {schema} SET version = 1`)
		d.exec(t, `DELETE FROM {revocations}`)
		refused("the mark is missing, so the database may have been emptied: run sqlstore.Migrate")
	})
}

func TestNewRefusesSettingsThatLoseWrites(t *testing.T) {
	server := pgtest.Shared(t)
	path := filepath.Join(t.TempDir(), "guard.db")
	sqlite(t, path).db.Close()
	for _, tt := range []struct {
		name    string
		dialect Dialect
		driver  string
		dsn     string
		words   string
	}{
		{
			name: "PostgreSQL without synchronous commits", dialect: PostgreSQL, driver: "pgx",
			dsn: server.DSN(pgtest.User, "postgres") + "&synchronous_commit=off", words: "synchronous_commit is off",
		},
		{
			name: "SQLite without fsync", dialect: SQLite, driver: "sqlite",
			dsn: "file:" + path + "?_pragma=synchronous(OFF)&_pragma=busy_timeout(5000)", words: "synchronous is OFF",
		},
		{
			name: "SQLite that does not wait for locks", dialect: SQLite, driver: "sqlite",
			dsn: "file:" + path + "?_pragma=busy_timeout(999)", words: "busy_timeout is below 1000 ms",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDatabase(t, tt.dialect, tt.driver, tt.dsn)
			d.migrate(t)
			_, err := New(t.Context(), d.db, d.dialect, d.options...)
			mustBeUnavailable(t, err, tt.words)
		})
	}
}

func TestOptionsAreValidated(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "guard.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, tt := range []struct {
		name    string
		db      *sql.DB
		dialect Dialect
		option  Option
		words   string
	}{
		{name: "no database", db: nil, dialect: SQLite, option: WithClockSkew(0), words: "needs a database"},
		{name: "no dialect", db: db, dialect: 0, option: WithClockSkew(0), words: "the dialect must be PostgreSQL or SQLite"},
		{name: "nil option", db: db, dialect: SQLite, option: nil, words: "option 0 is nil"},
		{name: "empty prefix", db: db, dialect: SQLite, option: WithTablePrefix(""), words: "WithTablePrefix"},
		{name: "prefix with a quote", db: db, dialect: SQLite, option: WithTablePrefix(`a"`), words: "WithTablePrefix"},
		{name: "prefix with a digit first", db: db, dialect: SQLite, option: WithTablePrefix("1a"), words: "WithTablePrefix"},
		{name: "long prefix", db: db, dialect: SQLite, option: WithTablePrefix(strings.Repeat("a", 33)), words: "WithTablePrefix"},
		{name: "schema with a dot", db: db, dialect: PostgreSQL, option: WithSchema("a.b"), words: "WithSchema"},
		{name: "schema in SQLite", db: db, dialect: SQLite, option: WithSchema("auth"), words: "only PostgreSQL has schemas"},
		{name: "no timeout", db: db, dialect: SQLite, option: WithTimeouts(0, time.Second), words: "WithTimeouts"},
		{name: "long skew", db: db, dialect: SQLite, option: WithClockSkew(time.Hour), words: "WithClockSkew"},
		{name: "no clock", db: db, dialect: SQLite, option: WithClock(nil), words: "WithClock"},
		{name: "no logger", db: db, dialect: SQLite, option: WithLogger(nil), words: "WithLogger"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(t.Context(), tt.db, tt.dialect, tt.option)
			if err == nil || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("New returned the error %v, want %q in it", err, tt.words)
			}
			if err := Migrate(t.Context(), tt.db, tt.dialect, tt.option); err == nil || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("Migrate returned the error %v, want %q in it", err, tt.words)
			}
		})
	}
}

// TestCloseLeavesTheDatabaseOpen checks the errors of a closed store, and that other stores on the
// pool go on.
func TestCloseLeavesTheDatabaseOpen(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		other := d.open(t, d.db)
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.IsRevoked(t.Context(), user("a")); err != blacklist.ErrClosed {
			t.Errorf("IsRevoked returned the error %v, want ErrClosed", err)
		}
		if err := s.Ping(t.Context()); err != blacklist.ErrClosed {
			t.Errorf("Ping returned the error %v, want ErrClosed", err)
		}
		if err := rotate(t.Context(), s, alice, "a"); err != session.ErrClosed {
			t.Errorf("Update returned the error %v, want ErrClosed", err)
		}
		if err := other.Ping(t.Context()); err != nil {
			t.Errorf("Ping of another store: %v", err)
		}
	})
}

// TestServiceNeedsFewPrivileges uses a schema, and a user that cannot change the tables.
func TestServiceNeedsFewPrivileges(t *testing.T) {
	server := pgtest.Shared(t)
	d := postgres(t, server)
	for _, statement := range []string{
		"CREATE SCHEMA auth",
		"CREATE ROLE service LOGIN",
		"GRANT USAGE ON SCHEMA auth TO service",
	} {
		d.exec(t, statement)
	}
	d.options = append(d.options, WithSchema("auth"))
	d.migrate(t)
	for _, table := range tables {
		rights := "SELECT, INSERT, UPDATE, DELETE"
		switch table {
		case "schema":
			rights = "SELECT"
		case "records":
			rights = "SELECT, INSERT, DELETE"
		}
		d.exec(t, "GRANT "+rights+" ON auth."+d.prefix+table+" TO service")
	}
	d.dsn = server.DSN("service", "postgres")
	s := d.open(t, d.pool(t))
	use(t, s)
	err := Migrate(t.Context(), d.pool(t), d.dialect, d.options...)
	mustBeUnavailable(t, err, "the user lacks a privilege")
	d.exec(t, "REVOKE DELETE ON auth."+d.prefix+"sessions FROM service")
	mustBeUnavailable(t, s.Forget(t.Context(), alice), "the user lacks a privilege")
}

// use calls every method.
func use(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	for i := range sweepEvery + 1 {
		put(t, s, alice, benchID())
		if _, err := s.Revoke(ctx, blacklist.OfToken(user(string(rune('a'+i))), inAnHour())); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, alice, "sid-1")
	err := errors.Join(
		rotate(ctx, s, alice, "sid-1"),
		end(ctx, s, alice, "sid-1"),
		s.Update(ctx, alice, func(tx session.Tx) error {
			_, err := tx.Live(10)
			return errors.Join(err, tx.SetEpoch(7))
		}),
		s.Ping(ctx),
	)
	if err != nil {
		t.Fatal(err)
	}
	if rows, _, err := s.List(ctx, alice, "", 100); err != nil || len(rows) != sweepEvery+1 {
		t.Fatalf("List returned %d rows, %v; want %d", len(rows), err, sweepEvery+1)
	}
	if _, err := s.Owed(ctx, 10); err != nil {
		t.Fatal(err)
	}
	if !isRevoked(t, s, blacklist.Identity{Issuer: alice.Issuer, Subject: alice.Name, Session: "sid-1", SessionStart: time.Now()}) {
		t.Error("the session that was ended is not revoked")
	}
	if err := s.Forget(ctx, alice); err != nil {
		t.Fatal(err)
	}
}
