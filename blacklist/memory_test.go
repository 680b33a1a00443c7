package blacklist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/entries"
	"github.com/oapi-guard/oapi-guard/internal/race"
)

var (
	ctx   = context.Background()
	start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
)

// testClock is a clock that tests set.
type testClock struct{ ms atomic.Int64 }

func (c *testClock) now() time.Time      { return time.UnixMilli(c.ms.Load()) }
func (c *testClock) add(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func newMemory(t testing.TB, opts ...MemoryOption) (*Memory, *testClock) {
	t.Helper()
	clock := new(testClock)
	clock.ms.Store(start.UnixMilli())
	m, err := NewMemory(append([]MemoryOption{WithClock(clock.now), WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m, clock
}

func tokenID(i int) Identity {
	return Identity{Issuer: "v", ID: fmt.Sprintf("%036d", i), SessionStart: start}
}

func mustRevoke(t testing.TB, m *Memory, r Revocation) {
	t.Helper()
	if _, err := m.Revoke(ctx, r); err != nil {
		t.Fatal(err)
	}
}

func isRevoked(t testing.TB, m *Memory, id Identity) bool {
	t.Helper()
	revoked, err := m.IsRevoked(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return revoked
}

func TestNewMemoryRefusesOptions(t *testing.T) {
	for name, opt := range map[string]MemoryOption{
		"nil option":      nil,
		"nil clock":       WithClock(nil),
		"nil logger":      WithLogger(nil),
		"capacity 0":      WithCapacity(0),
		"capacity -1":     WithCapacity(-1),
		"zero not-before": WithNotBefore(time.Time{}),
	} {
		if m, err := NewMemory(opt); err == nil || m != nil || !strings.HasPrefix(err.Error(), "blacklist: ") {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

func TestNewMemoryWarnsOnce(t *testing.T) {
	for _, opts := range [][]MemoryOption{nil, {WithNotBefore(start)}} {
		var log bytes.Buffer
		m, _ := newMemory(t, append(opts, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))...)
		for i := range 10 {
			mustRevoke(t, m, OfToken(tokenID(i), time.Time{}))
			isRevoked(t, m, tokenID(i))
		}
		m.Close()
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") || !strings.Contains(got, "restart") {
			t.Errorf("logged %q", got)
		}
	}
}

func TestNotBeforeRefusesOlderSessions(t *testing.T) {
	m, _ := newMemory(t, WithNotBefore(start.Add(time.Microsecond)))
	for _, tt := range []struct {
		name  string
		begun time.Time
		want  bool
	}{
		{name: "unknown start", begun: time.Time{}, want: true},
		{name: "an hour before", begun: start.Add(-time.Hour), want: true},
		{name: "in the same millisecond", begun: start, want: true},
		{name: "at the end of that millisecond", begun: start.Add(time.Millisecond - 1), want: true},
		{name: "in the next millisecond", begun: start.Add(time.Millisecond), want: false},
		{name: "an hour after", begun: start.Add(time.Hour), want: false},
	} {
		id := tokenID(1)
		id.SessionStart = tt.begun
		if got := isRevoked(t, m, id); got != tt.want {
			t.Errorf("session begun %s: revoked = %t, want %t", tt.name, got, tt.want)
		}
	}
}

// TestFullMemoryKeepsEntriesInForce fills a Memory: further revocations return ErrFull, entries in
// force stay, and expired ones make room.
func TestFullMemoryKeepsEntriesInForce(t *testing.T) {
	const capacity = 100
	m, clock := newMemory(t, WithCapacity(capacity))
	for i := range capacity {
		mustRevoke(t, m, OfToken(tokenID(i), start.Add(time.Minute+time.Duration(i)*time.Second)))
	}
	other := tokenID(capacity)
	other.Session, other.Subject = "s", "u"
	for _, r := range []Revocation{
		OfToken(other, time.Time{}), OfSession(other, time.Time{}), OfSubject("v", "u", start, time.Time{}), OfIssuer("v", start, time.Time{}),
	} {
		if _, err := m.Revoke(ctx, r); !errors.Is(err, ErrFull) {
			t.Fatalf("a %s beyond the capacity: error %v, want ErrFull", r.Kind, err)
		}
	}
	if isRevoked(t, m, other) {
		t.Error("a revocation that returned ErrFull was recorded")
	}
	for i := range capacity {
		if before, err := m.Revoke(ctx, OfToken(tokenID(i), start.Add(time.Minute))); err != nil || !before {
			t.Fatalf("Revoke of an existing entry at the capacity = %t, %v", before, err)
		}
		if !isRevoked(t, m, tokenID(i)) {
			t.Fatal("an entry in force was dropped")
		}
	}
	clock.add(time.Minute) // the first one expires
	mustRevoke(t, m, OfToken(other, time.Time{}))
	if _, err := m.Revoke(ctx, OfToken(tokenID(0), time.Time{})); !errors.Is(err, ErrFull) {
		t.Fatalf("full again: error %v, want ErrFull", err)
	}
	clock.add(time.Hour)
	for i := range capacity - 1 {
		mustRevoke(t, m, OfToken(tokenID(i), time.Time{}))
	}
	if _, err := m.Revoke(ctx, OfToken(tokenID(capacity-1), time.Time{})); !errors.Is(err, ErrFull) {
		t.Fatalf("full of entries that never end: error %v, want ErrFull", err)
	}
	if !isRevoked(t, m, other) || m.Len() != capacity {
		t.Errorf("other revoked = %t, %d entries", isRevoked(t, m, other), m.Len())
	}
}

// TestCapacityHoldsForConcurrentCalls fills a Memory from many goroutines: it never contains more
// than its capacity, and loses no entry.
func TestCapacityHoldsForConcurrentCalls(t *testing.T) {
	const capacity, callers, each = 6000, 8, 1000
	m, _ := newMemory(t, WithCapacity(capacity))
	var wg sync.WaitGroup
	var recorded [callers * each]bool
	for c := range callers {
		wg.Go(func() {
			for i := c * each; i < (c+1)*each; i++ {
				_, err := m.Revoke(ctx, OfToken(tokenID(i), time.Time{}))
				recorded[i] = err == nil
				if err != nil && !errors.Is(err, ErrFull) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	n := 0
	for i, ok := range recorded {
		if ok {
			n++
		}
		if isRevoked(t, m, tokenID(i)) != ok {
			t.Fatalf("token %d: recorded = %t, revoked = %t", i, ok, !ok)
		}
	}
	if n != capacity || m.Len() != capacity {
		t.Errorf("%d recorded, %d entries, want %d", n, m.Len(), capacity)
	}
}

// TestMemoryAnswersLikeAMap compares a Memory with a map through many random calls, so that shards
// grow, move and are swept.
func TestMemoryAnswersLikeAMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	m, clock := newMemory(t, WithCapacity(8000))
	type entry struct{ cutOff, until int64 }
	want := make(map[Key]entry)
	identity := func() Identity {
		n := random.IntN(3000)
		return Identity{
			Issuer: fmt.Sprint("v", n%3), ID: fmt.Sprint(n), Session: fmt.Sprint(n % 500), Subject: fmt.Sprint(n % 100),
			SessionStart: start.Add(time.Duration(random.IntN(1000)) * time.Millisecond),
		}
	}
	for step := range 100_000 {
		id, now := identity(), clock.ms.Load()
		if random.IntN(2) == 0 {
			got, expect := isRevoked(t, m, id), false
			if at, err := m.IsRevokedAt(ctx, m.Locate(id)); err != nil || at != got {
				t.Fatalf("step %d: revoked = %t with its places: %t, %v", step, got, at, err)
			}
			for kind := Token; kind <= Issuer; kind++ {
				k, _ := KeyOf(kind, id)
				e, ok := want[k]
				expect = expect || ok && now < e.until && id.SessionStart.UnixMilli() <= e.cutOff
			}
			if got != expect {
				t.Fatalf("step %d: revoked = %t, want %t", step, got, expect)
			}
		} else {
			kind := []Kind{Token, Token, Token, Token, Session, Subject, Issuer}[random.IntN(7)]
			r := Revocation{Kind: kind, Identity: id, CutOff: id.SessionStart, Until: clock.now().Add(time.Duration(1 + random.IntN(60_000)*int(time.Millisecond)))}
			if random.IntN(500) == 0 {
				r.Until = r.Until.Add(time.Hour)
			}
			before, err := m.Revoke(ctx, r)
			k, _ := KeyOf(kind, id)
			e := entry{entries.Everything, (r.Until.UnixNano() + 999_999) / 1_000_000}
			if kind >= Subject {
				e.cutOff = r.CutOff.UnixMilli()
			}
			old, ok := want[k]
			ok = ok && now < old.until
			if expect := ok && old.cutOff >= e.cutOff; err != nil || before != expect {
				t.Fatalf("step %d: before = %t, %v, want %t", step, before, err, expect)
			}
			if ok {
				e = entry{max(e.cutOff, old.cutOff), max(e.until, old.until)}
			}
			want[k] = e
		}
		clock.add(time.Duration(random.IntN(5)) * time.Millisecond)
	}
	checkCounts(t, m)
}

// TestClockSetBackEndsAbsence: an entry that has ended is in force again when the clock is corrected,
// also for a token whose places are known.
func TestClockSetBackEndsAbsence(t *testing.T) {
	m, clock := newMemory(t)
	id := Identity{Issuer: "issuer", ID: "a", SessionStart: start}
	mustRevoke(t, m, OfToken(id, clock.now().Add(time.Hour)))
	located := m.Locate(id)
	for _, step := range []struct {
		by   time.Duration
		want bool
	}{{0, true}, {2 * time.Hour, false}, {0, false}, {-2 * time.Hour, true}} {
		clock.add(step.by)
		if got, err := m.IsRevokedAt(ctx, located); err != nil || got != step.want {
			t.Errorf("after a step of %s: revoked = %t, %v", step.by, got, err)
		}
	}
}

// checkCounts compares the counters with the content of the shards.
func checkCounts(t *testing.T, m *Memory) {
	t.Helper()
	if err := entries.Check(&m.entries); err != nil {
		t.Fatal(err)
	}
}

// TestLookUpsFindEntriesDuringMoves looks up tokens while shards move: entries in force are always
// found.
func TestLookUpsFindEntriesDuringMoves(t *testing.T) {
	m, clock := newMemory(t, WithCapacity(2000)) // one shard
	const lasting = 50
	for i := range lasting {
		mustRevoke(t, m, OfToken(tokenID(i), time.Time{}))
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if revoked, err := m.IsRevoked(ctx, tokenID(i%lasting)); err != nil || !revoked {
					t.Errorf("an entry in force was not found: %v", err)
					return
				}
				if revoked, err := m.IsRevoked(ctx, tokenID(-1-i)); err != nil || revoked {
					t.Errorf("a token that was never revoked was found: %v", err)
					return
				}
			}
		})
	}
	for i := range 10_000 {
		mustRevoke(t, m, OfToken(tokenID(lasting+i), clock.now().Add(time.Second)))
		clock.add(time.Millisecond)
	}
	close(done)
	wg.Wait()
	checkCounts(t, m)
}

// TestMemoryFreesMemory adds a million entries and lets them expire: their memory is freed.
func TestMemoryFreesMemory(t *testing.T) {
	race.Skip(t)
	if testing.Short() {
		t.Skip("takes too long: a million entries")
	}
	const n = 1_000_000
	heap := func() int64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	empty := heap()
	m, clock := newMemory(t)
	fresh := heap()
	for i := range n {
		mustRevoke(t, m, OfToken(tokenID(i), start.Add(time.Hour+time.Duration(i)*time.Millisecond)))
	}
	full := heap()
	perEntry := float64(full-empty) / n
	t.Logf("%.1f bytes per entry at %d entries, %d for an empty Memory", perEntry, n, fresh-empty)
	if perEntry > 96 {
		t.Errorf("%.1f bytes per entry, want at most 96", perEntry)
	}
	clock.add(2 * time.Hour)
	for range m.entries.Shards() {
		m.entries.SweepSome(clock.now().UnixMilli())
	}
	if m.Len() > 0 {
		t.Errorf("%d entries are left", m.Len())
	}
	left := heap()
	t.Logf("%d bytes left", left-empty)
	if left-fresh > 100_000 {
		t.Errorf("%d bytes are left of %d", left-fresh, full-fresh)
	}
	runtime.KeepAlive(m)
}

// TestCallsRemoveExpiredEntries: look-ups alone remove expired entries, and so do revocations of
// existing entries alone.
func TestCallsRemoveExpiredEntries(t *testing.T) {
	for name, call := range map[string]func(m *Memory, i int){
		"look-ups": func(m *Memory, i int) { isRevoked(t, m, tokenID(i)) },
		"revocations": func(m *Memory, _ int) {
			mustRevoke(t, m, OfToken(tokenID(-1), time.Time{}))
		},
	} {
		m, clock := newMemory(t, WithCapacity(5000))
		mustRevoke(t, m, OfToken(tokenID(-1), time.Time{}))
		for i := range 4000 {
			mustRevoke(t, m, OfToken(tokenID(i), start.Add(time.Hour)))
		}
		clock.add(time.Hour)
		for i := 0; m.Len() > 1; i++ {
			if i == 100*lookupsPerSweep {
				t.Fatalf("%d entries are left after %d %s", m.Len(), i, name)
			}
			call(m, i)
		}
		checkCounts(t, m)
	}
}

// TestExpiredEntryMakesRoom fills a small Memory: the entry that ends first is removed, whatever
// the order of the calls.
func TestExpiredEntryMakesRoom(t *testing.T) {
	m, clock := newMemory(t, WithCapacity(2))
	mustRevoke(t, m, OfToken(tokenID(1), start.Add(time.Hour)))
	mustRevoke(t, m, OfToken(tokenID(2), start.Add(time.Minute)))
	clock.add(time.Minute)
	mustRevoke(t, m, OfToken(tokenID(3), start.Add(2*time.Minute)))
	mustRevoke(t, m, OfToken(tokenID(3), start.Add(2*time.Hour)))
	clock.add(time.Minute)
	if _, err := m.Revoke(ctx, OfToken(tokenID(4), time.Time{})); !errors.Is(err, ErrFull) {
		t.Fatalf("full: %v", err)
	}
	if !isRevoked(t, m, tokenID(1)) || isRevoked(t, m, tokenID(2)) || !isRevoked(t, m, tokenID(3)) {
		t.Error("the wrong entry was removed")
	}
}

// TestSteadyLoadDoesNotGrow revokes at a steady rate: the number of entries does not grow with the
// number of expired ones.
func TestSteadyLoadDoesNotGrow(t *testing.T) {
	m, clock := newMemory(t, WithCapacity(50_000))
	most := 0
	for i := range 60_000 {
		mustRevoke(t, m, OfToken(tokenID(i), clock.now().Add(2*time.Second)))
		clock.add(time.Millisecond)
		most = max(most, m.Len())
	}
	if most > 4000 {
		t.Errorf("%d entries, of which 2000 in force; want at most 4000", most)
	}
	checkCounts(t, m)
}

func TestCallsDoNotAllocate(t *testing.T) {
	m, _ := newMemory(t)
	id := tokenID(1)
	id.Session, id.Subject = strings.Repeat("s", 1000), "u"
	mustRevoke(t, m, OfToken(id, time.Time{}))
	other := id
	other.ID = "other"
	mustRevoke(t, m, OfSession(Identity{Issuer: "v", Session: "s"}, time.Time{}))
	mustRevoke(t, m, OfSubject("v", "s", start, time.Time{}))
	for _, id := range []Identity{id, other} {
		if n := testing.AllocsPerRun(100, func() { _, _ = m.IsRevoked(ctx, id) }); n != 0 {
			t.Errorf("a look-up allocates %v times", n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = m.Revoke(ctx, OfToken(id, time.Time{})) }); n != 0 {
		t.Errorf("Revoke of an existing entry allocates %v times", n)
	}
}
