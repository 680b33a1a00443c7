package entries

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

const (
	token = 1 // a kind
	hour  = int64(3_600_000)
)

// keyNumber returns the key of the i-th entry: hashes as far as a Set can tell.
func keyNumber(i int) Key {
	random := rand.New(rand.NewPCG(uint64(i), 1))
	return MakeKey(token, random.Uint64(), random.Uint64())
}

func mustPut(t testing.TB, set *Set, e Entry, now int64) {
	t.Helper()
	if _, ok := set.Put(e, now); !ok {
		t.Fatal("the set is full")
	}
}

func check(t testing.TB, set *Set) {
	t.Helper()
	if err := Check(set); err != nil {
		t.Fatal(err)
	}
}

// TestFilterExcludesAbsentKeys: the filter of a full Set passes all its keys and few others.
func TestFilterExcludesAbsentKeys(t *testing.T) {
	const capacity, tries = 12 << 10, 100_000
	set := New(capacity, 0)
	for i := range capacity {
		mustPut(t, set, Entry{keyNumber(i), hour, Everything}, 0)
	}
	passed := func(from, n int) (passed int) {
		for i := range n {
			if set.MayContain(keyNumber(from + i).Place) {
				passed++
			}
		}
		return passed
	}
	if n := passed(0, capacity); n != capacity {
		t.Errorf("the filter excludes %d entries", capacity-n)
	}
	n := passed(-tries, tries)
	t.Logf("%.2f %% of the absent keys pass", 100*float64(n)/tries)
	if n > tries/50 {
		t.Error("more than 2 % of the absent keys pass")
	}
	for range set.Shards() {
		set.SweepSome(hour)
	}
	for _, words := range set.filter.words {
		for i := range words {
			if words[i].Load() != 0 {
				t.Fatal("the filter of an empty Set is not empty")
			}
		}
	}
}

// TestExpiredEntryMakesRoom fills a small Set: the entry that ends first is removed, whatever the
// order of the calls. After an entry was prolonged, later calls do not search for its old end.
func TestExpiredEntryMakesRoom(t *testing.T) {
	const minute = hour / 60
	set := New(2, 0)
	mustPut(t, set, Entry{keyNumber(1), hour, Everything}, 0)
	mustPut(t, set, Entry{keyNumber(2), minute, Everything}, 0)
	mustPut(t, set, Entry{keyNumber(3), 2 * minute, Everything}, minute)
	mustPut(t, set, Entry{keyNumber(3), 2 * hour, Everything}, minute)
	if _, ok := set.Put(Entry{keyNumber(4), math.MaxInt64, Everything}, 2*minute); ok {
		t.Fatal("a third entry was recorded")
	}
	if end := set.shards[0].soonest.Load(); end != hour {
		t.Errorf("soonest is %d, want the end of the first entry", end)
	}
	if set.Find(keyNumber(1)) == nil || set.Find(keyNumber(2)) != nil || set.Find(keyNumber(3)) == nil {
		t.Error("the wrong entry was removed")
	}
	check(t, set)
}

// TestShardsAreSmall: the longest step of any call moves a whole shard. BenchmarkMove measures it.
func TestShardsAreSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("takes too long: a million entries")
	}
	set := New(10_000_000, 0)
	for i := range 1_000_000 {
		mustPut(t, set, Entry{keyNumber(i), hour, Everything}, 0)
	}
	for i := range set.shards {
		if tab := set.shards[i].table.Load(); len(tab.slots) > 1024 {
			t.Errorf("a shard has %d slots, want at most 1024", len(tab.slots))
		}
	}
}

// TestEntriesWithTheSamePlaceAreFound has many names with one place.
func TestEntriesWithTheSamePlaceAreFound(t *testing.T) {
	set := New(100, 0)
	const place = 0x123456789abcdef0
	if set.FindPlace(token, place) != nil {
		t.Error("an empty set has a place")
	}
	for i := range uint64(20) {
		for kind := uint8(1); kind <= 4; kind++ {
			if i == 0 && set.FindPlace(kind, place) != nil {
				t.Errorf("the place of another kind was found as kind %d", kind)
			}
			mustPut(t, set, Entry{MakeKey(kind, i<<3, place), hour, int64(i)}, 0)
		}
	}
	for i := range uint64(20) {
		for kind := uint8(1); kind <= 4; kind++ {
			s := set.Find(MakeKey(kind, i<<3, place))
			if s == nil || s.Key() != MakeKey(kind, i<<3, place) {
				t.Fatalf("entry %d of kind %d: wrong slot", i, kind)
			}
			if until, cutOff := s.Load(); until != hour || cutOff != int64(i) {
				t.Errorf("entry %d of kind %d: until %d, cut-off %d", i, kind, until, cutOff)
			}
		}
	}
	for kind := uint8(1); kind <= 4; kind++ {
		if s := set.FindPlace(kind, place); s == nil || s.Key().kind() != kind || s.Key().Place != place {
			t.Errorf("FindPlace returns a slot of another kind than %d", kind)
		}
	}
	if set.Has(5) || !set.Has(4) {
		t.Error("the kinds are counted wrong")
	}
	check(t, set)
}

// TestConcurrentPutsAreAllFound puts from many goroutines while entries expire and shards move.
func TestConcurrentPutsAreAllFound(t *testing.T) {
	const callers, each = 8, 2000
	set := New(callers*each*2, 0)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c * each; i < (c+1)*each; i++ {
				mustPut(t, set, Entry{keyNumber(i), math.MaxInt64, Everything}, int64(i))
				mustPut(t, set, Entry{keyNumber(-1 - i), int64(i), Everything}, 0)
				set.SweepSome(int64(i))
			}
		})
	}
	wg.Wait()
	for i := range callers * each {
		if set.Find(keyNumber(i)) == nil {
			t.Fatalf("entry %d is missing", i)
		}
	}
	check(t, set)
}

// TestGraceKeepsExpiredEntries: an expired entry has no effect on a new one, but is kept.
func TestGraceKeepsExpiredEntries(t *testing.T) {
	set := New(2, hour)
	mustPut(t, set, Entry{keyNumber(1), hour, Everything}, 0)
	mustPut(t, set, Entry{keyNumber(2), 5 * hour, Everything}, 0)
	if _, ok := set.Put(Entry{keyNumber(3), 5 * hour, Everything}, 2*hour-1); ok {
		t.Fatal("an entry was removed within the grace")
	}
	for range set.Shards() {
		set.SweepSome(2*hour - 1)
	}
	if s := set.Find(keyNumber(1)); s == nil {
		t.Fatal("a sweep removed an entry within the grace")
	}
	mustPut(t, set, Entry{keyNumber(1), hour + 1, 7}, hour)
	if until, cutOff := set.Find(keyNumber(1)).Load(); until != hour+1 || cutOff != 7 {
		t.Errorf("until %d, cut-off %d: the expired entry had an effect", until, cutOff)
	}
	mustPut(t, set, Entry{keyNumber(3), 5 * hour, Everything}, 2*hour+1)
	if set.Find(keyNumber(1)) != nil {
		t.Error("the entry is there after the grace")
	}
	check(t, set)
}

func TestEmptySetFindsNothing(t *testing.T) {
	set := New(1, 0)
	if set.Find(keyNumber(1)) != nil || set.MayContain(keyNumber(1).Place) || set.Len() != 0 || set.Has(token) {
		t.Error("an empty set contains something")
	}
	if set.SweepSome(math.MaxInt64 - 1) {
		t.Error("an empty set has expired entries")
	}
	check(t, set)
}

// BenchmarkMove measures the longest step of any call: moving a shard of a full Set.
func BenchmarkMove(b *testing.B) {
	whole := newFilter(2500)
	sh := &shard{filter: whole.slice(0, 1)}
	for i := range 3072 {
		sh.insert(Entry{keyNumber(i), hour, Everything}, 0)
	}
	b.ReportAllocs()
	for b.Loop() {
		sh.move(0, 1)
	}
}
