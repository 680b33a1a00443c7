// Package suite has all stacks of the benchmarks, and opens what they share: the blacklists and a
// client of Redis.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"

	"github.com/oapi-guard/oapi-guard/benchmarks/api"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/tokens"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/echo"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/fiber"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/floor"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/gin"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/goa"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/goswagger"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/guarded"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/handwritten"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/huma"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/ogen"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/validated"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/store/redisstore"
)

// Candidate is a stack with its name in the results.
type Candidate struct {
	Name string
	New  func(stack.Config) (http.Handler, error)
}

// Floor is the stack without authentication.
const Floor = "floor"

// Candidates returns the stacks that are compared, without Redis or with it.
func Candidates(withRedis bool) []Candidate {
	all := []Candidate{
		{Floor, newFloor},
		{"oapi-guard", guarded.New},
	}
	if withRedis {
		all = append(all, Candidate{"oapi-guard-replica", guarded.NewReplica}, Candidate{"oapi-guard-memory", guarded.NewMemory})
	}
	return append(all,
		Candidate{"oapi-guard-uncached", guarded.NewUncached},
		Candidate{"hand-written-cache", handwritten.NewCached},
		Candidate{"hand-written", handwritten.New},
		Candidate{"nethttp-middleware", validated.New},
		Candidate{"ogen", ogen.New},
		Candidate{"goa", goa.New},
		Candidate{"go-swagger", goswagger.New},
		Candidate{"huma", huma.New},
		Candidate{"echo-jwt", echo.New},
		Candidate{"gin-jwt", gin.New},
		Candidate{"fiber-jwt", fiber.New},
	)
}

// Find returns the stack of that name.
func Find(name string) (Candidate, error) {
	all := Candidates(true)
	i := slices.IndexFunc(all, func(c Candidate) bool { return c.Name == name })
	if i < 0 {
		return Candidate{}, fmt.Errorf("no stack %q", name)
	}
	return all[i], nil
}

// newFloor returns a handler that answers with the profile of the first token.
func newFloor(stack.Config) (http.Handler, error) {
	return floor.New(api.Profile{Name: tokens.Name, Subject: tokens.Subject(0)}), nil
}

// Suite has the configuration of the stacks of a run, and closes what it contains.
type Suite struct {
	Config  stack.Config
	closers []io.Closer
}

// New returns a suite whose blacklist is in memory, and contains revocations of others.
func New(ctx context.Context, issuer *tokens.Issuer) (*Suite, error) {
	list, err := issuer.NewMemory(ctx)
	if err != nil {
		return nil, err
	}
	s := &Suite{Config: issuer.Config(), closers: []io.Closer{list}}
	s.Config.Blacklist, s.Config.Memory = list, list
	return s, nil
}

// RedisOptions returns the options of the clients of all stacks, for this number of callers.
func RedisOptions(address string, callers int) *redis.Options {
	return &redis.Options{
		Addr: address, ContextTimeoutEnabled: true,
		PoolSize: callers + 1, // otherwise callers wait for connections instead of for Redis
	}
}

// FillRedis fills an empty Redis with revocations of others.
func (s *Suite) FillRedis(ctx context.Context, options *redis.Options) (err error) {
	client := redis.NewClient(options)
	defer func() { err = errors.Join(err, client.Close()) }()
	// The marks of an empty store revoke sessions that began before the marks were made. These
	// marks are made an hour ago.
	first, err := newStore(ctx, client, redisstore.WithClock(func() time.Time { return time.Now().Add(-time.Hour) }))
	if err != nil {
		return err
	}
	store, err := newStore(ctx, client)
	if err != nil {
		return errors.Join(err, first.Close())
	}
	config := s.Config
	config.Blacklist, config.Redis = store, client
	return errors.Join(tokens.RevokeOthers(ctx, config), store.Close(), first.Close())
}

// UseRedis makes the stacks use a Redis that FillRedis filled. It waits until the copy of the
// blacklist is complete, so that no benchmark measures that. The clients of all stacks have the
// same options.
func (s *Suite) UseRedis(ctx context.Context, options *redis.Options, replicaOptions ...replica.Option) error {
	client := redis.NewClient(options)
	s.closers = append(s.closers, client)
	store, err := newStore(ctx, client)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, store)
	list, err := replica.New(store, append(replicaOptions, replica.WithLogger(discardLogger))...)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, list)
	s.Config.Blacklist, s.Config.Replica, s.Config.Redis = store, list, client
	return list.Ready(ctx)
}

var discardLogger = slog.New(slog.DiscardHandler)

func newStore(ctx context.Context, client *redis.Client, options ...redisstore.Option) (*redisstore.Store, error) {
	return redisstore.New(ctx, client, append(options, redisstore.WithLogger(discardLogger))...)
}

// Close closes everything, the last opened first. Further calls do nothing.
func (s *Suite) Close() error {
	var errs []error
	for _, closer := range slices.Backward(s.closers) {
		if err := closer.Close(); !errors.Is(err, redis.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.closers = nil
	return errors.Join(errs...)
}

// Server serves a stack on a free port of the loopback interface.
type Server struct {
	URL   string
	close func() error
	done  chan error
}

// Serve starts the server of a stack: that of net/http, or of fasthttp for a stack.FastHTTP.
func Serve(handler http.Handler) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + listener.Addr().String(), done: make(chan error, 1)}
	serve := func() error { return nil }
	if fast, ok := handler.(stack.FastHTTP); ok {
		server := &fasthttp.Server{Handler: fast.FastHTTP()}
		serve, s.close = func() error { return server.Serve(listener) }, server.Shutdown
	} else {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		serve, s.close = func() error { return server.Serve(listener) }, server.Close
	}
	go func() { s.done <- serve() }()
	return s, nil
}

// Close ends the server. The clients close their connections first.
func (s *Server) Close() error {
	err := s.close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
