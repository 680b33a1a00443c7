package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/blacklisttest"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/blacklist/replica/feedtest"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// feedStore returns a store for feedtest with a prefix that no other has. Its marks are an hour old.
func feedStore(t *testing.T, newClient func() redis.UniversalClient, opts ...Option) feedtest.Store {
	t.Helper()
	opts = append([]Option{
		WithPrefix(fmt.Sprint("feed*", prefixes.Add(1))), WithTimeouts(5*time.Second, 5*time.Second),
	}, opts...)
	first := open(t, newClient(), opts...)
	store := feedtest.Store{Feed: first, MakeMark: func(ctx context.Context) error {
		// Not bucket 0, because another mark there is another history.
		if err := universal(first).Del(ctx, first.layout.mark(7)).Err(); err != nil {
			return err
		}
		return first.MakeMarks(ctx)
	}}
	for range 3 {
		s, err := New(t.Context(), newClient(), append([]Option{WithLogger(discard())}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		store.Clients = append(store.Clients, s)
	}
	return store
}

var prefixes atomic.Int64

func universal(s *Store) redis.UniversalClient {
	if s.cluster != nil {
		return s.cluster
	}
	return s.single
}

// manyFollowers is the size of a pool for the suite, which closes its followers at the end only.
const manyFollowers = 1000

func TestFeedStandalone(t *testing.T) {
	srv := redistest.Start(t, redistest.WithAOF("always"))
	feedtest.Run(t, func(t *testing.T) feedtest.Store {
		store := feedStore(t, func() redis.UniversalClient {
			o := srv.Options()
			o.PoolSize = manyFollowers
			return redistest.Closed(t, redis.NewClient(o))
		}, WithHMACKey(secretA))
		s := store.Feed.(*Store)
		revokeMany := func(ctx context.Context, n int) error {
			for i := range n {
				if _, err := s.Revoke(ctx, blacklist.OfToken(user(fmt.Sprint(i)), inAnHour())); err != nil {
					return err
				}
			}
			return nil
		}
		store.Gaps = map[string]func(context.Context) error{
			"trimmed": func(ctx context.Context) error {
				if err := revokeMany(ctx, 3); err != nil {
					return err
				}
				return s.single.XTrimMaxLen(ctx, s.layout.stream(), 1).Err()
			},
			"trimmed to nothing": func(ctx context.Context) error {
				return s.single.XTrimMaxLen(ctx, s.layout.stream(), 0).Err()
			},
			"emptied": func(ctx context.Context) error { return s.single.FlushAll(ctx).Err() },
			"emptied, with new records": func(ctx context.Context) error {
				if err := s.single.FlushAll(ctx).Err(); err != nil {
					return err
				}
				return revokeMany(ctx, 3)
			},
			"emptied, and the clock was set back": func(ctx context.Context) error {
				if err := s.single.FlushAll(ctx).Err(); err != nil {
					return err
				}
				// The first record is before the position, and so are all ids that follow for a while.
				if err := s.single.XAdd(ctx, &redis.XAddArgs{Stream: s.layout.stream(), ID: "1-1", Values: []any{"r", "g:1"}}).Err(); err != nil {
					return err
				}
				return revokeMany(ctx, 3)
			},
			"restarted": func(context.Context) error { srv.Restart(); return nil },
			"demoted and promoted again": func(context.Context) error {
				demote(t, srv, true)
				srv.Do("REPLICAOF", "NO", "ONE")
				return nil
			},
		}
		return store
	})
}

// demote makes the server a replica of a new server with the same data. It closes no connection.
// If wait is set it returns when the server has the data of its master.
func demote(t *testing.T, srv *redistest.Server, wait bool) {
	t.Helper()
	other := redistest.Start(t, redistest.WithArgs("--replicaof", "127.0.0.1 "+fmt.Sprint(srv.Port)))
	connected := func(replica *redistest.Server) {
		redistest.Eventually(t, "the replica is connected", func() error {
			if state := parseInfo(replica.Do("INFO", "replication").(string)); state["master_link_status"] != "up" {
				return errors.New(state["master_link_status"])
			}
			return nil
		})
	}
	connected(other)
	other.Do("REPLICAOF", "NO", "ONE")
	srv.Do("REPLICAOF", "127.0.0.1", other.Port)
	if wait {
		connected(srv)
	}
}

func TestFeedSentinel(t *testing.T) {
	sn := redistest.StartSentinel(t)
	master := sn.Nodes[0]
	feedtest.Run(t, func(t *testing.T) feedtest.Store {
		store := feedStore(t, func() redis.UniversalClient {
			o := sn.Options()
			o.PoolSize = manyFollowers
			return redistest.Closed(t, redis.NewFailoverClient(o))
		}, WithReplicas(2, replicasWait))
		store.Gaps = map[string]func(context.Context) error{"fail-over": func(context.Context) error {
			master.Kill()
			master = sn.Rejoin(master, sn.WaitFailover(master))
			return nil
		}}
		return store
	})
}

// TestFeedWithFence has a fence behind the reads.
func TestFeedWithFence(t *testing.T) {
	f := startFenced(t)
	feedtest.Run(t, func(t *testing.T) feedtest.Store {
		return feedStore(t, func() redis.UniversalClient {
			o := f.old.Options()
			o.PoolSize = manyFollowers
			return redistest.Closed(t, redis.NewClient(o))
		}, WithFence(1, 400*time.Millisecond))
	})
}

func TestFeedCluster(t *testing.T) {
	c := redistest.StartCluster(t)
	feedtest.Run(t, func(t *testing.T) feedtest.Store {
		return feedStore(t, func() redis.UniversalClient {
			o := c.Options()
			o.PoolSize = manyFollowers
			return redistest.Closed(t, redis.NewClusterClient(o))
		}, WithReplicas(1, replicasWait))
	})
}

// storeClock is the feed of a store whose time is a clock of the test.
type storeClock struct {
	*Store
	clock func() time.Time
}

func (f storeClock) Follow(ctx context.Context) (replica.Follower, error) {
	inner, err := f.Store.Follow(ctx)
	return followerClock{inner, f.clock}, err
}

type followerClock struct {
	replica.Follower
	clock func() time.Time
}

func (f followerClock) Snapshot(ctx context.Context, apply func(replica.Batch) error) error {
	return f.Follower.Snapshot(ctx, func(b replica.Batch) error {
		b.Now = f.clock()
		return apply(b)
	})
}

func (f followerClock) Read(ctx context.Context, wait time.Duration) (replica.Batch, error) {
	b, err := f.Follower.Read(ctx, wait)
	b.Now = f.clock()
	return b, err
}

func TestReplicaConforms(t *testing.T) {
	client := redistest.Start(t).Client(t)
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		s, err := New(t.Context(), client, WithPrefix(fmt.Sprint("suite", prefixes.Add(1))), WithClock(clock),
			WithLogger(discard()), WithTimeouts(10*time.Second, 10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		epoch := clock()
		r, err := replica.New(storeClock{s, clock}, replica.WithLogger(discard()), replica.WithClock(clock),
			replica.WithMonotonic(func() time.Duration { return clock().Sub(epoch) }), replica.WithLookupTimeout(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = r.Close(), s.Close() })
		if err := r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r
	})
}
