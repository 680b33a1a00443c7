package boltstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
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
