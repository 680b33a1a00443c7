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

// suite runs the conformance suite; each of its stores has a prefix of its own on the same servers.
func suite(t *testing.T, client redis.UniversalClient, opts ...Option) {
	t.Helper()
	var n atomic.Int64
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		// A check may ask for much at once, on a machine that does much else.
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

func TestSuiteStandalone(t *testing.T) {
	suite(t, redistest.Start(t, redistest.WithPassword(password), redistest.WithAOF()).Client(t))
}

// TestSuiteSecretRESP2: with a secret, and over the protocol that old servers and proxies know, which answers in other
// Go types.
func TestSuiteSecretRESP2(t *testing.T) {
	o := redistest.Start(t).Options()
	o.Protocol = 2
	suite(t, redistest.Closed(t, redis.NewClient(o)), WithHMACKey([]byte("0123456789abcdef0123456789abcdef")))
}

func TestSuiteSentinel(t *testing.T) {
	suite(t, redistest.StartSentinel(t).Client(t), WithReplicas(2, time.Second))
}

func TestSuiteCluster(t *testing.T) {
	suite(t, redistest.StartCluster(t).Client(t), WithReplicas(1, time.Second))
}
