package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/blacklisttest"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/blacklist/replica/feedtest"
	"github.com/oapi-guard/oapi-guard/internal/pgtest"
)

func TestFeed(t *testing.T) {
	for _, dialect := range []Dialect{PostgreSQL, SQLite} {
		t.Run(dialect.String(), func(t *testing.T) {
			feedtest.Run(t, func(t *testing.T) feedtest.Store {
				d := newOn(t, dialect)
				s := d.store(t)
				// The suite keeps followers open until the end of a check, each with a connection.
				d.db.SetMaxOpenConns(map[Dialect]int{PostgreSQL: 120, SQLite: 0}[dialect])
				return feedtest.Store{
					Feed:     s,
					Clients:  []blacklist.Blacklist{d.open(t, d.pool(t)), d.open(t, d.pool(t))},
					MakeMark: d.makeMark,
					Limit:    pageSize,
					Gaps: map[string]func(context.Context) error{
						"trimmed":            func(ctx context.Context) error { return d.ageAndTrim(ctx, s) },
						"records deleted":    func(ctx context.Context) error { return d.empty(ctx, "{records}") },
						"everything deleted": func(ctx context.Context) error { return d.empty(ctx, "{records}", "{revocations}") },
					},
				}
			})
		})
	}
}

// newOn returns a database without tables.
func newOn(t testing.TB, dialect Dialect) *database {
	t.Helper()
	if dialect == PostgreSQL {
		return postgres(t, pgtest.Shared(t))
	}
	return sqlite(t, filepath.Join(t.TempDir(), "guard.db"))
}

// try runs a statement as exec does.
func (d *database) try(ctx context.Context, text string, args ...any) error {
	c := &config{dialect: d.dialect, prefix: d.prefix}
	_, err := d.db.ExecContext(ctx, c.render(text), args...)
	return err
}

// empty deletes all rows of the tables, and lets Migrate make what is missing.
func (d *database) empty(ctx context.Context, tables ...string) error {
	for _, table := range tables {
		if err := d.try(ctx, `DELETE FROM `+table); err != nil {
			return err
		}
	}
	return Migrate(ctx, d.db, d.dialect, d.options...)
}

// makeMark makes a mark that is newer.
func (d *database) makeMark(ctx context.Context) error {
	if err := d.try(ctx, `DELETE FROM {revocations} WHERE kind = 0`); err != nil {
		return err
	}
	return Migrate(ctx, d.db, d.dialect, d.options...)
}

// ageAndTrim makes all records old and revokes until a trim has run.
func (d *database) ageAndTrim(ctx context.Context, s *Store) error {
	if err := d.try(ctx, `UPDATE {records} SET written = written - 3600000`); err != nil {
		return err
	}
	for i := range 2 * sweepEvery {
		if _, err := s.Revoke(ctx, blacklist.OfToken(user(fmt.Sprint("new ", i)), inAnHour())); err != nil {
			return err
		}
	}
	return nil
}

// following returns a follower behind its snapshot.
func following(t testing.TB, s *Store) replica.Follower {
	t.Helper()
	f, err := s.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := f.Snapshot(t.Context(), func(replica.Batch) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return f
}

// names returns the names of the records until a read is complete.
func names(t testing.TB, f replica.Follower) map[uint64]int {
	t.Helper()
	all := map[uint64]int{}
	for {
		b, err := f.Read(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range b.Entries {
			all[e.Name]++
		}
		if b.Complete {
			return all
		}
	}
}

func revokeToken(t testing.TB, s *Store, name string) (entry uint64) {
	t.Helper()
	if _, err := s.Revoke(t.Context(), blacklist.OfToken(user(name), inAnHour())); err != nil {
		t.Fatal(err)
	}
	entry, _ = s.Name(blacklist.Token, user(name))
	return entry
}

// TestLongTransactionDelaysNoRecord has a transaction with records stay open while others revoke, at
// each point where a follower may be.
func TestLongTransactionDelaysNoRecord(t *testing.T) {
	d := newOn(t, PostgreSQL)
	s := d.store(t)
	c := &config{dialect: d.dialect, prefix: d.prefix}
	insert := c.render(`INSERT INTO {records} (kind, place, name, cut_off, until, written) VALUES (1, 1, $1, 0, 0, 0)`)
	begin := func(name int) *sql.Tx {
		t.Helper()
		tx, err := d.db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback() })
		if _, err := tx.ExecContext(t.Context(), insert, name); err != nil {
			t.Fatal(err)
		}
		return tx
	}
	commit := func(tx *sql.Tx) {
		t.Helper()
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(f replica.Follower, want ...uint64) {
		t.Helper()
		got := names(t, f)
		if len(got) != len(want) {
			t.Errorf("%d records, want %d", len(got), len(want))
		}
		for _, name := range want {
			if got[name] != 1 {
				t.Errorf("a record was returned %d times, want once", got[name])
			}
		}
	}
	long := begin(1)
	revokeToken(t, s, "before")
	f := following(t, s) // while the transaction is open
	expect(f)
	second := begin(2)
	a := revokeToken(t, s, "a")
	expect(f, a)
	b := revokeToken(t, s, "b")
	expect(f, b)
	commit(second)
	expect(f, 2)
	other := following(t, s)
	commit(long)
	expect(f, 1)
	expect(other, 1)
	expect(following(t, s))
}

// TestTransactionThatEndsBetweenPages commits a record before the first page of several when the
// first page was read.
func TestTransactionThatEndsBetweenPages(t *testing.T) {
	d := newOn(t, PostgreSQL)
	s := d.store(t)
	f := following(t, s)
	tx, err := d.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	c := &config{dialect: d.dialect, prefix: d.prefix}
	insert := c.render(`INSERT INTO {records} (kind, place, name, cut_off, until, written)
		SELECT 1, 1, i, 0, 0, 0 FROM generate_series($1::bigint, $2::bigint) AS i`)
	if _, err := tx.ExecContext(t.Context(), insert, 1, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := d.db.ExecContext(t.Context(), insert, 2, pageSize+pageSize/2); err != nil {
		t.Fatal(err)
	}
	b, err := f.Read(t.Context(), 0)
	if err != nil || b.Complete || len(b.Entries) != pageSize {
		t.Fatalf("the first page has %d records, complete = %t, %v", len(b.Entries), b.Complete, err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if rest := names(t, f); rest[1] != 1 || len(rest) != pageSize/2 {
		t.Errorf("%d records behind the first page, and the one before it %d times", len(rest), rest[1])
	}
}

// TestPagesAreInTheOrderOfNumbers has transactions whose numbers have three and four digits.
func TestPagesAreInTheOrderOfNumbers(t *testing.T) {
	d := postgres(t, pgtest.Start(t))
	s := d.store(t)
	next := func() int { return d.count(t, `SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)`) }
	for next() < 990 {
	}
	tx, err := d.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	c := &config{dialect: d.dialect, prefix: d.prefix}
	insert := c.render(`INSERT INTO {records} (kind, place, name, cut_off, until, written)
		SELECT 1, 1, i, 0, 0, 0 FROM generate_series($1::bigint, $2::bigint) AS i`)
	if _, err := tx.ExecContext(t.Context(), insert, 1, pageSize*2/3); err != nil {
		t.Fatal(err)
	}
	for next() < 1010 {
	}
	f := following(t, s)
	d.exec(t, insert, pageSize+1, pageSize+pageSize*2/3)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, want := len(names(t, f)), 2*(pageSize*2/3); got != want {
		t.Errorf("%d records, want %d", got, want)
	}
}

// TestRecordsStay checks which records leave: those that are old, but for the last of them, and none
// that a snapshot of an open transaction does not see.
func TestRecordsStay(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		for i := range 2 * trimLimit {
			revokeToken(t, s, fmt.Sprint(i))
		}
		f := following(t, s)
		records := func() int { return d.count(t, `SELECT count(*) FROM {records}`) }
		if got := records(); got < 2*trimLimit {
			t.Fatalf("%d records, want all of the last ten minutes", got)
		}
		if d.dialect == PostgreSQL {
			open, err := d.db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := open.ExecContext(t.Context(), "SELECT pg_current_xact_id()"); err != nil {
				t.Fatal(err)
			}
			f2 := following(t, s)
			for range 3 {
				if err := d.ageAndTrim(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			if got := records(); got < 3*2*sweepEvery+1 {
				t.Errorf("%d records, want those since the open transaction, and one before", got)
			}
			if n := len(names(t, f2)); n != 2*sweepEvery {
				t.Errorf("%d records since the open transaction, want %d", n, 2*sweepEvery)
			}
			names(t, following(t, s)) // a new follower does not find a gap
			if err := open.Rollback(); err != nil {
				t.Fatal(err)
			}
		}
		names(t, f)
		for range 4 {
			if err := d.ageAndTrim(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		names(t, following(t, s))
		// The last trim ran before the last revocations.
		if got := records(); got > 4*sweepEvery {
			t.Errorf("%d records, want the newest, and one that is old", got)
		}
		d.exec(t, `UPDATE {records} SET written = 0`)
		args := []any{1, trimLimit, s.cfg.lockNumber()}
		if d.dialect == SQLite {
			args[2] = time.Now().UnixMilli()
		}
		for range 3 {
			if _, err := s.stmt.trimRecords.Exec(args...); err != nil {
				t.Fatal(err)
			}
		}
		if got := records(); got != 1 {
			t.Errorf("%d records, want one: the table is never empty", got)
		}
	})
}

// TestFollowerOfStandby demotes the server below a follower.
func TestFollowerOfStandby(t *testing.T) {
	server := pgtest.Start(t)
	s := postgres(t, server).store(t)
	f := following(t, s)
	server.RestartAsStandby()
	expectGap(t, f)
	_, err := f.Marks(t.Context())
	mustBeUnavailable(t, err, "the server is a standby")
	next, err := s.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	mustBeUnavailable(t, next.Snapshot(t.Context(), func(replica.Batch) error { return nil }), "the server is a standby")
	server.Exec(t, "SELECT pg_promote()")
	expectGap(t, f) // a promoted server has another timeline
	again := following(t, s)
	name := revokeToken(t, s, "a")
	if names(t, again)[name] != 1 {
		t.Error("the record on the new timeline was not returned")
	}
}

// expectGap reads until ErrGap. Errors of lost connections may come before, but no answer.
func expectGap(t testing.TB, f replica.Follower) {
	t.Helper()
	for range 100 {
		_, err := f.Read(t.Context(), 0)
		switch {
		case errors.Is(err, replica.ErrGap):
			return
		case err == nil:
			t.Fatal("Read returned no error")
		case !errors.Is(err, blacklist.ErrUnavailable):
			t.Fatal(err)
		}
	}
	t.Fatal("Read never returned ErrGap")
}

// TestReadGoesOnAfterLostConnections checks that the position outlives its connection.
func TestReadGoesOnAfterLostConnections(t *testing.T) {
	server := pgtest.Start(t)
	s := postgres(t, server).store(t)
	f := following(t, s)
	for i, fault := range []func(){func() { server.CutConnections(t) }, server.Restart} {
		name := revokeToken(t, s, fmt.Sprint(i))
		fault()
		for attempt := 1; ; attempt++ {
			b, err := f.Read(t.Context(), 0)
			if err == nil {
				if len(b.Entries) != 1 || b.Entries[0].Name != name {
					t.Errorf("%d records, want the one before the connection was lost", len(b.Entries))
				}
				break
			}
			mustBeUnavailable(t, err)
			if attempt == 100 {
				t.Fatal(err)
			}
		}
	}
}

// TestRestoredRecordsAreAGap exchanges the content of the table of records.
func TestRestoredRecordsAreAGap(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		revokeToken(t, s, "in the backup")
		d.exec(t, `CREATE TABLE `+d.prefix+`backup AS SELECT * FROM {records}`)
		revokeToken(t, s, "lost")
		f := following(t, s)
		names(t, f)
		if d.dialect == PostgreSQL {
			d.exec(t, `TRUNCATE {records}`)
		} else {
			d.exec(t, `DELETE FROM {records}`)
			d.exec(t, `DELETE FROM sqlite_sequence WHERE name = '`+d.prefix+`records'`)
		}
		d.exec(t, `INSERT INTO {records} SELECT * FROM `+d.prefix+`backup`)
		revokeToken(t, s, "after the restore")
		expectGap(t, f)
		names(t, following(t, s))
	})
}

// TestRecordsOfAnotherServer restores records of a server whose transactions have higher numbers.
func TestRecordsOfAnotherServer(t *testing.T) {
	d := newOn(t, PostgreSQL)
	s := d.store(t)
	f := following(t, s)
	d.exec(t, `INSERT INTO {records} VALUES ('1000000000000', 1, 1, 1, 1, 1, 1, 1)`)
	expectGap(t, f)
	next, err := s.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	err = next.Snapshot(t.Context(), func(replica.Batch) error { return nil })
	mustBeUnavailable(t, err, "are those of another server")
	d.migrate(t)
	expectGap(t, f)
	again := following(t, s)
	name := revokeToken(t, s, "a")
	if got := names(t, again); got[name] != 1 || len(got) != 1 {
		t.Errorf("%d records, want the one that was written", len(got))
	}
}

// TestOtherPlaceKeyEndsFollowing makes the tables anew while a store is open.
func TestOtherPlaceKeyEndsFollowing(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		f := following(t, s)
		d.exec(t, `DELETE FROM {revocations}`)
		if _, err := f.Read(t.Context(), 0); !errors.Is(err, replica.ErrGap) {
			t.Errorf("Read without a mark returned %v, want ErrGap", err)
		}
		_, err := f.Marks(t.Context())
		mustBeUnavailable(t, err, "the mark is missing")
		snapshot := func() error {
			next, err := s.Follow(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer next.Close()
			return next.Snapshot(t.Context(), func(replica.Batch) error { return nil })
		}
		mustBeUnavailable(t, snapshot(), "the mark is missing")
		d.exec(t, `UPDATE {schema} SET place_key = NULL`)
		d.migrate(t)
		mustBeUnavailable(t, snapshot(), "start the process again")
		if _, err := f.Read(t.Context(), 0); !errors.Is(err, replica.ErrGap) {
			t.Errorf("Read with another place key returned %v, want ErrGap", err)
		}
		following(t, d.open(t, d.db))
	})
}

func TestFollowNeedsTwoConnections(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		d.db.SetMaxOpenConns(1)
		_, err := s.Follow(t.Context())
		mustBeUnavailable(t, err, "SetMaxOpenConns must be at least 2")
	})
}

// TestSessionThatEndsIsRecorded checks the record of a revocation in a transaction.
func TestSessionThatEndsIsRecorded(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		put(t, s, alice, "a")
		f := following(t, s)
		if err := end(t.Context(), s, alice, "a"); err != nil {
			t.Fatal(err)
		}
		name, _ := s.Name(blacklist.Session, blacklist.Identity{Issuer: alice.Issuer, Subject: alice.Name, Session: "a"})
		if names(t, f)[name] != 1 {
			t.Error("the session was ended without a record")
		}
	})
}

// TestReplica runs the suite of blacklists on a copy in memory of the store.
func TestReplica(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		t.Parallel()
		blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
			epoch := clock()
			var feed replica.Feed = openNew(t, d.dialect, clock)
			if d.dialect == PostgreSQL {
				feed = aheadFeed{feed, clock}
			}
			r, err := replica.New(feed, replica.WithClock(clock), replica.WithLogger(discard()),
				replica.WithMonotonic(func() time.Duration { return clock().Sub(epoch) }))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = r.Close() })
			if err := r.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			return r
		})
	})
}

// aheadFeed sets the time of a feed to a day ahead of the clock, so that the clock decides when an
// entry of a copy ends. The time of PostgreSQL is that of the server.
type aheadFeed struct {
	replica.Feed
	clock func() time.Time
}

func (f aheadFeed) Follow(ctx context.Context) (replica.Follower, error) {
	inner, err := f.Feed.Follow(ctx)
	return aheadFollower{inner, f.clock}, err
}

type aheadFollower struct {
	replica.Follower
	clock func() time.Time
}

func (f aheadFollower) ahead(b replica.Batch) replica.Batch {
	b.Now = f.clock().Add(24 * time.Hour)
	return b
}

func (f aheadFollower) Snapshot(ctx context.Context, apply func(replica.Batch) error) error {
	return f.Follower.Snapshot(ctx, func(b replica.Batch) error { return apply(f.ahead(b)) })
}

func (f aheadFollower) Read(ctx context.Context, wait time.Duration) (replica.Batch, error) {
	b, err := f.Follower.Read(ctx, wait)
	return f.ahead(b), err
}
