package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// TestBusySQLite has another connection hold the write lock.
func TestBusySQLite(t *testing.T) {
	d := sqlite(t, t.TempDir()+"/guard.db")
	s := d.store(t)
	put(t, s, alice, "a")
	d.dsn = "file:" + d.dsn[len("file:"):len(d.dsn)-len(pragmas)] + "?_pragma=busy_timeout(1000)"
	waiting := d.open(t, d.pool(t))
	conn, err := d.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hold := func(statement string) {
		t.Helper()
		if _, err := conn.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	hold("BEGIN IMMEDIATE")
	const words = "another connection holds the lock of the database"
	mustBeUnavailable(t, rotate(t.Context(), waiting, alice, "a"), words)
	_, err = waiting.Revoke(t.Context(), blacklist.OfToken(user("a"), inAnHour()))
	mustBeUnavailable(t, err, words)
	mustBeUnavailable(t, waiting.Ping(t.Context()), words)
	mustBeUnavailable(t, Migrate(t.Context(), waiting.db, SQLite, d.options...), words)
	if isRevoked(t, waiting, user("a")) { // a look-up does not wait
		t.Error("revoked although Revoke returned an error")
	}
	hold("ROLLBACK")
	if err := rotate(t.Context(), waiting, alice, "a"); err != nil {
		t.Error(err)
	}
	if _, err := waiting.Revoke(t.Context(), blacklist.OfToken(user("a"), inAnHour())); err != nil {
		t.Error(err)
	}
}

// TestEveryTransactionOfSQLiteBeginsWithAWrite runs a step that only reads. If it did not take the
// write lock, a transaction that reads first could not write later.
func TestEveryTransactionOfSQLiteBeginsWithAWrite(t *testing.T) {
	d := sqlite(t, t.TempDir()+"/guard.db")
	s := d.store(t)
	put(t, s, alice, "a")
	err := s.Update(t.Context(), alice, func(tx session.Tx) error {
		if _, _, err := tx.Session("a"); err != nil {
			return err
		}
		other, err := sql.Open("sqlite", d.dsn+"&_pragma=busy_timeout(0)")
		if err != nil {
			return err
		}
		defer other.Close()
		_, err = other.ExecContext(t.Context(), "BEGIN IMMEDIATE")
		if err == nil || !isBusy(err) {
			return fmt.Errorf("another transaction began to write: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
