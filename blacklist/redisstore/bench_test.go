package redisstore

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// The benchmarks run on a redis-server of their own, on the same machine, so most of what they measure is the way there
// and back. Every call has a token of its own.
//
//	go test -run '^$' -bench . -benchtime 2s ./blacklist/redisstore

// benchStore returns a store with n tokens revoked, and how many bytes of Redis' memory each takes.
func benchStore(b *testing.B, n int) (*Store, float64) {
	b.Helper()
	s := open(b, redistest.Start(b).Client(b))
	before := memory(b, s)
	const workers = 8
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var ops []op
			for i := w; i < n; i += workers {
				for _, o := range s.revokeOps(blacklist.OfToken(benchID(i), inAnHour()), time.Now()) {
					ops = append(ops, o)
				}
				if len(ops) == 500 || i+workers >= n {
					if err := s.write(b.Context(), ops); err != nil {
						b.Error(err)
						return
					}
					ops = ops[:0]
				}
			}
		})
	}
	wg.Wait()
	return s, float64(memory(b, s)-before) / float64(n)
}

func memory(b *testing.B, s *Store) int {
	b.Helper()
	text, err := s.single.Info(b.Context(), "memory").Result()
	if err != nil {
		b.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(parseInfo(text)["used_memory"]))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

var benchStart = time.Now().Add(-time.Minute)

func benchID(i int) blacklist.Identity {
	n := strconv.Itoa(i)
	return blacklist.Identity{
		Verifier: "https://issuer.example", ID: "0f8fad5b-d9cb-469f-a165-" + n, Session: "7c9e6679-7425-40de-944b-" + n,
		Subject: "user-" + n, SessionStart: benchStart,
	}
}

func BenchmarkStore(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			s, size := benchStore(b, n)
			var fresh atomic.Int64
			fresh.Store(int64(n))
			lookup := func(i int, want bool) {
				if got, err := s.IsRevoked(b.Context(), benchID(i)); err != nil || got != want {
					b.Errorf("IsRevoked = %v, %v", got, err)
				}
			}
			revoke := func() {
				if before, err := s.Revoke(b.Context(), blacklist.OfToken(benchID(int(fresh.Add(1))), inAnHour())); err != nil || before {
					b.Errorf("Revoke = %v, %v", before, err)
				}
			}
			b.Run("lookup-unknown", func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					lookup(-1-i, false)
				}
				b.ReportMetric(size, "redis-B/entry")
			})
			b.Run("lookup-revoked", func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					lookup(i%n, true)
				}
			})
			b.Run("lookup-unknown-parallel", func(b *testing.B) {
				b.ReportAllocs()
				var i atomic.Int64
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						lookup(-int(i.Add(1)), false)
					}
				})
			})
			b.Run("revoke", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					revoke()
				}
			})
			b.Run("revoke-parallel", func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						revoke()
					}
				})
			})
			b.Run("revoke-verifier", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					v := strconv.FormatInt(fresh.Add(1), 10)
					if _, err := s.Revoke(b.Context(), blacklist.OfVerifier(v, benchStart, inAnHour())); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
