package boltstore

import (
	"errors"
	"time"
)

// Option sets an option of [Open].
type Option func(*config) error

type config struct {
	now      func() time.Time
	existing bool // a missing file is an error
}

// WithClock sets the clock, time.Now by default. It is called from several goroutines at once. What
// has expired is removed after two readings of it that are at least 10 minutes apart.
func WithClock(now func() time.Time) Option {
	return func(c *config) error {
		if now == nil {
			return errors.New("boltstore: WithClock needs a clock")
		}
		c.now = now
		return nil
	}
}

// WithExistingFile makes a missing file an error. By default Open creates the file, which logs out
// every session that began before.
func WithExistingFile() Option {
	return func(c *config) error { c.existing = true; return nil }
}

func newConfig(options []Option) (config, error) {
	c := config{now: time.Now}
	for _, option := range options {
		if option == nil {
			return config{}, errors.New("boltstore: a nil option")
		}
		if err := option(&c); err != nil {
			return config{}, err
		}
	}
	return c, nil
}
