package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/pgtest"
	"github.com/oapi-guard/oapi-guard/session"
)

// The benchmarks have sub-benchmarks for each database, with one caller and with 64 at once. The
// files of the databases are in the directory for temporary files, with every fsync.

const benchSubjects = 1000

// eachBench runs the operation for each database and number of callers. prepare returns the
// operation, whose argument counts up from 0.
func eachBench(b *testing.B, prepare func(b *testing.B, d *database, s *Store) func(i int) error) {
	b.Helper()
	server := pgtest.Start(b)
	for _, dialect := range []Dialect{PostgreSQL, SQLite} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%v/callers=%d", dialect, callers), func(b *testing.B) {
				var d *database
				if dialect == PostgreSQL {
					d = postgres(b, server)
				} else {
					d = sqlite(b, filepath.Join(b.TempDir(), "guard.db"))
				}
				d.db.SetMaxOpenConns(64)
				d.db.SetMaxIdleConns(64)
				operation := prepare(b, d, d.store(b))
				benchmark(b, callers, operation)
			})
		}
	}
}

// benchmark makes b.N calls from the callers.
func benchmark(b *testing.B, callers int, operation func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range callers {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				if err := operation(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func benchSubject(i int) session.Subject {
	return session.Subject{Issuer: "https://issuer.example", Name: fmt.Sprintf("user-%d", i)}
}

func benchID() string { return rand.Text() }

// fill begins sessions of each subject, and returns their ids.
func fill(b *testing.B, s *Store, subjects, sessions int) [][]string {
	b.Helper()
	ids := make([][]string, subjects)
	for i := range subjects {
		ids[i] = make([]string, sessions)
		for at := 0; at < sessions; at += 100 {
			err := s.Update(b.Context(), benchSubject(i), func(tx session.Tx) error {
				for k := at; k < min(sessions, at+100); k++ {
					ids[i][k] = benchID()
					if err := tx.Put(newRow(benchSubject(i), ids[i][k], tx.Now())); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	return ids
}

func BenchmarkLookUp(b *testing.B) {
	eachBench(b, func(b *testing.B, _ *database, s *Store) func(int) error {
		for i := range benchSubjects {
			if _, err := s.Revoke(b.Context(), blacklist.OfToken(user(fmt.Sprint(i)), inAnHour())); err != nil {
				b.Fatal(err)
			}
		}
		return func(i int) error {
			_, err := s.IsRevoked(context.Background(), user(fmt.Sprint(i%(2*benchSubjects))))
			return err
		}
	})
}

func BenchmarkRevoke(b *testing.B) {
	eachBench(b, func(_ *testing.B, _ *database, s *Store) func(int) error {
		return func(i int) error {
			_, err := s.Revoke(context.Background(), blacklist.OfToken(user(fmt.Sprint(i)), inAnHour()))
			return err
		}
	})
}

func BenchmarkBegin(b *testing.B) {
	eachBench(b, func(_ *testing.B, _ *database, s *Store) func(int) error {
		return func(i int) error {
			subject := benchSubject(i % benchSubjects)
			return s.Update(context.Background(), subject, func(tx session.Tx) error {
				epoch, err := tx.Epoch()
				if err != nil {
					return err
				}
				row := newRow(subject, benchID(), tx.Now())
				row.Epoch = epoch
				return tx.Put(row)
			})
		}
	})
}

func BenchmarkRotate(b *testing.B) {
	eachBench(b, func(b *testing.B, _ *database, s *Store) func(int) error {
		ids := fill(b, s, benchSubjects, 1)
		return func(i int) error {
			i %= benchSubjects
			return rotate(context.Background(), s, benchSubject(i), ids[i][0])
		}
	})
}

func BenchmarkList(b *testing.B) {
	eachBench(b, func(b *testing.B, _ *database, s *Store) func(int) error {
		fill(b, s, benchSubjects, 3)
		return func(i int) error {
			_, _, err := s.List(context.Background(), benchSubject(i%benchSubjects), "", 100)
			return err
		}
	})
}

func BenchmarkEnd(b *testing.B) {
	eachBench(b, func(b *testing.B, _ *database, s *Store) func(int) error {
		ids := fill(b, s, benchSubjects, b.N/benchSubjects+1)
		return func(i int) error {
			id, subject := ids[i%benchSubjects][i/benchSubjects], benchSubject(i%benchSubjects)
			return end(context.Background(), s, subject, id)
		}
	})
}

// end ends a session and revokes it.
func end(ctx context.Context, s *Store, subject session.Subject, id string) error {
	return s.Update(ctx, subject, func(tx session.Tx) error {
		row, found, err := tx.Session(id)
		if err != nil || !found {
			return err
		}
		row.Ended, row.Reason = tx.Now(), session.LoggedOut
		if err := tx.Put(row); err != nil {
			return err
		}
		token := blacklist.Identity{Issuer: subject.Issuer, Subject: subject.Name, Session: id}
		return tx.(session.BlacklistTx).Revoke(blacklist.OfSession(token, row.KeepUntil()))
	})
}

// BenchmarkHandWritten is what services write by hand: a table of refresh tokens, and one statement
// that replaces a token. It knows no reuse, no grace and no devices.
func BenchmarkHandWritten(b *testing.B) {
	server := pgtest.Start(b)
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			d := postgres(b, server)
			d.db.SetMaxOpenConns(64)
			d.db.SetMaxIdleConns(64)
			d.exec(b, `CREATE TABLE `+d.prefix+`tokens (token text PRIMARY KEY, subject text NOT NULL, expires timestamptz NOT NULL)`)
			insert := statement(b, d, `INSERT INTO `+d.prefix+`tokens VALUES ($1, $2, now() + interval '30 days')`)
			tokens := make([]atomic.Pointer[string], benchSubjects)
			for i := range tokens {
				token := benchID()
				tokens[i].Store(&token)
				if _, err := insert.Exec(token, benchSubject(i).Name); err != nil {
					b.Fatal(err)
				}
			}
			update := statement(b, d, `UPDATE `+d.prefix+`tokens SET token = $2, expires = now() + interval '30 days' WHERE token = $1`)
			benchmark(b, callers, func(i int) error {
				old, next := tokens[i%benchSubjects].Load(), benchID()
				tokens[i%benchSubjects].Store(&next)
				_, err := update.Exec(*old, next)
				return err
			})
		})
	}
}

func statement(b *testing.B, d *database, text string) *sql.Stmt {
	b.Helper()
	stmt, err := d.db.Prepare(text)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = stmt.Close() })
	return stmt
}

// BenchmarkLargeRotate rotates one of many sessions, of subjects that have two each, and reports what a
// session takes in the database, with its part of the row of the subject. A million sessions take
// minutes to make, and so they need SQLSTORE_LARGE=1.
func BenchmarkLargeRotate(b *testing.B) {
	server := pgtest.Start(b)
	sizes := []int{1000}
	if os.Getenv("SQLSTORE_LARGE") != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, dialect := range []Dialect{PostgreSQL, SQLite} {
		for _, sessions := range sizes {
			b.Run(fmt.Sprintf("%v/sessions=%d", dialect, sessions), func(b *testing.B) {
				d := postgres(b, server)
				if dialect == SQLite {
					d = sqlite(b, filepath.Join(b.TempDir(), "guard.db"))
				}
				d.db.SetMaxOpenConns(64)
				d.db.SetMaxIdleConns(64)
				s := d.store(b)
				before := d.size(b)
				d.insertSessions(b, sessions)
				bytes := float64(d.size(b)-before) / float64(sessions)
				for _, callers := range []int{1, 64} {
					b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
						benchmark(b, callers, func(i int) error {
							i = i * 7919 % sessions
							return rotate(context.Background(), s, benchSubject(i/2), largeID(i))
						})
						b.ReportMetric(bytes, "B/session")
					})
				}
			})
		}
	}
}

func largeID(i int) string { return fmt.Sprintf("SESSIONIDWITH26CHARS%06d", i) }

// size returns the size of the database in bytes.
func (d *database) size(b *testing.B) int {
	if d.dialect == SQLite {
		return d.count(b, `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`)
	}
	return d.count(b, `SELECT pg_total_relation_size('{sessions}') + pg_total_relation_size('{subjects}')`)
}

// insertSessions writes rows by statements of 500, because as many log-ins would take hours.
func (d *database) insertSessions(b *testing.B, sessions int) {
	b.Helper()
	const step = 500
	for first := 0; first < sessions; first += 100 * step {
		tx, err := d.db.BeginTx(b.Context(), nil)
		if err != nil {
			b.Fatal(err)
		}
		for at := first; at < min(sessions, first+100*step); at += step {
			d.insertSome(b, tx, at, at+step)
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	if d.dialect == PostgreSQL {
		d.exec(b, `VACUUM ANALYZE {sessions}`)
		d.exec(b, `VACUUM ANALYZE {subjects}`)
	}
}

func (d *database) insertSome(b *testing.B, tx *sql.Tx, from, to int) {
	b.Helper()
	c := &config{dialect: d.dialect, prefix: d.prefix}
	var sessions, subjects rowsOf
	for i := from; i < to; i++ {
		row := newRow(benchSubject(i/2), largeID(i), time.Now().Truncate(time.Millisecond))
		data, err := row.Encode()
		if err != nil {
			b.Fatal(err)
		}
		key, subject, keep := sessionKey(row.Subject, row.ID), subjectKey(row.Subject), row.KeepUntil().UnixMilli()
		sessions.add(key[:], subject[:], []byte(row.ID), row.Began.UnixMilli(), row.IdleDeadline.UnixMilli(), keep, false, false, string(data))
		if i%2 == 0 {
			subjects.add(subject[:], 0, keep)
		}
	}
	for table, rows := range map[string]rowsOf{"{sessions}": sessions, "{subjects}": subjects} {
		if _, err := tx.ExecContext(b.Context(), c.render(`INSERT INTO `+table+` VALUES `+strings.Join(rows.places, ", ")), rows.args...); err != nil {
			b.Fatal(err)
		}
	}
}

// rowsOf are rows for one statement.
type rowsOf struct {
	places []string
	args   []any
}

func (r *rowsOf) add(values ...any) {
	var places []string
	for range values {
		places = append(places, fmt.Sprintf("$%d", len(r.args)+len(places)+1))
	}
	r.places, r.args = append(r.places, "("+strings.Join(places, ", ")+")"), append(r.args, values...)
}
