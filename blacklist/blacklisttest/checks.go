package blacklisttest

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// checks is the suite.
var checks = []check{
	{name: "Empty", says: "Nothing is revoked that nobody revoked.", run: empty},
	{name: "Token", says: "A token's entry covers the token and nothing else.", run: token},
	{name: "Session", says: "A session's entry covers every token of that subject's session and nothing else.", run: session},
	{name: "Subject", says: "A subject's cut-off covers its sessions begun at or before it, and nothing else.", run: subject},
	{name: "Verifier", says: "A verifier's cut-off covers every session begun at or before it, and no other verifier's.", run: wholeVerifier},
	{name: "OneLookup", says: "One look-up answers for all four kinds.", run: oneLookup},
	{name: "Milliseconds", says: "Starts and cut-offs are compared in whole milliseconds, rounded down.", run: milliseconds},
	{name: "UnknownStart", says: "A session whose start is not known is before every cut-off.", run: unknownStart},
	{name: "Zones", says: "Instants count, however they are written.", run: zones},
	{name: "AbsentIDs", says: "An absent id is never looked up.", run: absentIDs},
	{name: "Invalid", says: "A revocation that lacks what its kind needs is ErrInvalid and records nothing.", run: invalid},
	{name: "Past", says: "A revocation whose Until has come is ErrInvalid and records nothing.", run: past},
	{name: "Before", says: "Revoke reports whether the revocation was in force before.", run: before},
	{name: "BeforeExpired", says: "What has expired was not in force before.", run: beforeExpired},
	{name: "NeverShortened", says: "A later write never shortens an entry.", run: neverShortened},
	{name: "NeverLowered", says: "A later write never lowers a cut-off nor shortens it: the later of each wins.", run: neverLowered},
	{name: "NotMergedWithExpired", says: "An expired cut-off counts for nothing.", run: notMergedWithExpired},
	{name: "Expiry", says: "Entries of every kind leave when they expire.", run: expiry},
	{name: "ExpiryBoundary", says: "An entry is in force while now is before Until, rounded up to milliseconds.", moving: true, run: expiryBoundary},
	{name: "ForEver", says: "An entry without an end never leaves.", moving: true, run: forEver},
	{name: "ExtremeInstants", says: "Instants beyond any store's count are an error or do what they say.", run: extremeInstants},
	{name: "Separators", says: "No text in an id or a subject makes two identities one.", run: separators},
	{name: "Pieces", says: "Identities are told apart by where their parts begin and end.", run: pieces},
	{name: "LongIDs", says: "Ids of a megabyte are told apart by their last byte.", run: longIDs},
	{name: "DoneContext", says: "A context that is done gives its error from both methods, and nothing is recorded.", run: doneContext},
	{name: "ExactlyOneFirst", says: "Of any number of concurrent calls exactly one is told that it was the first.", run: exactlyOneFirst},
	{name: "ConcurrentRaise", says: "Of concurrent cut-offs the latest stays, and of concurrent ends.", run: concurrentRaise},
	{name: "ConcurrentUse", says: "What Revoke has returned for is revoked for everybody, whatever else goes on.", run: concurrentUse},
	{name: "Close", says: "Close may be called twice; afterwards both methods return ErrClosed.", run: closed},
	{name: "CloseInUse", says: "While the store is closed, a revoked token is revoked or an error.", run: closeInUse},
}

func empty(s *scene) {
	s.passes("nothing was revoked", s.id("a"))
	s.passes("nothing was revoked", blacklist.Identity{Verifier: verifier, ID: mark, SessionStart: s.base})
	s.passes("nothing was revoked", blacklist.Identity{Verifier: verifier, SessionStart: s.base})
}

func token(s *scene) {
	a := s.id("a")
	s.revoke(blacklist.OfToken(a, s.in(long)), false)
	s.refuses("revoked", a)
	later := a
	later.SessionStart = s.base.Add(time.Hour)
	s.refuses("revoked, whenever its session began", later)
	sibling := a
	sibling.ID = mark + "b"
	s.passes("another token of the session", sibling)
	sibling.ID = ""
	s.passes("a token without an id of the session", sibling)
	foreign := a
	foreign.Verifier = "another"
	s.passes("the same ids of another verifier", foreign)
}

func session(s *scene) {
	a := s.id("a")
	s.revoke(blacklist.OfSession(a, s.in(long)), false)
	for _, tokenID := range []string{a.ID, mark + "b", ""} {
		of := a
		of.ID = tokenID
		s.refuses("of the session", of)
		of.SessionStart = s.base.Add(time.Hour)
		s.refuses("of the session, whenever it began", of)
		of.Session = mark + "other"
		s.passes("of another session of the subject", of)
		of.Session = ""
		s.passes("of no session", of)
	}
	other := a
	other.Subject = mark + "b"
	s.passes("the same session id of another subject", other)
	other.Subject = ""
	s.passes("the same session id without a subject", other)
	s.revoke(blacklist.OfSession(other, s.in(long)), false)
	s.refuses("the session without a subject", other)
	other.Subject = mark + "b"
	s.passes("the same session id of another subject", other)
	other = a
	other.Verifier = "another"
	s.passes("the same ids of another verifier", other)
}

// begun returns the identity with a session that began at t.
func begun(id blacklist.Identity, t time.Time) blacklist.Identity {
	id.SessionStart = t
	return id
}

func subject(s *scene) {
	a, cutOff := s.id("a"), s.base.Add(time.Minute)
	s.revoke(blacklist.OfSubject(a.Verifier, a.Subject, cutOff, s.in(long)), false)
	for _, of := range []blacklist.Identity{a, {Verifier: a.Verifier, Subject: a.Subject}} {
		s.refuses("begun before", begun(of, cutOff.Add(-time.Millisecond)))
		s.refuses("begun at the cut-off", begun(of, cutOff))
		s.passes("begun a millisecond after", begun(of, cutOff.Add(time.Millisecond)))
	}
	for _, name := range []string{mark + "b", "", mark + "A", mark + "a "} {
		other := a
		other.Subject = name
		s.passes("of another subject", other)
	}
	other := a
	other.Verifier = "another"
	s.passes("the same subject at another verifier", other)
}

func wholeVerifier(s *scene) {
	a, cutOff := s.id("a"), s.base.Add(time.Minute)
	s.revoke(blacklist.OfVerifier(verifier, cutOff, s.in(long)), false)
	for _, of := range []blacklist.Identity{a, s.id("b"), {Verifier: verifier}, {Verifier: verifier, ID: mark}} {
		s.refuses("begun before", begun(of, cutOff.Add(-time.Millisecond)))
		s.refuses("begun at the cut-off", begun(of, cutOff))
		s.passes("begun a millisecond after", begun(of, cutOff.Add(time.Millisecond)))
	}
	for _, name := range []string{"another", "Verifier", "verifier ", "verifie", "verifier\x00"} {
		other := a
		other.Verifier = name
		s.passes("of another verifier", other)
	}
}

func oneLookup(s *scene) {
	kinds := []func(id blacklist.Identity) blacklist.Revocation{
		func(id blacklist.Identity) blacklist.Revocation { return blacklist.OfToken(id, s.in(long)) },
		func(id blacklist.Identity) blacklist.Revocation { return blacklist.OfSession(id, s.in(long)) },
		func(id blacklist.Identity) blacklist.Revocation {
			return blacklist.OfSubject(id.Verifier, id.Subject, s.base, s.in(long))
		},
		func(id blacklist.Identity) blacklist.Revocation {
			return blacklist.OfVerifier(id.Verifier, s.base, s.in(long))
		},
	}
	// Every set of kinds: any one of them is enough, and none hides another.
	for set := range 1 << len(kinds) {
		id := s.id("a")
		id.Verifier = fmt.Sprintf("verifier %d", set)
		for i, kind := range kinds {
			if set>>i&1 != 0 {
				s.revoke(kind(id), false)
			}
		}
		s.answers(set != 0, fmt.Sprintf("revoked in the ways %04b", set), id)
		id.SessionStart = s.base.Add(time.Millisecond)
		s.answers(set&0b0011 != 0, fmt.Sprintf("begun after the cut-offs, revoked in the ways %04b", set), id)
	}
}

func milliseconds(s *scene) {
	const part = time.Millisecond / 10
	for i, whole := range []time.Time{s.base, s.base.Add(999 * time.Millisecond)} {
		for j, cut := range []time.Duration{0, part, 9 * part} {
			a := s.id(fmt.Sprint(i, j))
			s.revoke(blacklist.OfSubject(a.Verifier, a.Subject, whole.Add(cut), s.in(long)), false)
			s.refuses("begun in the millisecond before", begun(a, whole.Add(-part)))
			s.refuses("begun in the millisecond of the cut-off", begun(a, whole))
			s.refuses("begun in the millisecond of the cut-off", begun(a, whole.Add(9*part)))
			s.passes("begun in the next millisecond", begun(a, whole.Add(time.Millisecond)))
			s.passes("begun in the next millisecond", begun(a, whole.Add(time.Millisecond+9*part)))
			s.revoke(blacklist.OfSubject(a.Verifier, a.Subject, whole.Add(9*part), s.in(long)), true)
			s.revoke(blacklist.OfSubject(a.Verifier, a.Subject, whole.Add(time.Millisecond), s.in(long)), false)
		}
	}
}

func unknownStart(s *scene) {
	a := begun(s.id("a"), time.Time{})
	s.revoke(blacklist.OfSubject(a.Verifier, a.Subject, s.base, s.in(long)), false)
	s.refuses("no start, the subject is cut off", a)
	b := begun(s.id("b"), time.Time{})
	s.revoke(blacklist.OfVerifier(b.Verifier, s.base, s.in(long)), false)
	s.refuses("no start, the verifier is cut off", b)
}

func zones(s *scene) {
	east, west := time.FixedZone("east", 14*3600), time.FixedZone("west", -12*3600)
	a := s.id("a")
	s.revoke(blacklist.OfSubject(a.Verifier, a.Subject, s.base.In(east), s.in(s.short).In(west)), false)
	s.refuses("begun at the cut-off", begun(a, s.base.In(west)))
	s.passes("begun after", begun(a, s.base.Add(time.Millisecond).In(west)))
	s.at(s.in(s.short))
	s.passes("expired", begun(a, s.base.In(east)))
}

func absentIDs(s *scene) {
	a := s.id("a")
	s.revoke(blacklist.OfToken(a, s.in(long)), false)
	s.revoke(blacklist.OfSession(a, s.in(long)), false)
	s.revoke(blacklist.OfSubject(a.Verifier, a.Subject, s.base.Add(time.Minute), s.in(long)), false)
	none := blacklist.Identity{Verifier: verifier, SessionStart: s.base}
	s.passes("without id, session and subject", none)
	// What lacks a part is revoked by another one; no other token that lacks it is.
	noSession, noSubject := s.id("b"), s.id("c")
	noSession.Session, noSubject.Subject = "", ""
	s.revoke(blacklist.OfToken(noSession, s.in(long)), false)
	s.revoke(blacklist.OfToken(noSubject, s.in(long)), false)
	s.revoke(blacklist.OfSession(noSubject, s.in(long)), false)
	s.refuses("revoked, without a session", noSession)
	s.refuses("revoked, without a subject", noSubject)
	for _, id := range []blacklist.Identity{noSession, noSubject, none} {
		id.ID = ""
		id.Session = ""
		s.answers(false, "lacks what others lack", id)
		id.ID = mark + "d"
		s.answers(false, "lacks what others lack", id)
	}
}

func invalid(s *scene) {
	full := blacklist.Revocation{Identity: s.id("a"), CutOff: s.base.Add(time.Minute), Until: s.in(long)}
	for _, tt := range []struct {
		why  string
		kind blacklist.Kind
		lack func(*blacklist.Revocation)
	}{
		{"no id", blacklist.Token, func(r *blacklist.Revocation) { r.Identity.ID = "" }},
		{"no session", blacklist.Session, func(r *blacklist.Revocation) { r.Identity.Session = "" }},
		{"no subject", blacklist.Subject, func(r *blacklist.Revocation) { r.Identity.Subject = "" }},
		{"no cut-off", blacklist.Subject, func(r *blacklist.Revocation) { r.CutOff = time.Time{} }},
		{"no cut-off", blacklist.Verifier, func(r *blacklist.Revocation) { r.CutOff = time.Time{} }},
		{"no verifier", blacklist.Token, func(r *blacklist.Revocation) { r.Identity.Verifier = "" }},
		{"no verifier", blacklist.Session, func(r *blacklist.Revocation) { r.Identity.Verifier = "" }},
		{"no verifier", blacklist.Subject, func(r *blacklist.Revocation) { r.Identity.Verifier = "" }},
		{"no verifier", blacklist.Verifier, func(r *blacklist.Revocation) { r.Identity.Verifier = "" }},
		{"no kind", 0, func(*blacklist.Revocation) {}},
		{"no such kind", blacklist.Verifier + 1, func(*blacklist.Revocation) {}},
		{"no such kind", 255, func(*blacklist.Revocation) {}},
	} {
		r := full
		r.Kind = tt.kind
		tt.lack(&r)
		s.invalid(tt.why, r)
		s.invalid(tt.why+", again", r)
		s.passes(tt.why+", so nothing was recorded", full.Identity)
		s.passes(tt.why+", so nothing was recorded", r.Identity)
	}
}

func past(s *scene) {
	for _, until := range []time.Time{s.in(-time.Minute), time.Unix(0, 0), time.Unix(-1, 0)} {
		for kind := blacklist.Token; kind <= blacklist.Verifier; kind++ {
			r := blacklist.Revocation{Kind: kind, Identity: s.id("a"), CutOff: s.base, Until: until}
			r.Identity.Verifier = "of " + kind.String()
			s.invalid("the end has come", r)
			s.invalid("the end has come, again", r)
			s.passes("nothing was recorded", r.Identity)
		}
	}
	r := blacklist.OfToken(s.id("b"), s.in(long))
	s.revoke(r, false)
	r.Until = s.in(-time.Minute)
	s.invalid("the end has come, of what is in force", r)
	s.refuses("in force as before", r.Identity)
}

func before(s *scene) {
	a := s.id("a")
	other := a
	other.Verifier = "another"
	for _, id := range []blacklist.Identity{a, other} {
		// One kind in force says nothing about another.
		for _, r := range []blacklist.Revocation{
			blacklist.OfToken(id, s.in(long)),
			blacklist.OfSession(id, s.in(long)),
			blacklist.OfSubject(id.Verifier, id.Subject, s.base, s.in(long)),
			blacklist.OfVerifier(id.Verifier, s.base, s.in(long)),
		} {
			s.revoke(r, false)
			s.revoke(r, true)
			r.Until = s.in(2 * long)
			s.revoke(r, true)
			r.Until = time.Time{}
			s.revoke(r, true)
			if r.CutOff.IsZero() {
				continue
			}
			r.CutOff = s.base.Add(-time.Millisecond)
			s.revoke(r, true)
			r.CutOff = s.base.Add(time.Millisecond)
			s.revoke(r, false)
			s.revoke(r, true)
			r.CutOff = s.base
			s.revoke(r, true)
			r.CutOff = s.base.Add(time.Millisecond)
			s.revoke(r, true)
		}
	}
	b := a
	b.ID = mark + "b"
	s.revoke(blacklist.OfToken(b, s.in(long)), false)
	s.revoke(blacklist.OfSession(b, s.in(long)), true)
}

func beforeExpired(s *scene) {
	end := s.in(s.short)
	a := s.id("a")
	all := []blacklist.Revocation{
		blacklist.OfToken(a, end),
		blacklist.OfSession(a, end),
		blacklist.OfSubject(a.Verifier, a.Subject, s.base, end),
		blacklist.OfVerifier(a.Verifier, s.base, end),
	}
	for _, r := range all {
		s.revoke(r, false)
	}
	s.at(end)
	s.passes("all expired", a)
	for _, r := range all {
		r.Until = s.in(long)
		s.revoke(r, false)
		s.revoke(r, true)
	}
	s.refuses("in force again", a)
}

func doneContext(s *scene) {
	cancelled, cancel := context.WithCancel(s.ctx)
	cancel()
	late, cancel := context.WithDeadline(s.ctx, time.Unix(0, 0))
	defer cancel()
	a, b := s.id("a"), s.id("b")
	s.revoke(blacklist.OfToken(a, s.in(long)), false)
	for _, ctx := range []context.Context{cancelled, late} {
		for _, id := range []blacklist.Identity{a, b} {
			got, err := s.store.IsRevoked(ctx, id)
			s.errs("IsRevoked with a done context", ctx.Err(), got, err)
			got, err = s.store.Revoke(ctx, blacklist.OfToken(id, s.in(long)))
			s.errs("Revoke with a done context", ctx.Err(), got, err)
		}
		s.passes("nothing was recorded", b)
		s.refuses("in force as before", a)
	}
	s.revoke(blacklist.OfToken(b, s.in(long)), false)
}

func closed(s *scene) {
	c, ok := s.store.(io.Closer)
	if !ok {
		return
	}
	a, b := s.id("a"), s.id("b")
	s.revoke(blacklist.OfToken(a, s.in(long)), false)
	for range 2 {
		if err := c.Close(); err != nil {
			s.fail("Close: %v", err)
		}
		for _, id := range []blacklist.Identity{a, b} {
			got, err := s.store.IsRevoked(s.ctx, id)
			s.errs("IsRevoked after Close", blacklist.ErrClosed, got, err)
			got, err = s.store.Revoke(s.ctx, blacklist.OfToken(id, s.in(long)))
			s.errs("Revoke after Close", blacklist.ErrClosed, got, err)
		}
	}
}

func extremeInstants(s *scene) {
	// try revokes and expects the answer; a store may also return an error for what it cannot count.
	try := func(r blacklist.Revocation, revoked bool, id blacklist.Identity) {
		if s.err != nil {
			return
		}
		_, err := s.store.Revoke(s.ctx, r)
		s.private(err)
		if err == nil {
			s.answers(revoked, "after Revoke("+show(r)+")", id)
		}
	}
	for i, seconds := range []int64{253402300799, 253402300800, 1 << 43, 1 << 53, 1 << 55, 1 << 60, math.MaxInt64 / 2} {
		late, early := time.Unix(seconds, 0), time.Unix(-seconds, 0)
		a, b, c := s.id(fmt.Sprint("a", i)), s.id(fmt.Sprint("b", i)), s.id(fmt.Sprint("c", i))
		try(blacklist.OfToken(a, late), true, a)
		try(blacklist.OfSubject(a.Verifier, a.Subject, s.base, late), true, begun(a, s.base))
		try(blacklist.OfSubject(b.Verifier, b.Subject, late, s.in(long)), true, b)
		try(blacklist.OfSubject(c.Verifier, c.Subject, early, s.in(long)), false, c)
		try(blacklist.OfSubject(c.Verifier, c.Subject, s.base, s.in(long)), true, c)
		s.refuses("begun long before the cut-off", begun(c, early))
		s.passes("begun long after the cut-off", begun(c, late))
	}
}
