package payload

import (
	"math"
	"strconv"
	"testing"
	"time"
)

func TestParseNumericDate(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Instant // None: an error
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
		{"253402300799.999", MaxInstant},
		{"253402300800", None},
		{"0", None},
		{"0.0001", None},
		{"-1", None},
		{"-0", None},
		{"1e400", None},
		{"1e-400", None},
		{"1e300", None},
		{"1e11", 100000000000_000},
		{"1e12", None},
		{"99999999999999999999", None},
		{"9223372036854775807", None},
		{"", None},
		{"1e", None},
		{"1.2.3", None},
		{"abc", None},
	} {
		got, err := ParseNumericDate([]byte(tt.text))
		if got != tt.want || (err != nil) != (tt.want == None) {
			t.Errorf("%q: %d, %v; want %d", tt.text, got, err, tt.want)
		}
	}
}

func FuzzNumericDate(f *testing.F) {
	for _, ms := range []int64{1, 999, 1000, 1700000000123, int64(MaxInstant), -5, math.MaxInt64} {
		f.Add(ms)
	}
	// What is written reads back as the same Instant, to the millisecond, and like strconv reads
	// it.
	f.Fuzz(func(t *testing.T, ms int64) {
		if ms < 1 || ms > int64(MaxInstant) {
			t.Skip("no Instant")
		}
		text := AppendNumericDate(nil, Instant(ms))
		if got, err := ParseNumericDate(text); err != nil || got != Instant(ms) {
			t.Errorf("%s reads as %d, %v; want %d", text, got, err, ms)
		}
		if seconds, err := strconv.ParseFloat(string(text), 64); err != nil || math.Abs(seconds*1000-float64(ms)) > 1 {
			t.Errorf("%s is %f for strconv, want %d ms", text, seconds, ms)
		}
	})
}

func TestInstantSaturates(t *testing.T) {
	for _, d := range []time.Duration{math.MaxInt64, 1000 * time.Hour} {
		if got := MaxInstant.Add(d); got != MaxInstant {
			t.Errorf("MaxInstant + %s is %d", d, got)
		}
	}
	if !None.Time().IsZero() {
		t.Error("None is not the zero time")
	}
}
