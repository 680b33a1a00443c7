package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/internal/race"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/session/sessiontest"
)

// runSessions runs the suite of session stores. Each store of the suite uses another prefix. The
// time of the store is that of the server.
func runSessions(t *testing.T, client redis.UniversalClient, opts ...Option) {
	t.Helper()
	var n atomic.Int64
	sessiontest.TestStore(t, func(t *testing.T, _ func() time.Time) session.Store {
		// Long timeouts: checks make many calls at once, and the machine may be busy.
		all := []Option{WithPrefix(fmt.Sprint("suite", n.Add(1))), WithTimeouts(20*time.Second, 20*time.Second)}
		return open(t, client, append(all, opts...)...)
	}, sessiontest.WithRealClock())
}

func TestManagerConformance(t *testing.T) {
	race.Skip(t) // package session runs the suite with it
	client := redistest.Start(t).Client(t)
	var n atomic.Int64
	sessiontest.TestManager(t, func(t *testing.T, _ func() time.Time) session.Store {
		return open(t, client, WithPrefix(fmt.Sprint("manager", n.Add(1))), WithTimeouts(20*time.Second, 20*time.Second))
	}, sessiontest.WithRealClock())
}

func TestSessionsStandalone(t *testing.T) {
	runSessions(t, redistest.Start(t, redistest.WithPassword(password), redistest.WithAOF("everysec")).Client(t))
}

// TestSessionsWithSecretOverRESP2 uses the protocol of old servers and proxies, whose replies have
// other Go types.
func TestSessionsWithSecretOverRESP2(t *testing.T) {
	o := redistest.Start(t).Options()
	o.Protocol = 2
	runSessions(t, redistest.Closed(t, redis.NewClient(o)), WithHMACKey([]byte("0123456789abcdef0123456789abcdef")))
}

func TestSessionsSentinel(t *testing.T) {
	runSessions(t, redistest.StartSentinel(t).Client(t), WithReplicas(2, 2*time.Second))
}

func TestSessionsCluster(t *testing.T) {
	runSessions(t, redistest.StartCluster(t).Client(t), WithReplicas(1, 2*time.Second))
}

// TestSessionsWithMovedClock runs the checks that move the clock too. Its hook puts the time of the
// suite into the scripts, in place of that of the server.
func TestSessionsWithMovedClock(t *testing.T) {
	srv := redistest.Start(t)
	var n atomic.Int64
	sessiontest.TestStore(t, func(t *testing.T, clock func() time.Time) session.Store {
		client := srv.Client(t)
		client.AddHook(&moved{clock: clock})
		s, err := New(t.Context(), client, WithPrefix(fmt.Sprint("suite", n.Add(1))), WithLogger(discard()), WithClock(func() time.Time {
			return clock().Add(-time.Second) // for marks before the sessions of the suite
		}), WithClockSkew(0), WithTimeouts(20*time.Second, 20*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

// moved replaces the time of the server by that of a clock. It sends one pipeline after the other, so
// that the server sees the times in their order.
type moved struct {
	clock func() time.Time
	mu    sync.Mutex
}

func (*moved) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*moved) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *moved) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Name() == "evalsha" }) {
			return next(ctx, cmds) // also of a new connection, during another pipeline
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, cmd := range cmds {
			h.move(cmd)
		}
		return next(ctx, cmds)
	}
}

func (h *moved) move(cmd redis.Cmder) {
	for _, s := range []*script{readScript, pageScript, pruneScript, commitScript} {
		if args := cmd.Args(); cmd.Name() == "evalsha" && args[1] == s.sha {
			now := h.clock()
			args[0] = "eval"
			args[1] = strings.ReplaceAll(s.source, "redis.call('TIME')",
				fmt.Sprintf("{'%d', '%d'}", now.Unix(), now.Nanosecond()/1000))
		}
	}
}
