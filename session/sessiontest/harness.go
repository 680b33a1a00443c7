package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// clock is the clock that the suite moves.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	tick time.Duration // added by every reading
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.tick)
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) setTick(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick = d
}

// harness is the store of one check. It keeps the error of the first step that failed; later steps
// do nothing.
type harness struct {
	ctx       context.Context
	store     session.Store
	list      blacklist.Blacklist // the store, or nil
	clock     *clock
	realClock bool      // the suite cannot move the clock of the store
	early     bool      // see WithEarlyRevocations
	start     time.Time // the time of the store when the check began
	err       error
}

const (
	// idMarker is in every id and name, so that errors can be searched for them.
	idMarker = "q9Xw"
	issuer   = "https://" + idMarker + ".example"
	// long is the lifetime of sessions whose end the check does not see, unless it moves the clock.
	long = 24 * time.Hour
)

var (
	alice = subject("alice")
	bob   = subject("bob")
)

func subject(name string) session.Subject {
	return session.Subject{Issuer: issuer, Name: idMarker + name}
}

func (h *harness) failed() bool { return h.err != nil }

func (h *harness) fail(format string, args ...any) {
	if h.err == nil {
		h.err = fmt.Errorf(format, args...)
	}
}

// must fails the check if err is not nil.
func (h *harness) must(what string, err error) {
	if err != nil {
		h.fail("%s: %w", what, err)
	}
}

// row returns a row of a live session that began some seconds after the start of the check.
func (h *harness) row(s session.Subject, id string, began int) session.Row {
	return session.Row{
		Subject: s, ID: idMarker + id,
		Began: h.start.Add(time.Duration(began) * time.Second), End: h.start.Add(long), IdleDeadline: h.start.Add(long),
		Generation: 1, IssuedAt: h.start, ExpiresAt: h.start.Add(long), Rotated: h.start, LastSeen: h.start,
		Nonce: "nonce" + idMarker,
	}
}

// rows returns n rows, each of which began a second after the one before.
func (h *harness) rows(s session.Subject, prefix string, n int) []session.Row {
	rows := make([]session.Row, n)
	for i := range rows {
		rows[i] = h.row(s, fmt.Sprintf("%s%d", prefix, i), i)
	}
	return rows
}

// ended returns the row as a log-out writes it.
func (h *harness) ended(row session.Row) session.Row {
	row.Ended, row.Reason = h.start, session.LoggedOut
	return row
}

// now returns the time of the store.
func (h *harness) now() time.Time {
	var now time.Time
	h.update(session.Subject{Issuer: issuer, Name: idMarker + " clock"}, func(tx session.Tx) error {
		now = tx.Now()
		return nil
	})
	return now
}

// update makes a transaction, which must succeed.
func (h *harness) update(s session.Subject, step func(session.Tx) error) {
	if h.failed() {
		return
	}
	h.must("Update", h.store.Update(h.ctx, s, step))
}

// put writes the rows in one transaction. All have the same subject.
func (h *harness) put(rows ...session.Row) {
	if h.failed() {
		return
	}
	h.must("Update with Put", h.tryPut(rows...))
}

func (h *harness) tryPut(rows ...session.Row) error {
	return h.store.Update(h.ctx, rows[0].Subject, func(tx session.Tx) error { return putAll(tx, rows) })
}

func putAll(tx session.Tx, rows []session.Row) error {
	for _, row := range rows {
		if err := tx.Put(row); err != nil {
			return err
		}
	}
	return nil
}

func (h *harness) setEpoch(s session.Subject, epoch uint64) {
	h.update(s, func(tx session.Tx) error { return tx.SetEpoch(epoch) })
}

func (h *harness) expectEpoch(why string, s session.Subject, want uint64) {
	var got uint64
	h.update(s, func(tx session.Tx) (err error) {
		got, err = tx.Epoch()
		return err
	})
	if got != want {
		h.fail("%s: Epoch returned %d, want %d", why, got, want)
	}
}

// session reads a row.
func (h *harness) session(s session.Subject, id string) (row session.Row, found bool) {
	h.update(s, func(tx session.Tx) (err error) {
		row, found, err = tx.Session(id)
		return err
	})
	return row, found
}

// expectRow expects that Session returns the row.
func (h *harness) expectRow(why string, want session.Row) {
	got, found := h.session(want.Subject, want.ID)
	if !found {
		h.fail("%s: Session(%.40q) of %s found no row", why, want.ID, show(want.Subject))
	}
	h.expectSame(why+": Session", got, want)
}

func (h *harness) expectNoRow(why string, s session.Subject, id string) {
	if row, found := h.session(s, id); found {
		h.fail("%s: Session(%.40q) of %s returned the row %.40q", why, id, show(s), row.ID)
	}
}

func (h *harness) expectSame(why string, got, want session.Row) {
	if got, want := inUTC(got), inUTC(want); got != want {
		h.fail("%s returned another row\n got %+v\nwant %+v", why, got, want)
	}
}

// inUTC returns the row with times that == compares.
func inUTC(row session.Row) session.Row {
	for _, t := range []*time.Time{
		&row.Began, &row.End, &row.IdleDeadline, &row.IssuedAt, &row.ExpiresAt, &row.Rotated, &row.LastSeen, &row.Ended,
	} {
		*t = t.UTC().Round(0)
	}
	return row
}

// maxPages is more pages than any check needs.
const maxPages = 10_000

// listAll returns the rows of all pages.
func (h *harness) listAll(s session.Subject, limit int) []session.Row {
	if h.failed() {
		return nil
	}
	rows, err := listAll(h.ctx, h.store, s, limit)
	h.must("List", err)
	return rows
}

func listAll(ctx context.Context, store session.Store, s session.Subject, limit int) (rows []session.Row, err error) {
	position := ""
	for range maxPages {
		page, next, err := store.List(ctx, s, position, limit)
		switch {
		case err != nil:
			return nil, err
		case len(page) > limit:
			return nil, fmt.Errorf("a page has %d rows, the limit is %d", len(page), limit)
		}
		rows = append(rows, page...)
		if next == "" {
			return rows, nil
		}
		position = next
	}
	return nil, errors.New("the pages do not end")
}

// live returns what Live returns.
func (h *harness) live(s session.Subject, limit int) (rows []session.Row) {
	h.update(s, func(tx session.Tx) (err error) {
		rows, err = tx.Live(limit)
		return err
	})
	return rows
}

// expectRows expects exactly these rows in this order.
func (h *harness) expectRows(why string, got, want []session.Row) {
	if h.failed() {
		return
	}
	if g, w := idsOf(got), idsOf(want); strings.Join(g, "\n") != strings.Join(w, "\n") {
		h.fail("%s: got the rows %.60q, want %.60q", why, g, w)
		return
	}
	for i := range got {
		h.expectSame(why, got[i], want[i])
	}
}

func idsOf(rows []session.Row) []string {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return ids
}

// pass lets the time of the store pass until t.
func (h *harness) pass(t time.Time) {
	if !h.realClock {
		h.clock.advance(t.Sub(h.now()))
		return
	}
	for deadline := time.Now().Add(10 * time.Second); h.now().Before(t); {
		if h.failed() || time.Now().After(deadline) {
			h.fail("the clock of the store stands still")
			return
		}
	}
}

// concurrently runs f n times at once and returns the first error.
func concurrently(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// concurrently runs f n times at once, without an error.
func (h *harness) concurrently(n int, f func(i int) error) {
	if !h.failed() {
		h.must("concurrent calls", concurrently(n, f))
	}
}

func show(s session.Subject) string { return fmt.Sprintf("%.60q of %.60q", s.Name, s.Issuer) }

// expectNoIDs expects that the text of the error contains no id and nothing of a row.
func (h *harness) expectNoIDs(err error) {
	if err == nil {
		return
	}
	for _, secret := range []string{idMarker, "csrf", "Mozilla", "quoted"} {
		if strings.Contains(err.Error(), secret) {
			h.fail("the text of an error contains an id or a part of a row: %.200q", err.Error())
		}
	}
}
