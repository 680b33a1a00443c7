package boltstore

import (
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// TestFileDescribesEveryEntry reads the entries of a reopened file without the ids: kind, place,
// cut-off and end are those of the revocations, the later ones where two were merged.
func TestFileDescribesEveryEntry(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	id, cutOff, until := token("a"), time.Now().Add(time.Minute), time.Now().Add(time.Hour)
	id.Template = "https://login.example/{tenant}/v2.0"
	revocations := []blacklist.Revocation{
		blacklist.OfToken(id, until),
		blacklist.OfSession(id, time.Time{}),
		blacklist.OfSubject(id.Issuer, id.Subject, cutOff, until),
		{Kind: blacklist.Issuer, Identity: id, CutOff: cutOff, Until: until},
	}
	for _, r := range revocations {
		earlier := r
		earlier.Until = until.Add(-time.Minute)
		if !r.CutOff.IsZero() {
			earlier.CutOff = cutOff.Add(-time.Minute)
		}
		for _, each := range []blacklist.Revocation{earlier, r, earlier} {
			if _, err := s.Revoke(t.Context(), each); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	found := make(map[blacklist.Key]entry)
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(entryBucket).ForEach(func(key, value []byte) error {
			found[blacklist.Key(key)] = parseEntry(value)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(revocations) {
		t.Errorf("%d entries, want %d", len(found), len(revocations))
	}
	for _, r := range revocations {
		want := entry{kind: r.Kind, cutOff: everything, until: millis.Until(r.Until)}
		want.place, _ = blacklist.PlaceOf(s.places, r.Kind, id)
		if !r.CutOff.IsZero() {
			want.cutOff = millis.Floor(r.CutOff)
		}
		key, _ := blacklist.KeyOf(r.Kind, id)
		if got := found[key]; got != want {
			t.Errorf("%s: the file contains %+v, want %+v", r.Kind, got, want)
		}
	}
}

// TestPlaceKeyOfAFile: a file keeps its place key, and two files have different ones.
func TestPlaceKeyOfAFile(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	first := s.places
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if again := open(t, path).places; again != first {
		t.Error("the place key changed when the file was opened again")
	}
	if other := open(t, newPath(t)).places; other == first || other == (blacklist.PlaceKey{}) {
		t.Error("another file has the same place key, or none")
	}
}
