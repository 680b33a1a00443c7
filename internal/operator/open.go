package operator

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/store/redisstore"
	"github.com/oapi-guard/oapi-guard/store/sqlstore"
)

// storeKinds are the URLs that open reads.
const storeKinds = "redis://HOST:PORT, rediss://HOST:PORT, postgres://HOST:PORT/DB or sqlite:PATH"

// Drivers are the names of the drivers of databases that the program has registered.
const (
	driverPostgreSQL = "pgx"
	driverSQLite     = "sqlite"
)

var errBolt = errors.New("only the service can open the file of a bolt store: pass the address of its admin endpoint with --admin-url, " +
	"and its secret in ADMIN_TOKEN")

// open opens a store and checks that it has its mark.
func open(ctx context.Context, c StoreConfig) (*openedStore, error) {
	kind, rest, _ := strings.Cut(c.URL, ":")
	if c.HMACKey != nil && !strings.HasPrefix(kind, "redis") {
		return nil, errors.New("only Redis has an HMAC key: leave STORE_HMAC_KEY empty")
	}
	if c.Schema != "" && !strings.HasPrefix(kind, "postgres") {
		return nil, errors.New("only PostgreSQL has schemas: leave out --schema")
	}
	switch kind {
	case "redis", "rediss":
		return openRedis(ctx, c)
	case "postgres", "postgresql":
		return openPostgreSQL(ctx, c)
	case "sqlite":
		return openSQLite(ctx, c, rest)
	case "bolt":
		return nil, errBolt
	case "memory":
		return nil, errors.New("a store in memory is that of one process: pass the address of its admin endpoint with --admin-url, and its secret in ADMIN_TOKEN")
	case "":
		return nil, errors.New("no store is named: set STORE to " + storeKinds + ", or pass --admin-url")
	}
	return nil, errors.New("STORE names no store: " + storeKinds)
}

// HasPassword reports whether the URL of a store contains a password, which must not be an argument.
func HasPassword(text string) bool {
	parsed, err := url.Parse(text)
	if err != nil { // it may well contain one, in a form that cannot be read
		return strings.Contains(text, "@")
	}
	_, has := parsed.User.Password()
	return has || parsed.Query().Has("password")
}

// wrongStore wraps the error of a store that was reached, or not, with what to check.
func wrongStore(where string, err error) error {
	return fmt.Errorf("the store in %s cannot be used: %w. Nothing was written. %s", where, cause(err), checkStore)
}

const checkStore = "Check that STORE, --prefix, --schema and STORE_HMAC_KEY are those of the service"

// feedLength is so long that this program never shortens the feed of the service, whose length it does
// not know.
const feedLength = 1 << 30

func openRedis(ctx context.Context, c StoreConfig) (*openedStore, error) {
	client, err := redisClient(c)
	if err != nil {
		return nil, err
	}
	options := []redisstore.Option{
		redisstore.WithMissingMark(redisstore.Refuse), redisstore.WithFeedLength(feedLength), redisstore.WithLogger(c.Logger),
	}
	if c.Prefix != "" {
		options = append(options, redisstore.WithPrefix(c.Prefix))
	}
	if c.HMACKey != nil {
		options = append(options, redisstore.WithHMACKey(c.HMACKey))
	}
	store, err := redisstore.New(ctx, client, options...)
	if err == nil {
		err = store.Ping(ctx) // which finds out that a mark is missing
	}
	if err != nil {
		return nil, errors.Join(wrongStore("Redis", err), client.Close())
	}
	return &openedStore{store, store, []io.Closer{store, client}}, nil
}

var errRedisURL = errors.New("STORE is not a URL that Redis clients understand: redis://[USER:PASSWORD@]HOST:PORT[/DB]")

func redisClient(c StoreConfig) (redis.UniversalClient, error) {
	if c.Cluster {
		options, err := redis.ParseClusterURL(c.URL)
		if err != nil {
			return nil, errRedisURL
		}
		options.ContextTimeoutEnabled = true
		return redis.NewClusterClient(options), nil
	}
	options, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, errRedisURL
	}
	options.ContextTimeoutEnabled = true
	return redis.NewClient(options), nil
}

func openPostgreSQL(ctx context.Context, c StoreConfig) (*openedStore, error) {
	if _, err := url.Parse(c.URL); err != nil { // its text contains the URL
		return nil, errPostgresURL
	}
	db, err := sql.Open(driverPostgreSQL, c.URL)
	if err != nil {
		return nil, errPostgresURL
	}
	return openSQL(ctx, c, db, sqlstore.PostgreSQL, "PostgreSQL")
}

var errPostgresURL = errors.New("STORE is not a URL that PostgreSQL clients understand: postgres://[USER:PASSWORD@]HOST:PORT/DB")

func openSQLite(ctx context.Context, c StoreConfig, path string) (*openedStore, error) {
	if path == "" {
		return nil, errors.New("STORE names no file: sqlite:PATH")
	}
	if _, err := os.Stat(path); err != nil { // SQLite would make an empty file
		return nil, err
	}
	const settings = "mode=rw&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)"
	name := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: settings}
	db, err := sql.Open(driverSQLite, name.String())
	if err != nil {
		return nil, err
	}
	return openSQL(ctx, c, db, sqlstore.SQLite, "SQLite")
}

func openSQL(ctx context.Context, c StoreConfig, db *sql.DB, dialect sqlstore.Dialect, where string) (*openedStore, error) {
	db.SetMaxOpenConns(4)
	options := []sqlstore.Option{sqlstore.WithLogger(c.Logger)}
	if c.Prefix != "" {
		options = append(options, sqlstore.WithTablePrefix(c.Prefix))
	}
	if c.Schema != "" {
		options = append(options, sqlstore.WithSchema(c.Schema))
	}
	store, err := sqlstore.New(ctx, db, dialect, options...)
	if err != nil {
		return nil, errors.Join(wrongStore(where, err), db.Close())
	}
	return &openedStore{store, store, []io.Closer{store, db}}, nil
}
