package boltstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// filled returns a store with n entries. It writes them in large transactions.
func filled(b *testing.B, n int) *Store {
	b.Helper()
	path := filepath.Join(b.TempDir(), "blacklist.db")
	s, err := Open(path) // nothing refers to it when it is closed, which the figure of memory needs
	if err != nil {
		b.Fatal(err)
	}
	until := time.Now().Add(time.Hour).UnixMilli()
	for i := 0; i < n; {
		s.space.ensure(50_000)
		if err := s.db.Update(func(tx *bbolt.Tx) error {
			buckets, err := bucketsOf(tx)
			if err != nil {
				return err
			}
			for end := min(n, i+50_000); i < end; i++ {
				key, _ := blacklist.KeyOf(blacklist.Token, benchID(i))
				place, _ := blacklist.PlaceOf(s.places, blacklist.Token, benchID(i))
				e := entry{kind: blacklist.Token, place: place, cutOff: everything, until: until}
				if _, err := put(buckets, revocation{key: key, entry: e}, 0, new(added)); err != nil {
					return err
				}
			}
			return putCount(tx, uint64(i))
		}); err != nil {
			b.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	heap, begun := heapInUse(), time.Now()
	s = open(b, path)
	took := time.Since(begun)
	b.Logf("%d entries: %.0f bytes of the file and %.0f of memory for each; Open took %s", n,
		float64(info.Size())/float64(n), float64(heapInUse()-heap)/float64(n), took.Round(time.Millisecond))
	return s
}

func heapInUse() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// later is after every mark of the tests.
var later = time.Now().Add(time.Hour)

func benchID(i int) blacklist.Identity {
	return blacklist.Identity{Issuer: "own", ID: fmt.Sprint("token", i), Session: "s", Subject: "u", SessionStart: later}
}

func BenchmarkStore(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		s := filled(b, n)
		unknown := make([]blacklist.Identity, 4096)
		for i := range unknown {
			unknown[i] = benchID(n + i)
		}
		b.Run(fmt.Sprintf("lookup/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if revoked, err := s.IsRevoked(context.Background(), unknown[i%len(unknown)]); revoked || err != nil {
					b.Fatal(revoked, err)
				}
			}
		})
		b.Run(fmt.Sprintf("lookup-parallel/%d", n), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if revoked, err := s.IsRevoked(context.Background(), unknown[i%len(unknown)]); revoked || err != nil {
						b.Error(revoked, err)
					}
				}
			})
		})
		var next atomic.Int64
		next.Store(int64(n) + 10_000_000)
		b.Run(fmt.Sprintf("revoke/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Revoke(context.Background(), blacklist.OfToken(benchID(int(next.Add(1))), later)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("revoke-64-callers/%d", n), func(b *testing.B) {
			b.SetParallelism(32) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Revoke(context.Background(), blacklist.OfToken(benchID(int(next.Add(1))), later)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
