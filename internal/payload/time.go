//go:build ignore

package security

import (
	"errors"
	"strconv"
	"time"
)

// instant is a point in time in milliseconds since 1970, or none. Every time in a token is kept like this: exact, small
// and comparable, and never a float.
type instant int64

// none is the instant of a claim that is absent. 1970 itself is no time that a token may name.
const none instant = 0

// maxInstant is the last millisecond of the year 9999: what RFC 3339 can still write.
const maxInstant instant = 253402300799_999

func instantOf(t time.Time) instant { return instant(t.UnixMilli()) }

// Time returns the instant in UTC; none is the zero time.
func (i instant) Time() time.Time {
	if i == none {
		return time.Time{}
	}
	return time.UnixMilli(int64(i)).UTC()
}

// add saturates at maxInstant, so that no long lifetime turns into the past.
func (i instant) add(d time.Duration) instant {
	sum := i + instant(d.Milliseconds())
	if sum > maxInstant || (d > 0 && sum < i) {
		return maxInstant
	}
	return sum
}

// appendNumericDate writes the instant as a NumericDate (RFC 7519, section 2): seconds, with three decimals only where
// they are not zero.
func appendNumericDate(b []byte, i instant) []byte {
	b = strconv.AppendInt(b, int64(i)/1000, 10)
	if ms := int64(i) % 1000; ms != 0 {
		b = append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	return b
}

var errNumericDate = errors.New("not a time between 1970 and 9999")

// parseNumericDate reads a NumericDate from the text of a JSON number, digit by digit: a float would shift it. Digits
// below the millisecond are dropped. Zero, negative times and times after the year 9999 are errors.
func parseNumericDate(number []byte) (instant, error) {
	var (
		value    int64 // the digits so far
		decimals int   // how many of them stand behind the point
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
			return none, errNumericDate
		case value > int64(maxInstant):
			// No instant has this many digits in front; behind the point they are below what is kept.
			if !point {
				return none, errNumericDate
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
			return none, errNumericDate
		}
	}
	for shift := exponent - decimals + 3; shift != 0; {
		if shift > 0 {
			if value > int64(maxInstant)/10 {
				return none, errNumericDate
			}
			value *= 10
			shift--
		} else {
			value /= 10
			shift++
		}
	}
	if value <= 0 || value > int64(maxInstant) {
		return none, errNumericDate
	}
	return instant(value), nil
}
