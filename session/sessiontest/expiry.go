package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oapi-guard/oapi-guard/session"
)

func expiry(h *harness) {
	ends, idle, ahead := h.row(alice, "a", 1), h.row(alice, "b", 2), h.row(alice, "c", 3)
	ends.End, ends.IdleDeadline = h.start.Add(time.Hour), h.start.Add(time.Hour)
	idle.IdleDeadline = h.start.Add(time.Hour)
	h.put(ends, idle, ahead)
	h.clock.advance(time.Hour - time.Millisecond)
	h.expectRows("List a millisecond before the deadlines", h.listAll(alice, 10), []session.Row{ahead, idle, ends})
	h.expectRows("Live a millisecond before the deadlines", h.live(alice, 10), []session.Row{ends, idle, ahead})
	h.clock.advance(time.Millisecond)
	h.expectRows("List at the deadlines", h.listAll(alice, 10), []session.Row{ahead})
	h.expectRows("Live at the deadlines", h.live(alice, 10), []session.Row{ahead})
	h.expectRow("over", ends)
	h.expectRow("over", idle)
}

func shortSession(h *harness) {
	short, other := h.row(alice, "a", 1), h.row(alice, "b", 2)
	short.IdleDeadline = h.now().Add(20 * time.Millisecond)
	h.put(short, other)
	h.pass(short.IdleDeadline)
	h.expectRows("List after the deadline", h.listAll(alice, 10), []session.Row{other})
	h.expectRows("Live after the deadline", h.live(alice, 10), []session.Row{other})
	h.expectRow("over", short)
}

// busy makes writes of other subjects, which can remove what has expired.
func (h *harness) busy(round int) {
	for i := range 40 {
		row := h.row(subject(fmt.Sprint("busy ", round, " ", i)), "busy", i)
		row.End, row.IdleDeadline = h.now().Add(time.Minute), h.now().Add(time.Minute)
		h.put(row)
	}
}

func keepUntil(h *harness) {
	over := h.ended(h.row(alice, "ended", 1))
	idle := h.row(alice, "idle", 2)
	idle.IdleDeadline = h.start.Add(time.Minute)
	owing := h.ended(h.row(alice, "owing", 3))
	owing.Owed = true
	h.put(over, idle, owing)
	for i, d := range []time.Duration{time.Hour, long - time.Hour, 10*time.Minute - time.Millisecond} {
		h.clock.advance(d)
		h.busy(i)
		for _, row := range []session.Row{over, idle, owing} {
			h.expectRow("before KeepUntil", row)
		}
		h.expectOwed("before KeepUntil", owing)
	}
	h.clock.advance(time.Hour)
	h.busy(3)
	again := h.row(alice, "again", 4)
	again.End, again.IdleDeadline = h.now().Add(time.Hour), h.now().Add(time.Hour)
	h.put(again)
	h.expectRows("List after other rows have expired", h.listAll(alice, 10), []session.Row{again})
	if _, err := h.store.Owed(h.ctx, 10); err != nil {
		h.fail("Owed after rows have expired: %v", err)
	}
}

// epochKept writes rows that have expired for half an hour, or none.
func epochKept(h *harness) {
	past := func(s session.Subject) session.Row {
		row := h.row(s, "past", -7200)
		row.End, row.IdleDeadline = h.start.Add(-40*time.Minute), h.start.Add(-40*time.Minute)
		return row
	}
	h.setEpoch(alice, 1)
	h.put(past(alice))
	h.put(past(bob))
	h.setEpoch(bob, 2)
	h.setEpoch(subject("no rows"), 3)
	h.setEpoch(subject("forgotten"), 4)
	h.put(h.row(subject("forgotten"), "0", 0))
	h.must("Forget", h.store.Forget(h.ctx, subject("forgotten")))
	h.busy(0)
	h.expectEpoch("set before an expired row", alice, 1)
	h.expectEpoch("set after an expired row", bob, 2)
	h.expectEpoch("set without a row", subject("no rows"), 3)
	h.expectEpoch("forgotten", subject("forgotten"), 4)
}

func epochKeptLong(h *harness) {
	setFirst, setLast, noRows, short, forgotten := subject("1"), subject("2"), subject("3"), subject("4"), subject("5")
	h.setEpoch(setFirst, 1)
	h.put(h.row(setFirst, "a", 1))
	h.put(h.row(setLast, "a", 1))
	h.setEpoch(setLast, 2)
	h.setEpoch(noRows, 3)
	h.put(h.row(short, "a", 1))
	h.setEpoch(short, 4)
	shortRow := h.row(short, "b", 2)
	shortRow.End, shortRow.IdleDeadline = h.start.Add(time.Minute), h.start.Add(time.Minute)
	h.put(shortRow) // does not shorten what the first row needs
	h.setEpoch(forgotten, 5)
	h.put(h.row(forgotten, "a", 1))
	h.must("Forget", h.store.Forget(h.ctx, forgotten))

	h.clock.advance(59 * time.Minute)
	h.busy(0)
	h.expectEpoch("59 minutes after it was set, without a row", noRows, 3)
	h.expectEpoch("59 minutes after Forget", forgotten, 5)
	h.clock.advance(long - 59*time.Minute + 10*time.Minute - time.Millisecond)
	h.busy(1)
	for i, s := range []session.Subject{setFirst, setLast} {
		h.expectEpoch("as long as the row stays", s, uint64(i)+1)
	}
	h.clock.advance(time.Minute)
	h.busy(2)
	h.clock.advance(58 * time.Minute)
	h.busy(3)
	h.expectEpoch("59 minutes after the last row, set before it", setFirst, 1)
	h.expectEpoch("59 minutes after the last row, set after it", setLast, 2)
	h.expectEpoch("59 minutes after the last row, which was put first", short, 4)
}

// errorTexts collects errors and searches them for the marker that all ids contain.
func errorTexts(h *harness) {
	row := h.fullRow("secret")
	h.put(row)
	cancelled, cancel := context.WithCancel(h.ctx)
	cancel()
	invalid := row
	invalid.ID, invalid.Device.Name = idMarker+"\xff", "\xff"+idMarker
	errs := []error{
		h.tryPut(invalid),
		h.store.Update(cancelled, alice, func(tx session.Tx) error { return tx.Put(row) }),
		second(h.store.List(h.ctx, alice, idMarker+" no position", 10)),
		second(h.store.List(cancelled, alice, "", 10)),
		h.store.Forget(cancelled, alice),
		first(h.store.Owed(cancelled, 10)),
		h.store.Update(h.ctx, session.Subject{Issuer: issuer + "\xff", Name: idMarker}, func(tx session.Tx) error {
			_, _, err := tx.Session(idMarker + "\xff")
			return err
		}),
	}
	for _, err := range errs {
		h.expectNoIDs(err)
	}
}

func closed(h *harness) {
	closer, ok := h.store.(interface{ Close() error })
	if !ok {
		return
	}
	row := h.row(alice, "a", 1)
	h.put(row)
	for range 2 {
		h.must("Close", closer.Close())
	}
	ran := false
	for _, call := range []struct {
		name string
		err  error
	}{
		{name: "Update", err: h.store.Update(h.ctx, alice, func(session.Tx) error {
			ran = true
			return nil
		})},
		{name: "List", err: second(h.store.List(h.ctx, alice, "", 10))},
		{name: "Owed", err: first(h.store.Owed(h.ctx, 10))},
		{name: "Forget", err: h.store.Forget(h.ctx, alice)},
	} {
		h.expectNoIDs(call.err)
		if !errors.Is(call.err, session.ErrClosed) {
			h.fail("%s after Close returned the error %v, want ErrClosed", call.name, call.err)
		}
	}
	if ran {
		h.fail("Update ran the step after Close")
	}
}
