package boltstore

import (
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// twoClocks are a wall clock that tests set, and the time that passes without regard to it.
type twoClocks struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
}

func newTwoClocks() *twoClocks { return &twoClocks{wall: time.Now().Round(0)} }

func (c *twoClocks) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

// pass lets time pass on both clocks.
func (c *twoClocks) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.elapsed = c.wall.Add(d), c.elapsed+d
}

// set changes only the wall clock.
func (c *twoClocks) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// use makes the store use both clocks. It is called before the first request.
func (c *twoClocks) use(s *Store) {
	begun := c.elapsed
	s.clock.elapsed = func(time.Time, time.Time) time.Duration {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.elapsed - begun
	}
}

const days = 24 * time.Hour

func TestClockReadings(t *testing.T) {
	type step struct {
		pass, set time.Duration
		// sure and removable are relative to the wall clock at the beginning. no is for nothing
		// that may be removed yet.
		sure, removable time.Duration
	}
	const no = -1000 * days
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{name: "no jump", steps: []step{
			{removable: no},
			{pass: period - 1, sure: period - 1, removable: no},
			{pass: 1, sure: period, removable: 0},
			{pass: period, sure: 2 * period, removable: period},
			{pass: time.Hour, sure: 2*period + time.Hour, removable: 2 * period},
		}},
		{name: "ahead for a moment", steps: []step{
			{removable: no},
			{pass: period, sure: period, removable: 0},
			{set: 60 * days, sure: period, removable: 0},
			{pass: time.Minute, sure: period + time.Minute, removable: 0},
			{set: -60 * days, sure: period + time.Minute, removable: 0},
			{pass: period, sure: 2*period + time.Minute, removable: period},
		}},
		{name: "ahead while no time was read", steps: []step{
			{removable: no},
			{pass: days, sure: days, removable: 0},
			{pass: days, set: 60 * days, sure: 2 * days, removable: days},
			{set: -60 * days, sure: 2 * days, removable: days},
		}},
		{name: "ahead for good", steps: []step{
			{removable: no},
			{pass: period, sure: period, removable: 0},
			{set: 60 * days, sure: period, removable: 0},
			{pass: period, sure: 2 * period, removable: period},
			{pass: period, sure: 60*days + 3*period, removable: 60*days + 2*period},
		}},
		{name: "back for good", steps: []step{
			{removable: no},
			{pass: period, sure: period, removable: 0},
			{set: -days, sure: period - days, removable: period - days},
			{pass: period, sure: 2*period - days, removable: period - days},
		}},
		{name: "less than the tolerance", steps: []step{
			{removable: no},
			{set: tolerance, sure: tolerance, removable: no},
		}},
		{name: "more than the tolerance", steps: []step{
			{removable: no},
			{set: tolerance + time.Millisecond, sure: 0, removable: no},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clocks := newTwoClocks()
			clocks.wall = time.UnixMilli(1_900_000_000_000)
			c := newClock(clocks.now)
			c.elapsed = func(time.Time, time.Time) time.Duration { return clocks.elapsed }
			base := clocks.wall.UnixMilli()
			for i, s := range tt.steps {
				clocks.pass(s.pass)
				clocks.set(s.set)
				got := c.read()
				if got.wall != clocks.wall.UnixMilli() {
					t.Errorf("step %d: wall = %d", i, got.wall)
				}
				if want := base + s.sure.Milliseconds(); got.sure != want {
					t.Errorf("step %d: sure is %s after the beginning, want %s", i, time.Duration(got.sure-base)*time.Millisecond, s.sure)
				}
				if want := base + s.removable.Milliseconds(); s.removable != no && got.removable != want || s.removable == no && got.removable > base+no.Milliseconds() {
					t.Errorf("step %d: removable is %d ms after the beginning, want %s", i, got.removable-base, s.removable)
				}
			}
		})
	}
}

// TestClockAheadForAMoment sets the clock 60 days ahead while other revocations and sessions are
// written, and back: nothing is forgotten, neither meanwhile nor afterwards.
func TestClockAheadForAMoment(t *testing.T) {
	clocks := newTwoClocks()
	path := newPath(t)
	s := open(t, path, WithClock(clocks.now))
	clocks.use(s)
	start := clocks.now()
	subject := session.Subject{Issuer: "v", Name: "u"}
	row := benchRow(subject, 1)
	row.Began, row.End, row.IdleDeadline = start, start.Add(time.Hour), start.Add(time.Hour)
	putRows(t, s, row)
	revokeAndCheck := func(when string) {
		t.Helper()
		for i := range 3 {
			revoke(t, s, token(when+string(rune('a'+i))), clocks.now().Add(90*days))
			other := benchRow(session.Subject{Issuer: "v", Name: when}, i)
			other.End, other.IdleDeadline = clocks.now().Add(time.Hour), clocks.now().Add(time.Hour)
			putRows(t, s, other)
		}
		if !revoked(t, s, token("hour")) {
			t.Errorf("%s: the token is not revoked", when)
		}
		if revoked(t, s, cutOffID(start)) || !revoked(t, s, cutOffID(start.Add(-time.Minute))) {
			t.Errorf("%s: the cut-off is another one", when)
		}
		if _, found := getSession(t, s, subject, row.ID); !found {
			t.Errorf("%s: the session is forgotten", when)
		}
	}
	revoke(t, s, token("hour"), start.Add(time.Hour))
	cutOff(t, s, start.Add(-time.Minute), start.Add(time.Hour))
	revokeAndCheck("before")
	clocks.pass(2 * period)
	revokeAndCheck("later")
	clocks.set(60 * days)
	// A lower cut-off that ends later must not replace the one that seems to have expired.
	cutOff(t, s, start.Add(-2*time.Minute), clocks.now().Add(time.Hour))
	revokeAndCheck("ahead")
	clocks.pass(time.Minute)
	revokeAndCheck("still ahead")
	clocks.set(-60 * days)
	revokeAndCheck("back")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, WithClock(clocks.now))
	clocks.use(s)
	revokeAndCheck("reopened")
}

// cutOffID returns the identity of a session of one subject that began then.
func cutOffID(start time.Time) blacklist.Identity {
	return blacklist.Identity{Issuer: "v", ID: "t", Session: "s", Subject: "cut off", SessionStart: start.Add(time.Hour)}
}

// cutOff revokes the sessions of the subject of cutOffID.
func cutOff(t *testing.T, s *Store, start, until time.Time) {
	t.Helper()
	if _, err := s.Revoke(t.Context(), blacklist.OfSubject("v", "cut off", start.Add(time.Hour), until)); err != nil {
		t.Fatal(err)
	}
}

// TestClockAheadWithoutMonotonicReadings sets an injected clock ahead and back. Its times are all
// that the store has.
func TestClockAheadWithoutMonotonicReadings(t *testing.T) {
	clocks := newTwoClocks()
	s := open(t, newPath(t), WithClock(clocks.now))
	revoke(t, s, token("hour"), clocks.now().Add(time.Hour))
	clocks.set(60 * days)
	for range 3 {
		revoke(t, s, token("other"), clocks.now().Add(time.Hour))
	}
	clocks.set(-60 * days)
	if !revoked(t, s, token("hour")) {
		t.Error("the token is not revoked after the clock was set back")
	}
}
