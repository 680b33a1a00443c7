package blacklist

import (
	"fmt"
	"strings"
	"testing"
)

// TestDifferentIdentitiesHaveDifferentKeys uses fields whose concatenations are equal.
func TestDifferentIdentitiesHaveDifferentKeys(t *testing.T) {
	m := newKeyMaker()
	names, places := make(map[uint64]string), make(map[uint64]string)
	long := strings.Repeat("x", 200)
	for _, p := range []string{"", "a", "ab", "abc", long, long + "a"} {
		for _, q := range []string{"", "b", "bc", "c", "abc", "a", long, long + "a"} {
			for _, r := range []string{"", "c", "bc", "a", "b", long, long + "a"} {
				id := Identity{Issuer: p, Subject: q, ID: q, Session: r}
				for kind := Token; kind <= Issuer; kind++ {
					k := m.key(kind, &id)
					if Kind(k.Name&7) != kind || k != m.key(kind, &id) {
						t.Fatalf("the key of %.80s has a wrong kind or changes", id)
					}
					text := fmt.Sprintf("%s %q", kind, p)
					if kind < Issuer {
						text += fmt.Sprintf(" %q", q)
					}
					if kind == Session {
						text += fmt.Sprintf(" %q", r)
					}
					if other, ok := names[k.Name]; ok && other != text {
						t.Fatalf("%.80s and %.80s have the same name", text, other)
					}
					if other, ok := places[k.Place]; ok && other != text {
						t.Fatalf("%.80s and %.80s have the same place", text, other)
					}
					names[k.Name], places[k.Place] = text, text
				}
			}
		}
	}
}
