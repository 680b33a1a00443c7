package sqlstore

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// TestMigrateConcurrently starts several processes together: there is one mark, and all of them
// work.
func TestMigrateConcurrently(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		const processes = 8
		var group sync.WaitGroup
		var logs [processes]bytes.Buffer
		stores := make([]*Store, processes)
		for i := range processes {
			db := d.pool(t)
			group.Go(func() {
				logger := WithLogger(slog.New(slog.NewTextHandler(&logs[i], nil)))
				if err := Migrate(t.Context(), db, d.dialect, append(d.options[:1:1], logger)...); err != nil {
					t.Error(err)
					return
				}
				s, err := New(t.Context(), db, d.dialect, d.options...)
				if err != nil {
					t.Error(err)
					return
				}
				stores[i] = s
			})
		}
		group.Wait()
		if t.Failed() {
			t.FailNow()
		}
		made := 0
		for i, s := range stores {
			made += strings.Count(logs[i].String(), "the mark was made")
			if *s.places.Load() != *stores[0].places.Load() {
				t.Error("two processes have different place keys")
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if made != 1 {
			t.Errorf("%d processes logged that they made the mark, want 1", made)
		}
	})
}

func TestMigrateAgainChangesNothing(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		put(t, s, alice, "a")
		if _, err := s.Revoke(t.Context(), blacklist.OfToken(user("a"), inAnHour())); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := Migrate(t.Context(), d.db, d.dialect, d.options...); err != nil {
				t.Fatal(err)
			}
		}
		if _, found := load(t, s, alice, "a"); !found || !isRevoked(t, s, user("a")) || isRevoked(t, s, user("b")) {
			t.Error("a session or a revocation was lost, or the mark is new")
		}
	})
}

// TestEmptiedDatabase empties the tables while a store is open. Look-ups and revocations are errors
// until Migrate has made a new mark, which logs everybody out.
func TestEmptiedDatabase(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		if isRevoked(t, s, user("a")) {
			t.Fatal("revoked before anything was revoked")
		}
		d.exec(t, `DELETE FROM {revocations}`)
		revoked, err := s.IsRevoked(t.Context(), user("a"))
		if revoked {
			t.Error("a look-up without a mark returned true and an error")
		}
		mustBeUnavailable(t, err, "the mark is missing")
		_, err = s.Revoke(t.Context(), blacklist.OfToken(user("a"), inAnHour()))
		mustBeUnavailable(t, err, "the mark is missing")
		mustBeUnavailable(t, s.Ping(t.Context()), "the mark is missing")
		mustBeUnavailable(t, end(t.Context(), storeWithSession(t, s), alice, "a"), "the mark is missing")

		if err := Migrate(t.Context(), d.db, d.dialect, d.options...); err != nil {
			t.Fatal(err)
		}
		if !isRevoked(t, s, user("a")) {
			t.Error("a session that began before the new mark is not refused")
		}
		later := user("a")
		later.SessionStart = time.Now().Add(time.Minute)
		if isRevoked(t, s, later) {
			t.Error("a session that began after the new mark is refused")
		}
		// The store learns the new place key with the first write.
		old := *s.places.Load()
		if _, err := s.Revoke(t.Context(), blacklist.OfToken(later, inAnHour())); err != nil {
			t.Fatal(err)
		}
		if old == *s.places.Load() || !isRevoked(t, s, later) {
			t.Error("the store does not use the new mark")
		}
	})
}

func storeWithSession(t *testing.T, s *Store) *Store {
	t.Helper()
	put(t, s, alice, "a")
	return s
}

// TestEmptiedDatabaseInATransaction has a transaction meet the new mark first.
func TestEmptiedDatabaseInATransaction(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := storeWithSession(t, d.store(t))
		d.exec(t, `DELETE FROM {revocations}`)
		d.migrate(t)
		if err := end(t.Context(), s, alice, "a"); err != nil {
			t.Fatal(err)
		}
		if row, _ := load(t, s, alice, "a"); row.Ended.IsZero() {
			t.Error("the session was not ended")
		}
	})
}

// TestDocumentedSchema compares the schema in the package documentation with the statements of
// Migrate.
func TestDocumentedSchema(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	doc := strings.ReplaceAll(strings.ReplaceAll(string(text), "//\t", ""), "//\n", "\n")
	schema := (&config{dialect: PostgreSQL, prefix: defaultPrefix}).schemaText()
	if !strings.Contains(doc, schema) {
		t.Errorf("doc.go does not contain the schema of PostgreSQL:\n%s", schema)
	}
	// The schema of SQLite differs in what the documentation says.
	other := (&config{dialect: SQLite, prefix: defaultPrefix}).schemaText()
	want := strings.NewReplacer("bytea", "blob", " WITH (fillfactor = 80)", "").Replace(schema)
	if other != want {
		t.Errorf("the schema of SQLite is\n%s\nwant\n%s", other, want)
	}
}
