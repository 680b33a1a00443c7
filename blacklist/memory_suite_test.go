package blacklist_test

import (
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/blacklisttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = blacklist.WithLogger(slog.New(slog.DiscardHandler))

func TestMemoryConforms(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		m, err := blacklist.NewMemory(blacklist.WithClock(clock), quiet, blacklist.WithNotBefore(clock()))
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}

// TestSmallMemoryConforms has few shards, so that entries share them. Every check fits into its
// capacity.
func TestSmallMemoryConforms(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		m, err := blacklist.NewMemory(blacklist.WithClock(clock), quiet, blacklist.WithCapacity(2000))
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}

func TestMemoryConformsWithRealClock(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		m, err := blacklist.NewMemory(blacklist.WithClock(clock), quiet)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, blacklisttest.WithRealClock(500*time.Millisecond))
}
