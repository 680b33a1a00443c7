package replica

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

const (
	// DefaultBound is the largest age of a copy that answers, without [WithBound].
	DefaultBound = 2 * time.Second
	// DefaultLookups is the number of look-ups that ask the store at the same time, without
	// [WithLookups].
	DefaultLookups = 64
	// DefaultLookupTimeout is the deadline of a look-up in the store, without [WithLookupTimeout].
	DefaultLookupTimeout = 500 * time.Millisecond
	// DefaultMarkInterval is the time between two reads of all marks, without [WithMarkInterval].
	DefaultMarkInterval = 30 * time.Second

	minBound = 200 * time.Millisecond
)

// Option sets an option of [New].
type Option func(*config) error

type config struct {
	bound         time.Duration
	capacity      int
	clock         clock
	logger        *slog.Logger
	lookups       int
	lookupTimeout time.Duration
	stagger       time.Duration
	markInterval  time.Duration
}

func newConfig(opts []Option) (config, error) {
	cfg := config{
		bound: DefaultBound, capacity: blacklist.DefaultCapacity, clock: newClock(), logger: slog.Default(),
		lookups: DefaultLookups, lookupTimeout: DefaultLookupTimeout, stagger: -1, markInterval: DefaultMarkInterval,
	}
	for _, opt := range opts {
		if opt == nil {
			return config{}, errors.New("replica: a nil option")
		}
		if err := opt(&cfg); err != nil {
			return config{}, fmt.Errorf("replica: %w", err)
		}
	}
	if cfg.stagger < 0 {
		cfg.stagger = cfg.bound / 2
	}
	return cfg, nil
}

// WithBound sets the largest age of a copy that answers, [DefaultBound] by default and at least 200
// milliseconds. A smaller bound reads more often: an idle process reads four times per bound.
func WithBound(bound time.Duration) Option {
	return func(c *config) error {
		if bound < minBound {
			return fmt.Errorf("WithBound(%s): the bound must be at least %s", bound, minBound)
		}
		c.bound = bound
		return nil
	}
}

// WithCapacity sets the largest number of entries, [blacklist.DefaultCapacity] by default. A copy
// that is full asks the store for everything that it does not find.
func WithCapacity(entries int) Option {
	return func(c *config) error {
		if entries < 1 {
			return fmt.Errorf("WithCapacity(%d): the capacity must be at least 1", entries)
		}
		c.capacity = entries
		return nil
	}
}

// WithClock sets the wall clock, time.Now by default. It is called from several goroutines at once.
func WithClock(now func() time.Time) Option {
	return func(c *config) error {
		if now == nil {
			return errors.New("WithClock needs a clock")
		}
		c.clock.wall = now
		return nil
	}
}

// WithMonotonic sets the monotonic clock, by default that of the process: the time since any fixed
// moment. It is called from several goroutines at once.
func WithMonotonic(elapsed func() time.Duration) Option {
	return func(c *config) error {
		if elapsed == nil {
			return errors.New("WithMonotonic needs a clock")
		}
		c.clock.monotonic = elapsed
		return nil
	}
}

// WithLogger sets the logger, slog.Default() by default.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) error {
		if logger == nil {
			return errors.New("WithLogger needs a logger")
		}
		c.logger = logger
		return nil
	}
}

// WithLookups sets how many look-ups ask the store at the same time, [DefaultLookups] by default.
// Further ones return an error that wraps [blacklist.ErrUnavailable], so that the store does not
// get the load of all processes when their copies are too old.
func WithLookups(n int) Option {
	return func(c *config) error {
		if n < 1 {
			return fmt.Errorf("WithLookups(%d): at least 1 look-up must be allowed", n)
		}
		c.lookups = n
		return nil
	}
}

// WithLookupTimeout sets the deadline of a look-up in the store, [DefaultLookupTimeout] by default.
// The validator sets none, see [Replica.InProcess].
func WithLookupTimeout(timeout time.Duration) Option {
	return func(c *config) error {
		if timeout <= 0 {
			return fmt.Errorf("WithLookupTimeout(%s): the timeout must be positive", timeout)
		}
		c.lookupTimeout = timeout
		return nil
	}
}

// WithSnapshotStagger sets the longest delay before a snapshot other than the first, half of the
// bound by default. The delay is random, so that many processes that see the same gap do not read
// the whole store at the same moment. 0 means no delay.
func WithSnapshotStagger(longest time.Duration) Option {
	return func(c *config) error {
		if longest < 0 {
			return fmt.Errorf("WithSnapshotStagger(%s): the delay must not be negative", longest)
		}
		c.stagger = longest
		return nil
	}
}

// WithMarkInterval sets the time between two reads of all marks, [DefaultMarkInterval] by default.
// A mark that was made without a record is in force in this process after at most this time and
// the bound.
func WithMarkInterval(interval time.Duration) Option {
	return func(c *config) error {
		if interval <= 0 {
			return fmt.Errorf("WithMarkInterval(%s): the interval must be positive", interval)
		}
		c.markInterval = interval
		return nil
	}
}
