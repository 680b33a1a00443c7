package boltstore

import (
	"math"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// clock reads the time, and protects against a clock that is far ahead for a moment.
//
// It compares two witnesses: the wall clock, and the time that has passed since the first reading,
// which the system counts without regard to the wall clock. It keeps the smallest readings of two
// periods: of the one in progress and of the one before.
type clock struct {
	now func() time.Time
	// elapsed returns the time that passed between two readings. It is Time.Sub, which compares the
	// monotonic readings where both times have one.
	elapsed func(from, to time.Time) time.Duration

	mu    sync.Mutex
	first time.Time
	// begun is when the period in progress began, after the first reading.
	begun         time.Duration
	before, since smallest
	// complete is set when a whole period has passed: then before counts.
	complete bool
}

// smallest are the smallest readings of a period.
type smallest struct {
	wall int64 // milliseconds since 1970
	// ahead is how far the wall clock is ahead of the first reading plus the time that has passed.
	ahead time.Duration
}

const (
	// period is how long a clock has to be ahead until the store believes it, and at most half of
	// the time that it takes to believe it.
	period = 10 * time.Minute
	// readInterval is how often the writer reads the clock, whatever else the store does.
	readInterval = time.Minute
	// tolerance is the largest difference between the witnesses that is no jump: the system may
	// make the wall clock faster to correct it.
	tolerance = time.Second
)

// times is one reading of the clock, in milliseconds since 1970.
type times struct {
	// wall is the time of the wall clock.
	wall int64
	// sure is the time at which entries count as expired: the wall clock, except after it jumped
	// ahead. Then sure goes on as if it had not jumped, until a whole period has passed.
	sure int64
	// removable is the time up to which expired entries and rows are removed: an end at or before
	// it has passed in all readings of at least a whole period.
	removable int64
}

func newClock(now func() time.Time) *clock {
	return &clock{now: now, elapsed: func(from, to time.Time) time.Duration { return to.Sub(from) }}
}

// read returns the times of this moment.
func (c *clock) read() times {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.first.IsZero() {
		c.first = now
		c.since = smallest{math.MaxInt64, math.MaxInt64}
	}
	elapsed := c.elapsed(c.first, now)
	reading := smallest{millis.Floor(now), now.Round(0).Sub(c.first.Round(0)) - elapsed}
	if elapsed-c.begun >= period {
		c.before, c.since, c.begun, c.complete = c.since, reading, elapsed, true
	}
	c.since = c.since.or(reading)
	low := c.since
	if c.complete {
		low = low.or(c.before)
	}
	t := times{wall: reading.wall, sure: reading.wall, removable: math.MinInt64}
	if jump := reading.ahead - low.ahead; jump > tolerance {
		t.sure = millis.Floor(now.Round(0).Add(-jump))
	}
	if c.complete {
		t.removable = min(low.wall, t.sure)
	}
	return t
}

// or returns the smaller readings of both.
func (s smallest) or(other smallest) smallest {
	return smallest{min(s.wall, other.wall), min(s.ahead, other.ahead)}
}
