// Package blacklisttest contains the tests that every implementation of [blacklist.Blacklist] must
// pass. Use it in the tests of a store, with one call:
//
//	func TestStore(t *testing.T) {
//		blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
//			store, err := mystore.Open(t.TempDir(), mystore.WithClock(clock))
//			if err != nil {
//				t.Fatal(err)
//			}
//			t.Cleanup(func() { store.Close() })
//			return store
//		})
//	}
//
// Each check tests one promise of the contract on an empty store. It is a subtest, so go test -run
// can select it. Run the suite with -race as well: some checks call the store from many goroutines.
//
// If the store has a method Close() error, the suite tests it too, and calls it before the cleanup
// of the test does. A [blacklist.Locator] runs each check twice, the second time with look-ups by
// IsRevokedAt. The suite does not test what a store promises beyond the contract, such as surviving
// a crash or noticing that it was emptied.
package blacklisttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Option sets an option of [Run].
type Option func(*config)

type config struct {
	lifetime time.Duration // of entries whose end a check waits for; 0: the suite moves the clock
}

// WithRealClock is for a store whose clock the tests cannot move, such as that of a server. The
// suite passes time.Now as the clock, gives some entries the lifetime, and waits for their end. The
// lifetime must be enough for a hundred calls. Checks that need to move the clock, such as that of
// the exact end, are skipped.
func WithRealClock(lifetime time.Duration) Option {
	return func(c *config) { c.lifetime = lifetime }
}

// Run runs the suite. open returns an empty store that reads the time from clock, and registers its
// cleanup with t.Cleanup. The clock begins in 2030 and only moves forwards. Each check calls open
// at least once.
//
// The sessions of the suite begin after open returned, so a store may refuse older ones.
func Run(t *testing.T, open func(t *testing.T, clock func() time.Time) blacklist.Blacklist, opts ...Option) {
	t.Helper()
	var cfg config
	for _, opt := range opts {
		opt(&cfg)
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if c.moves && cfg.lifetime > 0 {
				t.Skip("the check moves the clock, and the store has a real one")
			}
			opened := func(clock func() time.Time) blacklist.Blacklist { return open(t, clock) }
			if err := c.try(opened, cfg); err != nil {
				t.Errorf("%s\n%v", c.promise, err)
			}
			if err := c.tryLocated(opened, cfg); err != nil && !t.Failed() {
				t.Errorf("with IsRevokedAt: %s\n%v", c.promise, err)
			}
		})
	}
}

// check is one promise of the contract and the steps that test it.
type check struct {
	name    string
	promise string
	moves   bool // needs a clock that the suite moves
	run     func(*harness)
}

// tryLocated is try with the look-ups of a blacklist.Locator, twice: the second time each identity of
// the check is looked up before and after each revocation too. It does nothing with another store.
func (c check) tryLocated(open func(clock func() time.Time) blacklist.Blacklist, cfg config) error {
	var last *located
	var eager []blacklist.Identity
	for range 2 {
		err := c.try(func(clock func() time.Time) blacklist.Blacklist {
			store := open(clock)
			locator := blacklist.LocatorOf(store)
			if locator == nil {
				return store
			}
			last = newLocated(locator, eager)
			return last
		}, cfg)
		if last == nil || err != nil {
			return err // without a Locator: what try returned
		}
		if cfg.lifetime > 0 {
			return nil // the sessions of another try begin at another time
		}
		eager = last.asked()
	}
	return nil
}

// try runs the check on an empty store and returns the error of the first step that failed.
func (c check) try(open func(clock func() time.Time) blacklist.Blacklist, cfg config) error {
	testClock := &clock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	h := &harness{ctx: context.Background(), clock: testClock, now: testClock.read, short: time.Minute}
	if cfg.lifetime > 0 {
		h.realClock, h.short, h.now = true, cfg.lifetime, time.Now
	}
	h.store = open(h.now)
	if h.store == nil {
		return errors.New("open returned no store")
	}
	testClock.set(testClock.now.Add(time.Hour))
	h.base = h.now().Add(time.Second).Truncate(time.Millisecond)
	c.run(h)
	return h.err
}
