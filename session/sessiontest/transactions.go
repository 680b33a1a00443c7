package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/session"
)

var errStep = errors.New("the error of the step")

func stepError(h *harness) {
	old := h.row(alice, "a", 1)
	h.put(old)
	h.setEpoch(alice, 3)
	err := h.store.Update(h.ctx, alice, func(tx session.Tx) error {
		changed := old
		changed.Generation = 9
		if err := errors.Join(tx.SetEpoch(4), putAll(tx, []session.Row{changed, h.row(alice, "b", 2)})); err != nil {
			return err
		}
		return fmt.Errorf("wrapped: %w", errStep)
	})
	if !errors.Is(err, errStep) {
		h.fail("Update returned the error %v, want that of the step", err)
	}
	h.expectEpoch("the step failed", alice, 3)
	h.expectRow("the step failed", old)
	h.expectNoRow("the step failed", alice, idMarker+"b")
	h.expectRows("List after the step failed", h.listAll(alice, 10), []session.Row{old})
	h.expectRows("Live after the step failed", h.live(alice, 10), []session.Row{old})

	// The error of a step that wrote nothing, and of one for a new subject.
	for _, s := range []session.Subject{alice, bob} {
		err := h.store.Update(h.ctx, s, func(tx session.Tx) error {
			if _, err := tx.Epoch(); err != nil {
				return err
			}
			return errStep
		})
		if !errors.Is(err, errStep) {
			h.fail("Update returned the error %v, want that of the step", err)
		}
	}
	err = h.store.Update(h.ctx, bob, func(tx session.Tx) error {
		return errors.Join(tx.SetEpoch(8), tx.Put(h.row(bob, "b", 1)), errStep)
	})
	if !errors.Is(err, errStep) {
		h.fail("Update returned the error %v, want that of the step", err)
	}
	h.expectEpoch("the step for a new subject failed", bob, 0)
	h.expectNoRow("the step for a new subject failed", bob, idMarker+"b")
	h.put(h.row(bob, "c", 1))
	h.expectEpoch("a step after one that failed", bob, 0)
	h.expectNoRow("a step after one that failed", bob, idMarker+"b")
}

func visible(h *harness) {
	const callers, rounds = 16, 8
	h.concurrently(callers, func(i int) error {
		for round := range rounds {
			row := h.row(alice, fmt.Sprint(i, " ", round), round)
			if err := h.tryPut(row); err != nil {
				return err
			}
			found := false
			err := h.store.Update(h.ctx, alice, func(tx session.Tx) (err error) {
				_, found, err = tx.Session(row.ID)
				return err
			})
			if err != nil || !found {
				return fmt.Errorf("a later transaction sees the row: %t, error %w", found, err)
			}
			if found, err := h.listed(row); err != nil || !found {
				return fmt.Errorf("a later List has the row: %t, error %w", found, err)
			}
			if err := h.tryPut(h.ended(row)); err != nil {
				return err
			}
			if found, err := h.listed(row); err != nil || found {
				return fmt.Errorf("a later List has the ended row: %t, error %w", found, err)
			}
		}
		return nil
	})
}

func (h *harness) listed(row session.Row) (bool, error) {
	rows, err := listAll(h.ctx, h.store, row.Subject, 100)
	return slices.Contains(idsOf(rows), row.ID), err
}

// together writes two rows and the epoch with one number, and reads them.
func together(h *harness) {
	const callers, rounds = 16, 20
	a, b := h.row(alice, "a", 1), h.row(alice, "b", 2)
	a.Generation, b.Generation = 0, 0
	h.put(a, b)
	read := func(tx session.Tx) (uint32, error) {
		rowA, _, errA := tx.Session(a.ID)
		epoch, errE := tx.Epoch()
		rowB, _, errB := tx.Session(b.ID)
		if err := errors.Join(errA, errE, errB); err != nil {
			return 0, err
		}
		if rowA.Generation != rowB.Generation || uint64(rowA.Generation) != epoch {
			return 0, errTorn
		}
		return rowA.Generation, nil
	}
	h.concurrently(callers, func(i int) error {
		for range rounds {
			err := h.store.Update(h.ctx, alice, func(tx session.Tx) error {
				n, err := read(tx)
				if err != nil || i%2 == 0 {
					return err
				}
				newA, newB := a, b
				newA.Generation, newB.Generation = n+1, n+1
				return errors.Join(tx.Put(newA), tx.SetEpoch(uint64(n)+1), tx.Put(newB))
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	a.Generation, b.Generation = callers/2*rounds, callers/2*rounds
	h.expectRow("written together", a)
	h.expectRow("written together", b)
}

// errTorn is an error only if it is the error of Update: the last run of a step counts, and an
// optimistic store may read what it then refuses to write.
var errTorn = errors.New("a transaction saw a part of the writes of another")

// callers of the checks that count.
const counters = 64

// count has every caller make rounds transactions, each of which takes a number. The numbers must be
// 1 and so on.
func (h *harness) count(rounds int, next func(tx session.Tx) (uint64, error)) {
	taken := make([][]uint64, counters)
	h.concurrently(counters, func(i int) error {
		for range rounds {
			var n uint64
			err := h.store.Update(h.ctx, alice, func(tx session.Tx) (err error) {
				n, err = next(tx)
				return err
			})
			if err != nil {
				return err
			}
			taken[i] = append(taken[i], n)
		}
		return nil
	})
	all := slices.Concat(taken...)
	slices.Sort(all)
	for i, n := range all {
		if n != uint64(i)+1 {
			h.fail("%d transactions counted; number %d was taken twice or never", len(all), i+1)
			return
		}
	}
}

func countEpoch(h *harness) {
	h.count(4, func(tx session.Tx) (uint64, error) {
		epoch, err := tx.Epoch()
		return epoch + 1, errors.Join(err, tx.SetEpoch(epoch+1))
	})
	h.expectEpoch("counted", alice, 4*counters)
}

func countGeneration(h *harness) {
	row := h.row(alice, "a", 1)
	row.Generation = 0
	h.put(row, h.row(alice, "b", 2))
	h.count(4, func(tx session.Tx) (uint64, error) {
		row, _, err := tx.Session(row.ID)
		if err != nil {
			return 0, err
		}
		row.Generation++
		return uint64(row.Generation), tx.Put(row)
	})
	row.Generation = 4 * counters
	h.expectRow("counted", row)
}

func oneInsert(h *harness) {
	const rounds = 8
	for round := range rounds {
		var inserted atomic.Int32
		id := fmt.Sprint(round)
		var winner atomic.Value
		h.concurrently(counters, func(i int) error {
			row, first := h.row(alice, id, round), false
			row.Nonce = fmt.Sprint(i)
			err := h.store.Update(h.ctx, alice, func(tx session.Tx) error {
				_, found, err := tx.Session(row.ID)
				if first = !found; err != nil || found {
					return err
				}
				return tx.Put(row)
			})
			if err == nil && first {
				inserted.Add(1)
				winner.Store(row)
			}
			return err
		})
		if n := inserted.Load(); n != 1 {
			h.fail("%d of %d concurrent transactions found no row with their id, want 1", n, counters)
			return
		}
		h.expectRow("inserted once", winner.Load().(session.Row))
	}
}

var errLimit = errors.New("too many sessions")

func limitRefuse(h *harness) {
	const limit = 5
	var refused atomic.Int32
	h.put(h.ended(h.row(alice, "ended", 0)))
	h.concurrently(counters, func(i int) error {
		err := h.store.Update(h.ctx, alice, func(tx session.Tx) error {
			rows, err := tx.Live(limit)
			if err != nil {
				return err
			}
			if len(rows) >= limit {
				return errLimit
			}
			return tx.Put(h.row(alice, fmt.Sprint(i), i))
		})
		if errors.Is(err, errLimit) {
			refused.Add(1)
			return nil
		}
		return err
	})
	if n := len(h.listAll(alice, 100)); n != limit || refused.Load() != counters-limit {
		h.fail("%d sessions are live and %d were refused; want %d and %d", n, refused.Load(), limit, counters-limit)
	}
}

func limitEndOldest(h *harness) {
	const limit, rounds = 3, 3
	h.concurrently(counters, func(i int) error {
		for round := range rounds {
			n := 0
			err := h.store.Update(h.ctx, alice, func(tx session.Tx) error {
				rows, err := tx.Live(2 * counters * rounds)
				if err != nil {
					return err
				}
				n = len(rows)
				for _, row := range rows[:max(0, n+1-limit)] {
					if err := tx.Put(h.ended(row)); err != nil {
						return err
					}
				}
				return tx.Put(h.row(alice, fmt.Sprint(i, " ", round), i))
			})
			if err != nil || n > limit {
				return fmt.Errorf("a transaction saw %d live sessions, the limit is %d; error %w", n, limit, err)
			}
		}
		return nil
	})
	if n := len(h.listAll(alice, 100)); n != limit {
		h.fail("%d sessions are live, want %d", n, limit)
	}
}

// writeSkew has two transactions that each end one of two sessions if both are live.
func writeSkew(h *harness) {
	const rounds = 40
	for round := range rounds {
		pair := h.rows(alice, fmt.Sprint(round, " "), 2)
		h.put(pair...)
		h.concurrently(2, func(i int) error {
			return h.store.Update(h.ctx, alice, func(tx session.Tx) error {
				for _, row := range pair {
					if row, _, err := tx.Session(row.ID); err != nil || !row.Ended.IsZero() {
						return err
					}
				}
				return tx.Put(h.ended(pair[i]))
			})
		})
		rows := h.listAll(alice, 10)
		if len(rows) != 1 {
			h.fail("%d of two sessions are live after two transactions that leave one; want 1", len(rows))
			return
		}
		h.put(h.ended(rows[0]))
	}
}

// epochFence begins sessions while the epoch is raised. What List returns afterwards contains every
// session that began with the epoch before.
func epochFence(h *harness) {
	const rounds, callers, begins = 12, 12, 3
	for round := range rounds {
		epoch := uint64(round)
		var seen []session.Row
		h.concurrently(callers, func(i int) (err error) {
			if i == 0 {
				err = h.store.Update(h.ctx, alice, func(tx session.Tx) error { return tx.SetEpoch(epoch + 1) })
				if err == nil {
					seen, err = listAll(h.ctx, h.store, alice, 100)
				}
				return err
			}
			for k := range begins {
				row := h.row(alice, fmt.Sprint(round, " ", i, " ", k), round)
				err := h.store.Update(h.ctx, alice, func(tx session.Tx) (err error) {
					if row.Epoch, err = tx.Epoch(); err != nil {
						return err
					}
					return tx.Put(row)
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		ids := idsOf(seen)
		for _, row := range h.listAll(alice, 100) {
			if row.Epoch == epoch && !slices.Contains(ids, row.ID) {
				h.fail("a session that read the epoch %d was written after the epoch was raised", epoch)
				return
			}
		}
		h.must("Forget", h.store.Forget(h.ctx, alice))
	}
}

// lastRun has every run of a step write a row with the number of the run.
func lastRun(h *harness) {
	const callers, rounds = 32, 4
	var want [callers][]string
	h.put(h.row(alice, "shared", 0))
	h.concurrently(callers, func(i int) error {
		for round := range rounds {
			run, id := 0, ""
			err := h.store.Update(h.ctx, alice, func(tx session.Tx) error {
				run++
				id = fmt.Sprint(i, " ", round, " run ", run)
				row, _, err := tx.Session(idMarker + "shared") // a conflict with all others
				if err != nil {
					return err
				}
				row.Generation++
				return errors.Join(tx.Put(row), tx.Put(h.row(alice, id, i+1)))
			})
			if err != nil {
				return err
			}
			want[i] = append(want[i], idMarker+id)
		}
		return nil
	})
	got := idsOf(h.listAll(alice, 100))
	all := append(slices.Concat(want[:]...), idMarker+"shared")
	slices.Sort(got)
	slices.Sort(all)
	if !slices.Equal(got, all) {
		h.fail("%d rows are live, want the %d of the last runs", len(got), len(all))
	}
}

func storeTime(h *harness) {
	before := time.Now()
	var first, second time.Time
	h.update(alice, func(tx session.Tx) error {
		first, second = tx.Now(), tx.Now()
		return nil
	})
	if !first.Equal(first.Truncate(time.Millisecond)) {
		h.fail("Now returned %s, which is not in whole milliseconds", first)
	}
	if second.Before(first) {
		h.fail("Now went back by %s", first.Sub(second))
	}
	if h.realClock {
		if d := first.Sub(before); d.Abs() > time.Hour {
			h.fail("Now is %s from the clock of the test", d)
		}
		return
	}
	if want := h.clock.read().Truncate(time.Millisecond); !first.Equal(want) {
		h.fail("Now returned %s, the clock shows %s", first, want)
	}
	h.clock.advance(5 * time.Millisecond)
	if want := first.Add(5 * time.Millisecond); !h.now().Equal(want) {
		h.fail("Now does not follow the clock")
	}
}

// timeOrder writes the time of each transaction to a row that all of them read.
func timeOrder(h *harness) {
	const callers, rounds = 32, 8
	row := h.row(alice, "a", 0)
	h.put(row)
	h.clock.setTick(time.Millisecond)
	h.concurrently(callers, func(int) error {
		for range rounds {
			err := h.store.Update(h.ctx, alice, func(tx session.Tx) error {
				row, _, err := tx.Session(row.ID)
				if err != nil {
					return err
				}
				now := tx.Now()
				if now.Before(row.LastSeen) {
					return errors.New("Now is before the time that an earlier transaction read")
				}
				row.LastSeen = now
				return tx.Put(row)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func doneContext(h *harness) {
	row := h.row(alice, "a", 1)
	h.put(row)
	cancelled, cancel := context.WithCancel(h.ctx)
	cancel()
	expired, cancel := context.WithDeadline(h.ctx, time.Now().Add(-time.Second))
	defer cancel()
	for want, ctx := range map[error]context.Context{context.Canceled: cancelled, context.DeadlineExceeded: expired} {
		for _, call := range []struct {
			name string
			err  error
		}{
			{name: "Update", err: h.store.Update(ctx, alice, func(tx session.Tx) error {
				return errors.Join(tx.SetEpoch(1), tx.Put(h.row(alice, "b", 2)))
			})},
			{name: "List", err: second(h.store.List(ctx, alice, "", 10))},
			{name: "Owed", err: first(h.store.Owed(ctx, 10))},
			{name: "Forget", err: h.store.Forget(ctx, alice)},
		} {
			if !errors.Is(call.err, want) {
				h.fail("%s with a context that is done returned the error %v, want %v", call.name, call.err, want)
			}
		}
	}
	h.expectEpoch("the context was done", alice, 0)
	h.expectRows("List after calls with a context that was done", h.listAll(alice, 10), []session.Row{row})
}

func first(_ []session.Row, err error) error { return err }

func second(_ []session.Row, _ string, err error) error { return err }

func cancelledStep(h *harness) {
	for i := range 10 {
		ctx, cancel := context.WithCancel(h.ctx)
		id := fmt.Sprint(i)
		err := h.store.Update(ctx, alice, func(tx session.Tx) error {
			if i%2 == 0 {
				cancel()
			}
			err := errors.Join(tx.SetEpoch(uint64(i)+1), tx.Put(h.row(alice, id, i)))
			cancel()
			return err
		})
		var epoch uint64
		var found bool
		h.update(alice, func(tx session.Tx) error {
			var errE, errS error
			epoch, errE = tx.Epoch()
			_, found, errS = tx.Session(idMarker + id)
			return errors.Join(errE, errS)
		})
		if written := epoch == uint64(i)+1; written != found {
			h.fail("the epoch was written: %t, the row: %t", written, found)
		}
		if err == nil && !found {
			h.fail("Update returned nil and wrote nothing")
		}
	}
}
