package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/session"
)

// The benchmarks of sessions make the transactions that package session makes. Every call has
// another subject, which has one session. The metric script-us is the longest script of the server in
// microseconds, or 0 if all took less than 200.
//
//	go test -run '^$' -bench Session -benchtime 2s ./store/redisstore

func benchSubject(i int) session.Subject {
	return session.Subject{Issuer: "https://issuer.example", Name: "user-" + strconv.Itoa(i)}
}

// benchRow returns a row of a session of 30 days, with a device.
func benchRow(subject session.Subject, id string, now time.Time) session.Row {
	now = now.Truncate(time.Millisecond)
	end := now.Add(30 * 24 * time.Hour)
	return session.Row{
		Subject: subject, ID: id, Began: now, End: end, IdleTimeout: 7 * 24 * time.Hour, IdleDeadline: now.Add(7 * 24 * time.Hour),
		Generation: 1, IssuedAt: now, ExpiresAt: end, Rotated: now, LastSeen: now, Nonce: "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
		Device: session.Device{
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
			Address:   "203.0.113.195",
		},
	}
}

func benchSession(i int) string { return fmt.Sprintf("SESSIONIDWITH26CHARS%06d", i) }

// begin inserts a row, as a log-in does.
func begin(ctx context.Context, s *Store, row session.Row) error {
	return s.Update(ctx, row.Subject, func(tx session.Tx) error {
		if _, found, err := tx.Session(row.ID); err != nil || found {
			return err
		}
		if _, err := tx.Epoch(); err != nil {
			return err
		}
		return tx.Put(row)
	})
}

// rotate raises the generation, as a refresh does.
func rotate(ctx context.Context, s *Store, subject session.Subject, id, nonce string) (row session.Row, err error) {
	err = s.Update(ctx, subject, func(tx session.Tx) error {
		var found bool
		if row, found, err = tx.Session(id); err != nil || !found || row.Nonce == nonce {
			return err
		}
		row.Generation++
		row.Nonce, row.Rotated = nonce, tx.Now()
		return tx.Put(row)
	})
	return row, err
}

// fill begins n sessions, of as many subjects, or of one subject.
func fill(t testing.TB, s *Store, n int, subject func(i int) session.Subject) {
	t.Helper()
	mark, err := s.single.Get(context.Background(), s.layout.mark(0)).Result() // all buckets have the same one
	if err != nil {
		t.Fatal(err)
	}
	const workers = 8
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var ops []op
			for i := w; i < n; i += workers {
				now := time.Now()
				tx := &sessionTx{store: s, keys: s.layout.session(subject(i)), sub: subject(i), begun: true, now: now, mark: mark,
					record: subjectRecord{"0", "0", "0"}}
				if err := tx.Put(benchRow(subject(i), benchSession(i), now)); err != nil {
					t.Error(err)
				}
				if ops = append(ops, tx.commitOp()); len(ops) < 200 && i+workers < n {
					continue
				}
				if err := s.write(context.Background(), ops); err != nil {
					t.Error(err)
					return
				}
				ops = ops[:0]
			}
		})
	}
	wg.Wait()
}

// longestScript returns the longest script since resetScripts, in microseconds.
func longestScript(t testing.TB, srv *redistest.Server) (longest int64) {
	t.Helper()
	for _, entry := range srv.Do("SLOWLOG", "GET", 1000).([]any) {
		fields := entry.([]any)
		if name := strings.ToLower(fmt.Sprint(fields[3].([]any)[0])); strings.HasPrefix(name, "eval") {
			longest = max(longest, fields[2].(int64))
		}
	}
	return longest
}

// resetScripts makes the server record its slow commands, and forget those so far.
func resetScripts(srv *redistest.Server) {
	srv.Do("CONFIG", "SET", "slowlog-log-slower-than", 200)
	srv.Do("CONFIG", "SET", "slowlog-max-len", 1000)
	srv.Do("SLOWLOG", "RESET")
}

func BenchmarkSession(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
			srv := redistest.Start(b)
			s := open(b, srv.Client(b), WithTimeouts(time.Minute, time.Minute))
			empty := memory(b, s)
			fill(b, s, n, benchSubject)
			size := float64(memory(b, s)-empty) / float64(n)
			var next atomic.Int64
			next.Store(int64(n))
			for _, m := range sessionMethods(s, n, &next) {
				for _, callers := range []int{1, 64} {
					b.Run(fmt.Sprintf("%s/callers=%d", m.name, callers), func(b *testing.B) {
						resetScripts(srv)
						var wg sync.WaitGroup
						var calls atomic.Int64
						b.ResetTimer()
						for range callers {
							wg.Go(func() {
								for i := calls.Add(1); i <= int64(b.N); i = calls.Add(1) {
									if err := m.call(b.Context(), int(i)); err != nil {
										b.Error(err)
									}
								}
							})
						}
						wg.Wait()
						b.StopTimer()
						b.ReportMetric(size, "redis-B/session")
						b.ReportMetric(float64(longestScript(b, srv)), "script-us")
					})
				}
			}
		})
	}
}

// sessionMethod is an operation on sessions.
type sessionMethod struct {
	name string
	call func(ctx context.Context, i int) error
}

func sessionMethods(s *Store, n int, next *atomic.Int64) []sessionMethod {
	return []sessionMethod{
		{name: "rotate", call: func(ctx context.Context, i int) error {
			i %= n
			_, err := rotate(ctx, s, benchSubject(i), benchSession(i), strconv.FormatInt(next.Add(1), 10))
			return err
		}},
		{name: "list", call: func(ctx context.Context, i int) error {
			rows, _, err := s.List(ctx, benchSubject(i%n), "", 100)
			if err == nil && len(rows) != 1 {
				err = fmt.Errorf("%d rows", len(rows))
			}
			return err
		}},
		{name: "begin", call: func(ctx context.Context, _ int) error {
			i := int(next.Add(1))
			return begin(ctx, s, benchRow(benchSubject(i), benchSession(i), time.Now()))
		}},
		{name: "end", call: func(ctx context.Context, i int) error { return end(ctx, s, benchSubject(i%n), benchSession(i%n)) }},
	}
}

// end ends a session and revokes it, as a log-out does.
func end(ctx context.Context, s *Store, subject session.Subject, id string) error {
	return s.Update(ctx, subject, func(tx session.Tx) error {
		row, found, err := tx.Session(id)
		if err != nil || !found {
			return cmp.Or(err, errors.New("no row"))
		}
		row.Ended, row.Reason, row.Device = tx.Now(), session.LoggedOut, session.Device{}
		if err := tx.Put(row); err != nil {
			return err
		}
		identity := blacklist.Identity{Issuer: subject.Issuer, Subject: subject.Name, Session: id}
		return tx.(session.BlacklistTx).Revoke(blacklist.OfSession(identity, row.KeepUntil()))
	})
}
