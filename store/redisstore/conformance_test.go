package redisstore

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/blacklisttest"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// runConformance runs the conformance suite. Each store of the suite uses another prefix.
func runConformance(t *testing.T, client redis.UniversalClient, opts ...Option) {
	t.Helper()
	var n atomic.Int64
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		// Long timeouts: checks make many calls at once, and the machine may be busy.
		all := []Option{
			WithPrefix(fmt.Sprint("suite", n.Add(1))), WithClock(clock), WithLogger(discard()),
			WithTimeouts(10*time.Second, 10*time.Second),
		}
		s, err := New(t.Context(), client, append(all, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

func TestConformanceStandalone(t *testing.T) {
	runConformance(t, redistest.Start(t, redistest.WithPassword(password), redistest.WithAOF("everysec")).Client(t))
}

// TestConformanceWithSecretOverRESP2 uses the protocol of old servers and proxies, whose replies
// have other Go types.
func TestConformanceWithSecretOverRESP2(t *testing.T) {
	o := redistest.Start(t).Options()
	o.Protocol = 2
	runConformance(t, redistest.Closed(t, redis.NewClient(o)), WithHMACKey([]byte("0123456789abcdef0123456789abcdef")))
}

func TestConformanceSentinel(t *testing.T) {
	runConformance(t, redistest.StartSentinel(t).Client(t), WithReplicas(2, replicasWait))
}

// TestConformanceWithFence has a fence behind each look-up.
func TestConformanceWithFence(t *testing.T) {
	f := startFenced(t)
	runConformance(t, f.old.Client(t), WithFence(1, 2*time.Second))
}

func TestConformanceCluster(t *testing.T) {
	runConformance(t, redistest.StartCluster(t).Client(t), WithReplicas(1, replicasWait))
}
