package blacklist_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// A refresh token is consumed once: whoever is told that it was revoked before has a copy of it.
func ExampleMemory() {
	list, err := blacklist.NewMemory(blacklist.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer list.Close()

	ctx := context.Background()
	token := blacklist.Identity{
		Verifier: "own", ID: "f3a1", Session: "s1", Subject: "user-7", SessionStart: time.Now(),
	}
	for range 2 {
		before, err := list.Revoke(ctx, blacklist.OfToken(token, time.Now().Add(time.Hour)))
		fmt.Println("revoked before:", before, err)
	}

	// Another token of the session, until the session itself is revoked.
	access := token
	access.ID = "9c27"
	fmt.Println(list.IsRevoked(ctx, access))
	if _, err := list.Revoke(ctx, blacklist.OfSession(token, time.Now().Add(time.Hour))); err != nil {
		fmt.Println(err)
	}
	fmt.Println(list.IsRevoked(ctx, access))
	// Output:
	// revoked before: false <nil>
	// revoked before: true <nil>
	// false <nil>
	// true <nil>
}

// With the time of the start as not-before, a restart logs everybody out instead of bringing revoked tokens back.
func ExampleWithNotBefore() {
	started := time.Now()
	list, err := blacklist.NewMemory(
		blacklist.WithNotBefore(started),
		blacklist.WithLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer list.Close()
	old := blacklist.Identity{Verifier: "own", ID: "f3a1", SessionStart: started.Add(-time.Hour)}
	fmt.Println(list.IsRevoked(context.Background(), old))
	// Output: true <nil>
}
