package blacklist_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Revoke reports whether the token was revoked before: a refresh token that is used twice was
// copied.
func ExampleMemory() {
	list, err := blacklist.NewMemory(blacklist.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer list.Close()

	ctx := context.Background()
	token := blacklist.Identity{
		Issuer: "https://issuer.example", ID: "f3a1", Session: "s1", Subject: "user-7", SessionStart: time.Now(),
	}
	for range 2 {
		before, err := list.Revoke(ctx, blacklist.OfToken(token, time.Now().Add(time.Hour)))
		fmt.Println("revoked before:", before, err)
	}

	// Another token of the session is accepted until the session is revoked.
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

// With the start time of the process, a restart logs everybody out instead of accepting revoked
// tokens again.
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
	old := blacklist.Identity{Issuer: "https://issuer.example", ID: "f3a1", SessionStart: started.Add(-time.Hour)}
	fmt.Println(list.IsRevoked(context.Background(), old))
	// Output: true <nil>
}

// A session that began in the millisecond of the cut-off is revoked. A session that begins a
// millisecond later is not.
func ExampleOfSubject() {
	list, err := blacklist.NewMemory(blacklist.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer list.Close()
	ctx := context.Background()
	cutOff := time.Now()
	if _, err := list.Revoke(ctx, blacklist.OfSubject("https://issuer.example", "user-7", cutOff, time.Time{})); err != nil {
		fmt.Println(err)
		return
	}
	token := blacklist.Identity{Issuer: "https://issuer.example", ID: "f3a1", Subject: "user-7", SessionStart: cutOff}
	fmt.Println(list.IsRevoked(ctx, token))
	token.SessionStart = cutOff.Add(time.Millisecond)
	fmt.Println(list.IsRevoked(ctx, token))
	// Output:
	// true <nil>
	// false <nil>
}
