// Package millis converts times to whole milliseconds since 1970, which the stores keep and
// compare.
//
// Rounding never makes a revoked token pass. Starts of sessions and cut-offs are both rounded down,
// so a session that began before a cut-off is never after it. Ends of entries are rounded up. A
// time that 64 bits cannot represent becomes the earliest or the latest that they can.
package millis

import (
	"math"
	"time"
)

// Never is the end of an entry without an end. All other ends are smaller.
const Never = math.MaxInt64

// maxSeconds is the largest number of seconds, of either sign, whose milliseconds surely fit into
// 64 bits.
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
