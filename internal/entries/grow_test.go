package entries

import (
	"math"
	"testing"
)

// TestGrownHasTheSameEntries: the larger Set has all entries that have not ended, and room for more.
func TestGrownHasTheSameEntries(t *testing.T) {
	const n = 10_000
	set := New(n, Forever)
	for i := range n {
		mustPut(t, set, Entry{keyNumber(i), int64(1 + i%4), int64(i)}, math.MinInt64/2)
	}
	grown := set.Grown(2*n, 1)
	check(t, grown)
	if grown.Len() != n/4*3 {
		t.Errorf("%d entries, want %d", grown.Len(), n/4*3)
	}
	for i := range n {
		slot := grown.Find(keyNumber(i))
		if ended := i%4 == 0; (slot == nil) != ended {
			t.Fatalf("entry %d: ended = %t, found = %t", i, ended, slot != nil)
		} else if slot != nil && !slot.Covers(int64(i%4), int64(i)) {
			t.Fatalf("entry %d has another end or cut-off", i)
		}
	}
	for i := range n {
		mustPut(t, grown, Entry{keyNumber(n + i), hour, Everything}, 0)
	}
	check(t, grown)
}

// TestForeverKeepsEndedEntries: a Set with this grace keeps entries that have ended until SweepEnded
// removes them.
func TestForeverKeepsEndedEntries(t *testing.T) {
	set := New(100, Forever)
	for i := range 100 {
		mustPut(t, set, Entry{keyNumber(i), 1, Everything}, 0)
	}
	if _, ok := set.Put(Entry{keyNumber(100), hour, Everything}, hour); ok || set.SweepSome(hour) || set.Len() != 100 {
		t.Errorf("%d entries are left, want 100 and no room", set.Len())
	}
	if !set.SweepEnded(1) || set.Len() != 0 {
		t.Errorf("%d entries are left after SweepEnded, want none", set.Len())
	}
	check(t, set)
}
