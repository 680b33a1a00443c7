package keys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// compactOf returns a token with the header, signed with the key.
func compactOf(t testing.TB, key *keys.Key, header string) string {
	t.Helper()
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payloadWith()))
	return signed + "." + base64.RawURLEncoding.EncodeToString(must(key.Sign(signed))(t))
}

// newECKeys returns keys of one id.
func newECKeys(t testing.TB, count int, id string) (all []*keys.Key, public []gojose.JSONWebKey) {
	t.Helper()
	for range count {
		private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
		all = append(all, must(keys.NewECDSA(private, keys.WithID(id)))(t))
		public = append(public, gojose.JSONWebKey{Key: &private.PublicKey, KeyID: id})
	}
	return all, public
}

// TestRemoteKeysOfOneID has a provider that publishes several keys under one id. A token of each of
// them is accepted, as long as they are few.
func TestRemoteKeysOfOneID(t *testing.T) {
	const header = `{"alg":"ES256","kid":"one","typ":"at+jwt"}`
	for _, tt := range []struct {
		name  string
		count int
		want  error
	}{
		{name: "two", count: 2},
		{name: "eight", count: 8},
		{name: "nine", count: 9, want: security.ErrInvalidToken},
	} {
		f := newRemoteFixture(t)
		all, public := newECKeys(t, tt.count, "one")
		f.refetch(t, jwks(t, public...))
		for i, key := range all {
			if err := verify(t, f.Verifier, compactOf(t, key, header)); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("%s: a token of key %d: %v, want %v", tt.name, i+1, err, tt.want)
			}
		}
		others, _ := newECKeys(t, 1, "one")
		if err := verify(t, f.Verifier, compactOf(t, others[0], header)); !errors.Is(err, security.ErrInvalidToken) {
			t.Errorf("%s: a token of a key that is not published: %v", tt.name, err)
		}
	}
}

// TestRemoteStartsWithOddKeys has a provider with keys that are not for this application. It starts
// and verifies with the others.
func TestRemoteStartsWithOddKeys(t *testing.T) {
	rsaKey, ecKey, edKey := publicJWKs(t)
	p := newProvider(t)
	p.answer(200, string(jwksText(t,
		rsaKey.with(jwkMembers{"alg": "RSA-OAEP", "kid": "encrypts"}), ecKey.with(jwkMembers{"crv": "secp256k1", "kid": "chain"}),
		jwkMembers{"kty": "AKP", "alg": "ML-DSA-44", "kid": "quantum", "pub": "AAAA"}, edKey.with(jwkMembers{"alg": "Ed25519", "kid": "good"}))))
	remote := must(keys.NewRemote(t.Context(), p.URL, keys.WithHTTPClient(p.Client())))(t)
	defer func() { _ = remote.Close() }()
	verifier := must(security.NewVerifier(testIssuer, remote, security.WithClock(newClock().Now)))(t)
	good := must(keys.NewEd25519(testKeys().ed, keys.WithID("good")))(t)
	for _, tt := range []struct {
		name, header string
		want         error
	}{
		{name: "alg EdDSA", header: `{"alg":"EdDSA","kid":"good","typ":"at+jwt"}`},
		{name: "alg Ed25519, as RFC 9864 calls it", header: `{"alg":"Ed25519","kid":"good","typ":"at+jwt"}`},
		{name: "another case", header: `{"alg":"ed25519","kid":"good","typ":"at+jwt"}`, want: security.ErrInvalidToken},
		{name: "Ed448", header: `{"alg":"Ed448","kid":"good","typ":"at+jwt"}`, want: security.ErrInvalidToken},
		{name: "a key that was skipped", header: `{"alg":"EdDSA","kid":"quantum","typ":"at+jwt"}`, want: security.ErrInvalidToken},
	} {
		if err := verify(t, verifier, compactOf(t, good, tt.header)); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}
