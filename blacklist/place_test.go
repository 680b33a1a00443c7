package blacklist

import (
	"fmt"
	"strings"
	"testing"
)

// countingKey is the key of the reference vectors: 00 01 02 ... 0f.
func countingKey() (key PlaceKey) {
	for i := range key {
		key[i] = byte(i)
	}
	return key
}

// TestPlacesAreStable: a change of these values is a new format of the stores.
func TestPlacesAreStable(t *testing.T) {
	id := Identity{Issuer: "https://issuer.example", Template: "https://{tenant}.example", ID: "j", Session: "s", Subject: "u"}
	for _, tt := range []struct {
		kind Kind
		want uint64
	}{
		{kind: Token, want: 0x6b8d048b9dfa64ad},
		{kind: Session, want: 0x25950d128b980293},
		{kind: Subject, want: 0x36c334d536730d6d},
		{kind: Issuer, want: 0xe59ca8f8092d4570},
	} {
		if got, ok := PlaceOf(countingKey(), tt.kind, id); got != tt.want || !ok {
			t.Errorf("%s: %#x, %v; want %#x", tt.kind, got, ok, tt.want)
		}
	}
}

// TestPlacesDifferWhereKeysDo compares the places and the keys of identities that are alike, and of
// two place keys.
func TestPlacesDifferWhereKeysDo(t *testing.T) {
	places, keys := make(map[uint64]string), make(map[Key]uint64)
	long := strings.Repeat("x", 200)
	var second PlaceKey
	second[15] = 1
	for _, issuer := range []string{"i", "ij", long} {
		for _, template := range []string{"", "i", "{t}"} {
			for _, text := range []string{"", "a", "ja", "abc", long, long + "a"} {
				for _, session := range []string{"", "a", "bc", long} {
					id := Identity{Issuer: issuer, Template: template, ID: text, Subject: text, Session: session}
					for kind := Kind(0); kind <= Issuer+1; kind++ {
						key, hasKey := KeyOf(kind, id)
						place, ok := PlaceOf(PlaceKey{}, kind, id)
						if ok != hasKey {
							t.Fatalf("%s %.80v: PlaceOf reports %v, KeyOf %v", kind, id, ok, hasKey)
						}
						if !ok {
							continue
						}
						name := fmt.Sprintf("%x", key)
						if other, seen := places[place]; seen && other != name {
							t.Errorf("%s %.80v has the place of another entry", kind, id)
						}
						if other, seen := keys[key]; seen && other != place {
							t.Errorf("%s %.80v: one key has two places", kind, id)
						}
						places[place], keys[key] = name, place
						if other, _ := PlaceOf(second, kind, id); other == place {
							t.Errorf("%s %.80v has the same place with two keys", kind, id)
						}
					}
				}
			}
		}
	}
}

// TestPlaceOfMakesNoGarbage: a copy of a store computes four places for every request.
func TestPlaceOfMakesNoGarbage(t *testing.T) {
	id := Identity{Issuer: "https://issuer.example", ID: "j", Session: "s", Subject: "u"}
	if n := testing.AllocsPerRun(100, func() { PlaceOf(PlaceKey{}, Session, id) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPlaceOf(b *testing.B) {
	id := Identity{Issuer: "https://issuer.example", ID: "0f8fad5b-d9cb-469f-a165-70867728950e", Subject: "user-7"}
	b.ReportAllocs()
	for b.Loop() {
		PlaceOf(PlaceKey{}, Token, id)
	}
}

func BenchmarkKeyOf(b *testing.B) {
	id := Identity{Issuer: "https://issuer.example", ID: "0f8fad5b-d9cb-469f-a165-70867728950e", Subject: "user-7"}
	b.ReportAllocs()
	for b.Loop() {
		KeyOf(Token, id)
	}
}
