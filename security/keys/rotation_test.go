//go:build ignore

package security

import (
	"errors"
	"testing"
	"time"
)

// TestRotation rotates a key as the doc of Replace says: nobody is logged out. Then it distrusts one: its tokens are refused at once.
func TestRotation(t *testing.T) {
	f := newFixture(t)
	old := must(NewECDSAKey(testKeys().p256, WithKeyID("old")))(t)
	next := must(NewEd25519Key(testKeys().ed, WithKeyID("next")))(t)
	rotation := must(NewKeyRotation(must(NewKeySet(old))(t)))(t)
	f.verifier = must(NewVerifier(testIssuer, rotation, WithClock(f.clock.Now)))(t)
	f.issuer = must(NewIssuer(f.verifier))(t)
	f.validator = must(NewValidator(f.verifier, f.list))(t)
	issue := func() string { return must(f.issuer.Access(t.Context(), "alice", nil))(t).Text() }
	replace := func(keys ...*Key) {
		t.Helper()
		if err := rotation.Replace(must(NewKeySet(keys...))(t)); err != nil {
			t.Fatal(err)
		}
	}
	first := issue()
	replace(old, next)
	second := issue()
	replace(next, old)
	third := issue()
	for name, text := range map[string]string{"before": first, "while both are there": second, "by the new key": third} {
		if err := f.accepted(text, accessToken); err != nil {
			t.Errorf("a token issued %s: %v", name, err)
		}
	}
	distrusted := must(rotation.set.Load().Without("old"))(t)
	if err := rotation.Replace(distrusted); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		good bool
	}{"before": {first, false}, "while both were there, by the old key": {second, false}, "by the new key": {third, true}} {
		if err := f.accepted(c.text, accessToken); (err == nil) != c.good || err != nil && !errors.Is(err, ErrInvalidToken) {
			t.Errorf("the old key is distrusted, a token issued %s: %v", name, err)
		}
	}
	if _, err := distrusted.Without("old"); err == nil {
		t.Error("a key was removed that was not there")
	}
	if _, err := distrusted.Without("next"); err == nil {
		t.Error("the last key was removed")
	}
	if err := rotation.Replace(nil); err == nil {
		t.Error("replaced with nothing")
	}
	public := must(NewECDSAPublicKey(&testKeys().p256.PublicKey))(t)
	replace(public)
	if _, err := f.issuer.Access(t.Context(), "alice", nil); err == nil {
		t.Error("issued without a key that signs")
	}
	var zero KeyRotation
	lacking := must(NewVerifier("https://other.example", &zero, WithName("other")))(t)
	if err := must(NewValidator(f.verifier, f.list, WithVerifier(lacking)))(t).Ready(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("ready without the keys of a verifier: %v", err)
	}
	if _, err := must(NewVerifier(testIssuer, &zero))(t).verify(first, accessToken); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without any keys: %v", err)
	}
}

// TestNeverExpiring is case 83: tokens without exp, only where both sides say so, and revoked for ever.
func TestNeverExpiring(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	if _, err := f.issuer.Access(ctx, "alice", nil, WithoutExpiry()); err == nil {
		t.Error("issued although the verifier takes none")
	}
	f.verifier = must(NewVerifier(testIssuer, f.verifier.keys, WithClock(f.clock.Now), WithNeverExpiring()))(t)
	f.issuer = must(NewIssuer(f.verifier))(t)
	f.validator = must(NewValidator(f.verifier, f.list))(t)
	pair := must(f.issuer.Pair(ctx, "alice", nil, nil, WithoutExpiry()))(t)
	other := must(f.issuer.Access(ctx, "alice", nil, WithoutExpiry()))(t)
	if !pair.Access.ExpiresAt().IsZero() || pair.Access.ExpiresIn() != 0 || pair.Refresh.ExpiresAt().IsZero() {
		t.Errorf("access expires %s, refresh %s", pair.Access.ExpiresAt(), pair.Refresh.ExpiresAt())
	}
	f.clock.Advance(10 * 365 * 24 * time.Hour)
	token := f.token(t, pair.Access.Text(), accessToken)
	if err := f.validator.Revoke(ctx, token); err != nil {
		t.Fatal(err)
	}
	if err := f.validator.RevokeSession(ctx, f.token(t, other.Text(), accessToken)); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(50 * 365 * 24 * time.Hour)
	for name, text := range map[string]string{"token": pair.Access.Text(), "session": other.Text()} {
		if err := f.accepted(text, accessToken); !errors.Is(err, ErrTokenRevoked) {
			t.Errorf("a revoked %s, fifty years later: %v", name, err)
		}
	}
	// Zero is no "never": it is a time that no token may name.
	if err := f.accepted(compactHS256(goodHeader, payloadWith("exp", "0")), accessToken); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("exp 0: %v", err)
	}
}
