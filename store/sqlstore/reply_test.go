package sqlstore

import (
	"errors"
	"testing"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/pgtest"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/session"
)

// behindProxy returns a store whose connections pass a proxy that can lose replies.
func behindProxy(t *testing.T) (*Store, *redistest.Proxy) {
	t.Helper()
	server := pgtest.Shared(t)
	d := postgres(t, server)
	d.migrate(t)
	proxy := redistest.StartProxy(t, &redistest.Server{Port: server.Port})
	d.dsn = pgtest.DSN(proxy.Addr(), pgtest.User, "postgres")
	return d.open(t, d.pool(t)), proxy
}

// TestLostReplyOfAWriteIsAnError loses the reply of the statement or commit that makes a write. The
// store does not know whether the write is in force, so it returns an error and does not try again.
func TestLostReplyOfAWriteIsAnError(t *testing.T) {
	for _, tt := range []struct {
		name string
		word string
		also func(tx session.Tx) error
	}{
		{name: "refresh", word: `"gen":2`, also: func(session.Tx) error { return nil }},
		{name: "commit", word: "commit\x00", also: func(tx session.Tx) error { return tx.SetEpoch(1) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, proxy := behindProxy(t)
			put(t, s, alice, "a")
			committed := 0
			proxy.DropReplyTo(tt.word)
			err := s.Update(t.Context(), alice, func(tx session.Tx) error {
				row, _, err := tx.Session("a")
				if err != nil {
					return err
				}
				row.Generation++
				if err := errors.Join(tx.Put(row), tt.also(tx)); err != nil {
					return err
				}
				committed++
				return nil
			})
			mustBeUnavailable(t, err, "the connection was lost")
			if !proxy.Dropped() || committed != 1 {
				t.Errorf("a reply was lost: %v; the step succeeded %d times, want 1", proxy.Dropped(), committed)
			}
			redistest.Eventually(t, "the write that the server has received is in force", func() error {
				if row, _ := load(t, s, alice, "a"); row.Generation != 2 {
					return errors.New("not yet")
				}
				return nil
			})
		})
	}
}

// TestLostReplyOfARevocation returns an error, and does not send the revocation again: the second
// one would find the first one in force.
func TestLostReplyOfARevocation(t *testing.T) {
	s, proxy := behindProxy(t)
	key, _ := blacklist.KeyOf(blacklist.Token, user("a"))
	proxy.DropReplyTo(string(key[:]))
	before, err := s.Revoke(t.Context(), blacklist.OfToken(user("a"), inAnHour()))
	if before || !proxy.Dropped() {
		t.Errorf("Revoke returned %v, a reply was lost: %v", before, proxy.Dropped())
	}
	mustBeUnavailable(t, err, "the connection was lost")
	redistest.Eventually(t, "the revocation is in force", func() error {
		if !isRevoked(t, s, user("a")) {
			return errors.New("not yet")
		}
		return nil
	})
}

// TestLostConnectionIsTriedAgain cuts the connections of a pool. Reads, and steps that have written
// nothing, are tried again on another connection.
func TestLostConnectionIsTriedAgain(t *testing.T) {
	server := pgtest.Shared(t)
	d := postgres(t, server)
	s := d.store(t)
	put(t, s, alice, "a")
	for name, call := range map[string]func() error{
		"Update": func() error { return rotate(t.Context(), s, alice, "a") },
		"Update in a transaction": func() error {
			return s.Update(t.Context(), alice, func(tx session.Tx) error { return tx.SetEpoch(1) })
		},
		"List":      func() error { _, _, err := s.List(t.Context(), alice, "", 10); return err },
		"Forget":    func() error { return s.Forget(t.Context(), session.Subject{Issuer: "v", Name: "nobody"}) },
		"IsRevoked": func() error { _, err := s.IsRevoked(t.Context(), user("a")); return err },
	} {
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		server.CutConnections(t)
		if err := call(); err != nil {
			t.Errorf("%s after the connections were cut: %v", name, err)
		}
	}
}
