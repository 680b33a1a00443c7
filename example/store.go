package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/store/boltstore"
	"github.com/oapi-guard/oapi-guard/store/redisstore"
)

// store is an open store: the blacklist and, usually the same one, the sessions. The method Unwrap
// makes the optional methods of the blacklist visible, such as Ping and InProcess.
type store struct {
	blacklist.Blacklist
	sessions session.Store
	about    string      // where it is, for the operator
	closers  []io.Closer // closed in this order
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
const storeKinds = "memory:, bolt:PATH or redis://HOST:PORT"

// openStore opens the store that the text names: memory:, bolt:PATH, or redis://... (rediss:// for
// TLS). The default is a file in the data directory. No error contains the text, because it may
// contain a password.
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
		return &store{both, both, "in " + rest, []io.Closer{both}}, nil
	case "redis", "rediss":
		return openRedis(ctx, text, logger)
	default:
		return nil, errors.New("STORE names no store: " + storeKinds)
	}
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
	return &store{list, sessions, "in memory: a restart forgets them", []io.Closer{sessions, list}}, nil
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
	return &store{both, both, "in Redis at " + options.Addr, []io.Closer{both, client}}, nil
}
