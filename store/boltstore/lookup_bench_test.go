package boltstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// freshID is an id of the length of a UUID that changes in place with each call of next, so that
// the benchmark does not measure reading ids from a large memory.
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

// BenchmarkIsRevoked measures look-ups of tokens that are not revoked, beside those of
// blacklist.Memory with the same entries. It reports the fastest of many rounds, which other
// processes did not slow down.
func BenchmarkIsRevoked(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		memory, err := blacklist.NewMemory(blacklist.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			b.Fatal(err)
		}
		for i := range n {
			if _, err := memory.Revoke(b.Context(), blacklist.OfToken(benchID(i), later)); err != nil {
				b.Fatal(err)
			}
		}
		for _, list := range []struct {
			name string
			blacklist.Blacklist
		}{{"memory", memory}, {"store", filled(b, n)}} {
			b.Run(fmt.Sprintf("%s/%d", list.name, n), func(b *testing.B) { benchLookUps(b, list) })
		}
	}
}

func benchLookUps(b *testing.B, list blacklist.Blacklist) {
	const round = 1 << 9
	tokens, sessions, subjects := newFreshID("token"), newFreshID("session"), newFreshID("subject")
	b.ReportAllocs()
	best, begun, i, ctx := time.Duration(math.MaxInt64), time.Now(), uint64(0), context.Background()
	for b.Loop() {
		id := blacklist.Identity{
			Issuer: "own", ID: tokens.next(i), Session: sessions.next(i), Subject: subjects.next(i), SessionStart: later,
		}
		if revoked, err := list.IsRevoked(ctx, id); revoked || err != nil {
			b.Fatal(revoked, err)
		}
		if i++; i%round == 0 {
			best = min(best, time.Since(begun))
			begun = time.Now()
		}
	}
	b.ReportMetric(float64(best.Nanoseconds())/round, "ns-best-round")
}
