// Package keystest checks key sources: the [keys.Source] or [keys.SigningSource] of an application,
// such as one with a key service or with keys for each tenant.
package keystest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// Source describes a source to check.
type Source struct {
	// Source is the source.
	Source keys.Source
	// Header is that of a token of which the source has the key.
	Header keys.Header
	// Unknown is that of a token whose key the source does not have.
	Unknown keys.Header
	// Fail makes the source fail, as when its key service is down; nil if it cannot.
	Fail func()
}

// Test checks that a source keeps the contract of [keys.Source]: the same set while the keys are the
// same, an error that tells an unknown key from an outage, safe for concurrent use. For a
// [keys.SigningSource] it checks that what is signed verifies with the set.
func Test(t *testing.T, s Source) {
	t.Helper()
	ctx := t.Context()
	set, err := s.Source.VerificationKeys(ctx, s.Header)
	if err != nil || set == nil {
		t.Fatalf("VerificationKeys: no set for a known header: %v", err)
	}
	candidates, err := set.Candidates(s.Header)
	if err != nil || len(candidates) == 0 {
		t.Fatalf("the set has no key for the header: %v", err)
	}
	if again, err := s.Source.VerificationKeys(ctx, s.Header); err != nil || again != set {
		t.Errorf("VerificationKeys returned another set (%v) although the keys are the same: every token would be verified anew", err)
	}
	checkUnknown(t, s)
	checkConcurrent(t, s, set)
	if signing, ok := s.Source.(keys.SigningSource); ok {
		checkSigning(t, signing)
	}
	if s.Fail != nil {
		s.Fail()
		_, err := s.Source.VerificationKeys(ctx, s.Header)
		if err == nil || errors.Is(err, keys.ErrUnknownKey) || errors.Is(err, keys.ErrWrongAlgorithm) {
			t.Errorf("VerificationKeys during an outage: %v; the error must not say that the key is unknown, which refuses the token", err)
		}
	}
}

// checkUnknown checks that a token of an unknown key is refused, and not an outage.
func checkUnknown(t *testing.T, s Source) {
	t.Helper()
	set, err := s.Source.VerificationKeys(t.Context(), s.Unknown)
	if err == nil && set != nil {
		_, err = set.Candidates(s.Unknown)
	}
	if !errors.Is(err, keys.ErrUnknownKey) && !errors.Is(err, keys.ErrWrongAlgorithm) {
		t.Errorf("an unknown key: %v, want ErrUnknownKey or ErrWrongAlgorithm", err)
	}
}

// checkConcurrent calls the source from many goroutines, for the race detector.
func checkConcurrent(t *testing.T, s Source, set *keys.Set) {
	t.Helper()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if got, err := s.Source.VerificationKeys(context.Background(), s.Header); err != nil || got != set {
					t.Errorf("VerificationKeys, concurrently: another set, or %v", err)
					return
				}
				_, _ = s.Source.VerificationKeys(context.Background(), s.Unknown)
			}
		})
	}
	group.Wait()
}

// checkSigning checks that the source verifies what it signs.
func checkSigning(t *testing.T, s keys.SigningSource) {
	t.Helper()
	key, err := s.SigningKey(t.Context())
	if err != nil {
		t.Fatalf("SigningKey: %v", err)
	}
	const text = "header.payload"
	signature, err := key.Sign(text)
	if err != nil {
		t.Fatalf("Sign: %v", err)
	}
	set, err := s.VerificationKeys(t.Context(), keys.Header{Algorithm: key.Algorithm(), KeyID: key.ID(), HasKeyID: true})
	if err != nil {
		t.Fatalf("VerificationKeys does not know the key that signs: %v", err)
	}
	candidates, err := set.Candidates(keys.Header{Algorithm: key.Algorithm(), KeyID: key.ID(), HasKeyID: true})
	if err != nil || len(candidates) == 0 {
		t.Fatalf("the set does not have the key that signs: %v", err)
	}
	for _, candidate := range candidates {
		if candidate.Verify(text, signature) == nil {
			if candidate.Verify(text+"x", signature) == nil || candidate.Verify(text, bytes.Repeat([]byte{1}, len(signature))) == nil {
				t.Error("the key accepts another text or another signature")
			}
			return
		}
	}
	t.Error("no key of the set verifies what the signing key signed")
}
