package keys_test

import (
	"errors"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// TestRotation replaces a key in the steps of Rotation.Replace, and nobody is logged out. Then it
// removes a key that is not trusted any more, and its tokens are refused at once.
func TestRotation(t *testing.T) {
	f := apptest.New(t)
	old := must(keys.NewECDSA(testKeys().p256, keys.WithID("old")))(t)
	next := must(keys.NewEd25519(testKeys().ed, keys.WithID("next")))(t)
	rotation := must(keys.NewRotation(must(keys.NewSet(old))(t)))(t)
	f.Verifier = must(security.NewVerifier(testIssuer, rotation, security.WithClock(f.Clock.Now)))(t)
	f.Issuer = must(security.NewIssuer(f.Verifier))(t)
	f.Validator = must(security.NewValidator(f.Verifier, f.List))(t)
	issue := func() string { return must(f.Issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text() }
	replace := func(all ...*keys.Key) {
		t.Helper()
		if err := rotation.Replace(must(keys.NewSet(all...))(t)); err != nil {
			t.Fatal(err)
		}
	}
	first := issue()
	replace(old, next)
	second := issue()
	replace(next, old)
	third := issue()
	for name, text := range map[string]string{"before": first, "with both keys in the set": second, "by the new key": third} {
		if err := f.Refuses(t, text, accessToken); err != nil {
			t.Errorf("a token issued %s: %v", name, err)
		}
	}
	distrusted := must(must(rotation.Current(t.Context()))(t).Without("old"))(t)
	if err := rotation.Replace(distrusted); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		good bool
	}{"before": {first, false}, "with both keys in the set, by the old key": {second, false}, "by the new key": {third, true}} {
		if err := f.Refuses(t, c.text, accessToken); (err == nil) != c.good || err != nil && !errors.Is(err, security.ErrInvalidToken) {
			t.Errorf("without the old key, a token issued %s: %v", name, err)
		}
	}
	if _, err := distrusted.Without("old"); err == nil {
		t.Error("an unknown key was removed")
	}
	if _, err := distrusted.Without("next"); err == nil {
		t.Error("the last key was removed")
	}
	if err := rotation.Replace(nil); err == nil {
		t.Error("replaced with a nil set")
	}
	public := must(keys.NewECDSAPublic(&testKeys().p256.PublicKey))(t)
	replace(public)
	if _, err := f.Issuer.IssueAccessToken(t.Context(), "alice", nil); err == nil {
		t.Error("issued without a signing key")
	}
	var zero keys.Rotation
	lacking := must(security.NewVerifier("https://other.example", &zero, security.WithName("other")))(t)
	if err := must(security.NewValidator(f.Verifier, f.List, security.WithVerifier(lacking)))(t).Ready(t.Context()); !errors.Is(err, security.ErrUnavailable) {
		t.Errorf("ready without the keys of a verifier: %v", err)
	}
	if err := verify(t, must(security.NewVerifier(testIssuer, &zero))(t), first); !errors.Is(err, security.ErrUnavailable) {
		t.Errorf("without any keys: %v", err)
	}
}
