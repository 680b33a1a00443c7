package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/store/redisstore"
	"github.com/oapi-guard/oapi-guard/store/sqlstore"
)

// The kinds of stores.
const (
	standalone = "redis"
	sentinel   = "sentinel"
	cluster    = "cluster"
	postgres   = "postgres"
)

// storeConfig says how a process opens its store.
type storeConfig struct {
	Kind  string
	Addrs []string // servers, or Sentinels
	DSN   string

	// Routes are addresses that this process reaches through another one, a proxy.
	Routes map[string]string

	Replicas     int // that a revocation waits for
	Fence        int // replicas that confirm what is read
	FeedLength   int
	WriteTimeout time.Duration
}

func quietLogger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// quiet drops the messages of go-redis about servers that are killed.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// openStore opens the store. close closes it and its connections.
func openStore(ctx context.Context, c storeConfig, clock func() time.Time) (store replica.Feed, closeAll func(), err error) {
	if c.Kind == postgres {
		return openSQL(ctx, c, clock)
	}
	redis.SetLogger(quiet{})
	client := newClient(c)
	opts := []redisstore.Option{redisstore.WithLogger(quietLogger()), redisstore.WithClock(clock)}
	if c.Replicas > 0 {
		opts = append(opts, redisstore.WithReplicas(c.Replicas, 700*time.Millisecond))
	}
	if c.Fence > 0 {
		opts = append(opts, redisstore.WithFence(c.Fence, 100*time.Millisecond))
	}
	if c.FeedLength > 0 {
		opts = append(opts, redisstore.WithFeedLength(c.FeedLength))
	}
	if c.WriteTimeout > 0 {
		opts = append(opts, redisstore.WithTimeouts(500*time.Millisecond, c.WriteTimeout))
	}
	s, err := redisstore.New(ctx, client, opts...)
	if err != nil {
		_ = client.Close()
		return nil, nil, err
	}
	return s, func() { _, _ = s.Close(), client.Close() }, nil
}

// newClient returns a client whose connections take the routes.
func newClient(c storeConfig) redis.UniversalClient {
	dialer := net.Dialer{Timeout: time.Second}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if route, ok := c.Routes[addr]; ok {
			addr = route
		}
		return dialer.DialContext(ctx, network, addr)
	}
	switch c.Kind {
	case sentinel:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: redistest.MasterName, SentinelAddrs: c.Addrs, ContextTimeoutEnabled: true, Dialer: dial,
		})
	case cluster:
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs, ContextTimeoutEnabled: true, Dialer: dial})
	default:
		return redis.NewClient(&redis.Options{Addr: c.Addrs[0], ContextTimeoutEnabled: true, Dialer: dial})
	}
}

func openSQL(ctx context.Context, c storeConfig, clock func() time.Time) (replica.Feed, func(), error) {
	db, err := sql.Open("pgx", c.DSN)
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(12)
	db.SetMaxIdleConns(12)
	opts := []sqlstore.Option{sqlstore.WithLogger(quietLogger()), sqlstore.WithClock(clock)}
	if c.WriteTimeout > 0 {
		opts = append(opts, sqlstore.WithTimeouts(500*time.Millisecond, c.WriteTimeout))
	}
	s, err := sqlstore.New(ctx, db, sqlstore.PostgreSQL, opts...)
	if err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	return s, func() { _, _ = s.Close(), db.Close() }, nil
}

// prepare makes the marks or the tables, with a clock that is an hour late, so that the marks refuse
// no session of the scenario.
func (c *chaos) prepare(store storeConfig) {
	c.eventually("the first store is open", func() error { return makeMarks(c.ctx, store) })
}

func makeMarks(ctx context.Context, c storeConfig) error {
	past := func() time.Time { return time.Now().Add(-time.Hour) }
	c.WriteTimeout = 10 * time.Second
	if c.Kind == postgres {
		db, err := sql.Open("pgx", c.DSN)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		return sqlstore.Migrate(ctx, db, sqlstore.PostgreSQL, sqlstore.WithLogger(quietLogger()), sqlstore.WithClock(past))
	}
	_, closeAll, err := openStore(ctx, c, past)
	if err != nil {
		return fmt.Errorf("the first store: %w", err)
	}
	closeAll()
	return nil
}
