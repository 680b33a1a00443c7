package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/session"
)

// benchDevice is a device as a browser sends it.
var benchDevice = session.Device{
	Name:      "Alice's laptop",
	UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	Address:   "2001:db8:85a3::8a2e:370:7334",
}

// benchRow returns a row of the i-th session, the one of the i-th subject unless others share it.
func benchRow(subject session.Subject, i int) session.Row {
	now := time.Now().Truncate(time.Millisecond).UTC()
	return session.Row{
		Subject: subject, ID: fmt.Sprintf("01980f2e-7b1c-7e55-9a3d-%012x", i), Began: now,
		End: now.Add(30 * 24 * time.Hour), IdleTimeout: 24 * time.Hour, IdleDeadline: now.Add(24 * time.Hour),
		Generation: 1, IssuedAt: now, ExpiresAt: now.Add(24 * time.Hour), Rotated: now, LastSeen: now,
		Nonce: "9hWn0mB2o6Jr2lq0T6cKxw", CSRF: "mFJ0y2xXjz2q4sJb6ZB1lA", ClientID: "web", Device: benchDevice,
	}
}

func benchSubject(i int) session.Subject {
	return session.Subject{Issuer: "https://issuer.example", Name: fmt.Sprintf("0197f5d1-2c44-7b06-8f1a-%012x", i)}
}

// filledWithSessions returns a store with one session for each of n subjects.
func filledWithSessions(t testing.TB, n int) *Store {
	t.Helper()
	s := open(t, newPath(t))
	// In the order of the keys, each transaction writes few pages.
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	keys := make([]subjectKey, n)
	for i := range keys {
		keys[i] = subjectKeyOf(benchSubject(i))
	}
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(keys[a][:], keys[b][:]) })
	for chunk := range slices.Chunk(order, 20_000) {
		s.space.ensure(8 * int64(len(chunk)))
		if err := s.db.Update(func(bolt *bbolt.Tx) error {
			b, err := bucketsOf(bolt)
			if err != nil {
				return err
			}
			total := added{}
			for _, i := range chunk {
				t := s.newTx(b, benchSubject(i), keys[i])
				if err := t.Put(benchRow(benchSubject(i), i)); err != nil {
					return err
				}
				c, err := t.change()
				if err != nil {
					return err
				}
				a, err := c.apply()
				if err != nil {
					return err
				}
				total.add(a)
			}
			return addSessionCounts(bolt, total.sessions)
		}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// bytesInUse returns the size of the pages in use.
func bytesInUse(t testing.TB, s *Store) int64 {
	t.Helper()
	used, err := s.space.used()
	if err != nil {
		t.Fatal(err)
	}
	stats := s.db.Stats()
	return used - int64(stats.FreePageN+stats.PendingPageN)*s.space.pageSize
}

// BenchmarkSession measures the operations of a session as the manager makes them, alone and with
// 64 callers at once.
func BenchmarkSession(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		s := filledWithSessions(b, n)
		b.Logf("%d sessions, %d bytes for each", n, bytesInUse(b, s)/int64(n))
		ctx := context.Background()
		var next atomic.Int64
		next.Store(int64(n) + 10_000_000)
		for _, op := range []struct {
			name string
			call func(i int) error
		}{
			{"Begin", func(int) error {
				i := int(next.Add(1))
				return s.Update(ctx, benchSubject(i), func(tx session.Tx) error {
					if _, err := tx.Epoch(); err != nil {
						return err
					}
					return tx.Put(benchRow(benchSubject(i), i))
				})
			}},
			{"Rotate", func(i int) error { return rotate(ctx, s, i*7919%n) }},
			{"List", func(i int) error {
				rows, _, err := s.List(ctx, benchSubject(i*7919%n), "", 100)
				if err == nil && len(rows) != 1 {
					return errors.New("no session in the list")
				}
				return err
			}},
			{"End", func(int) error {
				// Sessions that began now would have to be measured with them.
				i := int(next.Add(1)) % n
				return s.Update(ctx, benchSubject(i), func(tx session.Tx) error {
					row, _, err := tx.Session(benchRow(benchSubject(i), i).ID)
					if err != nil {
						return err
					}
					row.Ended, row.Reason, row.Device = tx.Now(), session.LoggedOut, session.Device{}
					return errors.Join(tx.Put(row), tx.(session.BlacklistTx).Revoke(endOf(row)))
				})
			}},
		} {
			b.Run(fmt.Sprintf("%s/alone/%d", op.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if err := op.call(i); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("%s/64-callers/%d", op.name, n), func(b *testing.B) {
				b.SetParallelism(32) // times GOMAXPROCS
				var i atomic.Int64
				before := commits(b, s)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := op.call(int(i.Add(1))); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64(b.N)/float64(max(1, commits(b, s)-before)), "ops/commit")
			})
		}
		b.Run(fmt.Sprintf("Open/%d", n), func(b *testing.B) {
			path := s.db.Path()
			for b.Loop() {
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				s = open(b, path)
			}
		})
	}
}

// rotate makes the write of a refresh.
func rotate(ctx context.Context, s *Store, i int) error {
	subject := benchSubject(i)
	return s.Update(ctx, subject, func(tx session.Tx) error {
		row, found, err := tx.Session(fmt.Sprintf("01980f2e-7b1c-7e55-9a3d-%012x", i))
		if err != nil || !found {
			return errors.Join(err, errors.New("no session"))
		}
		row.Generation++
		row.Rotated, row.LastSeen = tx.Now(), tx.Now()
		row.IdleDeadline = tx.Now().Add(row.IdleTimeout)
		return tx.Put(row)
	})
}
