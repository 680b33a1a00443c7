package replica_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
)

// bigFeed is a store with n entries of tokens, or of all kinds, and no records. Its snapshots cost
// nothing but the random numbers.
type bigFeed struct {
	blacklist.None
	n        int
	allKinds bool
}

func (bigFeed) PlaceKey() blacklist.PlaceKey { return blacklist.PlaceKey{1} }

func (bigFeed) Name(kind blacklist.Kind, id blacklist.Identity) (uint64, bool) {
	key, ok := blacklist.KeyOf(kind, id)
	return binary.BigEndian.Uint64(key[:]), ok
}

func (f bigFeed) Follow(context.Context) (replica.Follower, error) { return bigFollower{f}, nil }

type bigFollower struct{ bigFeed }

func (f bigFollower) Snapshot(ctx context.Context, apply func(replica.Batch) error) error {
	random := rand.New(rand.NewPCG(1, 2))
	batch := replica.Batch{Now: time.Now(), Entries: make([]replica.Entry, 0, 1000)}
	until := time.Now().Add(24 * time.Hour).UnixMilli()
	for i := range f.n {
		e := replica.Entry{Kind: blacklist.Token, Place: random.Uint64(), Name: random.Uint64(), CutOff: math.MaxInt64, Until: until}
		switch {
		case f.allKinds && i == 0:
			e.Kind = blacklist.Issuer
		case f.allKinds && i%10 == 1:
			e.Kind = blacklist.Session
		case f.allKinds && i%10 == 2:
			e.Kind = blacklist.Subject
		}
		if batch.Entries = append(batch.Entries, e); len(batch.Entries) == cap(batch.Entries) || i == f.n-1 {
			if err := errors.Join(ctx.Err(), apply(batch)); err != nil {
				return err
			}
			batch.Entries = batch.Entries[:0]
		}
	}
	return nil
}

func (bigFollower) Read(ctx context.Context, wait time.Duration) (replica.Batch, error) {
	select {
	case <-ctx.Done():
		return replica.Batch{}, ctx.Err()
	case <-time.After(wait):
	}
	return replica.Batch{Complete: true, Now: time.Now()}, nil
}

func (bigFollower) Marks(context.Context) (int64, error) { return math.MinInt64, nil }

func (bigFollower) Close() error { return nil }

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

// round is the number of look-ups that are timed together: few, so that other processes do not slow
// down all rounds.
const round = 1 << 9

// bestOf runs look for b, and reports the mean and the fastest round.
func bestOf(b *testing.B, look func(i uint64)) {
	b.ReportAllocs()
	best, begun, i := time.Duration(math.MaxInt64), time.Now(), uint64(0)
	for b.Loop() {
		look(i)
		if i++; i%round == 0 {
			best = min(best, time.Since(begun))
			begun = time.Now()
		}
	}
	b.ReportMetric(float64(best.Nanoseconds())/round, "ns-best-round")
}

func unknownTokens() func(i uint64) blacklist.Identity {
	tokens, sessions, subjects := newFreshID("token"), newFreshID("session"), newFreshID("subject")
	begun := time.Now()
	return func(i uint64) blacklist.Identity {
		return blacklist.Identity{Issuer: "https://issuer.example", ID: tokens.next(i), Session: sessions.next(i), Subject: subjects.next(i), SessionStart: begun}
	}
}

var benchSizes = []int{1_000, 10_000_000}

// BenchmarkReplicaIsRevoked measures look-ups of tokens that are not revoked, beside those of
// BenchmarkMemory.
func BenchmarkReplicaIsRevoked(b *testing.B) {
	for _, all := range []bool{false, true} {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", kindsOf(all), n), func(b *testing.B) {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				r, err := replica.New(bigFeed{n: n, allKinds: all}, quiet)
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = r.Close() }()
				if err := r.Ready(b.Context()); err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				ctx, unknown := context.Background(), unknownTokens()
				bestOf(b, func(i uint64) {
					if revoked, err := r.IsRevoked(ctx, unknown(i)); revoked || err != nil {
						b.Fatal(revoked, err)
					}
				})
				s := r.Stats()
				if s.Asked > 0 || s.Entries != n {
					b.Fatalf("%d look-ups asked the store; %d entries", s.Asked, s.Entries)
				}
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/entry")
				b.ReportMetric(s.SnapshotTook.Seconds(), "s-snapshot")
			})
		}
	}
}

// BenchmarkMemoryIsRevoked is what a Replica is compared with.
func BenchmarkMemoryIsRevoked(b *testing.B) {
	for _, all := range []bool{false, true} {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", kindsOf(all), n), func(b *testing.B) {
				m := fullMemory(b, n, all)
				ctx, unknown := context.Background(), unknownTokens()
				bestOf(b, func(i uint64) {
					if revoked, err := m.IsRevoked(ctx, unknown(i)); revoked || err != nil {
						b.Fatal(revoked, err)
					}
				})
			})
		}
	}
}

func fullMemory(b *testing.B, n int, all bool) *blacklist.Memory {
	b.Helper()
	m, err := blacklist.NewMemory(blacklist.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		b.Fatal(err)
	}
	until := time.Now().Add(24 * time.Hour)
	for i := range n {
		id := blacklist.Identity{Issuer: "https://issuer.example", ID: fmt.Sprintf("r%035d", i), Session: "s" + fmt.Sprint(i), Subject: "u" + fmt.Sprint(i)}
		r := blacklist.OfToken(id, until)
		switch {
		case all && i == 0:
			r = blacklist.OfIssuer("another", time.Now(), until)
		case all && i%10 == 1:
			r = blacklist.OfSession(id, until)
		case all && i%10 == 2:
			r = blacklist.OfSubject(id.Issuer, id.Subject, time.Now(), until)
		}
		if _, err := m.Revoke(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
	return m
}

// BenchmarkLocated measures look-ups of a thousand tokens that come again and again, among 1,000,000
// entries of all kinds: with ids that are hashed each time; with known places, after a revocation;
// and with the memory that there is no entry, while nothing was revoked.
func BenchmarkLocated(b *testing.B) {
	const tokens = 1000
	for name, list := range map[string]blacklist.Locator{"Memory": fullMemory(b, 1_000_000, true), "Replica": fullReplica(b, 1_000_000)} {
		unknown := unknownTokens()
		var ids [tokens]blacklist.Identity
		var located [tokens]*blacklist.Located
		for i := range ids {
			id := unknown(uint64(i))
			id.ID, id.Session, id.Subject = strings.Clone(id.ID), strings.Clone(id.Session), strings.Clone(id.Subject)
			ids[i], located[i] = id, list.Locate(id)
		}
		expect := func(revoked bool, err error) {
			if revoked || err != nil {
				b.Fatal(revoked, err)
			}
		}
		ctx := context.Background()
		b.Run(name+"/ids", func(b *testing.B) {
			bestOf(b, func(i uint64) { expect(list.IsRevoked(ctx, ids[i%tokens])) })
		})
		b.Run(name+"/places", func(b *testing.B) {
			bestOf(b, func(i uint64) {
				located[i%tokens].SetAbsent(math.MaxUint64) // as if there had been another entry since
				expect(list.IsRevokedAt(ctx, located[i%tokens]))
			})
		})
		b.Run(name+"/absent", func(b *testing.B) {
			bestOf(b, func(i uint64) { expect(list.IsRevokedAt(ctx, located[i%tokens])) })
		})
	}
}

func fullReplica(b *testing.B, n int) *replica.Replica {
	b.Helper()
	r, err := replica.New(bigFeed{n: n, allKinds: true}, quiet)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.Close() })
	if err := r.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	return r
}

// BenchmarkClock is the part of a look-up that reads both clocks.
func BenchmarkClock(b *testing.B) {
	var sum int64
	bestOf(b, func(uint64) { sum += time.Now().UnixNano() })
	_ = sum
}

func kindsOf(all bool) string {
	if all {
		return "all kinds"
	}
	return "tokens"
}
