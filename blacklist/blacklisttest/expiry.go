package blacklisttest

import (
	"fmt"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

func neverShortened(h *harness) {
	first := h.after(h.short)
	last := first.Add(long)
	ends := []time.Time{first, last, {}} // the last means no end
	type entry struct {
		id  blacklist.Identity
		end int
	}
	var entries []entry
	for kind := blacklist.Token; kind <= blacklist.Session; kind++ {
		for a := range ends {
			for b := range ends {
				id := h.id(fmt.Sprint(kind, a, b))
				h.revoke(blacklist.Revocation{Kind: kind, Identity: id, Until: ends[a]}, false)
				h.revoke(blacklist.Revocation{Kind: kind, Identity: id, Until: ends[b]}, true)
				h.expectRevoked("revoked twice", id)
				entries = append(entries, entry{id, max(a, b)})
			}
		}
	}
	h.advanceTo(first)
	for _, e := range entries {
		h.expect(e.end > 0, "at the earlier end", e.id)
	}
	if h.realClock {
		return
	}
	h.advanceTo(last)
	for _, e := range entries {
		h.expect(e.end > 1, "at the later end", e.id)
	}
}

func neverLowered(h *harness) {
	first := h.after(h.short)
	last := first.Add(long)
	ends := []time.Time{first, last, {}}
	cutOffs := []time.Time{h.base, h.base.Add(time.Millisecond), h.base.Add(time.Hour)}
	type entry struct {
		id          blacklist.Identity
		end, cutOff int
	}
	var entries []entry
	add := func(kind blacklist.Kind, ends []time.Time, cutOffs []time.Time) {
		for i := range len(ends) * len(ends) * len(cutOffs) * len(cutOffs) {
			a, b := i%len(ends), i/len(ends)%len(ends)
			c, d := i/len(ends)/len(ends)%len(cutOffs), i/len(ends)/len(ends)/len(cutOffs)
			id := h.id(fmt.Sprint(kind, i))
			if kind == blacklist.Issuer {
				id.Issuer = fmt.Sprint("issuer ", i)
			}
			h.revoke(blacklist.Revocation{Kind: kind, Identity: id, CutOff: cutOffs[c], Until: ends[a]}, false)
			h.revoke(blacklist.Revocation{Kind: kind, Identity: id, CutOff: cutOffs[d], Until: ends[b]}, d <= c)
			entries = append(entries, entry{id, max(a, b), max(c, d)})
		}
	}
	add(blacklist.Subject, ends, cutOffs)
	add(blacklist.Issuer, ends[:2], cutOffs[:2])
	look := func(when string, end int) {
		for _, e := range entries {
			h.expect(e.end >= end, when+", begun at the later cut-off", begunAt(e.id, cutOffs[e.cutOff]))
			h.expect(e.end >= end, when+", begun before", begunAt(e.id, h.base))
			h.expectNotRevoked(when+", begun after", begunAt(e.id, cutOffs[e.cutOff].Add(time.Millisecond)))
		}
	}
	look("at first", 0)
	h.advanceTo(first)
	look("at the earlier end", 1)
	if h.realClock {
		return
	}
	h.advanceTo(last)
	look("at the later end", 2)
}

func notMergedWithExpired(h *harness) {
	end := h.after(h.short)
	a := h.id("a")
	h.revoke(blacklist.OfSubject(a.Issuer, a.Subject, h.base.Add(time.Hour), end), false)
	h.revoke(blacklist.OfIssuer("another", h.base.Add(time.Hour), end), false)
	h.advanceTo(end)
	h.expectNotRevoked("expired", a)
	h.revoke(blacklist.OfSubject(a.Issuer, a.Subject, h.base, h.after(long)), false)
	h.revoke(blacklist.OfIssuer("another", h.base, h.after(long)), false)
	other := a
	other.Issuer = "another"
	for _, id := range []blacklist.Identity{a, other} {
		h.expectRevoked("begun at the new cut-off", id)
		h.expectNotRevoked("begun after the new cut-off, before the expired one", begunAt(id, h.base.Add(time.Minute)))
	}
}

// revocationOfEachKind returns a revocation of each kind, with different identities.
func (h *harness) revocationOfEachKind(until time.Time) []blacklist.Revocation {
	var all []blacklist.Revocation
	for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
		id := h.id(kind.String())
		id.Issuer = "of " + kind.String()
		all = append(all, blacklist.Revocation{Kind: kind, Identity: id, CutOff: h.base, Until: until})
	}
	return all
}

func expiry(h *harness) {
	end := h.after(h.short)
	all := h.revocationOfEachKind(end)
	for _, r := range all {
		h.revoke(r, false)
	}
	for _, r := range all {
		h.expectRevoked("before its end, "+r.Kind.String(), r.Identity)
	}
	stays := h.id("stays")
	h.revoke(blacklist.OfToken(stays, end.Add(long)), false)
	h.revoke(blacklist.OfSession(stays, end), false)
	h.advanceTo(end)
	for _, r := range all {
		h.expectNotRevoked("after its end, "+r.Kind.String(), r.Identity)
	}
	h.expectRevoked("one entry expired, another one did not", stays)
}

func expiryBoundary(h *harness) {
	for i, fraction := range []time.Duration{0, 1, 500 * time.Microsecond, time.Millisecond - 1} {
		whole := h.after(time.Minute).Truncate(time.Millisecond)
		all := h.revocationOfEachKind(whole.Add(fraction))
		for j := range all {
			all[j].Identity.Issuer += fmt.Sprint(i)
			h.revoke(all[j], false)
		}
		offsets := []time.Duration{-time.Minute / 2, -time.Millisecond, -1}
		if fraction > 0 {
			offsets = append(offsets, 0, fraction-1)
		}
		for _, d := range offsets {
			h.advanceTo(whole.Add(d))
			for _, r := range all {
				h.expectRevoked(fmt.Sprintf("%s before its end, %s", fraction-d, r.Kind), r.Identity)
			}
		}
		end := whole
		if fraction > 0 {
			end = whole.Add(time.Millisecond)
		}
		h.advanceTo(end)
		for _, r := range all {
			h.expectNotRevoked("at its end, "+r.Kind.String(), r.Identity)
			h.expectInvalid("Until is not in the future", r)
			h.expectNotRevoked("at its end, "+r.Kind.String(), r.Identity)
		}
	}
}

func forEver(h *harness) {
	all := h.revocationOfEachKind(time.Time{})
	for _, r := range all {
		h.revoke(r, false)
	}
	for _, years := range []int{1, 100, 200} {
		h.advanceTo(h.now().AddDate(years, 0, 0))
		for _, r := range all {
			h.expectRevoked("without end, "+r.Kind.String(), r.Identity)
			h.revoke(r, true)
			r.Until = h.after(long)
			h.revoke(r, true) // does not give the entry an end
		}
	}
	h.advanceTo(h.now().AddDate(1, 0, 0))
	for _, r := range all {
		h.expectRevoked("without end, "+r.Kind.String(), r.Identity)
	}
}
