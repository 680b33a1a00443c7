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
	"github.com/oapi-guard/oapi-guard/store/boltstore"
	"github.com/oapi-guard/oapi-guard/store/redisstore"
)

// store is an open blacklist. The blacklist is a field with a name: a struct that embeds the
// interface would hide the methods Ping and InProcess of the store.
type store struct {
	list   blacklist.Blacklist
	about  string      // where it is, for the operator
	closer []io.Closer // closed in this order
}

func (s *store) Close() error {
	var err error
	for _, c := range s.closer {
		err = errors.Join(err, c.Close())
	}
	return err
}

// openBlacklist opens the blacklist that the text names: memory:, bolt:PATH, or redis://... (rediss://
// for TLS). The default is a file in the data directory. No error contains the text, because it may
// contain a password.
func openBlacklist(ctx context.Context, text, dataDir string, logger *slog.Logger) (*store, error) {
	kind, rest, _ := strings.Cut(orDefault(text, "bolt:"+filepath.Join(dataDir, "blacklist.db")), ":")
	switch kind {
	case "memory":
		list, err := blacklist.NewMemory(blacklist.WithLogger(logger))
		if err != nil {
			return nil, err
		}
		return &store{list, "in memory: a restart forgets them", []io.Closer{list}}, nil
	case "bolt":
		if text == "" {
			if err := os.MkdirAll(dataDir, 0o700); err != nil {
				return nil, err
			}
		}
		list, err := boltstore.Open(rest)
		if err != nil {
			return nil, err
		}
		return &store{list, "in " + rest, []io.Closer{list}}, nil
	case "redis", "rediss":
		options, err := redis.ParseURL(text)
		if err != nil {
			return nil, errors.New("BLACKLIST is not a URL that Redis clients understand: redis://[USER:PASSWORD@]HOST:PORT[/DB]")
		}
		options.ContextTimeoutEnabled = true
		client := redis.NewClient(options)
		list, err := redisstore.New(ctx, client, redisstore.WithLogger(logger))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("the blacklist in Redis: %w", err), client.Close())
		}
		return &store{list, "in Redis at " + options.Addr, []io.Closer{list, client}}, nil
	default:
		return nil, errors.New("BLACKLIST names no blacklist: memory:, bolt:PATH or redis://HOST:PORT")
	}
}
