package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/pgtest"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/session/sessiontest"
)

// client rotates one session. It repeats a rotation until it is acknowledged, as the manager and a
// browser together do.
type client struct {
	store      *Store
	subject    session.Subject
	id         string
	generation uint32
	attempts   int
}

var errDisagree = errors.New("the row is not what was acknowledged")

func (c *client) rotate(ctx context.Context) error {
	nonce := benchID()
	for {
		c.attempts++
		err := c.store.Update(ctx, c.subject, func(tx session.Tx) error {
			row, found, err := tx.Session(c.id)
			switch {
			case err != nil:
				return err
			case found && row.Nonce == nonce:
				return nil // an earlier attempt has written it
			case !found || row.Generation != c.generation:
				return errDisagree
			}
			row.Generation, row.Nonce, row.Rotated = row.Generation+1, nonce, tx.Now()
			return tx.Put(row)
		})
		if err == nil {
			c.generation++
			return nil
		}
		if errors.Is(err, errDisagree) || ctx.Err() != nil {
			return err
		}
		if !errors.Is(err, session.ErrUnavailable) {
			return fmt.Errorf("an error that is not ErrUnavailable: %w", err)
		}
	}
}

// TestRotationsSurviveFaults kills, pauses and restarts PostgreSQL, and cuts its connections, while
// clients rotate and revoke. No acknowledged write is lost, and no rotation is made twice.
func TestRotationsSurviveFaults(t *testing.T) {
	server := pgtest.Start(t)
	d := postgres(t, server)
	d.options = append(d.options, WithTimeouts(2*time.Second, 2*time.Second))
	s := d.store(t)
	const callers, least = 16, 40
	clients := make([]*client, callers)
	for i := range clients {
		subject := session.Subject{Issuer: alice.Issuer, Name: fmt.Sprint("sub-", i)}
		clients[i] = &client{store: s, subject: subject, id: fmt.Sprint("sid-", i), generation: 1}
		put(t, s, subject, clients[i].id)
	}
	var stop atomic.Bool
	var rotations atomic.Int64
	var group sync.WaitGroup
	revoked := make([][]blacklist.Identity, callers)
	for i, c := range clients {
		group.Go(func() {
			for n := 0; n < least || !stop.Load(); n++ {
				if err := c.rotate(context.Background()); err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				rotations.Add(1)
				token := user(fmt.Sprint(i, " ", n))
				if _, err := s.Revoke(context.Background(), blacklist.OfToken(token, inAnHour())); err == nil {
					revoked[i] = append(revoked[i], token)
				} else if !errors.Is(err, blacklist.ErrUnavailable) {
					t.Error(err)
				}
			}
		})
	}
	more := func() {
		t.Helper()
		want := rotations.Load() + callers
		redistest.Eventually(t, "clients rotate", func() error {
			if rotations.Load() < want {
				return errors.New("not yet")
			}
			return nil
		})
	}
	for range 3 {
		more()
		server.CutConnections(t)
		more()
		server.Restart()
	}
	more()
	server.Pause()
	if err := rotate(t.Context(), s, clients[0].subject, clients[0].id); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("a rotation on a paused server returned the error %v, want ErrUnavailable", err)
	}
	if _, err := s.IsRevoked(t.Context(), user("a")); !errors.Is(err, blacklist.ErrUnavailable) {
		t.Errorf("a look-up on a paused server returned the error %v, want ErrUnavailable", err)
	}
	server.Resume()
	more()
	stop.Store(true)
	group.Wait()
	attempts, entries := 0, 0
	for i, c := range clients {
		if row, found := load(t, s, c.subject, c.id); !found || row.Generation != c.generation {
			t.Errorf("client %d has generation %d, the row %d", i, c.generation, row.Generation)
		}
		attempts += c.attempts
		for _, token := range revoked[i] {
			entries++
			if !isRevoked(t, s, token) {
				t.Fatalf("a revocation that returned without an error is lost")
			}
		}
	}
	t.Logf("%d rotations in %d attempts, %d revocations", rotations.Load(), attempts, entries)
}

// TestManagerSurvivesFaults has 64 clients of a manager refresh, log out and log in, while PostgreSQL
// is killed and paused, and its connections are cut.
func TestManagerSurvivesFaults(t *testing.T) {
	server := pgtest.Start(t)
	d := postgres(t, server)
	d.options = append(d.options, WithTimeouts(2*time.Second, 2*time.Second))
	rotations := sessiontest.NewRotations(t, d.store(t), nil)
	rotations.Fault = func(p *sessiontest.Progress) {
		for n := 1000; n < 9000 && p.Await(n); n += 1000 {
			switch n / 1000 % 3 {
			case 0:
				server.Pause()
				server.Resume()
			case 1:
				server.CutConnections(t)
			case 2:
				server.Restart()
			}
		}
	}
	rotations.Run(t)
}

// TestManagerOnBusySQLite has the clients share the file with another connection. It takes the write
// lock and holds it until the calls that wait for it fail.
func TestManagerOnBusySQLite(t *testing.T) {
	d := sqlite(t, t.TempDir()+"/guard.db")
	d.store(t)
	impatient := *d
	impatient.dsn = strings.Replace(d.dsn, "busy_timeout(5000)", "busy_timeout(1000)", 1)
	store := impatient.open(t, impatient.pool(t), WithTimeouts(time.Second, time.Second))
	waiting := impatient.open(t, impatient.pool(t))
	rotations := sessiontest.NewRotations(t, store, nil)
	rotations.Total = 10_000
	rotations.Fault = func(p *sessiontest.Progress) {
		other := d.pool(t)
		for n := 500; p.Await(n); n += 1000 {
			conn, err := other.Conn(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE; UPDATE "+d.prefix+"schema SET version = 1"); err != nil {
				t.Error(err)
			}
			for waiting.Ping(t.Context()) == nil {
			}
			if _, err := conn.ExecContext(t.Context(), "COMMIT"); err != nil {
				t.Error(err)
			}
			_ = conn.Close()
		}
	}
	if report := rotations.Run(t); report.Repeats < 100 {
		t.Errorf("%d requests failed, want 100 at least: the lock was not held for long enough", report.Repeats)
	}
}

// TestUnreachableServer checks the texts of errors, and that the store works again by itself.
func TestUnreachableServer(t *testing.T) {
	server := pgtest.Start(t)
	d := postgres(t, server)
	s := d.store(t)
	put(t, s, alice, "a")
	server.Kill()
	ctx := t.Context()
	_, errLookUp := s.IsRevoked(ctx, user("a"))
	_, errRevoke := s.Revoke(ctx, blacklist.OfToken(user("a"), inAnHour()))
	_, _, errList := s.List(ctx, alice, "", 10)
	_, errOwed := s.Owed(ctx, 10)
	_, errNew := New(ctx, d.db, d.dialect, d.options...)
	for _, err := range []error{
		errLookUp, errRevoke, errList, errOwed, errNew, s.Ping(ctx), s.Forget(ctx, alice),
		rotate(ctx, s, alice, "a"), Migrate(ctx, d.db, d.dialect, d.options...),
	} {
		mustBeUnavailable(t, err, "the server is not reachable, or the connection was lost")
	}
	server.Restart()
	// Each of them meets a connection that was lost.
	calls := []struct {
		name string
		call func() error
	}{
		{"New", func() error { return newAndClose(ctx, d) }},
		{"Migrate", func() error { return Migrate(ctx, d.db, d.dialect, d.options...) }},
		{"Ping", func() error { return s.Ping(ctx) }},
		{"IsRevoked", func() error { _, err := s.IsRevoked(ctx, user("a")); return err }},
		{"List", func() error { _, _, err := s.List(ctx, alice, "", 10); return err }},
		{"Owed", func() error { _, err := s.Owed(ctx, 10); return err }},
		{"Update", func() error { return rotate(ctx, s, alice, "a") }},
	}
	for _, c := range calls {
		if err := c.call(); err != nil {
			t.Errorf("%s after the restart: %v", c.name, err)
		}
		server.Restart()
	}
	if isRevoked(t, s, user("a")) {
		t.Error("revoked although Revoke returned an error")
	}
}

func newAndClose(ctx context.Context, d *database) error {
	s, err := New(ctx, d.db, d.dialect, d.options...)
	if err != nil {
		return err
	}
	return s.Close()
}

// TestStandby checks that a server that was demoted answers no look-up: it may lack the newest
// revocations.
func TestStandby(t *testing.T) {
	server := pgtest.Start(t)
	d := postgres(t, server)
	s := d.store(t)
	put(t, s, alice, "a")
	server.RestartAsStandby()
	ctx := t.Context()
	_, errNew := New(ctx, d.db, d.dialect, d.options...)
	_, errLookUp := s.IsRevoked(ctx, user("a"))
	for _, err := range []error{errNew, errLookUp, s.Ping(ctx), rotate(ctx, s, alice, "a")} {
		mustBeUnavailable(t, err, "the server is a standby: connect to the primary")
	}
	_, err := s.Revoke(ctx, blacklist.OfToken(user("a"), inAnHour()))
	mustBeUnavailable(t, err, "the server is read-only: connect to the primary")
	mustBeUnavailable(t, s.Forget(ctx, alice), "the server is read-only: connect to the primary")
}

// TestDamagedRow checks that a row that cannot be read is an error for its session only.
func TestDamagedRow(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		put(t, s, alice, "a")
		put(t, s, alice, "b")
		key := sessionKey(alice, "a")
		d.exec(t, `UPDATE {sessions} SET data = '{"v":1}' WHERE key = $1`, key[:])
		const words = "a row of a session is damaged or of another version"
		mustBeUnavailable(t, rotate(t.Context(), s, alice, "a"), words)
		if err := rotate(t.Context(), s, alice, "b"); err != nil {
			t.Error(err)
		}
		_, _, err := s.List(t.Context(), alice, "", 10)
		mustBeUnavailable(t, err, words)
		mustBeUnavailable(t, s.Update(t.Context(), alice, func(tx session.Tx) error {
			_, err := tx.Live(10)
			return err
		}), words)
		if err := s.Forget(t.Context(), alice); err != nil {
			t.Error(err)
		}
	})
}

// TestExpiredRowsLeave checks that writes delete what has expired, and nothing else.
func TestExpiredRowsLeave(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		const n = 40
		for i := range n {
			put(t, s, session.Subject{Issuer: alice.Issuer, Name: fmt.Sprint("sub-", i)}, fmt.Sprint("sid-", i))
			if _, err := s.Revoke(t.Context(), blacklist.OfToken(user(fmt.Sprint(i)), inAnHour())); err != nil {
				t.Fatal(err)
			}
		}
		counts := func() [3]int {
			return [3]int{
				d.count(t, `SELECT count(*) FROM {sessions}`), d.count(t, `SELECT count(*) FROM {subjects}`),
				d.count(t, `SELECT count(*) FROM {revocations} WHERE kind > 0`),
			}
		}
		if got := counts(); got != [3]int{n, n, n} {
			t.Fatalf("%v sessions, subjects and revocations, want %d each", got, n)
		}
		// Everything is older by 100 days.
		const days = 100 * 24 * 3600 * 1000
		d.exec(t, `UPDATE {sessions} SET keep_until = keep_until - $1`, days)
		d.exec(t, `UPDATE {subjects} SET keep_until = keep_until - $1`, days)
		d.exec(t, `UPDATE {revocations} SET until = until - $1 WHERE kind > 0`, days)
		for i := range 2 * sweepEvery {
			put(t, s, alice, fmt.Sprint("new-", i))
			if _, err := s.Revoke(t.Context(), blacklist.OfToken(user(fmt.Sprint("new-", i)), inAnHour())); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := counts(), [3]int{2 * sweepEvery, 1, 2 * sweepEvery}; got != want {
			t.Errorf("%v sessions, subjects and revocations, want %v", got, want)
		}
		if isRevoked(t, s, user("a")) {
			t.Error("the mark left with the expired revocations, or changed")
		}
	})
}

// TestRotationsChangeNoIndex checks that PostgreSQL writes rotations beside the old row.
func TestRotationsChangeNoIndex(t *testing.T) {
	d := postgres(t, pgtest.Shared(t))
	s := d.store(t)
	const n = 200
	put(t, s, alice, "a")
	for range n {
		if err := rotate(t.Context(), s, alice, "a"); err != nil {
			t.Fatal(err)
		}
	}
	redistest.Eventually(t, "the statistics have the updates", func() error {
		query := `SELECT %s FROM pg_stat_user_tables WHERE relname = '` + d.prefix + `sessions'`
		all, hot := d.count(t, fmt.Sprintf(query, "n_tup_upd")), d.count(t, fmt.Sprintf(query, "n_tup_hot_upd"))
		if all < n || hot < all*9/10 {
			return fmt.Errorf("%d updates, of which %d change no index", all, hot)
		}
		return nil
	})
}
