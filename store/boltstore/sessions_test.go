package boltstore

import (
	"context"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/session/sessiontest"
)

func TestSessionConformance(t *testing.T) {
	sessiontest.TestStore(t, func(t *testing.T, clock func() time.Time) session.Store {
		// The sessions of the suite begin when the store is opened. The mark of a file that is
		// created then would refuse them.
		path := newPath(t)
		created, err := Open(path, WithClock(func() time.Time { return clock().Add(-time.Hour) }))
		if err != nil {
			t.Fatal(err)
		}
		if err := created.Close(); err != nil {
			t.Fatal(err)
		}
		return open(t, path, WithClock(clock), WithExistingFile())
	})
}

// endOf returns the revocation that ends the session of a row.
func endOf(row session.Row) blacklist.Revocation {
	return blacklist.OfSession(blacklist.Identity{
		Issuer: row.Subject.Issuer, Subject: row.Subject.Name, Session: row.ID, SessionStart: row.Began,
	}, row.KeepUntil())
}

// putRows writes rows of one subject.
func putRows(t testing.TB, s *Store, rows ...session.Row) {
	t.Helper()
	err := s.Update(context.Background(), rows[0].Subject, func(tx session.Tx) error {
		for _, row := range rows {
			if err := tx.Put(row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func getSession(t testing.TB, s *Store, subject session.Subject, id string) (row session.Row, found bool) {
	t.Helper()
	err := s.Update(context.Background(), subject, func(tx session.Tx) (err error) {
		row, found, err = tx.Session(id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return row, found
}
