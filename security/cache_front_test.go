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
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/payload"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// TestCacheComparesWhatWasSigned puts the signature of a cached token under other texts. It is
// valid for its text only.
func TestCacheComparesWhatWasSigned(t *testing.T) {
	f := newCacheFixture(t)
	alice := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	admin := must(f.issuer.IssueAccessToken(t.Context(), "admin", nil, WithRoles("ADMIN")))(t).Text()
	signed := func(text string) string { return text[:strings.LastIndexByte(text, '.')] }
	signature := alice[strings.LastIndexByte(alice, '.'):]
	for range 3 { // stored, found in the cache, found in the front
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

// sumOfToken returns the key of a token in the cache.
func sumOfToken(text string) tokenSum { return sumOf(text[strings.LastIndexByte(text, '.')+1:]) }

// hasInFront reports whether a token is in the front.
func (f *cacheFixture) hasInFront(text string) bool {
	sum := sumOfToken(text)
	known := f.verifier.cache.table.Load().front.slot(&sum).Load()
	return known != nil && known.sum == sum
}

// inSlotOf returns the first of the texts that has the same slot as the other text.
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

// TestCacheSharedSlot has two valid tokens and a forged one with the same slot. Each gets the
// decision that it gets alone, and a token in use takes the slot of one that is not.
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
				t.Errorf("%s: %s is not cached", when, text)
			}
		}
		if _, err := f.verifier.Verify(t.Context(), accessToken, forged); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: the forged signature: %v", when, err)
		}
	}
	f.present(t, first)
	f.present(t, second)
	decide("the slot is free")
	if !f.hasInFront(first) {
		t.Error("the first token in use is not in the free slot")
	}
	f.clock.Advance((touchInterval - 1) * time.Millisecond)
	decide("the first token has the slot")
	if !f.hasInFront(first) {
		t.Error("the second token took the slot of a token in use")
	}
	f.clock.Advance(touchInterval * time.Millisecond)
	f.present(t, second)
	decide("the second token takes the slot")
	if !f.hasInFront(second) {
		t.Error("the second token never gets the slot")
	}
	decide("the second token has the slot")
	f.kept(t)
}

// TestTokenThatLeavesCacheLeavesFront has tokens in the front that leave the cache: they expire, or
// others need the room.
func TestTokenThatLeavesCacheLeavesFront(t *testing.T) {
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
					t.Fatal("a token is not in the front")
				}
			}
			leave(t, f)
			f.kept(t)
			for _, text := range texts {
				if f.hasInFront(text) {
					t.Errorf("%s is still in the front", text)
				}
			}
		})
	}
}

// TestFrontRefusesTokenThatLeftCache puts a token in the front that left the cache after the
// request found it there, and one that left and came back as another entry.
func TestFrontRefusesTokenThatLeftCache(t *testing.T) {
	f := newCacheFixture(t)
	text := uniqueToken("first")
	f.present(t, text)
	g := f.verifier.cache.table.Load()
	known, _ := g.tokens.get(sumOfToken(text))
	for _, backAgain := range []bool{false, true} {
		g.tokens.(otterTokens).cache.InvalidateAll()
		if backAgain {
			f.present(t, text)
		}
		g.putInFront(known, payload.InstantOf(f.clock.Now()))
		if f.hasInFront(text) {
			t.Errorf("came back: %t: the entry that left is in the front", backAgain)
		}
	}
}

// TestFrontTellsCacheOfUse fills the cache with tokens that come four times each. Between them come
// tokens that are always found in the front. Those stay cached, because the front tells the cache
// that they are in use.
func TestFrontTellsCacheOfUse(t *testing.T) {
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
	t.Logf("%d requests with tokens in use: %d found in the cache", used, found)
	if used-found > 10 {
		t.Errorf("%d requests with tokens in use: %d found in the cache", used, found)
	}
	f.kept(t)
}

// TestFrontAsksCacheInTime removes a token from the cache and leaves it in the front. It is found
// there until the front next tells the cache of its use.
func TestFrontAsksCacheInTime(t *testing.T) {
	for wait, want := range map[time.Duration]int{0: 1, (touchInterval - 1) * time.Millisecond: 1, touchInterval * time.Millisecond: 0, -time.Millisecond: 0, time.Hour: 0} {
		f := newCacheFixture(t)
		text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, WithLifetime(2*time.Hour)))(t).Text()
		f.present(t, text)
		f.present(t, text)
		g := f.verifier.cache.table.Load()
		sum := sumOfToken(text)
		slot := g.front.slot(&sum)
		known := slot.Load()
		g.tokens.(otterTokens).cache.InvalidateAll()
		slot.Store(known)
		f.clock.Advance(wait)
		if found := f.present(t, text); found != want {
			t.Errorf("after %s: found: %d, want %d", wait, found, want)
		}
	}
}

// TestCacheEveryAlgorithm presents a token of each kind of signature three times. From the second
// time on it is cached.
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
				t.Errorf("%s, presented %d times: found: %t", name, i+1, found)
			}
			if _, err := v.Verify(t.Context(), accessToken, text); err != nil {
				t.Fatal(err)
			}
		}
	}
}
