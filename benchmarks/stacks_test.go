package benchmarks

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/suite"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/tokens"
	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/security"
)

// setup is shared by the stacks of a run.
type setup struct {
	*suite.Suite
	issuer *tokens.Issuer
}

func newSetup(tb testing.TB, algorithm string) *setup {
	tb.Helper()
	issuer, err := tokens.NewIssuer(algorithm)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := suite.New(tb.Context(), issuer)
	if err != nil {
		tb.Fatal(err)
	}
	closed(tb, s)
	return &setup{s, issuer}
}

// useRedis puts the revocations into a Redis that the test starts.
func (s *setup) useRedis(tb testing.TB) {
	tb.Helper()
	s.useRedisAt(tb, suite.RedisOptions(redistest.Start(tb).Addr(), callers))
}

// useRedisAt puts the revocations into an empty Redis.
func (s *setup) useRedisAt(tb testing.TB, redisOptions *redis.Options, options ...replica.Option) {
	tb.Helper()
	if err := s.FillRedis(tb.Context(), redisOptions); err != nil {
		tb.Fatal(err)
	}
	if err := s.UseRedis(tb.Context(), redisOptions, options...); err != nil {
		tb.Fatal(err)
	}
}

// closed closes at the end of the test.
func closed(tb testing.TB, c io.Closer) {
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
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
	id := blacklist.Identity{Issuer: s.Config.Issuer, ID: token.ID(), Session: token.Session(), Subject: subject, SessionStart: begun}
	lists := []blacklist.Blacklist{s.Config.Memory}
	if s.Config.Redis != nil {
		lists = append(lists, s.Config.Replica) // it writes to the store, and to its copy
		if err := s.Config.Redis.Set(tb.Context(), golangjwt.RevocationKey(token.ID()), 1, tokens.Lifetime).Err(); err != nil {
			tb.Fatal(err)
		}
	}
	for _, list := range lists {
		if _, err := list.Revoke(tb.Context(), blacklist.OfToken(id, token.ExpiresAt())); err != nil {
			tb.Fatal(err)
		}
	}
}

func (s *setup) handler(tb testing.TB, c suite.Candidate) http.Handler {
	tb.Helper()
	handler, err := c.New(s.Config)
	if err != nil {
		tb.Fatalf("%s: %v", c.Name, err)
	}
	return handler
}

// newRequest returns a request without credentials.
func newRequest(ctx context.Context) *http.Request {
	return httptest.NewRequestWithContext(ctx, http.MethodGet, "/profile", nil)
}
