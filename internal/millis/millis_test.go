package millis

import (
	"math"
	"testing"
	"time"
)

const wholeMillis = 1_700_000_000_000

func TestFloorRoundsDownAndCeilRoundsUp(t *testing.T) {
	whole := time.UnixMilli(wholeMillis)
	for _, tt := range []struct {
		name      string
		time      time.Time
		wantFloor int64
		wantCeil  int64
	}{
		{name: "whole millisecond", time: whole, wantFloor: wholeMillis, wantCeil: wholeMillis},
		{name: "a nanosecond after", time: whole.Add(1), wantFloor: wholeMillis, wantCeil: wholeMillis + 1},
		{name: "a nanosecond before", time: whole.Add(-1), wantFloor: wholeMillis - 1, wantCeil: wholeMillis},
		{name: "begin of 1970", time: time.Unix(0, 0), wantFloor: 0, wantCeil: 0},
		{name: "before 1970", time: time.Unix(0, -1), wantFloor: -1, wantCeil: 0},
		{name: "zero time", time: time.Time{}, wantFloor: -62135596800000, wantCeil: -62135596800000},
		{name: "too late for 64 bits", time: time.Unix(1<<60, 1), wantFloor: math.MaxInt64 - 1, wantCeil: math.MaxInt64 - 1},
		{name: "too early for 64 bits", time: time.Unix(-1<<60, 1), wantFloor: math.MinInt64, wantCeil: math.MinInt64 + 1},
		{name: "another time zone", time: whole.In(time.FixedZone("", 3600)), wantFloor: wholeMillis, wantCeil: wholeMillis},
	} {
		if got := Floor(tt.time); got != tt.wantFloor {
			t.Errorf("%s: Floor = %d, want %d", tt.name, got, tt.wantFloor)
		}
		if got := Ceil(tt.time); got != tt.wantCeil {
			t.Errorf("%s: Ceil = %d, want %d", tt.name, got, tt.wantCeil)
		}
	}
}

func TestUntilIsNeverForTheZeroTimeOnly(t *testing.T) {
	for _, tt := range []struct {
		name string
		time time.Time
		want int64
	}{
		{name: "zero time", time: time.Time{}, want: Never},
		{name: "rounded up", time: time.UnixMilli(wholeMillis).Add(1), want: wholeMillis + 1},
		{name: "too late for 64 bits", time: time.Unix(1<<60, 0), want: Never - 1},
	} {
		if got := Until(tt.time); got != tt.want {
			t.Errorf("%s: Until = %d, want %d", tt.name, got, tt.want)
		}
	}
}
