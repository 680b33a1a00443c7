package redisstore

import (
	"sync"
	"time"
)

// breaker refuses look-ups for a moment after several have failed one after another, so that a store that is down
// costs each request nothing instead of the whole deadline. When the moment is over it lets a single look-up through,
// the probe; its success closes the breaker.
type breaker struct {
	limit    int // failures in a row that open it; 0: never
	coolDown time.Duration

	mu      sync.Mutex
	fails   int
	until   time.Time // refuse before
	probing bool
}

// outcome is what a look-up says about the store.
type outcome int

const (
	answered  outcome = iota // the store answered, whatever the answer
	failed                   // it did not
	abandoned                // nothing: the caller went away before anybody could tell, or another has told it already
)

// allow reports whether a look-up may start, and whether it is the probe. Whoever may start must call done.
func (b *breaker) allow(now time.Time) (ok, probe bool) {
	if b.limit == 0 {
		return true, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails < b.limit {
		return true, false
	}
	if b.probing || now.Before(b.until) {
		return false, false
	}
	b.probing = true
	return true, true
}

// done records how a look-up ended. It reports whether that opened or closed the breaker.
func (b *breaker) done(o outcome, probe bool, now time.Time) (opened, closed bool) {
	if b.limit == 0 {
		return false, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	switch o {
	case answered:
		closed = b.fails >= b.limit
		b.fails = 0
	case failed:
		if b.fails < b.limit {
			b.fails++
			opened = b.fails == b.limit
		}
		if b.fails == b.limit {
			b.until = now.Add(b.coolDown)
		}
	case abandoned:
	}
	return opened, closed
}
