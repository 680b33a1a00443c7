package security

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestCacheComparesWhatWasSigned puts the signature of a token that is kept under other texts: it is good for its own text only.
func TestCacheComparesWhatWasSigned(t *testing.T) {
	f := newCacheFixture(t)
	alice := must(f.issuer.Access(t.Context(), "alice", nil))(t).Text()
	admin := must(f.issuer.Access(t.Context(), "admin", nil, WithRoles("ADMIN")))(t).Text()
	signed := func(text string) string { return text[:strings.LastIndexByte(text, '.')] }
	signature := alice[strings.LastIndexByte(alice, '.'):]
	for range 3 { // kept, found, and found in front
		if c, err := f.verifier.verify(alice, accessToken); err != nil || c.subject != "alice" {
			t.Fatalf("%v", err)
		}
		for _, text := range []string{signed(admin) + signature, signed(alice) + "A" + signature, signed(alice)[1:] + signature, signature, "." + signature} {
			if c, err := f.verifier.verify(text, accessToken); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("%q: %+v, %v", text, c, err)
			}
		}
	}
}

// untold is a time at which requests do not tell the cache which tokens are in use, and told is one at which they do.
func (f *cacheFixture) untold() { f.toMillisecond(1) }
func (f *cacheFixture) told()   { f.toMillisecond(0) }

func (f *cacheFixture) toMillisecond(of instant) {
	for instantOf(f.clock.Now())%tellOneIn != of {
		f.clock.Advance(time.Millisecond)
	}
}

// hasInFront reports whether a token has a place in the front.
func (f *cacheFixture) hasInFront(text string) bool {
	sum := sumOf(text[strings.LastIndexByte(text, '.')+1:])
	known := f.verifier.cache.current.Load().front.slot(&sum).Load()
	return known != nil && known.sum == sum
}

// inSlotOf returns the first of the texts whose slot is that of another one.
func inSlotOf(other string, text func(i int) string) string {
	var f front
	slot := func(text string) any {
		sum := sumOf(text[strings.LastIndexByte(text, '.')+1:])
		return f.slot(&sum)
	}
	i := 0
	for slot(text(i)) != slot(other) {
		i++
	}
	return text(i)
}

// TestCacheSharedSlot has two good tokens and a bad one with the same slot: each is decided as if it had one of its own, and a token in use
// gets the slot of one that is not.
func TestCacheSharedSlot(t *testing.T) {
	f := newCacheFixture(t)
	first := uniqueToken("first")
	second := inSlotOf(first, func(i int) string { return uniqueToken(fmt.Sprint(i)) })
	signed := first[:strings.LastIndexByte(first, '.')+1]
	forged := inSlotOf(first, func(i int) string { return fmt.Sprintf("%s%042dA", signed, i) })
	decide := func(when string) {
		t.Helper()
		for _, text := range []string{first, second} {
			if f.present(t, text) != 1 {
				t.Errorf("%s: %s is not kept", when, text)
			}
		}
		if _, err := f.verifier.verify(forged, accessToken); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: the bad signature: %v", when, err)
		}
	}
	f.untold()
	f.present(t, first)
	f.present(t, second)
	decide("the slot is free at first")
	if !f.hasInFront(first) {
		t.Error("the first token in use has no place in the free slot")
	}
	decide("the first one has the slot")
	if !f.hasInFront(first) {
		t.Error("the second token took the slot at once")
	}
	f.told()
	decide("the second one takes the slot")
	if !f.hasInFront(second) {
		t.Error("the second token never gets the slot")
	}
	f.untold()
	decide("the second one has the slot")
	f.kept(t)
}

// TestCacheLeavesFront has tokens in front that are to leave the cache: because they expire, and because others need the room.
func TestCacheLeavesFront(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, f *cacheFixture){
		"expired": func(t *testing.T, f *cacheFixture) {
			f.clock.Advance(2 * time.Hour)
			_, _ = f.verifier.verifyToken("a.b.c", accessToken) // tells the cache the time
		},
		"others need the room": func(t *testing.T, f *cacheFixture) {
			for i := range 20 {
				text := uniqueToken(fmt.Sprint("other", i))
				for range 10 {
					f.present(t, text)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newCacheFixture(t, WithTokenCache(10, DefaultCacheBytes))
			f.untold()
			texts := make([]string, 9)
			for i := range texts {
				texts[i] = uniqueToken(fmt.Sprint(i))
				f.present(t, texts[i])
			}
			for _, text := range texts {
				if f.present(t, text) != 1 || !f.hasInFront(text) {
					t.Fatal("a token is not in front")
				}
			}
			leave(t, f)
			f.kept(t)
			for _, text := range texts {
				if f.hasInFront(text) {
					t.Errorf("%s is still in front", text)
				}
			}
		})
	}
}

// TestCacheLeftMeanwhile puts a token in front that left the cache between a request's look at the one and at the other, and one that came
// back since as another.
func TestCacheLeftMeanwhile(t *testing.T) {
	f := newCacheFixture(t)
	text := uniqueToken("first")
	f.present(t, text)
	g := f.verifier.cache.current.Load()
	known, _ := g.tokens.GetIfPresent(sumOf(text[strings.LastIndexByte(text, '.')+1:]))
	for _, backAgain := range []bool{false, true} {
		g.tokens.InvalidateAll()
		if backAgain {
			f.present(t, text)
		}
		g.putInFront(known, instantOf(f.clock.Now()))
		if f.hasInFront(text) {
			t.Errorf("back again: %t: what left is in front", backAgain)
		}
	}
}

// TestCacheHearsOfFront presents tokens that come four times each to a cache that is full, and between them tokens that are always found in
// front: those stay, because the cache behind hears that they are in use.
func TestCacheHearsOfFront(t *testing.T) {
	f := newCacheFixture(t, WithTokenCache(50, DefaultCacheBytes))
	hot := make([]string, 10)
	for i := range hot {
		hot[i] = uniqueToken(fmt.Sprint("hot", i))
		f.present(t, hot[i])
		f.present(t, hot[i])
	}
	used, found := 0, 0
	for i := range 1000 {
		text := uniqueToken(fmt.Sprint(i))
		for range 4 {
			f.present(t, text)
		}
		for _, text := range hot {
			f.clock.Advance(3 * time.Millisecond)
			used++
			found += f.present(t, text)
		}
	}
	if found*100 < used*99 {
		t.Errorf("of %d requests with tokens in use %d found them", used, found)
	}
	f.kept(t)
}
