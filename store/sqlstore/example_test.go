package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/store/sqlstore"
)

// open opens a database, makes the tables and returns a store.
func open(ctx context.Context, path string) (*sqlstore.Store, *sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	// A service leaves this option out: it logs what the store has to say.
	quiet := sqlstore.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err := sqlstore.Migrate(ctx, db, sqlstore.SQLite, quiet); err != nil {
		return nil, nil, err
	}
	store, err := sqlstore.New(ctx, db, sqlstore.SQLite, quiet)
	return store, db, err
}

// A revocation is still there when the process starts again.
func Example() {
	dir, err := os.MkdirTemp("", "sqlstore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "guard.db")
	ctx := context.Background()

	store, db, err := open(ctx, path)
	if err != nil {
		fmt.Println(err)
		return
	}
	token := blacklist.Identity{
		Issuer: "https://issuer.example", ID: "f3a1", Session: "s1", Subject: "user-7",
		SessionStart: time.Now().Add(2 * time.Second), // after the tables were made
	}
	before, err := store.Revoke(ctx, blacklist.OfToken(token, time.Now().Add(time.Hour)))
	fmt.Println("revoked before:", before, err)
	_ = store.Close()
	_ = db.Close()

	store, db, err = open(ctx, path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
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

// A session and the revocation that ends it are written together.
func ExampleStore_Update() {
	dir, err := os.MkdirTemp("", "sqlstore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	store, db, err := open(ctx, filepath.Join(dir, "guard.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	defer store.Close()

	subject := session.Subject{Issuer: "https://issuer.example", Name: "user-7"}
	err = store.Update(ctx, subject, func(tx session.Tx) error {
		now := tx.Now()
		return tx.Put(session.Row{
			Subject: subject, ID: "s1", Began: now, End: now.Add(720 * time.Hour), IdleDeadline: now.Add(24 * time.Hour),
			Generation: 1, Device: session.Device{Name: "Alice's phone"},
		})
	})
	rows, _, _ := store.List(ctx, subject, "", 100)
	fmt.Println(len(rows), rows[0].Device.Name, err)

	err = store.Update(ctx, subject, func(tx session.Tx) error {
		row, found, err := tx.Session("s1")
		if err != nil || !found {
			return err
		}
		row.Ended, row.Reason = tx.Now(), session.LoggedOut
		if err := tx.Put(row); err != nil {
			return err
		}
		token := blacklist.Identity{Issuer: subject.Issuer, Subject: subject.Name, Session: row.ID}
		return tx.(session.BlacklistTx).Revoke(blacklist.OfSession(token, row.KeepUntil()))
	})
	rows, _, _ = store.List(ctx, subject, "", 100)
	fmt.Println(len(rows), err)
	// Output:
	// 1 Alice's phone <nil>
	// 0 <nil>
}
