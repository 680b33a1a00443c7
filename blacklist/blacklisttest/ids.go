package blacklisttest

import (
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// texts are ids that a store might take for one another, or for a piece of its own.
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

func separators(s *scene) {
	for _, put := range []struct {
		kind blacklist.Kind
		id   func(text string) blacklist.Identity
	}{
		{blacklist.Token, func(text string) blacklist.Identity { return blacklist.Identity{ID: text} }},
		{blacklist.Session, func(text string) blacklist.Identity { return blacklist.Identity{Session: text} }},
		{blacklist.Session, func(text string) blacklist.Identity { return blacklist.Identity{Subject: text, Session: mark} }},
		{blacklist.Subject, func(text string) blacklist.Identity { return blacklist.Identity{Subject: text} }},
	} {
		list := texts()
		identity := func(i int) blacklist.Identity {
			id := put.id(list[i])
			id.Verifier, id.SessionStart = verifier, s.base
			return id
		}
		for i := range list {
			s.passes("an identity like those revoked, as "+put.kind.String(), identity(i))
			s.revoke(blacklist.Revocation{Kind: put.kind, Identity: identity(i), CutOff: s.base, Until: s.in(long)}, false)
		}
		for i := range list {
			s.refuses("revoked as "+put.kind.String(), identity(i))
		}
	}
}

func pieces(s *scene) {
	var pairs [][2]string
	pairs = append(pairs, [2]string{"a", "bc"}, [2]string{"ab", "c"}, [2]string{"", "abc"})
	for _, sep := range []string{":", "/", "|", ",", ";", "\x00", "\x1f", "\n", " ", "}", "{", "%", "\x00\x00\x00\x01", "\x01"} {
		pairs = append(pairs, [2]string{"a" + sep + "b", "c"}, [2]string{"a", "b" + sep + "c"}, [2]string{"a" + sep, "c"}, [2]string{"a", sep + "c"})
	}
	for _, put := range []struct {
		name string
		kind blacklist.Kind
		id   func(p [2]string) blacklist.Identity
	}{
		{"verifier and id", blacklist.Token, func(p [2]string) blacklist.Identity {
			return blacklist.Identity{Verifier: "v" + p[0], ID: p[1]}
		}},
		{"subject and session", blacklist.Session, func(p [2]string) blacklist.Identity {
			return blacklist.Identity{Verifier: verifier, Subject: p[0], Session: p[1]}
		}},
		{"verifier and session", blacklist.Session, func(p [2]string) blacklist.Identity {
			return blacklist.Identity{Verifier: "v" + p[0], Session: p[1]}
		}},
		{"verifier and subject", blacklist.Subject, func(p [2]string) blacklist.Identity {
			return blacklist.Identity{Verifier: "v" + p[0], Subject: p[1]}
		}},
	} {
		for _, p := range pairs {
			id := begun(put.id(p), s.base)
			s.passes("parts like those revoked: "+put.name, id)
			s.revoke(blacklist.Revocation{Kind: put.kind, Identity: id, CutOff: s.base, Until: s.in(long)}, false)
			s.refuses("revoked: "+put.name, id)
		}
	}
	// The same text in another part is another identity.
	full := blacklist.Identity{Verifier: "v", ID: mark, SessionStart: s.base}
	s.revoke(blacklist.OfToken(full, s.in(long)), false)
	s.passes("a session like a revoked id", blacklist.Identity{Verifier: "v", Session: mark, SessionStart: s.base})
	s.passes("a subject like a revoked id", blacklist.Identity{Verifier: "v", Subject: mark, SessionStart: s.base})
	s.passes("a verifier like a revoked id", blacklist.Identity{Verifier: mark, SessionStart: s.base})
	s.revoke(blacklist.OfSubject("v", mark+"s", s.base, s.in(long)), false)
	s.passes("an id like a revoked subject", blacklist.Identity{Verifier: "v", ID: mark + "s", SessionStart: s.base})
	s.passes("a session like a revoked subject", blacklist.Identity{Verifier: "v", Session: mark + "s", SessionStart: s.base})
}

func longIDs(s *scene) {
	const megabyte = 1 << 20
	text := mark + strings.Repeat("a", megabyte)
	for _, put := range []struct {
		kind blacklist.Kind
		id   func(text string) blacklist.Identity
	}{
		{blacklist.Token, func(text string) blacklist.Identity { return blacklist.Identity{Verifier: verifier, ID: text} }},
		{blacklist.Session, func(text string) blacklist.Identity {
			return blacklist.Identity{Verifier: verifier, Session: text, Subject: text}
		}},
		{blacklist.Subject, func(text string) blacklist.Identity { return blacklist.Identity{Verifier: verifier, Subject: text} }},
		{blacklist.Verifier, func(text string) blacklist.Identity { return blacklist.Identity{Verifier: text} }},
	} {
		a, b, c := begun(put.id(text+"1"), s.base), begun(put.id(text+"2"), s.base), begun(put.id(text), s.base)
		r := blacklist.Revocation{Kind: put.kind, Identity: a, CutOff: s.base, Until: s.in(long)}
		s.revoke(r, false)
		s.revoke(r, true)
		s.refuses("revoked", a)
		s.passes("another last byte", b)
		s.passes("one byte less", c)
		bad := r
		bad.Until = s.in(-time.Hour)
		s.invalid("the end has come", bad)
	}
}
