package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/pgtest"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/session"
)

// TestTimeIsReadAfterTheLock holds the lock of a row, or of a subject, while a transaction waits for
// it. The time of the transaction is not before the end of the lock.
func TestTimeIsReadAfterTheLock(t *testing.T) {
	d := postgres(t, pgtest.Shared(t))
	s := d.store(t)
	put(t, s, alice, "a")
	key := sessionKey(alice, "a")
	subject := subjectKey(alice)
	for _, tt := range []struct {
		name string
		lock string
		key  []byte
		step func(tx session.Tx) (time.Time, error)
	}{
		{
			name: "row", lock: `SELECT 1 FROM {sessions} WHERE key = $1 FOR UPDATE`, key: key[:],
			step: func(tx session.Tx) (time.Time, error) {
				row, _, err := tx.Session("a")
				// Revoke, so that the short way for one row does not apply.
				err = errors.Join(err, tx.Put(row), tx.(session.BlacklistTx).Revoke(blacklist.OfToken(user("a"), inAnHour())))
				return tx.Now(), err
			},
		},
		{
			name: "row after the time", lock: `SELECT 1 FROM {sessions} WHERE key = $1 FOR UPDATE`, key: key[:],
			step: func(tx session.Tx) (time.Time, error) {
				now := tx.Now()
				_, _, err := tx.Session("a")
				return now, err
			},
		},
		{
			name: "row of Live", lock: `SELECT 1 FROM {sessions} WHERE key = $1 FOR UPDATE`, key: key[:],
			step: func(tx session.Tx) (time.Time, error) {
				now := tx.Now()
				_, err := tx.Live(1)
				return now, err
			},
		},
		{
			name: "subject", lock: `SELECT 1 FROM {subjects} WHERE subject = $1 FOR UPDATE`, key: subject[:],
			step: func(tx session.Tx) (time.Time, error) {
				_, err := tx.Epoch()
				return tx.Now(), err
			},
		},
		{
			name: "subject of a session that does not exist", lock: `SELECT 1 FROM {subjects} WHERE subject = $1 FOR UPDATE`, key: subject[:],
			step: func(tx session.Tx) (time.Time, error) {
				_, _, err := tx.Session("b")
				return tx.Now(), errors.Join(err, tx.Put(newRow(alice, "b", tx.Now())), errStep)
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			holder, err := d.db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = holder.Rollback() }()
			if _, err := holder.Exec(s.cfg.render(tt.lock), tt.key); err != nil {
				t.Fatal(err)
			}
			var now time.Time
			done := make(chan error)
			go func() {
				done <- s.Update(t.Context(), alice, func(tx session.Tx) (err error) {
					now, err = tt.step(tx)
					return err
				})
			}()
			waitForLock(t, d)
			var released time.Time
			const clock = `SELECT date_trunc('milliseconds', clock_timestamp() + interval '2 ms')`
			if err := holder.QueryRow(clock).Scan(&released); err != nil {
				t.Fatal(err)
			}
			redistest.Eventually(t, "the clock passes", func() error {
				var later bool
				err := holder.QueryRow(`SELECT clock_timestamp() >= $1`, released).Scan(&later)
				if err == nil && !later {
					err = errors.New("not yet")
				}
				return err
			})
			if err := holder.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil && !errors.Is(err, errStep) {
				t.Fatal(err)
			}
			if now.Before(released) {
				t.Errorf("the time of the transaction is %v before the end of the lock", released.Sub(now))
			}
		})
	}
}

var errStep = errors.New("the error of the step")

// waitForLock waits until a statement on the tables of the test waits for a lock.
func waitForLock(t *testing.T, d *database) {
	t.Helper()
	redistest.Eventually(t, "a transaction waits for the lock", func() error {
		if d.count(t, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%`+d.prefix+`%'`) == 0 {
			return errors.New("nothing waits")
		}
		return nil
	})
}

// TestRefreshTakesTwoStatements checks the short way: no transaction, and the row is written only if
// nobody else has.
func TestRefreshTakesTwoStatements(t *testing.T) {
	d := postgres(t, pgtest.Shared(t))
	s := d.store(t)
	other := d.open(t, d.db) // of another process
	put(t, s, alice, "a")
	runs := 0
	err := s.Update(t.Context(), alice, func(tx session.Tx) error {
		runs++
		row, _, err := tx.Session("a")
		if err != nil {
			return err
		}
		if runs == 1 {
			if err := rotate(t.Context(), other, alice, "a"); err != nil {
				return err
			}
		}
		if _, short := tx.(*rowTx); short != (runs == 1) {
			t.Errorf("run %d has a %T", runs, tx)
		}
		row.Generation++
		return tx.Put(row)
	})
	if err != nil {
		t.Fatal(err)
	}
	if row, _ := load(t, s, alice, "a"); row.Generation != 3 || runs != 2 {
		t.Errorf("after two rotations the generation is %d, the step ran %d times; want 3 and 2", row.Generation, runs)
	}
}

// TestRefreshesOfOneProcessQueue refreshes one session from many callers: no step runs twice.
func TestRefreshesOfOneProcessQueue(t *testing.T) {
	d := postgres(t, pgtest.Shared(t))
	s := d.store(t)
	put(t, s, alice, "a")
	const callers = 32
	var runs atomic.Int32
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			err := s.Update(t.Context(), alice, func(tx session.Tx) error {
				runs.Add(1)
				row, _, err := tx.Session("a")
				row.Generation++
				return errors.Join(err, tx.Put(row))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if row, _ := load(t, s, alice, "a"); row.Generation != callers+1 || runs.Load() != callers {
		t.Errorf("the generation is %d after %d runs, want %d after %d", row.Generation, runs.Load(), callers+1, callers)
	}
	if n := len(s.rows.byKey); n != 0 {
		t.Errorf("%d queues are left, want 0", n)
	}
}

// TestTwoPools counts with two stores on two pools, as two processes do.
func TestTwoPools(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		stores := []*Store{d.store(t), d.open(t, d.pool(t))}
		put(t, stores[0], alice, "a")
		const callers, rounds = 16, 5
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				for range rounds {
					if err := rotate(t.Context(), stores[i%2], alice, "a"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		if row, _ := load(t, stores[0], alice, "a"); row.Generation != callers*rounds+1 {
			t.Errorf("after %d rotations the generation is %d, want %d", callers*rounds, row.Generation, callers*rounds+1)
		}
	})
}

// TestPanicInAStep checks that the transaction ends: the next one does not wait for its locks.
func TestPanicInAStep(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		put(t, s, alice, "a")
		func() {
			defer func() {
				if recover() == nil {
					t.Error("Update swallowed the panic")
				}
			}()
			_ = s.Update(t.Context(), alice, func(tx session.Tx) error {
				if _, err := tx.Epoch(); err != nil {
					return err
				}
				row, _, _ := tx.Session("a")
				row.Generation = 9
				_ = tx.Put(row)
				panic("in a step")
			})
		}()
		if err := rotate(t.Context(), s, alice, "a"); err != nil {
			t.Fatal(err)
		}
		if row, _ := load(t, s, alice, "a"); row.Generation != 2 {
			t.Errorf("the generation is %d, want 2", row.Generation)
		}
	})
}

// TestTransactionIsOver uses a Tx after its step has returned.
func TestTransactionIsOver(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		put(t, s, alice, "a")
		for _, first := range []func(tx session.Tx) error{
			func(tx session.Tx) error { _, _, err := tx.Session("a"); return err },
			func(tx session.Tx) error { _, err := tx.Epoch(); return err },
		} {
			var kept session.BlacklistTx
			err := s.Update(t.Context(), alice, func(tx session.Tx) error {
				kept = tx.(session.BlacklistTx)
				return first(tx)
			})
			if err != nil {
				t.Fatal(err)
			}
			_, errEpoch := kept.Epoch()
			_, _, errSession := kept.Session("a")
			_, errLive := kept.Live(1)
			for _, err := range []error{
				errEpoch, errSession, errLive, kept.SetEpoch(1), kept.Put(newRow(alice, "b", time.Now())),
				kept.Revoke(blacklist.OfToken(user("a"), inAnHour())),
			} {
				mustBeUnavailable(t, err, "the transaction is over")
			}
		}
	})
}

// TestDeadlockRunsTheStepAgain has two steps lock two rows in opposite order.
func TestDeadlockRunsTheStepAgain(t *testing.T) {
	d := postgres(t, pgtest.Shared(t))
	s := d.store(t)
	put(t, s, alice, "a")
	put(t, s, alice, "b")
	var runs atomic.Int32
	var group, both sync.WaitGroup
	both.Add(2)
	for _, ids := range [][]string{{"a", "b"}, {"b", "a"}} {
		group.Go(func() {
			first := true
			err := s.Update(t.Context(), alice, func(tx session.Tx) error {
				if _, short := tx.(*rowTx); !short {
					runs.Add(1)
				}
				rows := make([]session.Row, 2)
				for i, id := range ids {
					var err error
					if rows[i], _, err = tx.Session(id); err != nil {
						return err
					}
					if _, short := tx.(*rowTx); i == 0 && first && !short {
						first = false
						both.Done()
						both.Wait()
					}
				}
				rows[0].Generation++
				rows[1].Generation++
				return errors.Join(tx.Put(rows[0]), tx.Put(rows[1]))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	a, _ := load(t, s, alice, "a")
	b, _ := load(t, s, alice, "b")
	if a.Generation != 3 || b.Generation != 3 || runs.Load() < 3 {
		t.Errorf("generations %d and %d after %d runs, want 3 and 3 after at least 3", a.Generation, b.Generation, runs.Load())
	}
}

// TestLiveIsSerializable ends a session, on the short way, while another transaction has read the
// live sessions.
func TestLiveIsSerializable(t *testing.T) {
	d := postgres(t, pgtest.Shared(t))
	s := d.store(t)
	put(t, s, alice, "a")
	put(t, s, alice, "b")
	ended := make(chan error, 1)
	err := s.Update(t.Context(), alice, func(tx session.Tx) error {
		rows, err := tx.Live(10)
		if err != nil {
			return err
		}
		go func() { ended <- end(t.Context(), s, alice, "a") }()
		waitForLock(t, d)
		again, err := tx.Live(10)
		if len(rows) != 2 || len(again) != 2 {
			t.Errorf("Live returned %d and then %d rows, want 2 and 2", len(rows), len(again))
		}
		return err
	})
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
}

// TestLiveLocksWhatItReturns has a session expire while Live waits for its lock. Another session
// takes its place, and is locked too.
func TestLiveLocksWhatItReturns(t *testing.T) {
	d := postgres(t, pgtest.Shared(t))
	s := d.store(t)
	begin := time.Now().Add(-time.Hour)
	expires := begin.Add(time.Minute)
	for i, id := range []string{"a", "b", "c"} {
		row := newRow(alice, id, begin.Add(time.Duration(i)*time.Second))
		if id == "a" {
			row.IdleDeadline = expires
		}
		if err := s.Update(t.Context(), alice, func(tx session.Tx) error { return tx.Put(row) }); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	err := s.transact(t.Context(), alice, func(tx *transaction) error {
		if err := tx.lockSubject(); err != nil {
			return err
		}
		tx.clock = expires.UnixMilli() - 1 // the time before the wait
		rows, err := tx.Live(2)
		if err != nil {
			return err
		}
		if len(rows) != 2 || rows[0].ID != "b" || rows[1].ID != "c" {
			return fmt.Errorf("Live returned %d rows, want b and c", len(rows))
		}
		go func() { ended <- end(context.Background(), s, alice, "c") }()
		waitForLock(t, d)
		return nil
	})
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
}

// TestSubjectMadeMeanwhile has a transaction find no subject, and then a session of it that another
// one has begun since. The step runs again.
func TestSubjectMadeMeanwhile(t *testing.T) {
	d := postgres(t, pgtest.Shared(t))
	s := d.store(t)
	runs := 0
	err := s.Update(t.Context(), alice, func(tx session.Tx) error {
		epoch, err := tx.Epoch()
		if err != nil {
			return err
		}
		if runs++; runs == 1 {
			err := s.Update(t.Context(), alice, func(tx session.Tx) error {
				return errors.Join(tx.SetEpoch(5), tx.Put(newRow(alice, "a", time.Now())))
			})
			if err != nil {
				return err
			}
		}
		_, found, err := tx.Session("a")
		if err == nil && (epoch != 5 || !found) {
			t.Errorf("the epoch is %d, the session exists: %v", epoch, found)
		}
		return err
	})
	if err != nil || runs != 2 {
		t.Errorf("the step ran %d times with a subject, error %v; want 2", runs, err)
	}
}

// TestOneInsertAfterTheTime has callers insert one id. Each asks for the time first, so that it
// begins with a transaction, and reads that there is no row before it locks the subject.
func TestOneInsertAfterTheTime(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		s := d.store(t)
		put(t, s, alice, "first")
		for round := range 5 {
			id := fmt.Sprint(round)
			var inserted atomic.Int32
			var group sync.WaitGroup
			for range 16 {
				group.Go(func() {
					found := false
					err := s.Update(t.Context(), alice, func(tx session.Tx) (err error) {
						now := tx.Now()
						if _, found, err = tx.Session(id); err != nil || found {
							return err
						}
						return tx.Put(newRow(alice, id, now))
					})
					if err != nil {
						t.Error(err)
					}
					if !found {
						inserted.Add(1)
					}
				})
			}
			group.Wait()
			if n := inserted.Load(); n != 1 {
				t.Fatalf("%d callers inserted the session, want 1", n)
			}
		}
	})
}

// TestSessionThatLivesAgainLocksTheSubject checks that a session cannot become live while another
// transaction counts the live ones.
func TestSessionThatLivesAgainLocksTheSubject(t *testing.T) {
	d := postgres(t, pgtest.Shared(t))
	s := d.store(t)
	put(t, s, alice, "a")
	if err := end(t.Context(), s, alice, "a"); err != nil {
		t.Fatal(err)
	}
	revived := make(chan error, 1)
	err := s.Update(t.Context(), alice, func(tx session.Tx) error {
		if rows, err := tx.Live(10); err != nil || len(rows) != 0 {
			return fmt.Errorf("Live returned %d rows: %w", len(rows), err)
		}
		go func() {
			revived <- s.Update(context.Background(), alice, func(tx session.Tx) error {
				row, _, err := tx.Session("a")
				row.Ended = time.Time{}
				return errors.Join(err, tx.Put(row))
			})
		}()
		waitForLock(t, d)
		return nil
	})
	if err := errors.Join(err, <-revived); err != nil {
		t.Fatal(err)
	}
}
