package blacklisttest

import (
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// texts returns ids that a store might confuse with each other or with parts of its syntax.
func texts() []string {
	list := []string{
		"a", "A", "a ", " a", "aa", "a\x00", "\x00a", "\x00", "\x00\x00", "a\n", "a\r\n", "\t",
		"é", "e\u0301", "\xff", "\xfe", "\ufffd", "\xc3", "\xc3\x28", "ı", "i", "I", "ß", "ss",
		"1", "01", "1.0", "+1", "-1", "0", "%61", "%00", "*", "?", "[a]", "{a}", "{}", "}{", "a}", "{a",
		"nil", "null", "-", "$", "'", "\"", "\\", "/", "//", ".", "..", "../a", "a/b", "a:b", "a|b", "a,b", "a;b",
		"\x00\x00\x00\x01a", "\x01a", "a\x1fb", "a\x1eb",
	}
	return append(list, strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a", 257))
}

func separators(h *harness) {
	for _, tt := range []struct {
		kind blacklist.Kind
		id   func(text string) blacklist.Identity
	}{
		{kind: blacklist.Token, id: func(text string) blacklist.Identity { return blacklist.Identity{ID: text} }},
		{kind: blacklist.Session, id: func(text string) blacklist.Identity { return blacklist.Identity{Session: text} }},
		{kind: blacklist.Session, id: func(text string) blacklist.Identity { return blacklist.Identity{Subject: text, Session: idMarker} }},
		{kind: blacklist.Subject, id: func(text string) blacklist.Identity { return blacklist.Identity{Subject: text} }},
	} {
		list := texts()
		identity := func(i int) blacklist.Identity {
			id := tt.id(list[i])
			id.Issuer, id.SessionStart = issuer, h.base
			return id
		}
		for i := range list {
			h.expectNotRevoked("similar to revoked ids, as "+tt.kind.String(), identity(i))
			h.revoke(blacklist.Revocation{Kind: tt.kind, Identity: identity(i), CutOff: h.base, Until: h.after(long)}, false)
		}
		for i := range list {
			h.expectRevoked("revoked as "+tt.kind.String(), identity(i))
		}
	}
}

func boundaries(h *harness) {
	var pairs [][2]string
	pairs = append(pairs, [2]string{"a", "bc"}, [2]string{"ab", "c"}, [2]string{"", "abc"})
	for _, sep := range []string{":", "/", "|", ",", ";", "\x00", "\x1f", "\n", " ", "}", "{", "%", "\x00\x00\x00\x01", "\x01"} {
		pairs = append(pairs, [2]string{"a" + sep + "b", "c"}, [2]string{"a", "b" + sep + "c"}, [2]string{"a" + sep, "c"}, [2]string{"a", sep + "c"})
	}
	for _, tt := range []struct {
		name string
		kind blacklist.Kind
		id   func(p [2]string) blacklist.Identity
	}{
		{name: "issuer and id", kind: blacklist.Token, id: func(p [2]string) blacklist.Identity {
			return blacklist.Identity{Issuer: "v" + p[0], ID: p[1]}
		}},
		{name: "subject and session", kind: blacklist.Session, id: func(p [2]string) blacklist.Identity {
			return blacklist.Identity{Issuer: issuer, Subject: p[0], Session: p[1]}
		}},
		{name: "issuer and session", kind: blacklist.Session, id: func(p [2]string) blacklist.Identity {
			return blacklist.Identity{Issuer: "v" + p[0], Session: p[1]}
		}},
		{name: "issuer and subject", kind: blacklist.Subject, id: func(p [2]string) blacklist.Identity {
			return blacklist.Identity{Issuer: "v" + p[0], Subject: p[1]}
		}},
	} {
		for _, p := range pairs {
			id := begunAt(tt.id(p), h.base)
			h.expectNotRevoked("similar to revoked fields: "+tt.name, id)
			h.revoke(blacklist.Revocation{Kind: tt.kind, Identity: id, CutOff: h.base, Until: h.after(long)}, false)
			h.expectRevoked("revoked: "+tt.name, id)
		}
	}
	// The same text in another field is another identity.
	full := blacklist.Identity{Issuer: "v", ID: idMarker, SessionStart: h.base}
	h.revoke(blacklist.OfToken(full, h.after(long)), false)
	h.expectNotRevoked("a session equal to a revoked id", blacklist.Identity{Issuer: "v", Session: idMarker, SessionStart: h.base})
	h.expectNotRevoked("a subject equal to a revoked id", blacklist.Identity{Issuer: "v", Subject: idMarker, SessionStart: h.base})
	h.expectNotRevoked("an issuer equal to a revoked id", blacklist.Identity{Issuer: idMarker, SessionStart: h.base})
	h.revoke(blacklist.OfSubject("v", idMarker+"s", h.base, h.after(long)), false)
	h.expectNotRevoked("an id equal to a revoked subject", blacklist.Identity{Issuer: "v", ID: idMarker + "s", SessionStart: h.base})
	h.expectNotRevoked("a session equal to a revoked subject", blacklist.Identity{Issuer: "v", Session: idMarker + "s", SessionStart: h.base})
}

func longIDs(h *harness) {
	const megabyte = 1 << 20
	text := idMarker + strings.Repeat("a", megabyte)
	for _, tt := range []struct {
		kind blacklist.Kind
		id   func(text string) blacklist.Identity
	}{
		{kind: blacklist.Token, id: func(text string) blacklist.Identity { return blacklist.Identity{Issuer: issuer, ID: text} }},
		{kind: blacklist.Session, id: func(text string) blacklist.Identity {
			return blacklist.Identity{Issuer: issuer, Session: text, Subject: text}
		}},
		{kind: blacklist.Subject, id: func(text string) blacklist.Identity { return blacklist.Identity{Issuer: issuer, Subject: text} }},
		{kind: blacklist.Issuer, id: func(text string) blacklist.Identity { return blacklist.Identity{Issuer: text} }},
	} {
		a, b, c := begunAt(tt.id(text+"1"), h.base), begunAt(tt.id(text+"2"), h.base), begunAt(tt.id(text), h.base)
		r := blacklist.Revocation{Kind: tt.kind, Identity: a, CutOff: h.base, Until: h.after(long)}
		h.revoke(r, false)
		h.revoke(r, true)
		h.expectRevoked("revoked", a)
		h.expectNotRevoked("another last byte", b)
		h.expectNotRevoked("one byte less", c)
		bad := r
		bad.Until = h.after(-time.Hour)
		h.expectInvalid("Until is in the past", bad)
	}
}
