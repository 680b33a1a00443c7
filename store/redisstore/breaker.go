package redisstore

import (
	"sync"
	"time"
)

// breaker refuses look-ups for a while after several failures in a row. So requests fail at once
// while the store is down, instead of waiting for the deadline. After the cool-down it allows one
// look-up at a time, the probe. A successful probe closes the breaker.
type breaker struct {
	limit    int // failures in a row that open the breaker; 0: it never opens
	coolDown time.Duration

	mu       sync.Mutex
	failures int
	until    time.Time // refuses look-ups before this time
	probing  bool
}

// breakerOutcome is what a look-up tells about the store.
type breakerOutcome int

const (
	answered  breakerOutcome = iota // the store answered
	failed                          // the store did not answer
	abandoned                       // neither: the caller left, or another look-up reports the failure
)

// allow reports whether a look-up may start, and whether it is the probe. Each allowed look-up
// calls done.
func (b *breaker) allow(now time.Time) (allowed, probe bool) {
	if b.limit == 0 {
		return true, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < b.limit {
		return true, false
	}
	if b.probing || now.Before(b.until) {
		return false, false
	}
	b.probing = true
	return true, true
}

// done records how a look-up ended. It reports whether this opened or closed the breaker.
func (b *breaker) done(result breakerOutcome, probe bool, now time.Time) (opened, closed bool) {
	if b.limit == 0 {
		return false, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	switch result {
	case answered:
		closed = b.failures >= b.limit
		b.failures = 0
	case failed:
		if b.failures < b.limit {
			b.failures++
			opened = b.failures == b.limit
		}
		if b.failures == b.limit {
			b.until = now.Add(b.coolDown)
		}
	case abandoned:
	}
	return opened, closed
}
