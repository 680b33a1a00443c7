package blacklisttest

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// checks are the promises of the contract.
var checks = []check{
	{name: "Empty", promise: "A token without a revocation is not revoked.", run: empty},
	{name: "Token", promise: "The revocation of a token covers this token and nothing else.", run: token},
	{name: "Session", promise: "The revocation of a session covers all tokens of this subject's session and nothing else.", run: session},
	{name: "Subject", promise: "The cut-off of a subject covers its sessions that began at or before it, and nothing else.", run: subject},
	{name: "Issuer", promise: "The cut-off of an issuer covers its sessions that began at or before it, and nothing else.", run: wholeIssuer},
	{name: "TemplateIDs", promise: "Tokens of two issuers of one template have separate ids, sessions and subjects.", run: templateIDs},
	{name: "TemplateCutOff", promise: "The cut-off of a template covers the tokens of all its issuers, and nothing else.", run: templateCutOff},
	{name: "OneLookup", promise: "One look-up answers for all four kinds.", run: oneLookup},
	{name: "Milliseconds", promise: "Starts and cut-offs are compared in whole milliseconds, rounded down.", run: milliseconds},
	{name: "UnknownStart", promise: "A session with an unknown start is before every cut-off.", run: unknownStart},
	{name: "Zones", promise: "Time zones have no effect.", run: zones},
	{name: "AbsentIDs", promise: "An absent id is never looked up.", run: absentIDs},
	{name: "Invalid", promise: "A revocation that lacks what its kind needs is ErrInvalid and records nothing.", run: invalid},
	{name: "Past", promise: "A revocation whose Until has come is ErrInvalid and records nothing.", run: past},
	{name: "Before", promise: "Revoke reports whether the revocation was in force before.", run: before},
	{name: "BeforeExpired", promise: "An expired revocation was not in force before.", run: beforeExpired},
	{name: "NeverShortened", promise: "A later write never shortens an entry.", run: neverShortened},
	{name: "NeverLowered", promise: "A later write never lowers a cut-off nor shortens it: the later of each wins.", run: neverLowered},
	{name: "NotMergedWithExpired", promise: "An expired cut-off has no effect on a new one.", run: notMergedWithExpired},
	{name: "Expiry", promise: "Entries of every kind expire.", run: expiry},
	{name: "ExpiryBoundary", promise: "An entry is in force while now is before Until, rounded up to milliseconds.", moves: true, run: expiryBoundary},
	{name: "ForEver", promise: "An entry without an end never expires.", moves: true, run: forEver},
	{name: "ExtremeTimes", promise: "A time that is too large or too small for the store has its effect or is an error.", run: extremeTimes},
	{name: "Separators", promise: "Different ids stay different, whatever characters they contain.", run: separators},
	{name: "Boundaries", promise: "Identities differ if only the boundaries between their fields differ.", run: boundaries},
	{name: "LongIDs", promise: "Ids of a megabyte differ if only their last bytes differ.", run: longIDs},
	{name: "DoneContext", promise: "If the context is done, both methods return its error and record nothing.", run: doneContext},
	{name: "ExactlyOneFirst", promise: "Exactly one of any number of concurrent calls returns false.", run: exactlyOneFirst},
	{name: "ConcurrentRaise", promise: "Of concurrent cut-offs the latest wins, and of concurrent ends.", run: concurrentRaise},
	{name: "ConcurrentUse", promise: "After Revoke has returned, all callers see the revocation, whatever other calls run.", run: concurrentUse},
	{name: "Close", promise: "Close may be called twice. Afterwards both methods return ErrClosed.", run: closed},
	{name: "CloseInUse", promise: "During Close, a look-up of a revoked token returns true or an error.", run: closeInUse},
}

func empty(h *harness) {
	h.expectNotRevoked("nothing was revoked", h.id("a"))
	h.expectNotRevoked("nothing was revoked", blacklist.Identity{Issuer: issuer, ID: idMarker, SessionStart: h.base})
	h.expectNotRevoked("nothing was revoked", blacklist.Identity{Issuer: issuer, SessionStart: h.base})
}

func token(h *harness) {
	a := h.id("a")
	h.revoke(blacklist.OfToken(a, h.after(long)), false)
	h.expectRevoked("revoked", a)
	later := a
	later.SessionStart = h.base.Add(time.Hour)
	h.expectRevoked("revoked, whenever its session began", later)
	sibling := a
	sibling.ID = idMarker + "b"
	h.expectNotRevoked("another token of the session", sibling)
	sibling.ID = ""
	h.expectNotRevoked("a token without an id of the session", sibling)
	other := a
	other.Issuer = "another"
	h.expectNotRevoked("the same ids of another issuer", other)
}

func session(h *harness) {
	a := h.id("a")
	h.revoke(blacklist.OfSession(a, h.after(long)), false)
	for _, tokenID := range []string{a.ID, idMarker + "b", ""} {
		of := a
		of.ID = tokenID
		h.expectRevoked("of the session", of)
		of.SessionStart = h.base.Add(time.Hour)
		h.expectRevoked("of the session, whenever it began", of)
		of.Session = idMarker + "other"
		h.expectNotRevoked("of another session of the subject", of)
		of.Session = ""
		h.expectNotRevoked("of no session", of)
	}
	other := a
	other.Subject = idMarker + "b"
	h.expectNotRevoked("the same session id of another subject", other)
	other.Subject = ""
	h.expectNotRevoked("the same session id without a subject", other)
	h.revoke(blacklist.OfSession(other, h.after(long)), false)
	h.expectRevoked("the session without a subject", other)
	other.Subject = idMarker + "b"
	h.expectNotRevoked("the same session id of another subject", other)
	other = a
	other.Issuer = "another"
	h.expectNotRevoked("the same ids of another issuer", other)
}

func subject(h *harness) {
	a, cutOff := h.id("a"), h.base.Add(time.Minute)
	h.revoke(blacklist.OfSubject(a.Issuer, a.Subject, cutOff, h.after(long)), false)
	for _, of := range []blacklist.Identity{a, {Issuer: a.Issuer, Subject: a.Subject}} {
		h.expectRevoked("begun before the cut-off", begunAt(of, cutOff.Add(-time.Millisecond)))
		h.expectRevoked("begun at the cut-off", begunAt(of, cutOff))
		h.expectNotRevoked("begun a millisecond after the cut-off", begunAt(of, cutOff.Add(time.Millisecond)))
	}
	for _, name := range []string{idMarker + "b", "", idMarker + "A", idMarker + "a "} {
		other := a
		other.Subject = name
		h.expectNotRevoked("of another subject", other)
	}
	other := a
	other.Issuer = "another"
	h.expectNotRevoked("the same subject at another issuer", other)
}

func wholeIssuer(h *harness) {
	a, cutOff := h.id("a"), h.base.Add(time.Minute)
	h.revoke(blacklist.OfIssuer(issuer, cutOff, h.after(long)), false)
	for _, of := range []blacklist.Identity{a, h.id("b"), {Issuer: issuer}, {Issuer: issuer, ID: idMarker}} {
		h.expectRevoked("begun before the cut-off", begunAt(of, cutOff.Add(-time.Millisecond)))
		h.expectRevoked("begun at the cut-off", begunAt(of, cutOff))
		h.expectNotRevoked("begun a millisecond after the cut-off", begunAt(of, cutOff.Add(time.Millisecond)))
	}
	for _, name := range []string{"another", "Issuer", "issuer ", "issue", "issuer\x00"} {
		other := a
		other.Issuer = name
		h.expectNotRevoked("of another issuer", other)
	}
}

func oneLookup(h *harness) {
	kinds := []func(id blacklist.Identity) blacklist.Revocation{
		func(id blacklist.Identity) blacklist.Revocation { return blacklist.OfToken(id, h.after(long)) },
		func(id blacklist.Identity) blacklist.Revocation { return blacklist.OfSession(id, h.after(long)) },
		func(id blacklist.Identity) blacklist.Revocation {
			return blacklist.OfSubject(id.Issuer, id.Subject, h.base, h.after(long))
		},
		func(id blacklist.Identity) blacklist.Revocation {
			return blacklist.OfIssuer(id.Issuer, h.base, h.after(long))
		},
	}
	// Every set of kinds: any one is enough, and none hides another.
	for set := range 1 << len(kinds) {
		id := h.id("a")
		id.Issuer = fmt.Sprintf("issuer %d", set)
		for i, kind := range kinds {
			if set>>i&1 != 0 {
				h.revoke(kind(id), false)
			}
		}
		h.expect(set != 0, fmt.Sprintf("revoked with the kinds %04b", set), id)
		id.SessionStart = h.base.Add(time.Millisecond)
		h.expect(set&0b0011 != 0, fmt.Sprintf("begun after the cut-offs, revoked with the kinds %04b", set), id)
	}
}

func milliseconds(h *harness) {
	const tenth = time.Millisecond / 10
	for i, whole := range []time.Time{h.base, h.base.Add(999 * time.Millisecond)} {
		for j, cut := range []time.Duration{0, tenth, 9 * tenth} {
			a := h.id(fmt.Sprint(i, j))
			h.revoke(blacklist.OfSubject(a.Issuer, a.Subject, whole.Add(cut), h.after(long)), false)
			h.expectRevoked("begun in the millisecond before", begunAt(a, whole.Add(-tenth)))
			h.expectRevoked("begun in the millisecond of the cut-off", begunAt(a, whole))
			h.expectRevoked("begun in the millisecond of the cut-off", begunAt(a, whole.Add(9*tenth)))
			h.expectNotRevoked("begun in the next millisecond", begunAt(a, whole.Add(time.Millisecond)))
			h.expectNotRevoked("begun in the next millisecond", begunAt(a, whole.Add(time.Millisecond+9*tenth)))
			h.revoke(blacklist.OfSubject(a.Issuer, a.Subject, whole.Add(9*tenth), h.after(long)), true)
			h.revoke(blacklist.OfSubject(a.Issuer, a.Subject, whole.Add(time.Millisecond), h.after(long)), false)
		}
	}
}

func unknownStart(h *harness) {
	a := begunAt(h.id("a"), time.Time{})
	h.revoke(blacklist.OfSubject(a.Issuer, a.Subject, h.base, h.after(long)), false)
	h.expectRevoked("unknown start, cut-off of the subject", a)
	b := begunAt(h.id("b"), time.Time{})
	h.revoke(blacklist.OfIssuer(b.Issuer, h.base, h.after(long)), false)
	h.expectRevoked("unknown start, cut-off of the issuer", b)
}

func zones(h *harness) {
	east, west := time.FixedZone("east", 14*3600), time.FixedZone("west", -12*3600)
	a := h.id("a")
	h.revoke(blacklist.OfSubject(a.Issuer, a.Subject, h.base.In(east), h.after(h.short).In(west)), false)
	h.expectRevoked("begun at the cut-off", begunAt(a, h.base.In(west)))
	h.expectNotRevoked("begun after the cut-off", begunAt(a, h.base.Add(time.Millisecond).In(west)))
	h.advanceTo(h.after(h.short))
	h.expectNotRevoked("expired", begunAt(a, h.base.In(east)))
}

func absentIDs(h *harness) {
	a := h.id("a")
	h.revoke(blacklist.OfToken(a, h.after(long)), false)
	h.revoke(blacklist.OfSession(a, h.after(long)), false)
	h.revoke(blacklist.OfSubject(a.Issuer, a.Subject, h.base.Add(time.Minute), h.after(long)), false)
	none := blacklist.Identity{Issuer: issuer, SessionStart: h.base}
	h.expectNotRevoked("without id, session and subject", none)
	// A token that lacks one id is revoked by another id. Other tokens that lack the same id are
	// not.
	noSession, noSubject := h.id("b"), h.id("c")
	noSession.Session, noSubject.Subject = "", ""
	h.revoke(blacklist.OfToken(noSession, h.after(long)), false)
	h.revoke(blacklist.OfToken(noSubject, h.after(long)), false)
	h.revoke(blacklist.OfSession(noSubject, h.after(long)), false)
	h.expectRevoked("revoked, without a session", noSession)
	h.expectRevoked("revoked, without a subject", noSubject)
	for _, id := range []blacklist.Identity{noSession, noSubject, none} {
		id.ID = ""
		id.Session = ""
		h.expect(false, "lacks the same id as a revoked token", id)
		id.ID = idMarker + "d"
		h.expect(false, "lacks the same id as a revoked token", id)
	}
}

func invalid(h *harness) {
	full := blacklist.Revocation{Identity: h.id("a"), CutOff: h.base.Add(time.Minute), Until: h.after(long)}
	for _, tt := range []struct {
		why    string
		kind   blacklist.Kind
		remove func(*blacklist.Revocation)
	}{
		{why: "no id", kind: blacklist.Token, remove: func(r *blacklist.Revocation) { r.Identity.ID = "" }},
		{why: "no session", kind: blacklist.Session, remove: func(r *blacklist.Revocation) { r.Identity.Session = "" }},
		{why: "no subject", kind: blacklist.Subject, remove: func(r *blacklist.Revocation) { r.Identity.Subject = "" }},
		{why: "no cut-off", kind: blacklist.Subject, remove: func(r *blacklist.Revocation) { r.CutOff = time.Time{} }},
		{why: "no cut-off", kind: blacklist.Issuer, remove: func(r *blacklist.Revocation) { r.CutOff = time.Time{} }},
		{why: "no issuer", kind: blacklist.Token, remove: func(r *blacklist.Revocation) { r.Identity.Issuer = "" }},
		{why: "no issuer", kind: blacklist.Session, remove: func(r *blacklist.Revocation) { r.Identity.Issuer = "" }},
		{why: "no issuer", kind: blacklist.Subject, remove: func(r *blacklist.Revocation) { r.Identity.Issuer = "" }},
		{why: "no issuer", kind: blacklist.Issuer, remove: func(r *blacklist.Revocation) { r.Identity.Issuer = "" }},
		{why: "a template and no issuer", kind: blacklist.Token, remove: replaceIssuerByTemplate},
		{why: "a template and no issuer", kind: blacklist.Session, remove: replaceIssuerByTemplate},
		{why: "a template and no issuer", kind: blacklist.Subject, remove: replaceIssuerByTemplate},
		{why: "no kind", kind: 0, remove: func(*blacklist.Revocation) {}},
		{why: "no such kind", kind: blacklist.Issuer + 1, remove: func(*blacklist.Revocation) {}},
		{why: "no such kind", kind: 255, remove: func(*blacklist.Revocation) {}},
	} {
		r := full
		r.Kind = tt.kind
		tt.remove(&r)
		h.expectInvalid(tt.why, r)
		h.expectInvalid(tt.why+", again", r)
		h.expectNotRevoked(tt.why+": nothing was recorded", full.Identity)
		h.expectNotRevoked(tt.why+": nothing was recorded", r.Identity)
	}
}

func replaceIssuerByTemplate(r *blacklist.Revocation) {
	r.Identity.Issuer, r.Identity.Template = "", templateText
}

func past(h *harness) {
	for _, until := range []time.Time{h.after(-time.Minute), time.Unix(0, 0), time.Unix(-1, 0)} {
		for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
			r := blacklist.Revocation{Kind: kind, Identity: h.id("a"), CutOff: h.base, Until: until}
			r.Identity.Issuer = "of " + kind.String()
			h.expectInvalid("Until is in the past", r)
			h.expectInvalid("Until is in the past, second call", r)
			h.expectNotRevoked("nothing was recorded", r.Identity)
		}
	}
	r := blacklist.OfToken(h.id("b"), h.after(long))
	h.revoke(r, false)
	r.Until = h.after(-time.Minute)
	h.expectInvalid("Until is in the past, for an entry in force", r)
	h.expectRevoked("still in force", r.Identity)
}

func before(h *harness) {
	a := h.id("a")
	other := a
	other.Issuer = "another"
	for _, id := range []blacklist.Identity{a, other} {
		// A revocation of one kind does not affect those of another.
		for _, r := range []blacklist.Revocation{
			blacklist.OfToken(id, h.after(long)),
			blacklist.OfSession(id, h.after(long)),
			blacklist.OfSubject(id.Issuer, id.Subject, h.base, h.after(long)),
			blacklist.OfIssuer(id.Issuer, h.base, h.after(long)),
		} {
			h.revoke(r, false)
			h.revoke(r, true)
			r.Until = h.after(2 * long)
			h.revoke(r, true)
			r.Until = time.Time{}
			h.revoke(r, true)
			if r.CutOff.IsZero() {
				continue
			}
			r.CutOff = h.base.Add(-time.Millisecond)
			h.revoke(r, true)
			r.CutOff = h.base.Add(time.Millisecond)
			h.revoke(r, false)
			h.revoke(r, true)
			r.CutOff = h.base
			h.revoke(r, true)
			r.CutOff = h.base.Add(time.Millisecond)
			h.revoke(r, true)
		}
	}
	b := a
	b.ID = idMarker + "b"
	h.revoke(blacklist.OfToken(b, h.after(long)), false)
	h.revoke(blacklist.OfSession(b, h.after(long)), true)
}

func beforeExpired(h *harness) {
	end := h.after(h.short)
	a := h.id("a")
	all := []blacklist.Revocation{
		blacklist.OfToken(a, end),
		blacklist.OfSession(a, end),
		blacklist.OfSubject(a.Issuer, a.Subject, h.base, end),
		blacklist.OfIssuer(a.Issuer, h.base, end),
	}
	for _, r := range all {
		h.revoke(r, false)
	}
	h.advanceTo(end)
	h.expectNotRevoked("all expired", a)
	for _, r := range all {
		r.Until = h.after(long)
		h.revoke(r, false)
		h.revoke(r, true)
	}
	h.expectRevoked("in force again", a)
}

func doneContext(h *harness) {
	cancelled, cancel := context.WithCancel(h.ctx)
	cancel()
	late, cancel := context.WithDeadline(h.ctx, time.Unix(0, 0))
	defer cancel()
	a, b := h.id("a"), h.id("b")
	h.revoke(blacklist.OfToken(a, h.after(long)), false)
	for _, ctx := range []context.Context{cancelled, late} {
		for _, id := range []blacklist.Identity{a, b} {
			got, err := h.store.IsRevoked(ctx, id)
			h.expectError("IsRevoked with a done context", ctx.Err(), got, err)
			got, err = h.store.Revoke(ctx, blacklist.OfToken(id, h.after(long)))
			h.expectError("Revoke with a done context", ctx.Err(), got, err)
		}
		h.expectNotRevoked("nothing was recorded", b)
		h.expectRevoked("still in force", a)
	}
	h.revoke(blacklist.OfToken(b, h.after(long)), false)
}

func closed(h *harness) {
	c, ok := blacklist.As[io.Closer](h.store)
	if !ok {
		return
	}
	a, b := h.id("a"), h.id("b")
	h.revoke(blacklist.OfToken(a, h.after(long)), false)
	for range 2 {
		if err := c.Close(); err != nil {
			h.fail("Close: %v", err)
		}
		for _, id := range []blacklist.Identity{a, b} {
			got, err := h.store.IsRevoked(h.ctx, id)
			h.expectError("IsRevoked after Close", blacklist.ErrClosed, got, err)
			got, err = h.store.Revoke(h.ctx, blacklist.OfToken(id, h.after(long)))
			h.expectError("Revoke after Close", blacklist.ErrClosed, got, err)
		}
	}
}

func extremeTimes(h *harness) {
	// try revokes and expects the answer. A store may also return an error for such a time.
	try := func(r blacklist.Revocation, revoked bool, id blacklist.Identity) {
		if h.err != nil {
			return
		}
		_, err := h.store.Revoke(h.ctx, r)
		h.expectNoIDs(err)
		if err == nil {
			h.expect(revoked, "after Revoke("+showRevocation(r)+")", id)
		}
	}
	for i, seconds := range []int64{253402300799, 253402300800, 1 << 43, 1 << 53, 1 << 55, 1 << 60, math.MaxInt64 / 2} {
		late, early := time.Unix(seconds, 0), time.Unix(-seconds, 0)
		a, b, c := h.id(fmt.Sprint("a", i)), h.id(fmt.Sprint("b", i)), h.id(fmt.Sprint("c", i))
		try(blacklist.OfToken(a, late), true, a)
		try(blacklist.OfSubject(a.Issuer, a.Subject, h.base, late), true, begunAt(a, h.base))
		try(blacklist.OfSubject(b.Issuer, b.Subject, late, h.after(long)), true, b)
		try(blacklist.OfSubject(c.Issuer, c.Subject, early, h.after(long)), false, c)
		try(blacklist.OfSubject(c.Issuer, c.Subject, h.base, h.after(long)), true, c)
		h.expectRevoked("begun long before the cut-off", begunAt(c, early))
		h.expectNotRevoked("begun long after the cut-off", begunAt(c, late))
	}
}
