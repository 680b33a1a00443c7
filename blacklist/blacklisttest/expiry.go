package blacklisttest

import (
	"fmt"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

func neverShortened(s *scene) {
	first := s.in(s.short)
	last := first.Add(long)
	ends := []time.Time{first, last, {}} // the last one never
	type entry struct {
		id  blacklist.Identity
		end int
	}
	var entries []entry
	for kind := blacklist.Token; kind <= blacklist.Session; kind++ {
		for a := range ends {
			for b := range ends {
				id := s.id(fmt.Sprint(kind, a, b))
				s.revoke(blacklist.Revocation{Kind: kind, Identity: id, Until: ends[a]}, false)
				s.revoke(blacklist.Revocation{Kind: kind, Identity: id, Until: ends[b]}, true)
				s.refuses("revoked twice", id)
				entries = append(entries, entry{id, max(a, b)})
			}
		}
	}
	s.at(first)
	for _, e := range entries {
		s.answers(e.end > 0, "at the earlier end", e.id)
	}
	if s.own {
		return
	}
	s.at(last)
	for _, e := range entries {
		s.answers(e.end > 1, "at the later end", e.id)
	}
}

func neverLowered(s *scene) {
	first := s.in(s.short)
	last := first.Add(long)
	ends := []time.Time{first, last, {}}
	cutOffs := []time.Time{s.base, s.base.Add(time.Millisecond), s.base.Add(time.Hour)}
	type entry struct {
		id          blacklist.Identity
		end, cutOff int
	}
	var entries []entry
	add := func(kind blacklist.Kind, ends []time.Time, cutOffs []time.Time) {
		for i := range len(ends) * len(ends) * len(cutOffs) * len(cutOffs) {
			a, b := i%len(ends), i/len(ends)%len(ends)
			c, d := i/len(ends)/len(ends)%len(cutOffs), i/len(ends)/len(ends)/len(cutOffs)
			id := s.id(fmt.Sprint(kind, i))
			if kind == blacklist.Verifier {
				id.Verifier = fmt.Sprint("verifier ", i)
			}
			s.revoke(blacklist.Revocation{Kind: kind, Identity: id, CutOff: cutOffs[c], Until: ends[a]}, false)
			s.revoke(blacklist.Revocation{Kind: kind, Identity: id, CutOff: cutOffs[d], Until: ends[b]}, d <= c)
			entries = append(entries, entry{id, max(a, b), max(c, d)})
		}
	}
	add(blacklist.Subject, ends, cutOffs)
	add(blacklist.Verifier, ends[:2], cutOffs[:2])
	look := func(when string, end int) {
		for _, e := range entries {
			s.answers(e.end >= end, when+", begun at the later cut-off", begun(e.id, cutOffs[e.cutOff]))
			s.answers(e.end >= end, when+", begun before", begun(e.id, s.base))
			s.passes(when+", begun after", begun(e.id, cutOffs[e.cutOff].Add(time.Millisecond)))
		}
	}
	look("at first", 0)
	s.at(first)
	look("at the earlier end", 1)
	if s.own {
		return
	}
	s.at(last)
	look("at the later end", 2)
}

func notMergedWithExpired(s *scene) {
	end := s.in(s.short)
	a := s.id("a")
	s.revoke(blacklist.OfSubject(a.Verifier, a.Subject, s.base.Add(time.Hour), end), false)
	s.revoke(blacklist.OfVerifier("another", s.base.Add(time.Hour), end), false)
	s.at(end)
	s.passes("expired", a)
	s.revoke(blacklist.OfSubject(a.Verifier, a.Subject, s.base, s.in(long)), false)
	s.revoke(blacklist.OfVerifier("another", s.base, s.in(long)), false)
	other := a
	other.Verifier = "another"
	for _, id := range []blacklist.Identity{a, other} {
		s.refuses("begun at the new cut-off", id)
		s.passes("begun after the new cut-off, before the expired one", begun(id, s.base.Add(time.Minute)))
	}
}

// each returns a revocation of every kind, each of an identity of its own.
func (s *scene) each(until time.Time) []blacklist.Revocation {
	var all []blacklist.Revocation
	for kind := blacklist.Token; kind <= blacklist.Verifier; kind++ {
		id := s.id(kind.String())
		id.Verifier = "of " + kind.String()
		all = append(all, blacklist.Revocation{Kind: kind, Identity: id, CutOff: s.base, Until: until})
	}
	return all
}

func expiry(s *scene) {
	end := s.in(s.short)
	all := s.each(end)
	for _, r := range all {
		s.revoke(r, false)
	}
	for _, r := range all {
		s.refuses("not expired, "+r.Kind.String(), r.Identity)
	}
	stays := s.id("stays")
	s.revoke(blacklist.OfToken(stays, end.Add(long)), false)
	s.revoke(blacklist.OfSession(stays, end), false)
	s.at(end)
	for _, r := range all {
		s.passes("expired, "+r.Kind.String(), r.Identity)
	}
	s.refuses("one entry expired, another one did not", stays)
}

func expiryBoundary(s *scene) {
	for i, fraction := range []time.Duration{0, 1, 500 * time.Microsecond, time.Millisecond - 1} {
		whole := s.in(time.Minute).Truncate(time.Millisecond)
		all := s.each(whole.Add(fraction))
		for j := range all {
			all[j].Identity.Verifier += fmt.Sprint(i)
			s.revoke(all[j], false)
		}
		instants := []time.Duration{-time.Minute / 2, -time.Millisecond, -1}
		if fraction > 0 {
			instants = append(instants, 0, fraction-1)
		}
		for _, d := range instants {
			s.at(whole.Add(d))
			for _, r := range all {
				s.refuses(fmt.Sprintf("%s before its end, %s", fraction-d, r.Kind), r.Identity)
			}
		}
		end := whole
		if fraction > 0 {
			end = whole.Add(time.Millisecond)
		}
		s.at(end)
		for _, r := range all {
			s.passes("at its end, "+r.Kind.String(), r.Identity)
			s.invalid("the end has come", r)
			s.passes("at its end, "+r.Kind.String(), r.Identity)
		}
	}
}

func forEver(s *scene) {
	all := s.each(time.Time{})
	for _, r := range all {
		s.revoke(r, false)
	}
	for _, years := range []int{1, 100, 200} {
		s.at(s.now().AddDate(years, 0, 0))
		for _, r := range all {
			s.refuses("revoked for ever, "+r.Kind.String(), r.Identity)
			s.revoke(r, true)
			r.Until = s.in(long)
			s.revoke(r, true) // which does not give it an end
		}
	}
	s.at(s.now().AddDate(1, 0, 0))
	for _, r := range all {
		s.refuses("revoked for ever, "+r.Kind.String(), r.Identity)
	}
}
