package sessiontest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/session"
)

// tiedRows returns rows of which many began together, newest first.
func (h *harness) tiedRows(n int) []session.Row {
	rows := make([]session.Row, n)
	for i := range rows {
		rows[i] = h.row(alice, fmt.Sprintf("%03d", i), i/5)
	}
	rows[3].ID, rows[4].ID = idMarker+"004", idMarker+"004.5"
	slices.Reverse(rows)
	return rows
}

// putShuffled writes the rows in another order than theirs.
func (h *harness) putShuffled(rows []session.Row) {
	const stride = 7 // has no divisor in common with the numbers of rows
	for i := range rows {
		h.put(rows[i*stride%len(rows)])
	}
}

func listOrder(h *harness) {
	rows := h.tiedRows(23)
	h.putShuffled(rows)
	h.expectRows("List in one page", h.listAll(alice, 100), rows)
	// A change of a row that is listed does not move it.
	changed := rows[4]
	changed.LastSeen, changed.Rotated = h.start.Add(time.Hour), h.start.Add(time.Hour)
	changed.Generation = 17
	h.put(changed)
	rows[4] = changed
	h.expectRows("List after a rotation", h.listAll(alice, 100), rows)
}

func listPages(h *harness) {
	rows := h.tiedRows(23)
	h.putShuffled(rows)
	h.put(h.ended(h.row(alice, "ended", 2)), h.ended(h.row(alice, "ended too", 3)))
	h.put(h.row(bob, "010", 2))
	for _, limit := range []int{1, 2, 3, 5, 7, 22, 23, 24} {
		h.expectRows(fmt.Sprintf("pages of %d", limit), h.listAll(alice, limit), rows)
	}
	for _, limit := range []int{23, 100} {
		// The order of Row.IsLive: a row that is not live does not count for the limit.
		if page, _, err := h.store.List(h.ctx, alice, "", limit); err != nil || len(page) == 0 {
			h.fail("List returned %d rows, error %v", len(page), err)
		}
	}
}

// listChanging changes the rows between the pages, the row that a position can name included.
func listChanging(h *harness) {
	for _, limit := range []int{1, 2, 3} {
		var stable, leaving []session.Row
		for i := range 20 {
			row := h.row(alice, fmt.Sprintf("%d %02d", limit, i), 2*(i/2)) // pairs begin together
			if i%3 == 0 {
				leaving = append(leaving, row)
			} else {
				stable = append(stable, row)
			}
			h.put(row)
		}
		seen := map[string]int{}
		position := ""
		for page := range 200 {
			if h.failed() {
				return
			}
			rows, next, err := h.store.List(h.ctx, alice, position, limit)
			h.must("List", err)
			for _, row := range rows {
				seen[row.ID]++
				if i := slices.IndexFunc(leaving, func(r session.Row) bool { return r.ID == row.ID }); i >= 0 {
					h.put(h.ended(leaving[i])) // the row before the position leaves
				}
			}
			if page < 30 {
				h.put(h.row(alice, fmt.Sprintf("%d new %d", limit, page), 100+page)) // before all pages
			}
			if len(rows) > 0 && page < 30 {
				began := int(rows[0].Began.Sub(h.start) / time.Second)
				h.put(h.row(alice, fmt.Sprintf("%d between %d", limit, page), began+1))
				h.put(h.ended(h.row(alice, fmt.Sprintf("%d gone %d", limit, page), began-1)))
			}
			if position = next; next == "" {
				break
			}
		}
		for _, row := range stable {
			if n := seen[row.ID]; n != 1 {
				h.fail("pages of %d: a row was returned %d times while others began and ended", limit, n)
			}
		}
		for id, n := range seen {
			if n > 1 {
				h.fail("pages of %d: the row %q was returned %d times", limit, id, n)
			}
		}
		if h.failed() {
			return
		}
		h.must("Forget", h.store.Forget(h.ctx, alice))
	}
}

func listPosition(h *harness) {
	for range 2 { // without rows, and with some
		for _, position := range []string{"?", "not a position", "\x00\xff", strings.Repeat("9", 5000), "x.y", idMarker, "{}", "-"} {
			rows, next, err := h.store.List(h.ctx, alice, position, 10)
			if !errors.Is(err, session.ErrPosition) || len(rows) > 0 || next != "" {
				h.fail("List with the position %.40q returned %d rows, the position %q and the error %v; want ErrPosition", position, len(rows), next, err)
			}
		}
		h.put(h.rows(alice, "", 3)...)
	}
}

// notLive returns rows of sessions that are over in each way.
func (h *harness) notLive(s session.Subject) []session.Row {
	var rows []session.Row
	for i, change := range []func(*session.Row){
		func(r *session.Row) { *r = h.ended(*r) },
		func(r *session.Row) { r.IdleDeadline = h.start },
		func(r *session.Row) { r.IdleDeadline = h.start.Add(-time.Minute) },
		func(r *session.Row) { r.End, r.IdleDeadline = h.start, h.start },
		func(r *session.Row) { r.End = h.start }, // the idle deadline is later
		func(r *session.Row) { r.End, r.IdleDeadline = h.start.Add(-time.Minute), h.start.Add(-time.Minute) },
		func(r *session.Row) { r.Ended, r.Owed = h.start, true },
	} {
		row := h.row(s, fmt.Sprintf("over %d", i), i)
		change(&row)
		rows = append(rows, row)
	}
	return rows
}

func onlyLive(h *harness) {
	over := h.notLive(alice)
	h.put(over...)
	h.expectRows("List of sessions that are over", h.listAll(alice, 10), nil)
	h.expectRows("Live of sessions that are over", h.live(alice, 10), nil)
	liveRows := h.rows(alice, "live", 3)
	h.put(liveRows...)
	h.expectRows("Live", h.live(alice, 10), liveRows)
	h.expectRows("Live with a limit", h.live(alice, 2), liveRows[:2])
	slices.Reverse(liveRows)
	h.expectRows("List", h.listAll(alice, 2), liveRows)
	for _, row := range over {
		h.expectRow("over", row)
	}
	h.put(h.ended(liveRows[1]))
	h.expectRows("List after an end", h.listAll(alice, 10), []session.Row{liveRows[0], liveRows[2]})
	h.expectRows("Live after an end", h.live(alice, 10), []session.Row{liveRows[2], liveRows[0]})
}

func liveAgain(h *harness) {
	row := h.row(alice, "a", 1)
	row.IdleDeadline = h.start.Add(-time.Second)
	h.put(row)
	h.expectRows("List of an idle session", h.listAll(alice, 10), nil)
	row.IdleDeadline = h.start.Add(time.Hour)
	h.put(row)
	h.expectRows("List after the deadline moved", h.listAll(alice, 10), []session.Row{row})
	h.expectRows("Live after the deadline moved", h.live(alice, 10), []session.Row{row})
	row.IdleDeadline = h.start.Add(-time.Second)
	h.put(row)
	h.expectRows("List after the deadline moved back", h.listAll(alice, 10), nil)
	h.expectRows("Live after the deadline moved back", h.live(alice, 10), nil)
	h.expectRow("idle", row)
}

func liveOrder(h *harness) {
	rows := h.rows(alice, "", 17)
	rows[5].Began = rows[5].Began.Add(999 * time.Millisecond) // a millisecond before the next
	rows[6].LastSeen = h.start.Add(time.Hour)
	rows[0].Rotated = h.start.Add(2 * time.Hour)
	h.putShuffled(rows)
	for _, limit := range []int{1, 2, 6, 16, 17, 18, 1000} {
		h.expectRows(fmt.Sprintf("Live with the limit %d", limit), h.live(alice, limit), rows[:min(limit, len(rows))])
	}
	h.expectRows("Live of another subject", h.live(bob, 10), nil)
}

// expectOwed expects exactly these rows, in any order.
func (h *harness) expectOwed(why string, want ...session.Row) {
	if h.failed() {
		return
	}
	rows, err := h.store.Owed(h.ctx, 1000)
	h.must("Owed", err)
	byID := func(a, b session.Row) int { return strings.Compare(a.ID, b.ID) }
	want = slices.Clone(want)
	slices.SortFunc(want, byID)
	slices.SortFunc(rows, byID)
	h.expectRows(why+": Owed", rows, want)
}

func owed(h *harness) {
	var want []session.Row
	for i := range 12 {
		row := h.ended(h.row(subject(fmt.Sprint(i/3)), fmt.Sprintf("%02d", i), i))
		if i%2 == 0 {
			row.Owed = true
			want = append(want, row)
		}
		h.put(row)
	}
	h.expectOwed("six rows owe", want...)
	for _, limit := range []int{1, 5} {
		rows, err := h.store.Owed(h.ctx, limit)
		if err != nil || len(rows) == 0 || len(rows) > limit {
			h.fail("Owed with the limit %d returned %d rows, error %v", limit, len(rows), err)
		}
	}
	done := want[2]
	done.Owed = false
	h.put(done)
	h.expectOwed("one was worked off", slices.Delete(slices.Clone(want), 2, 3)...)
	h.put(want[2])
	h.expectOwed("it owes again", want...)
	h.put(want[2])
	h.expectOwed("it owes still", want...)
	failing := want[1]
	failing.Owed = false
	if err := h.store.Update(h.ctx, failing.Subject, func(tx session.Tx) error { return errors.Join(tx.Put(failing), errStep) }); !errors.Is(err, errStep) {
		h.fail("Update returned the error %v, want that of the step", err)
	}
	h.expectOwed("a step failed", want...)
	// All are worked off in steps of two.
	for range len(want) {
		rows, err := h.store.Owed(h.ctx, 2)
		h.must("Owed", err)
		for _, row := range rows {
			row.Owed = false
			h.put(row)
		}
	}
	h.expectOwed("all were worked off")
}

func forget(h *harness) {
	over := h.notLive(alice)
	rows := slices.Concat(h.rows(alice, "", 5), over)
	h.put(rows...)
	h.setEpoch(alice, 6)
	others := []session.Row{h.row(subject("alic"), "0", 0), h.row(subject("alice2"), "0", 0), h.row(bob, "0", 0)}
	otherIssuer := h.row(session.Subject{Issuer: issuer + "/", Name: alice.Name}, "0", 0)
	for _, row := range append(others, otherIssuer) {
		h.put(row)
	}
	for range 2 { // the second call finds nothing
		h.must("Forget", h.store.Forget(h.ctx, alice))
		for _, row := range rows {
			h.expectNoRow("forgotten", alice, row.ID)
		}
		h.expectRows("List after Forget", h.listAll(alice, 10), nil)
		h.expectRows("Live after Forget", h.live(alice, 10), nil)
		h.expectOwed("forgotten")
		h.expectEpoch("forgotten", alice, 6)
	}
	for _, row := range append(others, otherIssuer) {
		h.expectRow("another subject", row)
	}
	again := h.row(alice, "0", 3)
	h.put(again)
	h.expectRow("put after Forget", again)
	h.expectRows("List of what was put after Forget", h.listAll(alice, 10), []session.Row{again})
	h.expectEpoch("put after Forget", alice, 6)
}

func forgetConcurrent(h *harness) {
	const callers, rounds = 12, 4
	h.setEpoch(alice, 1)
	h.concurrently(callers, func(i int) error {
		for round := range rounds {
			err := h.store.Update(h.ctx, alice, func(tx session.Tx) error {
				epoch, err := tx.Epoch()
				return errors.Join(err, tx.SetEpoch(epoch+1), tx.Put(h.row(alice, fmt.Sprint(i, " ", round), i)))
			})
			if err == nil && i%4 == 0 {
				err = h.store.Forget(h.ctx, alice)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	h.expectEpoch("Forget during log-ins", alice, 1+callers*rounds)
	listed := idsOf(h.listAll(alice, 100))
	liveIDs := idsOf(h.live(alice, 1000))
	for i := range callers {
		for round := range rounds {
			id := idMarker + fmt.Sprint(i, " ", round)
			_, found := h.session(alice, id)
			if slices.Contains(listed, id) != found || slices.Contains(liveIDs, id) != found {
				h.fail("after Forget during log-ins, Session finds a row: %t, List: %t, Live: %t",
					found, slices.Contains(listed, id), slices.Contains(liveIDs, id))
			}
		}
	}
}
