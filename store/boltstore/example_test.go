package boltstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/store/boltstore"
)

// A revocation is still there when the process starts again.
func Example() {
	dir, err := os.MkdirTemp("", "boltstore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "blacklist.db")

	store, err := boltstore.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	token := blacklist.Identity{
		Issuer: "https://issuer.example", ID: "f3a1", Session: "s1", Subject: "user-7",
		SessionStart: time.Now().Add(time.Second), // after the file was created
	}
	ctx := context.Background()
	before, err := store.Revoke(ctx, blacklist.OfToken(token, time.Now().Add(time.Hour)))
	fmt.Println("revoked before:", before, err)
	if err := store.Close(); err != nil {
		fmt.Println(err)
		return
	}

	store, err = boltstore.Open(path, boltstore.WithExistingFile())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println(store.IsRevoked(ctx, token))
	other := token
	other.ID = "9c27"
	fmt.Println(store.IsRevoked(ctx, other))
	// Output:
	// revoked before: false <nil>
	// true <nil>
	// false <nil>
}

// A session is still there when the process starts again. A log-out ends the session and revokes
// its tokens in one transaction.
func Example_sessions() {
	dir, err := os.MkdirTemp("", "boltstore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "sessions.db")
	ctx := context.Background()

	store, err := boltstore.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	// A session.Manager makes rows and steps like these.
	subject := session.Subject{Issuer: "https://issuer.example", Name: "user-7"}
	err = store.Update(ctx, subject, func(tx session.Tx) error {
		began := tx.Now().Add(time.Second) // after the file was created
		return tx.Put(session.Row{
			Subject: subject, ID: "s1", Generation: 1, Began: began,
			End: began.Add(24 * time.Hour), IdleDeadline: began.Add(time.Hour),
			Device: session.Device{Name: "Alice's phone"},
		})
	})
	if err := errors.Join(err, store.Close()); err != nil {
		fmt.Println(err)
		return
	}

	store, err = boltstore.Open(path, boltstore.WithExistingFile())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	rows, _, err := store.List(ctx, subject, "", 100)
	for _, row := range rows {
		fmt.Println(row.ID, row.Device.Name, err)
	}
	var token blacklist.Identity
	err = store.Update(ctx, subject, func(tx session.Tx) error {
		row, found, err := tx.Session("s1")
		if err != nil || !found {
			return err
		}
		token = blacklist.Identity{
			Issuer: subject.Issuer, Subject: subject.Name, Session: row.ID, ID: "s1.1", SessionStart: row.Began,
		}
		row.Ended, row.Reason = tx.Now(), session.LoggedOut
		if err := tx.Put(row); err != nil {
			return err
		}
		return tx.(session.BlacklistTx).Revoke(blacklist.OfSession(token, row.KeepUntil()))
	})
	fmt.Println("log-out:", err)
	fmt.Println(store.IsRevoked(ctx, token))
	rows, _, err = store.List(ctx, subject, "", 100)
	fmt.Println(len(rows), "sessions", err)
	// Output:
	// s1 Alice's phone <nil>
	// log-out: <nil>
	// true <nil>
	// 0 sessions <nil>
}
