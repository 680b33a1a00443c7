// Package payload reads and writes what a token says: its claims, its times and the layouts in
// which different issuers write them. It decides nothing: the verifier of package security does.
package payload

import (
	"errors"
	"strconv"
	"time"
)

// Instant is a point in time in milliseconds since 1970, or [None]. Every time of a token has this
// type: it is exact, small and comparable, and never a float.
type Instant int64

// None is the instant of a claim that is absent. No token may name the start of 1970 itself.
const None Instant = 0

// MaxInstant is the last millisecond of the year 9999, the last year that RFC 3339 can write.
const MaxInstant Instant = 253402300799_999

// InstantOf returns the instant of a time, rounded down to the millisecond.
func InstantOf(t time.Time) Instant { return Instant(t.UnixMilli()) }

// Time returns the instant in UTC. None is the zero time.
func (i Instant) Time() time.Time {
	if i == None {
		return time.Time{}
	}
	return time.UnixMilli(int64(i)).UTC()
}

// Add returns i+d. It stops at MaxInstant, so that no long lifetime wraps around into the past.
func (i Instant) Add(d time.Duration) Instant {
	sum := i + Instant(d.Milliseconds())
	if sum > MaxInstant || (d > 0 && sum < i) {
		return MaxInstant
	}
	return sum
}

// Seconds returns the instant rounded down to whole seconds.
func (i Instant) Seconds() Instant { return i - i%1000 }

// AppendNumericDate writes the instant as a NumericDate (RFC 7519, section 2): seconds, with three
// decimals where they are not zero.
func AppendNumericDate(b []byte, i Instant) []byte {
	b = strconv.AppendInt(b, int64(i)/1000, 10)
	if ms := int64(i) % 1000; ms != 0 {
		b = append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	return b
}

var errNumericDate = errors.New("not a time between 1970 and 9999")

// ParseNumericDate reads a NumericDate from the text of a JSON number. It reads the digits itself,
// because a float would shift the time. Digits below the millisecond are dropped. Zero, negative
// times and times after the year 9999 are errors.
func ParseNumericDate(number []byte) (Instant, error) {
	var (
		value    int64 // the digits so far
		decimals int   // how many of them are behind the point
		i        int
		point    bool
	)
	for ; i < len(number) && number[i] != 'e' && number[i] != 'E'; i++ {
		c := number[i]
		switch {
		case c == '.' && !point:
			point = true
			continue
		case c < '0' || c > '9':
			return None, errNumericDate
		case value > int64(MaxInstant):
			// No instant has this many digits before the point. Behind it they are below a
			// millisecond.
			if !point {
				return None, errNumericDate
			}
			continue
		}
		value = value*10 + int64(c-'0')
		if point {
			decimals++
		}
	}
	exponent := 0
	if i < len(number) {
		var err error
		if exponent, err = strconv.Atoi(string(number[i+1:])); err != nil || exponent < -30 || exponent > 30 {
			return None, errNumericDate
		}
	}
	for shift := exponent - decimals + 3; shift != 0; {
		if shift > 0 {
			if value > int64(MaxInstant)/10 {
				return None, errNumericDate
			}
			value *= 10
			shift--
		} else {
			value /= 10
			shift++
		}
	}
	if value <= 0 || value > int64(MaxInstant) {
		return None, errNumericDate
	}
	return Instant(value), nil
}
