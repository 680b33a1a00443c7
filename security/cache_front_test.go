package security

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"github.com/oapi-guard/oapi-guard/internal/payload"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// TestCacheComparesWhatWasSigned puts the signature of a token that is kept under other texts: it is good for its own text only.
func TestCacheComparesWhatWasSigned(t *testing.T) {
	f := newCacheFixture(t)
	alice := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	admin := must(f.issuer.IssueAccessToken(t.Context(), "admin", nil, WithRoles("ADMIN")))(t).Text()
	signed := func(text string) string { return text[:strings.LastIndexByte(text, '.')] }
	signature := alice[strings.LastIndexByte(alice, '.'):]
	for range 3 { // kept, found, and found in front
		if c, err := f.verifier.Verify(t.Context(), accessToken, alice); err != nil || c.Subject() != "alice" {
			t.Fatalf("%v", err)
		}
		for _, text := range []string{signed(admin) + signature, signed(alice) + "A" + signature, signed(alice)[1:] + signature, signature, "." + signature} {
			if c, err := f.verifier.Verify(t.Context(), accessToken, text); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("%q: %+v, %v", text, c, err)
			}
		}
	}
}

// sumOfToken is what a token is kept under.
func sumOfToken(text string) tokenSum { return sumOf(text[strings.LastIndexByte(text, '.')+1:]) }

// hasInFront reports whether a token has a place in the front.
func (f *cacheFixture) hasInFront(text string) bool {
	sum := sumOfToken(text)
	known := f.verifier.cache.table.Load().front.slot(&sum).Load()
	return known != nil && known.sum == sum
}

// inSlotOf returns the first of the texts whose slot is that of another one.
func inSlotOf(other string, text func(i int) string) string {
	var f front
	i, wanted := 0, sumOfToken(other)
	for {
		if sum := sumOfToken(text(i)); f.slot(&sum) == f.slot(&wanted) {
			return text(i)
		}
		i++
	}
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
		if _, err := f.verifier.Verify(t.Context(), accessToken, forged); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: the bad signature: %v", when, err)
		}
	}
	f.present(t, first)
	f.present(t, second)
	decide("the slot is free at first")
	if !f.hasInFront(first) {
		t.Error("the first token in use has no place in the free slot")
	}
	f.clock.Advance((touchInterval - 1) * time.Millisecond)
	decide("the first one has the slot")
	if !f.hasInFront(first) {
		t.Error("the second token took the slot of one that is in use")
	}
	f.clock.Advance(touchInterval * time.Millisecond)
	f.present(t, second)
	decide("the second one takes the slot")
	if !f.hasInFront(second) {
		t.Error("the second token never gets the slot")
	}
	decide("the second one has the slot")
	f.kept(t)
}

// TestCacheLeavesFront has tokens in front that are to leave the cache: because they expire, and because others need the room.
func TestCacheLeavesFront(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, f *cacheFixture){
		"expired": func(t *testing.T, f *cacheFixture) {
			f.clock.Advance(2 * time.Hour)
			_, _ = f.verifier.Verify(t.Context(), accessToken, "a.b.c") // tells the cache the time
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
	g := f.verifier.cache.table.Load()
	known, _ := g.tokens.GetIfPresent(sumOfToken(text))
	for _, backAgain := range []bool{false, true} {
		g.tokens.InvalidateAll()
		if backAgain {
			f.present(t, text)
		}
		g.putInFront(known, payload.InstantOf(f.clock.Now()))
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
	t.Logf("of %d requests with tokens in use %d found them", used, found)
	if used-found > 10 {
		t.Errorf("of %d requests with tokens in use %d found them", used, found)
	}
	f.kept(t)
}

// TestCacheHearsInTime takes a token out of the cache behind the back of the front: it is found there until the cache is told of it the next
// time.
func TestCacheHearsInTime(t *testing.T) {
	for wait, want := range map[time.Duration]int{0: 1, (touchInterval - 1) * time.Millisecond: 1, touchInterval * time.Millisecond: 0, -time.Millisecond: 0, time.Hour: 0} {
		f := newCacheFixture(t)
		text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, WithLifetime(2*time.Hour)))(t).Text()
		f.present(t, text)
		f.present(t, text)
		g := f.verifier.cache.table.Load()
		sum := sumOfToken(text)
		slot := g.front.slot(&sum)
		known := slot.Load()
		g.tokens.InvalidateAll()
		slot.Store(known)
		f.clock.Advance(wait)
		if found := f.present(t, text); found != want {
			t.Errorf("after %s: found: %d, want %d", wait, found, want)
		}
	}
}

// TestCacheEveryAlgorithm presents a token of each kind of signature twice: the second one is found.
func TestCacheEveryAlgorithm(t *testing.T) {
	long := must(rsa.GenerateKey(rand.Reader, 4096))(t)
	curve := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))(t)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]*keys.Key{
		"RS256": must(keys.NewRSA(keys.RS256, long))(t), "PS512": must(keys.NewRSA(keys.PS512, long))(t), "ES512": must(keys.NewECDSA(curve))(t),
		"EdDSA": must(keys.NewEd25519(edwards))(t), "HS512": must(keys.NewHMAC(keys.HS512, bytes.Repeat(testSecret, 2)))(t),
	} {
		v := must(NewVerifier(testIssuer, must(keys.NewSet(key))(t)))(t)
		text := must(must(NewIssuer(v))(t).IssueAccessToken(t.Context(), "alice", nil))(t).Text()
		for i := range 3 {
			var place cachePlace
			v.cache.locate(text, payload.InstantOf(v.now()), &place)
			if found := place.find(accessToken, payload.InstantOf(v.now())) != nil; found != (i > 0) {
				t.Errorf("%s, the %d. time: found: %t", name, i+1, found)
			}
			if _, err := v.Verify(t.Context(), accessToken, text); err != nil {
				t.Fatal(err)
			}
		}
	}
}
