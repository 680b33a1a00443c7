package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// The benchmarks start a redis-server on the same machine, so they measure mostly the round trip.
// Every call uses another token.
//
//	go test -run '^$' -bench . -benchtime 2s ./store/redisstore

// benchStore returns a store with n revoked tokens, and the bytes of memory in Redis for each.
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
		Issuer: "https://issuer.example", ID: "0f8fad5b-d9cb-469f-a165-" + n, Session: "7c9e6679-7425-40de-944b-" + n,
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
			b.Run("revoke-issuer", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					v := strconv.FormatInt(fresh.Add(1), 10)
					if _, err := s.Revoke(b.Context(), blacklist.OfIssuer(v, benchStart, inAnHour())); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkLookupMethods compares three ways to look up a token: the store (store), an EXISTS of
// the token id per request (exists), and the MGET that a look-up consists of (mget). Clients have
// the default options of go-redis. One and 64 callers run at a time. The methods take turns of many
// calls, so that other load on the machine slows all of them down. Half of the tokens are revoked.
// The metrics are the time per call of all callers together, the p99 of one call, and the
// throughput of the store divided by that of EXISTS.
//
//	go test -run '^$' -bench LookupMethods -count 5 ./store/redisstore
func BenchmarkLookupMethods(b *testing.B) {
	const tokens = 4096
	srv := redistest.Start(b)
	s := open(b, redistest.Closed(b, redis.NewClient(&redis.Options{Addr: srv.Addr(), ContextTimeoutEnabled: true})))
	byHand := redistest.Closed(b, redis.NewClient(&redis.Options{Addr: srv.Addr()}))
	ids, keys := make([]blacklist.Identity, tokens), make([][]string, tokens)
	for i := range ids {
		ids[i] = benchID(i)
		keys[i] = s.layout.lookup(s.layout.bucket(ids[i]), ids[i])
		if i%2 == 0 {
			revoke(b, s, blacklist.OfToken(ids[i], inAnHour()))
			if err := byHand.Set(b.Context(), "jti:"+ids[i].ID, 1, time.Hour).Err(); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			calls := 64 * callers // per turn
			exists := &method{name: "exists", lookup: func(ctx context.Context, i int) (bool, error) {
				n, err := byHand.Exists(ctx, "jti:"+ids[i].ID).Result()
				return n == 1, err
			}}
			mget := &method{name: "mget", lookup: func(ctx context.Context, i int) (bool, error) {
				values, err := byHand.MGet(ctx, keys[i]...).Result()
				return err == nil && values[3] != nil, err
			}}
			store := &method{name: "store", lookup: func(ctx context.Context, i int) (bool, error) { return s.IsRevoked(ctx, ids[i]) }}
			methods := []*method{exists, mget, store}
			for _, m := range methods {
				m.turn(b, callers, calls, tokens) // opens the connections
				m.all, m.took = 0, nil
			}
			for b.Loop() {
				for _, m := range methods {
					m.turn(b, callers, calls, tokens)
				}
			}
			for _, m := range methods {
				slices.Sort(m.took)
				b.ReportMetric(m.perCall(), m.name+"-ns")
				b.ReportMetric(float64(m.took[len(m.took)*99/100].Nanoseconds()), m.name+"-p99-ns")
			}
			b.ReportMetric(exists.perCall()/store.perCall(), "exists/store")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// method is one way to look up a token.
type method struct {
	name   string
	lookup func(ctx context.Context, i int) (bool, error)
	all    time.Duration   // of all turns
	took   []time.Duration // of each call
}

func (m *method) perCall() float64 { return float64(m.all.Nanoseconds()) / float64(len(m.took)) }

// turn makes the calls with the number of callers at a time.
func (m *method) turn(b *testing.B, callers, calls, tokens int) {
	took := make([]time.Duration, calls)
	var next atomic.Int64
	var wg sync.WaitGroup
	begun := time.Now()
	for range callers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < calls; i = int(next.Add(1)) - 1 {
				start := time.Now()
				revoked, err := m.lookup(b.Context(), i%tokens)
				took[i] = time.Since(start)
				if err != nil || revoked != (i%2 == 0) {
					b.Errorf("%s: %v, %v", m.name, revoked, err)
				}
			}
		})
	}
	wg.Wait()
	m.all += time.Since(begun)
	m.took = append(m.took, took...)
}
