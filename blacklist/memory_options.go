package blacklist

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// DefaultCapacity is the largest number of entries in a [Memory] without [WithCapacity].
const DefaultCapacity = 10_000_000

// MemoryOption sets an option of [NewMemory].
type MemoryOption func(*memoryConfig) error

type memoryConfig struct {
	clock     func() time.Time
	capacity  int
	logger    *slog.Logger
	notBefore time.Time
}

func newMemoryConfig(opts []MemoryOption) (memoryConfig, error) {
	cfg := memoryConfig{clock: time.Now, capacity: DefaultCapacity, logger: slog.Default()}
	for _, opt := range opts {
		if opt == nil {
			return memoryConfig{}, errors.New("blacklist: a nil option")
		}
		if err := opt(&cfg); err != nil {
			return memoryConfig{}, fmt.Errorf("blacklist: %w", err)
		}
	}
	return cfg, nil
}

// WithClock sets the clock, time.Now by default. It is called from several goroutines at once.
func WithClock(now func() time.Time) MemoryOption {
	return func(c *memoryConfig) error {
		if now == nil {
			return errors.New("WithClock needs a clock")
		}
		c.clock = now
		return nil
	}
}

// WithCapacity sets the largest number of entries, [DefaultCapacity] by default. When it is reached
// and no entry has expired, Revoke returns [ErrFull]. A Memory never drops an entry in force,
// because a revoked token would be accepted again.
func WithCapacity(entries int) MemoryOption {
	return func(c *memoryConfig) error {
		if entries < 1 {
			return fmt.Errorf("WithCapacity(%d): the capacity must be at least 1", entries)
		}
		c.capacity = entries
		return nil
	}
}

// WithLogger sets the logger for the warning of NewMemory, slog.Default() by default.
func WithLogger(logger *slog.Logger) MemoryOption {
	return func(c *memoryConfig) error {
		if logger == nil {
			return errors.New("WithLogger needs a logger")
		}
		c.logger = logger
		return nil
	}
}

// WithNotBefore refuses sessions that began before t, rounded up to whole milliseconds. By default
// none is refused. With the start time of the process, a restart logs everybody out instead of
// accepting revoked tokens again. If an issuer writes session starts in whole seconds only,
// sessions that begin within the first second are refused as well.
func WithNotBefore(t time.Time) MemoryOption {
	return func(c *memoryConfig) error {
		if t.IsZero() {
			return errors.New("WithNotBefore needs a time")
		}
		c.notBefore = t
		return nil
	}
}
