package blacklist_test

import (
	"errors"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// TestNoneRecordsNothing checks that a revocation is an error that nobody takes for an outage, and
// that a token passes.
func TestNoneRecordsNothing(t *testing.T) {
	id := blacklist.Identity{Issuer: "https://issuer.example", ID: "one", Session: "session", Subject: "alice"}
	for _, revocation := range []blacklist.Revocation{
		blacklist.OfToken(id, time.Now().Add(time.Hour)),
		blacklist.OfSession(id, time.Now().Add(time.Hour)),
		blacklist.OfSubject(id.Issuer, id.Subject, time.Now(), time.Now().Add(time.Hour)),
		blacklist.OfIssuer(id.Issuer, time.Now(), time.Now().Add(time.Hour)),
	} {
		before, err := blacklist.None{}.Revoke(t.Context(), revocation)
		if before || !errors.Is(err, blacklist.ErrNotRecorded) || errors.Is(err, blacklist.ErrUnavailable) {
			t.Errorf("%s: %t, %v", revocation.Kind, before, err)
		}
	}
	if revoked, err := (blacklist.None{}).IsRevoked(t.Context(), id); revoked || err != nil {
		t.Errorf("IsRevoked: %t, %v", revoked, err)
	}
}
