// Package blacklisttest holds the tests that every implementation of [blacklist.Blacklist] passes. A store's own tests
// call it once:
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
// Each check stands for a sentence of the contract, opens an empty store of its own, and is a subtest, so that
// go test -run picks one. Run with -race too: some of the checks call the store from many goroutines.
//
// Where the store has a method Close() error, it is checked as well; it may then be called once more by whoever opened
// the store. What a store promises beyond the contract, such as to survive a crash, its own tests have to show.
package blacklisttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Option changes how [Run] treats a store.
type Option func(*config)

type config struct {
	short time.Duration
}

// OwnClock is for a store whose entries expire by a clock that the tests cannot move, such as a server's. The suite then
// hands out time.Now, lets some entries live for the given time, which must be ample for a hundred calls, and waits for
// their end. What only a moving clock shows, such as the exact boundary, is skipped.
func OwnClock(short time.Duration) Option {
	return func(c *config) { c.short = short }
}

// Run runs the suite. open returns an empty store that reads the time from clock, which begins in 2030 and moves
// only forwards; it registers what cleans up with t.Cleanup. It is called once or more for each check.
//
// The suite's sessions begin after the store was opened, so that a store may refuse older ones.
func Run(t *testing.T, open func(t *testing.T, clock func() time.Time) blacklist.Blacklist, opts ...Option) {
	t.Helper()
	var cfg config
	for _, opt := range opts {
		opt(&cfg)
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if c.moving && cfg.short > 0 {
				t.Skip("the store has a clock of its own")
			}
			if err := c.try(func(clock func() time.Time) blacklist.Blacklist { return open(t, clock) }, cfg); err != nil {
				t.Errorf("%s\n%v", c.says, err)
			}
		})
	}
}

// check is one promise and the steps that show it.
type check struct {
	name   string
	says   string
	moving bool // needs a clock that the suite moves
	run    func(*scene)
}

func (c check) try(open func(clock func() time.Time) blacklist.Blacklist, cfg config) error {
	clk := &clock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	s := &scene{ctx: context.Background(), clock: clk, short: time.Minute, own: cfg.short > 0}
	now := clk.read
	if s.own {
		s.short, now = cfg.short, time.Now
	}
	s.now = now
	s.store = open(now)
	if s.store == nil {
		return errors.New("open returned no store")
	}
	clk.set(clk.now.Add(time.Hour))
	s.base = now().Add(time.Second).Truncate(time.Millisecond)
	c.run(s)
	return s.err
}

// clock is the one that the suite moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// scene is a store with a clock, and what the first failed step found: the steps after it do nothing.
type scene struct {
	ctx   context.Context
	store blacklist.Blacklist
	clock *clock
	now   func() time.Time
	own   bool          // the store has a clock of its own
	short time.Duration // how long entries live whose end the check sees
	base  time.Time     // sessions begin here or later; whole milliseconds
	moved bool          // the clock was moved, or time was waited for
	err   error
}

const (
	verifier = "verifier"
	// mark is in every id, so that errors can be searched for ids.
	mark = "q9Xw"
	// long is how long entries live whose end the check does not see, unless it moves the clock.
	long = 24 * time.Hour
)

// id returns the identity of a token with a session and a subject of its own.
func (s *scene) id(name string) blacklist.Identity {
	return blacklist.Identity{
		Verifier: verifier, ID: mark + name, Session: mark + name, Subject: mark + name, SessionStart: s.base,
	}
}

// in returns the instant so much from now.
func (s *scene) in(d time.Duration) time.Time { return s.now().Add(d) }

func (s *scene) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

// revoke expects r to be recorded, and whether it was in force before.
func (s *scene) revoke(r blacklist.Revocation, before bool) {
	if s.err != nil {
		return
	}
	got, err := s.store.Revoke(s.ctx, r)
	switch {
	case err != nil:
		s.fail("Revoke(%s): %v", show(r), err)
	case got != before:
		s.fail("Revoke(%s) reports before=%t, want %t", show(r), got, before)
	}
}

// invalid expects r to be refused.
func (s *scene) invalid(why string, r blacklist.Revocation) {
	if s.err != nil {
		return
	}
	before, err := s.store.Revoke(s.ctx, r)
	s.private(err)
	switch {
	case !errors.Is(err, blacklist.ErrInvalid):
		s.fail("%s: Revoke(%s) returned the error %v, want one that is ErrInvalid", why, show(r), err)
	case before:
		s.fail("%s: Revoke(%s) reports before=true beside its error", why, show(r))
	}
}

// refuses expects the token to be revoked.
func (s *scene) refuses(why string, id blacklist.Identity) {
	if s.err != nil {
		return
	}
	revoked, err := s.store.IsRevoked(s.ctx, id)
	if err != nil || !revoked {
		s.fail("%s: IsRevoked(%s) = %t, %v; want true", why, showID(id), revoked, err)
	}
}

// passes expects the token not to be revoked.
func (s *scene) passes(why string, id blacklist.Identity) {
	if s.err != nil {
		return
	}
	revoked, err := s.store.IsRevoked(s.ctx, id)
	for deadline := time.Now().Add(10 * time.Second); revoked && s.own && s.moved && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond) // the store's clock may be behind
		revoked, err = s.store.IsRevoked(s.ctx, id)
	}
	if err != nil || revoked {
		s.fail("%s: IsRevoked(%s) = %t, %v; want false", why, showID(id), revoked, err)
	}
}

// answers expects one of the two.
func (s *scene) answers(revoked bool, why string, id blacklist.Identity) {
	if revoked {
		s.refuses(why, id)
	} else {
		s.passes(why, id)
	}
}

// errs expects an error, that of the context or the store, which is neither yes nor no.
func (s *scene) errs(why string, want error, got bool, err error) {
	s.private(err)
	switch {
	case err == nil:
		s.fail("%s: no error, but %t", why, got)
	case got:
		s.fail("%s: true beside the error %v", why, err)
	case !errors.Is(err, want):
		s.fail("%s: the error is %v, want one that is %v", why, err, want)
	}
}

// private expects no id in the text of an error.
func (s *scene) private(err error) {
	if err != nil && strings.Contains(err.Error(), mark) {
		s.fail("an error's text holds an id: %.200q", err.Error())
	}
}

// at moves the clock to t, or waits for it.
func (s *scene) at(t time.Time) {
	if s.err != nil {
		return
	}
	s.moved = true
	if !s.own {
		s.clock.set(t)
		return
	}
	time.Sleep(time.Until(t))
}

func show(r blacklist.Revocation) string {
	text := fmt.Sprintf("%s %s", r.Kind, showID(r.Identity))
	if !r.CutOff.IsZero() {
		text += " cut off at " + showTime(r.CutOff)
	}
	if r.Until.IsZero() {
		return text + " for ever"
	}
	return text + " until " + showTime(r.Until)
}

func showID(id blacklist.Identity) string {
	return fmt.Sprintf("{verifier %.40q id %.40q session %.40q subject %.40q start %s}",
		id.Verifier, id.ID, id.Session, id.Subject, showTime(id.SessionStart))
}

func showTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999999") }
