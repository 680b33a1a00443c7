package benchmarks

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/benchmarks/api"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/tokens"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/echo"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/floor"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/goa"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/goswagger"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/guarded"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/handwritten"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/huma"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/validated"
	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/store/redisstore"
)

// candidate is a stack with its name in the results.
type candidate struct {
	name string
	new  func(stack.Config) (http.Handler, error)
}

var candidates = []candidate{
	{"floor", newFloor},
	{"oapi-guard", guarded.New},
	{"oapi-guard-uncached", guarded.NewUncached},
	{"hand-written", handwritten.New},
	{"nethttp-middleware", validated.New},
	{"goa", goa.New},
	{"go-swagger", goswagger.New},
	{"huma", huma.New},
	{"echo-jwt", echo.New},
}

// newFloor returns a handler that answers with the profile of the first token.
func newFloor(stack.Config) (http.Handler, error) {
	return floor.New(api.Profile{Name: tokens.Name, Subject: tokens.Subject(0)}), nil
}

// setup is shared by the stacks of a run.
type setup struct {
	issuer *tokens.Issuer
	config stack.Config
}

func newSetup(tb testing.TB, algorithm string) *setup {
	tb.Helper()
	issuer, err := tokens.NewIssuer(algorithm)
	if err != nil {
		tb.Fatal(err)
	}
	list, err := issuer.NewMemory(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = list.Close() })
	s := &setup{issuer: issuer, config: issuer.Config()}
	s.config.Blacklist = list
	return s
}

// useRedis puts the revocations into a Redis that the test starts. The clients of all stacks have
// the same options.
func (s *setup) useRedis(tb testing.TB) {
	tb.Helper()
	server := redistest.Start(tb)
	options := server.Options()
	options.PoolSize = callers // otherwise callers wait for connections instead of for Redis
	client := redistest.Closed(tb, redis.NewClient(options))
	// The marks of an empty store revoke sessions that began before the marks were made. These
	// marks are made an hour ago.
	s.openStore(tb, client, redisstore.WithClock(func() time.Time { return time.Now().Add(-time.Hour) }))
	s.config.Blacklist = s.openStore(tb, client)
	s.config.Redis = client
	if err := tokens.RevokeOthers(tb.Context(), s.config); err != nil {
		tb.Fatal(err)
	}
}

func (s *setup) openStore(tb testing.TB, client *redis.Client, options ...redisstore.Option) *redisstore.Store {
	tb.Helper()
	store, err := redisstore.New(tb.Context(), client, append(options, redisstore.WithLogger(discardLogger))...)
	if err != nil {
		tb.Fatal(err)
	}
	return redistest.Closed(tb, store)
}

// issue returns n distinct tokens.
func (s *setup) issue(tb testing.TB, n int, at time.Time) []security.IssuedToken {
	tb.Helper()
	issued, err := s.issuer.Issue(tb.Context(), n, at)
	if err != nil {
		tb.Fatal(err)
	}
	return issued
}

// revoke revokes the token of the subject, for all stacks.
func (s *setup) revoke(tb testing.TB, token security.IssuedToken, subject string, begun time.Time) {
	tb.Helper()
	id := blacklist.Identity{Issuer: s.config.Issuer, ID: token.ID(), Session: token.Session(), Subject: subject, SessionStart: begun}
	if _, err := s.config.Blacklist.Revoke(tb.Context(), blacklist.OfToken(id, token.ExpiresAt())); err != nil {
		tb.Fatal(err)
	}
	if s.config.Redis != nil {
		if err := s.config.Redis.Set(tb.Context(), golangjwt.RevocationKey(token.ID()), 1, tokens.Lifetime).Err(); err != nil {
			tb.Fatal(err)
		}
	}
}

func (s *setup) handler(tb testing.TB, c candidate) http.Handler {
	tb.Helper()
	handler, err := c.new(s.config)
	if err != nil {
		tb.Fatalf("%s: %v", c.name, err)
	}
	return handler
}

// newRequest returns a request without credentials.
func newRequest(ctx context.Context) *http.Request {
	return httptest.NewRequestWithContext(ctx, http.MethodGet, "/profile", nil)
}
