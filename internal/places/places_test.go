package places

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// TestPlacesAreThoseOfTheStore asks for the places of more issuers than are cached, and of one that
// is too long, with and without a template, twice each: they are those of blacklist.PlaceOf, in
// whatever order they are asked for.
func TestPlacesAreThoseOfTheStore(t *testing.T) {
	var m Maker
	key := blacklist.PlaceKey{1, 2, 3}
	m.Init(key)
	issuers := []string{"", strings.Repeat("i", maxCachedIssuer+1)}
	for i := range 2 * len(m.slots) {
		issuers = append(issuers, fmt.Sprint("https://issuer.example/", i))
	}
	for range 2 {
		for i, issuer := range issuers {
			id := blacklist.Identity{Issuer: issuer, ID: "id", Session: "session", Subject: "subject"}
			if i%3 == 0 {
				id.Template = issuer + "/{tenant}"
			}
			var forwards, backwards Common
			located := m.Locate(nil, id)
			for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
				want, ok := blacklist.PlaceOf(key, kind, id)
				last := blacklist.Issuer + blacklist.Token - kind
				wantLast, _ := blacklist.PlaceOf(key, last, id)
				known := m.Place(kind, &id, located, &forwards)
				if got := m.Place(kind, &id, nil, &forwards); !ok || got != want || known != want {
					t.Fatalf("issuer %.40q, %s: places %#x and %#x, want %#x", issuer, kind, got, known, want)
				}
				if got := m.Place(last, &id, nil, &backwards); got != wantLast {
					t.Fatalf("issuer %.40q, %s: place %#x, want %#x", issuer, last, got, wantLast)
				}
			}
		}
	}
}

// TestLocateLeavesOutWhatTheTokenHasNot: the place of an absent id is 0, and that of the issuer is
// always there.
func TestLocateLeavesOutWhatTheTokenHasNot(t *testing.T) {
	var m Maker
	m.Init(blacklist.PlaceKey{1})
	located := m.Locate(nil, blacklist.Identity{Issuer: "issuer", Subject: "subject"})
	for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
		place := located.Places[kind-1]
		if absent := kind == blacklist.Token || kind == blacklist.Session; absent != (place == 0) {
			t.Errorf("%s: place %#x", kind, place)
		}
	}
}
