package sessiontest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// errNoBlacklistTx is the error of a step whose Tx is no BlacklistTx.
var errNoBlacklistTx = errors.New("the Tx of a store that is a blacklist is not a BlacklistTx")

// identityOf returns the identity of a token of the session.
func identityOf(row session.Row) blacklist.Identity {
	return blacklist.Identity{
		Issuer: row.Subject.Issuer, ID: row.ID + ".1", Session: row.ID, Subject: row.Subject.Name, SessionStart: row.Began,
	}
}

// revocationOf returns the session entry of the row, until its end.
func revocationOf(row session.Row) blacklist.Revocation {
	return blacklist.OfSession(identityOf(row), row.KeepUntil())
}

// cutOffOf returns a cut-off of the subject of the row, until the end of the row.
func cutOffOf(row session.Row, cutOff time.Time) blacklist.Revocation {
	return blacklist.OfSubject(row.Subject.Issuer, row.Subject.Name, cutOff, row.KeepUntil())
}

// writeWith puts the rows and revokes in one step.
func writeWith(rows []session.Row, revocations ...blacklist.Revocation) func(session.Tx) error {
	return func(tx session.Tx) error {
		joint, ok := tx.(session.BlacklistTx)
		if !ok {
			return errNoBlacklistTx
		}
		if err := putAll(tx, rows); err != nil {
			return err
		}
		for _, r := range revocations {
			if err := joint.Revoke(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func (h *harness) expectRevoked(why string, want bool, id blacklist.Identity) {
	if h.failed() {
		return
	}
	if got, err := h.list.IsRevoked(h.ctx, id); err != nil || got != want {
		h.fail("%s: IsRevoked returned %t, error %v; want %t", why, got, err, want)
	}
}

func jointTx(h *harness) {
	h.update(alice, writeWith(nil))
}

func jointVisible(h *harness) {
	rows := h.rows(alice, "", 4)
	h.put(rows...)
	h.expectRevoked("nothing was revoked", false, identityOf(rows[0]))
	h.update(alice, writeWith([]session.Row{h.ended(rows[0])}, revocationOf(rows[0])))
	h.expectRevoked("revoked with its row", true, identityOf(rows[0]))
	h.expectRevoked("another session", false, identityOf(rows[1]))
	h.expectRow("ended", h.ended(rows[0]))
	h.update(alice, writeWith(nil, revocationOf(rows[3])))
	h.expectRevoked("revoked without a row", true, identityOf(rows[3]))

	other := h.row(bob, "0", 0)
	h.put(other)
	h.expectRevoked("the same id of another subject", false, identityOf(other))

	h.update(alice, func(tx session.Tx) error {
		return errors.Join(tx.SetEpoch(1), writeWith(nil, cutOffOf(rows[0], rows[1].Began))(tx))
	})
	h.expectEpoch("cut off", alice, 1)
	h.expectRevoked("begun at the cut-off", true, identityOf(rows[1]))
	h.expectRevoked("begun after the cut-off", false, identityOf(rows[2]))
	h.expectRevoked("of another subject", false, identityOf(other))

	many := h.rows(alice, "many", 100)
	h.put(many...)
	ended, revocations := slices.Clone(many), make([]blacklist.Revocation, len(many))
	for i, row := range many {
		ended[i], revocations[i] = h.ended(row), revocationOf(row)
	}
	h.update(alice, writeWith(ended, revocations...))
	for _, row := range many {
		h.expectRevoked("one of a hundred", true, identityOf(row))
	}
}

func jointStepError(h *harness) {
	row, later := h.row(alice, "a", 1), h.row(alice, "b", 50)
	h.put(row, later)
	for _, r := range []blacklist.Revocation{revocationOf(row), cutOffOf(row, row.Began)} {
		err := h.store.Update(h.ctx, alice, func(tx session.Tx) error {
			if err := writeWith([]session.Row{h.ended(row)}, r)(tx); err != nil {
				return err
			}
			return errStep
		})
		if !errors.Is(err, errStep) {
			h.fail("Update returned the error %v, want that of the step", err)
		}
		h.expectRevoked("the step failed", false, identityOf(row))
		h.expectRow("the step failed", row)
	}
	h.put(later)
	h.expectRevoked("a step after one that failed", false, identityOf(row))
}

func jointInvalid(h *harness) {
	row := h.row(alice, "a", 1)
	h.put(row)
	noSession, past := revocationOf(row), revocationOf(row)
	noSession.Identity.Session = ""
	past.Until = h.start.Add(-time.Hour)
	for _, r := range []blacklist.Revocation{noSession, past, {}} {
		err := h.store.Update(h.ctx, alice, writeWith([]session.Row{h.ended(row)}, r))
		h.expectNoIDs(err)
		if !errors.Is(err, blacklist.ErrInvalid) {
			h.fail("an invalid revocation: Update returned the error %v, want ErrInvalid", err)
		}
		h.expectRow("an invalid revocation", row)
		h.expectRevoked("an invalid revocation", false, identityOf(row))
	}
}

// jointTogether ends sessions while others look. A session that is not listed is revoked, and one
// that is revoked has ended.
func jointTogether(h *harness) {
	const rounds, watchers = 30, 4
	for round := range rounds {
		row := h.row(alice, fmt.Sprint(round), round)
		h.put(row)
		h.concurrently(watchers+1, func(i int) error {
			switch {
			case i == 0:
				return h.store.Update(h.ctx, alice, writeWith([]session.Row{h.ended(row)}, revocationOf(row)))
			case i%2 == 0:
				return h.watchRow(row)
			default:
				return h.watchEntry(row)
			}
		})
		if h.failed() {
			return
		}
	}
}

// watchRow looks until the session is not listed, which must be revoked then.
func (h *harness) watchRow(row session.Row) error {
	for range maxPages {
		listed, err := h.listed(row)
		if err != nil {
			return err
		}
		if listed {
			continue
		}
		if revoked, err := h.list.IsRevoked(h.ctx, identityOf(row)); err != nil || !revoked {
			return fmt.Errorf("the row was ended before it was revoked, error %w", err)
		}
		return nil
	}
	return nil
}

// watchEntry looks until the session is revoked, which must have ended then, or end soon where the
// store may be early.
func (h *harness) watchEntry(row session.Row) error {
	for range maxPages {
		revoked, err := h.list.IsRevoked(h.ctx, identityOf(row))
		if err != nil {
			return err
		}
		if !revoked {
			continue
		}
		if h.early {
			return h.watchRow(row)
		}
		if listed, err := h.listed(row); err != nil || listed {
			return fmt.Errorf("the session was revoked before its row was ended, error %w", err)
		}
		return nil
	}
	return nil
}

func jointMerge(h *harness) {
	row := h.row(alice, "a", 10)
	id, after := identityOf(row), func(d time.Duration) time.Time { return h.start.Add(d) }
	outside := func(r blacklist.Revocation, want bool) {
		if before, err := h.list.Revoke(h.ctx, r); err != nil || before != want {
			h.fail("Revoke returned %t, error %v; want %t", before, err, want)
		}
	}
	h.update(alice, writeWith(nil, blacklist.OfSession(id, after(2*time.Hour))))
	outside(blacklist.OfSession(id, after(time.Hour)), true)
	h.update(alice, writeWith(nil, blacklist.OfSession(id, after(time.Hour))))
	h.update(alice, writeWith(nil, blacklist.OfSession(id, after(time.Hour)), blacklist.OfSession(id, after(time.Minute))))
	h.expectRevoked("revoked twice", true, id)

	other := h.row(alice, "b", 10)
	outside(blacklist.OfSession(identityOf(other), after(3*time.Hour)), false)
	h.update(alice, writeWith(nil, blacklist.OfSession(identityOf(other), after(time.Hour))))

	early, late := row, row
	early.Began, late.Began = after(5*time.Second), after(15*time.Second)
	early.ID, late.ID = idMarker+"early", idMarker+"late"
	h.update(alice, writeWith(nil, cutOffOf(row, after(10*time.Second))))
	h.update(alice, writeWith(nil, cutOffOf(row, after(time.Second))))
	outside(cutOffOf(row, after(time.Second)), true)
	h.expectRevoked("below the later cut-off", true, identityOf(early))
	h.expectRevoked("above both cut-offs", false, identityOf(late))
	h.update(alice, writeWith(nil, cutOffOf(row, after(20*time.Second))))
	h.expectRevoked("below the raised cut-off", true, identityOf(late))
	outside(cutOffOf(row, after(20*time.Second)), true)
	outside(cutOffOf(row, after(21*time.Second)), false)
	h.update(alice, writeWith(nil, cutOffOf(row, after(20*time.Second))))
	outside(cutOffOf(row, after(21*time.Second)), true)

	if h.realClock {
		return
	}
	h.clock.advance(90 * time.Minute)
	otherID := identityOf(other)
	id.SessionStart, otherID.SessionStart = after(time.Minute), after(time.Minute) // after the cut-offs
	h.expectRevoked("shortened by nothing", true, id)
	h.expectRevoked("a session revoked for longer outside", true, otherID)
	h.clock.advance(40 * time.Minute)
	h.expectRevoked("expired", false, id)
	h.expectRevoked("revoked for longer outside", true, otherID)
}

func jointForget(h *harness) {
	row := h.row(alice, "a", 1)
	h.put(row)
	h.update(alice, writeWith([]session.Row{h.ended(row)}, revocationOf(row)))
	h.must("Forget", h.store.Forget(h.ctx, alice))
	h.expectNoRow("forgotten", alice, row.ID)
	h.expectRevoked("forgotten", true, identityOf(row))
}
