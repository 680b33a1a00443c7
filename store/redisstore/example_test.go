package redisstore_test

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/store/redisstore"
)

// All processes that use the same Redis and prefix share the revocations. The example needs a
// server on localhost, so go test compiles it without running it.
func Example() {
	client := redis.NewClient(&redis.Options{
		Addr:                  "localhost:6379",
		ContextTimeoutEnabled: true, // required: without it a server that hangs would hang requests
	})
	defer client.Close()
	ctx := context.Background()
	store, err := redisstore.New(ctx, client, redisstore.WithPrefix("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	token := blacklist.Identity{
		Issuer: "https://issuer.example", ID: "f3a1", Session: "s1", Subject: "user-7",
		SessionStart: time.Now().Add(time.Minute), // after the marks of a new store
	}
	before, err := store.Revoke(ctx, blacklist.OfToken(token, time.Now().Add(time.Hour)))
	fmt.Println("revoked before:", before, err)
	fmt.Println(store.IsRevoked(ctx, token))
}

// With Sentinel and two replicas, a revocation waits until both replicas have it, so that a
// fail-over does not lose it.
func ExampleWithReplicas() {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName:            "guard",
		SentinelAddrs:         []string{"sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"},
		ContextTimeoutEnabled: true,
	})
	defer client.Close()
	store, err := redisstore.New(context.Background(), client, redisstore.WithReplicas(2, 500*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
}

// The store keeps sessions too. Package session has the rules; this step of a transaction ends a
// session and revokes its tokens, together or not at all.
func ExampleStore_Update() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	defer client.Close()
	ctx := context.Background()
	store, err := redisstore.New(ctx, client)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	subject := session.Subject{Issuer: "https://issuer.example", Name: "user-7"}
	err = store.Update(ctx, subject, func(tx session.Tx) error {
		row, found, err := tx.Session("s1")
		if err != nil || !found {
			return err
		}
		row.Ended, row.Reason = tx.Now(), session.LoggedOut
		if err := tx.Put(row); err != nil {
			return err
		}
		id := blacklist.Identity{Issuer: subject.Issuer, Subject: subject.Name, Session: row.ID}
		return tx.(session.BlacklistTx).Revoke(blacklist.OfSession(id, row.KeepUntil()))
	})
	fmt.Println(err)
}
