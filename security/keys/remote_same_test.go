package keys_test

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// refetch fetches the set again and returns it.
func (f *remoteFixture) refetch(t testing.TB, body string) *keys.Set {
	t.Helper()
	f.provider.answer(200, body)
	f.Clock.Advance(keys.DefaultRefreshInterval)
	_ = must(f.remote.Current(t.Context()))(t) // it is old, so that a fetch begins
	f.settle()
	return must(f.remote.Current(t.Context()))(t)
}

// TestRemoteKeepsTheSetOfTheSameKeys has a provider that writes its keys in another way. The set
// stays the same, and with it what the verifier remembers, as long as the keys are the same.
func TestRemoteKeepsTheSetOfTheSameKeys(t *testing.T) {
	rsaKey, ecKey, edKey := publicJWKs(t)
	rsaKey, ecKey, edKey = rsaKey.with(jwkMembers{"kid": "r"}), ecKey.with(jwkMembers{"kid": "e"}), edKey.with(jwkMembers{"kid": "d"})
	odd := jwkMembers{"kty": "AKP", "kid": "odd"}
	otherSeed := ed25519.NewKeyFromSeed([]byte("another seed of thirty-two bytes"))
	other := edKey.with(jwkMembers{"x": encode64(otherSeed.Public().(ed25519.PublicKey))})
	text := func(members ...jwkMembers) string { return string(jwksText(t, members...)) }
	for _, tt := range []struct {
		name string
		body string
		same bool
	}{
		{name: "another order", body: text(edKey, rsaKey, ecKey), same: true},
		{name: "another order of all", body: text(ecKey, edKey, rsaKey), same: true},
		{name: "more space", body: " " + text(rsaKey, ecKey, edKey), same: true},
		{name: "a key twice", body: text(rsaKey, ecKey, edKey, ecKey), same: true},
		{name: "alg that was left out", body: text(rsaKey.with(jwkMembers{"alg": "RS256"}), ecKey, edKey), same: true},
		{name: "a key that is skipped", body: text(rsaKey, odd, ecKey, edKey), same: true},
		{name: "a key less", body: text(rsaKey, ecKey)},
		{name: "a key more", body: text(rsaKey, ecKey, edKey, other.with(jwkMembers{"kid": "o"}))},
		{name: "a second key of an id", body: text(rsaKey, ecKey, edKey, other)},
		{name: "another key of an id", body: text(rsaKey, ecKey, other)},
		{name: "another id", body: text(rsaKey, ecKey, edKey.with(jwkMembers{"kid": "o"}))},
		{name: "ids swapped", body: text(rsaKey, ecKey.with(jwkMembers{"kid": "d"}), edKey.with(jwkMembers{"kid": "e"}))},
		{name: "another algorithm", body: text(rsaKey.with(jwkMembers{"alg": "PS256"}), ecKey, edKey)},
		{name: "another issuer", body: text(rsaKey, ecKey, edKey.with(jwkMembers{"issuer": "https://tenant.example"}))},
	} {
		f := newRemoteFixture(t)
		set := f.refetch(t, text(rsaKey, ecKey, edKey))
		f.log.Reset()
		next := f.refetch(t, tt.body)
		if (next == set) != tt.same || strings.Contains(f.log.String(), "remote key set changed") == tt.same {
			t.Errorf("%s: the same set %t, log %q", tt.name, next == set, &f.log)
		}
	}
}

// TestSkippedKeyIsLoggedOnce fetches a set with a key that is skipped, again and again.
func TestSkippedKeyIsLoggedOnce(t *testing.T) {
	_, ecKey, edKey := publicJWKs(t)
	odd := jwkMembers{"kty": "AKP", "kid": "pq"}
	f := newRemoteFixture(t)
	for _, step := range []struct {
		name   string
		body   []byte
		logged string // the ids of skipped keys
	}{
		{name: "the first time", body: jwksText(t, ecKey, edKey, odd), logged: "pq "},
		{name: "the same text", body: jwksText(t, ecKey, edKey, odd)},
		{name: "another order", body: jwksText(t, odd, edKey, ecKey)},
		{name: "twice", body: jwksText(t, odd, odd, edKey, ecKey)},
		{name: "another skipped key", body: jwksText(t, odd, edKey, odd.with(jwkMembers{"kid": "new"})), logged: "new "},
		{name: "it is gone", body: jwksText(t, edKey)},
		{name: "it is back", body: jwksText(t, edKey, odd), logged: "pq "},
	} {
		f.log.Reset()
		f.refetch(t, string(step.body))
		logged := ""
		for line := range strings.Lines(f.log.String()) {
			if _, rest, ok := strings.Cut(line, "skipped"); ok {
				_, id, _ := strings.Cut(rest, "kid=")
				id, _, _ = strings.Cut(id, " ")
				logged += id + " "
				if !strings.Contains(rest, "reason=") {
					t.Errorf("%s: no reason in %q", step.name, line)
				}
			}
		}
		if logged != step.logged {
			t.Errorf("%s: logged %q, want %q", step.name, logged, step.logged)
		}
	}
}
