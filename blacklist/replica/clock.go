package replica

import "time"

// clock reads the wall clock and the monotonic clock.
type clock struct {
	// Both are nil for the clocks of the process, which one call of time.Now reads.
	wall      func() time.Time
	monotonic func() time.Duration
	base      time.Time
}

func newClock() clock { return clock{base: time.Now()} }

// instant is a reading of both clocks.
type instant struct{ wall, monotonic int64 } // nanoseconds

func (c *clock) now() instant {
	if c.wall == nil && c.monotonic == nil {
		t := time.Now()
		return instant{t.UnixNano(), int64(t.Sub(c.base))}
	}
	return c.injected()
}

func (c *clock) injected() instant {
	t := time.Now()
	i := instant{t.UnixNano(), int64(t.Sub(c.base))}
	if c.wall != nil {
		i.wall = c.wall().UnixNano()
	}
	if c.monotonic != nil {
		i.monotonic = int64(c.monotonic())
	}
	return i
}

// since returns the larger of the times that the two clocks show since began. The monotonic clock
// stands still while a machine is suspended. The wall clock may be set back.
func (i instant) since(began instant) time.Duration {
	return time.Duration(max(i.monotonic-began.monotonic, i.wall-began.wall))
}

// atLeastSince returns the smaller of the two, or 0 if a clock went back.
func (i instant) atLeastSince(began instant) time.Duration {
	return time.Duration(max(0, min(i.monotonic-began.monotonic, i.wall-began.wall)))
}

// millis returns the wall time in milliseconds since 1970.
func (i instant) millis() int64 { return i.wall / 1_000_000 }

// freshness says how much of the store the copy contains. It is not changed after it was stored.
type freshness struct {
	// began is when the last complete read began: all that was recorded before is in the copy.
	began instant
	// overflows is how many entries had not fitted into the copy when the snapshot of these reads
	// began. The snapshot brought them again.
	overflows uint64
	// feedTime is the time of the feed in milliseconds, and read when it was known here.
	feedTime int64
	read     instant
}

// unknownTime is the time of a feed that was not read yet: before everything.
const unknownTime = -1 << 62

// time returns the time, in milliseconds, by which entries end: the earlier of the feed's and that
// of the process. Time that has passed since the read is added, as far as both clocks show it.
func (f *freshness) time(now instant) int64 {
	if f == nil {
		return unknownTime
	}
	return min(f.feedTime+f.atLeast(now), now.millis())
}

func (f *freshness) atLeast(now instant) int64 { return now.atLeastSince(f.read).Milliseconds() }
