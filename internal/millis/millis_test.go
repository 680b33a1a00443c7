package millis

import (
	"math"
	"testing"
	"time"
)

func TestRounding(t *testing.T) {
	base := time.UnixMilli(1_700_000_000_000)
	for _, tt := range []struct {
		name        string
		t           time.Time
		floor, ceil int64
	}{
		{"whole", base, 1_700_000_000_000, 1_700_000_000_000},
		{"a nanosecond more", base.Add(1), 1_700_000_000_000, 1_700_000_000_001},
		{"a nanosecond less", base.Add(-1), 1_699_999_999_999, 1_700_000_000_000},
		{"1970", time.Unix(0, 0), 0, 0},
		{"before 1970", time.Unix(0, -1), -1, 0},
		{"the zero time", time.Time{}, -62135596800000, -62135596800000},
		{"too late to count", time.Unix(1<<60, 1), math.MaxInt64 - 1, math.MaxInt64 - 1},
		{"too early to count", time.Unix(-1<<60, 1), math.MinInt64, math.MinInt64 + 1},
		{"elsewhere", base.In(time.FixedZone("", 3600)), 1_700_000_000_000, 1_700_000_000_000},
	} {
		if got := Floor(tt.t); got != tt.floor {
			t.Errorf("Floor of %s = %d, want %d", tt.name, got, tt.floor)
		}
		if got := Ceil(tt.t); got != tt.ceil {
			t.Errorf("Ceil of %s = %d, want %d", tt.name, got, tt.ceil)
		}
	}
	if Until(time.Time{}) != Never || Until(time.Unix(1<<60, 0)) == Never || Until(base.Add(1)) != 1_700_000_000_001 {
		t.Error("only the zero time is never")
	}
}
