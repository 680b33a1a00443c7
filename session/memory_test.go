package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/session/sessiontest"
)

func TestMemory(t *testing.T) {
	sessiontest.TestStore(t, func(t *testing.T, clock func() time.Time) session.Store {
		store, err := session.NewMemory(session.WithMemoryClock(clock))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		return store
	})
}

func TestMemoryCapacity(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	store, err := session.NewMemory(session.WithCapacity(2), session.WithMemoryClock(func() time.Time { return now }))
	if err != nil {
		t.Fatal(err)
	}
	row := func(id string) session.Row {
		return session.Row{Subject: session.Subject{Issuer: "i", Name: "s" + id}, ID: id, Began: now, End: now.Add(time.Hour), IdleDeadline: now.Add(time.Hour)}
	}
	put := func(rows ...session.Row) error {
		return store.Update(context.Background(), rows[0].Subject, func(tx session.Tx) error {
			for _, row := range rows {
				if err := tx.Put(row); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := put(row("a"), row("a"), row("a")); err != nil {
		t.Errorf("one row written three times in a transaction: %v", err)
	}
	if err := put(row("b")); err != nil {
		t.Errorf("the last row that fits: %v", err)
	}
	if err := put(row("c")); !errors.Is(err, session.ErrFull) {
		t.Errorf("a row more returned the error %v, want ErrFull", err)
	}
	if err := put(row("a")); err != nil {
		t.Errorf("a row in place of another, when the store is full: %v", err)
	}
	now = now.Add(2 * time.Hour) // the rows have expired
	for i := range 10 {
		if err = put(row(fmt.Sprint("d", i))); err == nil {
			return
		}
	}
	t.Errorf("a new row after all others have expired: %v", err)
}

func TestManagerOnMemory(t *testing.T) {
	t.Parallel()
	sessiontest.TestManager(t, func(t *testing.T, clock func() time.Time) session.Store {
		store, err := session.NewMemory(session.WithMemoryClock(clock))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		return store
	})
}
