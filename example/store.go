package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/store/boltstore"
	"github.com/oapi-guard/oapi-guard/store/redisstore"
	"github.com/oapi-guard/oapi-guard/store/sqlstore"
)

// store is an open store: the blacklist and, usually the same one, the sessions. The method Unwrap
// makes the optional methods of the blacklist visible, such as Ping and InProcess.
type store struct {
	blacklist.Blacklist
	sessions session.Store
	copied   *replica.Replica // nil without REPLICA
	about    string           // where it is, for the operator
	closers  []io.Closer      // closed in this order
}

var _ blacklist.Wrapper = (*store)(nil)

// Unwrap implements blacklist.Wrapper.
func (s *store) Unwrap() blacklist.Blacklist { return s.Blacklist }

func (s *store) Close() error {
	var err error
	for _, c := range s.closers {
		err = errors.Join(err, c.Close())
	}
	return err
}

// storeKinds are the texts that openStore reads.
const storeKinds = "memory:, bolt:PATH, redis://HOST:PORT, postgres://HOST:PORT/DB or sqlite:PATH"

// openStore opens the store that the text names; see storeKinds. The default is a file in the data
// directory. No error contains the text, because it may contain a password.
func openStore(ctx context.Context, text, dataDir string, logger *slog.Logger) (*store, error) {
	if text == "" {
		if err := os.MkdirAll(dataDir, 0o700); err != nil {
			return nil, err
		}
		text = "bolt:" + filepath.Join(dataDir, "store.db")
	}
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "memory":
		return openMemory(logger)
	case "bolt":
		both, err := boltstore.Open(rest)
		if err != nil {
			return nil, err
		}
		return &store{Blacklist: both, sessions: both, about: "in " + rest, closers: []io.Closer{both}}, nil
	case "redis", "rediss":
		return openRedis(ctx, text, logger)
	case "postgres", "postgresql":
		return openPostgres(ctx, text, logger)
	case "sqlite":
		return openSQLite(ctx, rest, logger)
	default:
		return nil, errors.New("STORE names no store: " + storeKinds)
	}
}

// openReplica puts a copy of the blacklist in front of a store that other processes write to, so that
// look-ups do not wait for it. A revocation of another process counts after the bound at the latest.
func openReplica(s *store, text string, logger *slog.Logger) error {
	if text == "" {
		return nil
	}
	bound, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("REPLICA is a duration such as 2s")
	}
	feed, ok := blacklist.As[replica.Feed](s.Blacklist)
	if !ok {
		return errors.New("REPLICA is for stores that several processes share: Redis and databases")
	}
	copied, err := replica.New(feed, replica.WithBound(bound), replica.WithLogger(logger))
	if err != nil {
		return err
	}
	s.Blacklist, s.copied = copied, copied
	s.about += fmt.Sprintf(", with a copy that is at most %s old", bound)
	s.closers = append([]io.Closer{copied}, s.closers...)
	return nil
}

func openMemory(logger *slog.Logger) (*store, error) {
	list, err := blacklist.NewMemory(blacklist.WithLogger(logger))
	if err != nil {
		return nil, err
	}
	sessions, err := session.NewMemory()
	if err != nil {
		return nil, errors.Join(err, list.Close())
	}
	return &store{Blacklist: list, sessions: sessions, about: "in memory: a restart forgets them", closers: []io.Closer{sessions, list}}, nil
}

func openRedis(ctx context.Context, url string, logger *slog.Logger) (*store, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("STORE is not a URL that Redis clients understand: redis://[USER:PASSWORD@]HOST:PORT[/DB]")
	}
	options.ContextTimeoutEnabled = true
	client := redis.NewClient(options)
	both, err := redisstore.New(ctx, client, redisstore.WithLogger(logger))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the store in Redis: %w", err), client.Close())
	}
	return &store{Blacklist: both, sessions: both, about: "in Redis at " + options.Addr, closers: []io.Closer{both, client}}, nil
}

func openPostgres(ctx context.Context, url string, logger *slog.Logger) (*store, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("STORE is not a URL that PostgreSQL clients understand: postgres://[USER:PASSWORD@]HOST:PORT/DB")
	}
	about := "in PostgreSQL at " + net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	return openSQL(ctx, stdlib.OpenDB(*config), sqlstore.PostgreSQL, about, logger)
}

// sqlitePragmas wait for the lock of another process, and write every commit to the disk.
const sqlitePragmas = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"

func openSQLite(ctx context.Context, path string, logger *slog.Logger) (*store, error) {
	if path == "" {
		return nil, errors.New("STORE names no file: sqlite:PATH")
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // SQLite would let others read it
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	name := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: sqlitePragmas}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	return openSQL(ctx, db, sqlstore.SQLite, "in "+path, logger)
}

// maxConnections is how many connections to a database are open at most.
const maxConnections = 16

// openSQL opens the store on a database. It makes the tables first, or brings them up to date, which
// a real service may do in a step of its deployment.
func openSQL(ctx context.Context, db *sql.DB, dialect sqlstore.Dialect, about string, logger *slog.Logger) (*store, error) {
	db.SetMaxOpenConns(maxConnections)
	db.SetMaxIdleConns(maxConnections)
	logger.Info("bringing the tables of the store up to date")
	if err := sqlstore.Migrate(ctx, db, dialect, sqlstore.WithLogger(logger)); err != nil {
		return nil, errors.Join(fmt.Errorf("the tables of the store: %w", err), db.Close())
	}
	both, err := sqlstore.New(ctx, db, dialect, sqlstore.WithLogger(logger))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the store in the database: %w", err), db.Close())
	}
	return &store{Blacklist: both, sessions: both, about: about, closers: []io.Closer{both, db}}, nil
}
