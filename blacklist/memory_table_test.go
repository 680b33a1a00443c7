package blacklist

import (
	"fmt"
	"strings"
	"testing"
	"time"
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
					if k.kind() != kind || k != m.key(kind, &id) {
						t.Fatalf("the key of %.80s has a wrong kind or changes", id)
					}
					text := fmt.Sprintf("%s %q", kind, p)
					if kind < Issuer {
						text += fmt.Sprintf(" %q", q)
					}
					if kind == Session {
						text += fmt.Sprintf(" %q", r)
					}
					if other, ok := names[k.name]; ok && other != text {
						t.Fatalf("%.80s and %.80s have the same name", text, other)
					}
					if other, ok := places[k.place]; ok && other != text {
						t.Fatalf("%.80s and %.80s have the same place", text, other)
					}
					names[k.name], places[k.place] = text, text
				}
			}
		}
	}
}

// TestFilterExcludesAbsentKeys: the filter of a full Memory passes all its keys and few others.
func TestFilterExcludesAbsentKeys(t *testing.T) {
	const capacity, tries = 12 << 10, 100_000
	m, clock := newMemory(t, WithCapacity(capacity))
	for i := range capacity {
		mustRevoke(t, m, OfToken(tokenID(i), start.Add(time.Hour)))
	}
	passed := func(from, n int) (passed int) {
		for i := range n {
			id := tokenID(from + i)
			if m.filter.mayContain(m.keys.key(Token, &id).place) {
				passed++
			}
		}
		return passed
	}
	if n := passed(0, capacity); n != capacity {
		t.Errorf("the filter excludes %d entries", capacity-n)
	}
	n := passed(-tries, tries)
	t.Logf("%.2f %% of the absent keys pass", 100*float64(n)/tries)
	if n > tries/50 {
		t.Error("more than 2 % of the absent keys pass")
	}
	clock.add(time.Hour)
	for range m.shards {
		m.sweepSome(clock.now().UnixMilli())
	}
	for _, words := range m.filter.words {
		for i := range words {
			if words[i].Load() != 0 {
				t.Fatal("the filter of an empty Memory is not empty")
			}
		}
	}
}
