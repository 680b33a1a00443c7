package boltstore

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/race"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/session/sessiontest"
)

func TestSessionConformance(t *testing.T) {
	sessiontest.TestStore(t, openBefore, sessiontest.WithEarlyRevocations())
}

func TestManagerConformance(t *testing.T) {
	race.Skip(t) // package session runs the suite with it
	sessiontest.TestManager(t, openBefore)
}

// TestRotationsOfManyClients runs clients that log in, refresh and log out with a manager on the
// store, which is the blacklist too.
func TestRotationsOfManyClients(t *testing.T) {
	run := sessiontest.NewRotations(t, openBefore(t, time.Now), nil)
	run.Total = 10_000
	t.Logf("%+v", run.Run(t))
}

// openBefore opens a file that was created an hour before the clock. The sessions of the suite begin
// when the store is opened: the mark of a file that is created then would refuse them.
func openBefore(t *testing.T, clock func() time.Time) session.Store {
	path := pathInMemory(t)
	created, err := Open(path, WithClock(func() time.Time { return clock().Add(-time.Hour) }))
	if err != nil {
		t.Fatal(err)
	}
	if err := created.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, path, WithClock(clock), WithExistingFile())
}

// pathInMemory returns a path in a file system in memory, if there is one. The suite opens thousands
// of stores, and does not test what the disk does.
func pathInMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "boltstore")
	if err != nil {
		return newPath(t)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "sessions.db")
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
