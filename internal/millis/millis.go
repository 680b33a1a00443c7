// Package millis turns instants into whole milliseconds since 1970, as the stores keep and compare them.
//
// Rounding never lets a revoked token pass: starts of sessions and cut-offs are rounded down both, so that the order of
// two instants is never turned around, and the ends of entries are rounded up. Instants that a 64-bit count cannot hold
// become the first or the last that it can.
package millis

import (
	"math"
	"time"
)

// Never is the end of an entry that has none. No other end is that large.
const Never = math.MaxInt64

// maxSeconds is where a count of milliseconds nears its end; seconds since 1970, either sign.
const maxSeconds = math.MaxInt64/1000 - 1

// Floor returns the last whole millisecond at or before t.
func Floor(t time.Time) int64 {
	switch seconds := t.Unix(); {
	case seconds > maxSeconds:
		return math.MaxInt64 - 1
	case seconds < -maxSeconds:
		return math.MinInt64
	}
	return t.UnixMilli()
}

// Ceil returns the first whole millisecond at or after t.
func Ceil(t time.Time) int64 {
	ms := Floor(t)
	if ms < math.MaxInt64-1 && t.Nanosecond()%int(time.Millisecond) != 0 {
		ms++
	}
	return ms
}

// Until returns the end of an entry: Never for the zero time, else t rounded up.
func Until(t time.Time) int64 {
	if t.IsZero() {
		return Never
	}
	return Ceil(t)
}
