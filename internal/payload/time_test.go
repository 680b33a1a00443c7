//go:build ignore

package security

import (
	"math"
	"strconv"
	"testing"
	"time"
)

func TestParseNumericDate(t *testing.T) {
	for _, tt := range []struct {
		text string
		want instant // none: an error
	}{
		{"1700000000", 1700000000_000},
		{"1700000000.0", 1700000000_000},
		{"1700000000.5", 1700000000_500},
		{"1700000000.123", 1700000000_123},
		{"1700000000.1239999999999999999999999", 1700000000_123},
		{"0.001", 1},
		{"1.7e9", 1700000000_000},
		{"1.7E+9", 1700000000_000},
		{"17000000000e-1", 1700000000_000},
		{"253402300799.999", maxInstant},
		{"253402300800", none},
		{"0", none},
		{"0.0001", none},
		{"-1", none},
		{"-0", none},
		{"1e400", none},
		{"1e-400", none},
		{"1e300", none},
		{"1e11", 100000000000_000},
		{"1e12", none},
		{"99999999999999999999", none},
		{"9223372036854775807", none},
		{"", none},
		{"1e", none},
		{"1.2.3", none},
		{"abc", none},
	} {
		got, err := parseNumericDate([]byte(tt.text))
		if got != tt.want || (err != nil) != (tt.want == none) {
			t.Errorf("%q: %d, %v; want %d", tt.text, got, err, tt.want)
		}
	}
}

func FuzzNumericDate(f *testing.F) {
	for _, ms := range []int64{1, 999, 1000, 1700000000123, int64(maxInstant), -5, math.MaxInt64} {
		f.Add(ms)
	}
	// What is written reads back as the same instant, to the millisecond, and like strconv reads it.
	f.Fuzz(func(t *testing.T, ms int64) {
		if ms < 1 || ms > int64(maxInstant) {
			t.Skip("no instant")
		}
		text := appendNumericDate(nil, instant(ms))
		if got, err := parseNumericDate(text); err != nil || got != instant(ms) {
			t.Errorf("%s reads as %d, %v; want %d", text, got, err, ms)
		}
		if seconds, err := strconv.ParseFloat(string(text), 64); err != nil || math.Abs(seconds*1000-float64(ms)) > 1 {
			t.Errorf("%s is %f for strconv, want %d ms", text, seconds, ms)
		}
	})
}

func TestInstantSaturates(t *testing.T) {
	for _, d := range []time.Duration{math.MaxInt64, 1000 * time.Hour} {
		if got := maxInstant.add(d); got != maxInstant {
			t.Errorf("maxInstant + %s is %d", d, got)
		}
	}
	if !none.Time().IsZero() {
		t.Error("none is not the zero time")
	}
}
