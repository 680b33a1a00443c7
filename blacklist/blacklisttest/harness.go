package blacklisttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// clock is the clock that the suite moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// harness is the store of one check. It keeps the error of the first step that failed; later steps
// do nothing.
type harness struct {
	ctx       context.Context
	store     blacklist.Blacklist
	clock     *clock
	now       func() time.Time
	realClock bool          // the suite cannot move the clock of the store
	short     time.Duration // lifetime of entries whose end the check sees
	base      time.Time     // sessions begin here or later; whole milliseconds
	moved     bool          // advanceTo was called
	err       error
}

const (
	issuer = "issuer"
	// idMarker is in every id, so that errors can be searched for ids.
	idMarker = "q9Xw"
	// long is the lifetime of entries whose end the check does not see, unless it moves the clock.
	long = 24 * time.Hour
)

// id returns the identity of a token whose id, session and subject contain the name.
func (h *harness) id(name string) blacklist.Identity {
	text := idMarker + name
	return blacklist.Identity{Issuer: issuer, ID: text, Session: text, Subject: text, SessionStart: h.base}
}

// begunAt returns the identity with another start of the session.
func begunAt(id blacklist.Identity, t time.Time) blacklist.Identity {
	id.SessionStart = t
	return id
}

// after returns the current time plus d.
func (h *harness) after(d time.Duration) time.Time { return h.now().Add(d) }

// advanceTo moves the clock to t, or waits for it if the store has a real clock.
func (h *harness) advanceTo(t time.Time) {
	if h.err != nil {
		return
	}
	h.moved = true
	if !h.realClock {
		h.clock.set(t)
		return
	}
	time.Sleep(time.Until(t))
}

func (h *harness) fail(format string, args ...any) {
	if h.err == nil {
		h.err = fmt.Errorf(format, args...)
	}
}

// revoke calls Revoke and expects the answer before.
func (h *harness) revoke(r blacklist.Revocation, before bool) {
	if h.err != nil {
		return
	}
	got, err := h.store.Revoke(h.ctx, r)
	switch {
	case err != nil:
		h.fail("Revoke(%s): %v", showRevocation(r), err)
	case got != before:
		h.fail("Revoke(%s) = %t, want %t", showRevocation(r), got, before)
	}
}

// expectInvalid calls Revoke and expects ErrInvalid.
func (h *harness) expectInvalid(why string, r blacklist.Revocation) {
	if h.err != nil {
		return
	}
	before, err := h.store.Revoke(h.ctx, r)
	h.expectNoIDs(err)
	switch {
	case !errors.Is(err, blacklist.ErrInvalid):
		h.fail("%s: Revoke(%s) returned the error %v, want ErrInvalid", why, showRevocation(r), err)
	case before:
		h.fail("%s: Revoke(%s) returned true together with an error", why, showRevocation(r))
	}
}

// expectRevoked expects the token to be revoked.
func (h *harness) expectRevoked(why string, id blacklist.Identity) {
	if h.err != nil {
		return
	}
	revoked, err := h.store.IsRevoked(h.ctx, id)
	if err != nil || !revoked {
		h.fail("%s: IsRevoked(%s) = %t, %v; want true", why, showID(id), revoked, err)
	}
}

// expectNotRevoked expects the token not to be revoked. A real clock of the store may be behind
// that of the test, so the check waits up to ten seconds for an entry to expire.
func (h *harness) expectNotRevoked(why string, id blacklist.Identity) {
	if h.err != nil {
		return
	}
	revoked, err := h.store.IsRevoked(h.ctx, id)
	for deadline := time.Now().Add(10 * time.Second); revoked && h.realClock && h.moved && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
		revoked, err = h.store.IsRevoked(h.ctx, id)
	}
	if err != nil || revoked {
		h.fail("%s: IsRevoked(%s) = %t, %v; want false", why, showID(id), revoked, err)
	}
}

// expect expects the answer of IsRevoked to be revoked.
func (h *harness) expect(revoked bool, why string, id blacklist.Identity) {
	if revoked {
		h.expectRevoked(why, id)
	} else {
		h.expectNotRevoked(why, id)
	}
}

// expectError expects that a call returned false and an error that is want.
func (h *harness) expectError(why string, want error, got bool, err error) {
	h.expectNoIDs(err)
	switch {
	case err == nil:
		h.fail("%s: returned %t without an error", why, got)
	case got:
		h.fail("%s: returned true together with the error %v", why, err)
	case !errors.Is(err, want):
		h.fail("%s: returned the error %v, want %v", why, err, want)
	}
}

// expectNoIDs expects that the text of the error contains no id.
func (h *harness) expectNoIDs(err error) {
	if err != nil && strings.Contains(err.Error(), idMarker) {
		h.fail("the text of an error contains an id: %.200q", err.Error())
	}
}

func showRevocation(r blacklist.Revocation) string {
	text := fmt.Sprintf("%s %s", r.Kind, showID(r.Identity))
	if !r.CutOff.IsZero() {
		text += " with cut-off " + showTime(r.CutOff)
	}
	if r.Until.IsZero() {
		return text + " without end"
	}
	return text + " until " + showTime(r.Until)
}

func showID(id blacklist.Identity) string {
	return fmt.Sprintf("{issuer %.40q template %.40q id %.40q session %.40q subject %.40q start %s}",
		id.Issuer, id.Template, id.ID, id.Session, id.Subject, showTime(id.SessionStart))
}

func showTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999999") }
