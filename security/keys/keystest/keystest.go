// Package keystest checks key sources: the [keys.Source] or [keys.SigningSource] of an application,
// such as one with a key service or with keys for each tenant.
package keystest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	if err := check(t.Context(), s); err != nil {
		t.Error(err)
	}
}

// check returns how the source breaks the contract, or nil.
func check(ctx context.Context, s Source) error {
	set, err := s.Source.VerificationKeys(ctx, s.Header)
	if err != nil || set == nil {
		return fmt.Errorf("VerificationKeys: no set for a known header: %s", text(err))
	}
	if candidates, err := set.Candidates(s.Header); err != nil || len(candidates) == 0 {
		return fmt.Errorf("the set has no key for the header: %s", text(err))
	}
	if again, err := s.Source.VerificationKeys(ctx, s.Header); err != nil || again != set {
		return fmt.Errorf("VerificationKeys returned another set (%s) although the keys are the same: every token would be verified anew", text(err))
	}
	errs := []error{checkUnknown(ctx, s), checkConcurrent(ctx, s, set)}
	if signing, ok := s.Source.(keys.SigningSource); ok {
		errs = append(errs, checkSigning(ctx, signing))
	}
	if s.Fail != nil {
		s.Fail()
		errs = append(errs, checkOutage(ctx, s))
	}
	return errors.Join(errs...)
}

// text returns the text of an error that may be nil.
func text(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// checkUnknown checks that a token of an unknown key is refused, and not an outage.
func checkUnknown(ctx context.Context, s Source) error {
	set, err := s.Source.VerificationKeys(ctx, s.Unknown)
	if err == nil && set != nil {
		_, err = set.Candidates(s.Unknown)
	}
	if !errors.Is(err, keys.ErrUnknownKey) && !errors.Is(err, keys.ErrWrongAlgorithm) {
		return fmt.Errorf("an unknown key: %s, want ErrUnknownKey or ErrWrongAlgorithm", text(err))
	}
	return nil
}

// checkOutage checks that an outage is not an unknown key.
func checkOutage(ctx context.Context, s Source) error {
	_, err := s.Source.VerificationKeys(ctx, s.Header)
	if err == nil || errors.Is(err, keys.ErrUnknownKey) || errors.Is(err, keys.ErrWrongAlgorithm) {
		return fmt.Errorf("VerificationKeys during an outage: %s; the error must not say that the key is unknown, which refuses the token", text(err))
	}
	return nil
}

// checkConcurrent calls the source from many goroutines, for the race detector.
func checkConcurrent(ctx context.Context, s Source, set *keys.Set) error {
	var group sync.WaitGroup
	failures := make([]error, 8)
	for i := range failures {
		group.Go(func() {
			for range 100 {
				if got, err := s.Source.VerificationKeys(ctx, s.Header); err != nil || got != set {
					failures[i] = fmt.Errorf("VerificationKeys, concurrently: another set, or %s", text(err))
					return
				}
				_, _ = s.Source.VerificationKeys(ctx, s.Unknown)
			}
		})
	}
	group.Wait()
	return errors.Join(failures...)
}

// checkSigning checks that the source verifies what it signs.
func checkSigning(ctx context.Context, s keys.SigningSource) error {
	key, err := s.SigningKey(ctx)
	if err != nil || key == nil {
		return fmt.Errorf("SigningKey: %s", text(err))
	}
	const input = "header.payload"
	signature, err := key.Sign(input)
	if err != nil {
		return fmt.Errorf("the key does not sign: %w", err)
	}
	header := keys.Header{Algorithm: key.Algorithm(), KeyID: key.ID(), HasKeyID: true}
	set, err := s.VerificationKeys(ctx, header)
	if err != nil || set == nil {
		return fmt.Errorf("VerificationKeys does not know the key that signs: %s", text(err))
	}
	candidates, err := set.Candidates(header)
	if err != nil {
		return fmt.Errorf("the set does not have the key that signs: %s", text(err))
	}
	for _, candidate := range candidates {
		if candidate.Verify(input, signature) == nil {
			if candidate.Verify(input+"x", signature) == nil || candidate.Verify(input, bytes.Repeat([]byte{1}, len(signature))) == nil {
				return errors.New("the key accepts another text or another signature")
			}
			return nil
		}
	}
	return errors.New("no key of the set verifies what the signing key signed")
}
