package blacklist

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"
	"unsafe"
)

// freshID is an id of the length of a UUID that changes with each call of next. It changes in
// place, so that the benchmarks do not measure reading ids from a large memory.
type freshID [36]byte

func newFreshID(prefix string) *freshID {
	id := new(freshID)
	copy(id[:], prefix+"-0000-4000-8000-000000000000")
	return id
}

func (id *freshID) next(i uint64) string {
	binary.LittleEndian.PutUint64(id[len(id)-8:], i)
	return unsafe.String(&id[0], len(id)) // valid until the next call
}

// round is the number of look-ups that are timed together.
const round = 1 << 15

var sizes = []int{1_000, 1_000_000, 10_000_000}

// benchMemory returns a Memory with n tokens, or with n entries of all kinds, and the bytes per
// entry.
func benchMemory(b *testing.B, n int, all bool, capacity int) (m *Memory, bytes float64) {
	b.Helper()
	m, _ = newMemory(b, WithCapacity(capacity))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		id := Identity{Issuer: "https://issuer.example", ID: fmt.Sprintf("r%035d", i), Session: fmt.Sprintf("s%035d", i), Subject: fmt.Sprintf("u%035d", i)}
		r := OfToken(id, start.Add(time.Hour))
		switch {
		case all && i == 0:
			r = OfIssuer(id.Issuer, start.Add(-time.Hour), time.Time{})
		case all && i%10 == 1:
			r = OfSession(id, start.Add(time.Hour))
		case all && i%10 == 2:
			r = OfSubject(id.Issuer, id.Subject, start, time.Time{})
		}
		mustRevoke(b, m, r)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	return m, float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
}

func BenchmarkMemoryIsRevoked(b *testing.B) {
	tokens, sessions, subjects := newFreshID("token"), newFreshID("session"), newFreshID("subject")
	unknown := func(i uint64) Identity {
		return Identity{Issuer: "https://issuer.example", ID: tokens.next(i), Session: sessions.next(i), Subject: subjects.next(i), SessionStart: start}
	}
	for _, all := range []bool{false, true} {
		name := "tokens"
		if all {
			name = "all kinds"
		}
		for _, n := range sizes {
			b.Run(fmt.Sprintf("unknown/%s/%d", name, n), func(b *testing.B) {
				m, bytes := benchMemory(b, n, all, DefaultCapacity)
				b.ReportAllocs()
				// Besides the mean: the fastest of many rounds, which other processes did not slow
				// down.
				best, begun := time.Duration(0), time.Now()
				i := uint64(0)
				for b.Loop() {
					if revoked, err := m.IsRevoked(ctx, unknown(i)); revoked || err != nil {
						b.Fatal(revoked, err)
					}
					if i++; i%round == 0 {
						if took := time.Since(begun); best == 0 || took < best {
							best = took
						}
						begun = time.Now()
					}
				}
				b.ReportMetric(float64(best.Nanoseconds())/round, "ns-best-round")
				b.ReportMetric(bytes, "B/entry")
			})
		}
	}
}

func BenchmarkMemoryRevoke(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m, _ := benchMemory(b, n, false, 2*DefaultCapacity)
			end := start.Add(time.Hour)
			b.ReportAllocs()
			longest := time.Duration(0)
			var over [2]int // calls that took longer than 100 microseconds, than a millisecond
			i := 0
			for b.Loop() {
				id := Identity{Issuer: "https://issuer.example", ID: fmt.Sprintf("n%035d", i)}
				begun := time.Now()
				if _, err := m.Revoke(ctx, OfToken(id, end)); err != nil {
					b.Fatal(err)
				}
				took := time.Since(begun)
				longest = max(longest, took)
				if took > 100*time.Microsecond {
					over[0]++
				}
				if took > time.Millisecond {
					over[1]++
				}
				i++
			}
			b.ReportMetric(float64(longest.Microseconds()), "µs-longest")
			b.ReportMetric(float64(over[0]), "over-100µs")
			b.ReportMetric(float64(over[1]), "over-1ms")
		})
	}
}
