package redisstore

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// startReplica returns a copy of the store whose first snapshot is complete.
func startReplica(tb testing.TB, s *Store) *replica.Replica {
	tb.Helper()
	r, err := replica.New(s, replica.WithLogger(discard()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	if err := r.Ready(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return r
}

// BenchmarkReplicaLookup compares a look-up in a copy with one in the store and an EXISTS of the
// token id. One and 64 callers run at a time, each in turns, so that other load on the machine slows
// all of them down. One token of 64 is revoked. The metrics are the time per call of all callers
// together. Callers yield after 64 calls, like requests that wait for a network: a process that only
// computes would delay its copy.
//
//	go test -run '^$' -bench ReplicaLookup -count 5 ./store/redisstore
func BenchmarkReplicaLookup(b *testing.B) {
	const tokens = 4096
	srv := redistest.Start(b)
	s := open(b, srv.Client(b))
	byHand := redistest.Closed(b, redis.NewClient(&redis.Options{Addr: srv.Addr()}))
	ids := make([]blacklist.Identity, tokens)
	for i := range ids {
		if ids[i] = benchID(i); i%64 == 0 {
			revoke(b, s, blacklist.OfToken(ids[i], inAnHour()))
			if err := byHand.Set(b.Context(), "jti:"+ids[i].ID, 1, time.Hour).Err(); err != nil {
				b.Fatal(err)
			}
		}
	}
	r := startReplica(b, s)
	type lookup struct {
		name  string
		calls int // of a caller, per turn
		run   func(ctx context.Context, i int) (bool, error)
	}
	lookups := []lookup{
		{name: "exists", calls: 64, run: func(ctx context.Context, i int) (bool, error) {
			n, err := byHand.Exists(ctx, "jti:"+ids[i].ID).Result()
			return n == 1, err
		}},
		{name: "store", calls: 64, run: func(ctx context.Context, i int) (bool, error) { return s.IsRevoked(ctx, ids[i]) }},
		{name: "replica", calls: 64 * tokens, run: func(ctx context.Context, i int) (bool, error) { return r.IsRevoked(ctx, ids[i]) }},
	}
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			took, turns := make([]time.Duration, len(lookups)), 0
			turn := func() {
				for m, l := range lookups {
					calls := l.calls
					if callers > 1 && l.name == "replica" {
						calls /= 16
					}
					var wg sync.WaitGroup
					begun := time.Now()
					for c := range callers {
						wg.Go(func() {
							for i := range calls {
								n := (i + 64*c) % tokens
								if revoked, err := l.run(b.Context(), n); err != nil || revoked != (n%64 == 0) {
									b.Errorf("%s: %v, %v", l.name, revoked, err)
									return
								}
								if i%64 == 63 {
									runtime.Gosched()
								}
							}
						})
					}
					wg.Wait()
					took[m] += time.Since(begun) / time.Duration(calls*callers/64)
				}
				turns++
			}
			turn() // opens the connections
			clear(took)
			turns = 0
			for b.Loop() {
				turn()
			}
			for m, l := range lookups {
				b.ReportMetric(float64(took[m].Nanoseconds())/64/float64(turns), l.name+"-ns")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	if asked := r.Stats().Asked; asked > 0 {
		b.Errorf("%d look-ups of the copy asked the store", asked)
	}
}

// BenchmarkReplicaDelay measures how long after a revocation has returned two copies in other
// clients find it, with 1,000 revocations a second for five seconds by eight callers. A revocation
// that a copy finds before it has returned counts as 0.
//
//	go test -run '^$' -bench ReplicaDelay -benchtime 1x ./store/redisstore
func BenchmarkReplicaDelay(b *testing.B) {
	const perSecond, seconds, writers = 1000, 5, 8
	const n = perSecond * seconds
	srv := redistest.Start(b)
	s := open(b, srv.Client(b))
	for b.Loop() {
		ids := make([]blacklist.Identity, n)
		for i := range ids {
			ids[i] = user(fmt.Sprintf("%s-%d", b.Name(), i+n*b.N))
		}
		var begun atomic.Int64
		var copies, writing sync.WaitGroup
		returned, seen := make([]time.Time, n), [2][]time.Time{make([]time.Time, n), make([]time.Time, n)}
		for c := range seen {
			r := startReplica(b, open(b, srv.Client(b)))
			changed := make(chan struct{}, 1)
			defer r.OnChange(func() {
				select {
				case changed <- struct{}{}:
				default:
				}
			})()
			copies.Go(func() {
				var pending []int
				for next, found := 0, 0; found < n; {
					select {
					case <-changed:
					case <-time.After(10 * time.Second):
						b.Errorf("a copy has found %d of %d revocations", found, n)
						return
					}
					for ; next < min(int(begun.Load()), n); next++ {
						pending = append(pending, next)
					}
					pending = slices.DeleteFunc(pending, func(i int) bool {
						revoked, err := r.IsRevoked(b.Context(), ids[i])
						if err != nil {
							b.Error(err)
						}
						if revoked {
							seen[c][i] = time.Now()
							found++
						}
						return revoked
					})
				}
			})
		}
		start := time.Now()
		for range writers {
			writing.Go(func() {
				for i := int(begun.Add(1)) - 1; i < n; i = int(begun.Add(1)) - 1 {
					time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / perSecond)))
					if _, err := s.Revoke(b.Context(), blacklist.OfToken(ids[i], inAnHour())); err != nil {
						b.Error(err)
						return
					}
					returned[i] = time.Now()
				}
			})
		}
		writing.Wait()
		took := time.Since(start)
		copies.Wait()
		var delays []time.Duration
		for c := range seen {
			for i, at := range seen[c] {
				delays = append(delays, max(0, at.Sub(returned[i])))
			}
		}
		slices.Sort(delays)
		for name, of := range map[string]float64{"p50-us": 0.5, "p99-us": 0.99, "max-us": 1} {
			b.ReportMetric(float64(delays[int(of*float64(len(delays)-1))].Microseconds()), name)
		}
		b.ReportMetric(n/took.Seconds(), "revocations/s")
		usage := parseInfo(srv.Do("INFO", "cpu").(string))
		b.Logf("CPU of the server: user %s s, system %s s", usage["used_cpu_user"], usage["used_cpu_sys"])
	}
}
