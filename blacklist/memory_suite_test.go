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

func TestMemorySuite(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		m, err := blacklist.NewMemory(blacklist.WithClock(clock), quiet, blacklist.WithNotBefore(clock()))
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}

// TestMemorySuiteSmall has a capacity that every check fits in, with few shards, so that entries meet in them.
func TestMemorySuiteSmall(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		m, err := blacklist.NewMemory(blacklist.WithClock(clock), quiet, blacklist.WithCapacity(2000))
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}

func TestMemorySuiteOwnClock(t *testing.T) {
	blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
		m, err := blacklist.NewMemory(blacklist.WithClock(clock), quiet)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, blacklisttest.OwnClock(500*time.Millisecond))
}
