package keys_test

import (
	"cmp"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// jwkMembers are the members of a JWK.
type jwkMembers map[string]any

// with returns the JWK with other members; a nil value removes one.
func (m jwkMembers) with(members jwkMembers) jwkMembers {
	changed := maps.Clone(m)
	maps.Copy(changed, members)
	maps.DeleteFunc(changed, func(_ string, value any) bool { return value == nil })
	return changed
}

func encode64(text []byte) string { return base64.RawURLEncoding.EncodeToString(text) }

// publicJWKs returns an RSA, an EC and an Ed25519 key as a provider publishes them.
func publicJWKs(t testing.TB) (rsaKey, ecKey, edKey jwkMembers) {
	t.Helper()
	k := testKeys()
	point := must(k.p256.PublicKey.Bytes())(t)
	return jwkMembers{"kty": "RSA", "kid": "odd", "n": encode64(k.rsa.N.Bytes()), "e": "AQAB"},
		jwkMembers{"kty": "EC", "kid": "odd", "crv": "P-256", "x": encode64(point[1:33]), "y": encode64(point[33:])},
		jwkMembers{"kty": "OKP", "kid": "odd", "crv": "Ed25519", "x": encode64(k.ed.Public().(ed25519.PublicKey))}
}

// jwksText writes a JWK set.
func jwksText(t testing.TB, members ...jwkMembers) []byte {
	t.Helper()
	return must(json.Marshal(map[string]any{"keys": members}, json.Deterministic(true)))(t)
}

// TestPublicJWKSSkipsOddKeys has a published set with one odd key beside a good one. The good key is
// used, and the odd one is used or skipped with its id and a reason that has nothing of the key.
func TestPublicJWKSSkipsOddKeys(t *testing.T) {
	rsaKey, ecKey, edKey := publicJWKs(t)
	weak := "AK" + strings.Repeat("b", 168) + "c" // 1024 bits, odd
	const (
		damaged = "the key is damaged, too weak or of an unknown algorithm"
		other   = "the key is not for signatures, or of an unknown kind"
	)
	for _, tt := range []struct {
		name   string
		key    jwkMembers
		used   string // algorithm and id of the odd key, if it is used
		reason string
		id     string // of the skipped key: "odd" by default, or "none"
	}{
		{name: "RSA without alg", key: rsaKey, used: "RS256 key odd"},
		{name: "EC without alg", key: ecKey, used: "ES256 key odd"},
		{name: "Ed25519 without alg", key: edKey, used: "EdDSA key odd"},
		{name: "alg Ed25519", key: edKey.with(jwkMembers{"alg": "Ed25519"}), used: "EdDSA key odd"},
		{name: "alg EdDSA", key: edKey.with(jwkMembers{"alg": "EdDSA"}), used: "EdDSA key odd"},
		{name: "an issuer", key: ecKey.with(jwkMembers{"issuer": "https://tenant.example"}), used: "ES256 key odd"},
		{name: "use sig and key_ops verify", key: ecKey.with(jwkMembers{"use": "sig", "key_ops": []string{"verify"}}), used: "ES256 key odd"},
		{name: "unknown members", key: ecKey.with(jwkMembers{"x-note": []int{1}}), used: "ES256 key odd"},
		{name: "unknown kty", key: jwkMembers{"kty": "AKP", "kid": "odd", "alg": "ML-DSA-44", "pub": "AAAA"}, reason: other},
		{name: "use enc", key: rsaKey.with(jwkMembers{"use": "enc"}), reason: other},
		{name: "key_ops wrapKey", key: rsaKey.with(jwkMembers{"key_ops": []string{"verify", "wrapKey"}}), reason: other},
		{name: "key_ops deriveBits", key: ecKey.with(jwkMembers{"key_ops": []string{"deriveBits"}}), reason: other},
		{name: "key_ops a string", key: rsaKey.with(jwkMembers{"key_ops": "verify"}), reason: damaged},
		{name: "RSA of 1024 bits", key: rsaKey.with(jwkMembers{"n": weak}), reason: damaged},
		{name: "RSA for RSA-OAEP without use", key: rsaKey.with(jwkMembers{"alg": "RSA-OAEP"}), reason: damaged},
		{name: "RSA for RS1", key: rsaKey.with(jwkMembers{"alg": "RS1"}), reason: damaged},
		{name: "RSA with alg Ed25519", key: rsaKey.with(jwkMembers{"alg": "Ed25519"}), reason: damaged},
		{name: "EC for ECDH-ES without use", key: ecKey.with(jwkMembers{"alg": "ECDH-ES"}), reason: damaged},
		{name: "EC for the algorithm of another curve", key: ecKey.with(jwkMembers{"alg": "ES384"}), reason: damaged},
		{name: "curve secp256k1", key: ecKey.with(jwkMembers{"crv": "secp256k1"}), reason: damaged},
		{name: "curve P-224", key: ecKey.with(jwkMembers{"crv": elliptic.P224().Params().Name}), reason: damaged},
		{name: "a point off the curve", key: ecKey.with(jwkMembers{"y": ecKey["x"]}), reason: damaged},
		{name: "curve X25519", key: edKey.with(jwkMembers{"crv": "X25519"}), reason: other},
		{name: "Ed25519 of 31 bytes", key: edKey.with(jwkMembers{"x": encode64(make([]byte, 31))}), reason: damaged},
		{name: "x5c alone", key: jwkMembers{"kty": "RSA", "kid": "odd", "x5c": []string{"MIIB"}}, reason: damaged},
		{name: "a broken x5c beside a key", key: rsaKey.with(jwkMembers{"x5c": []string{"MIIB"}}), reason: damaged},
		{name: "an issuer that is a number", key: ecKey.with(jwkMembers{"issuer": 7}), reason: damaged},
		{name: "an id that is a number", key: ecKey.with(jwkMembers{"kid": 7}), reason: damaged, id: "none"},
		{name: "an id that is too long", key: ecKey.with(jwkMembers{"kid": strings.Repeat("i", 257)}), reason: damaged, id: strings.Repeat("i", 64)},
		{name: "an id with NUL", key: ecKey.with(jwkMembers{"kid": "a\x00b"}), reason: damaged, id: "none"},
		{name: "no kty", key: jwkMembers{"kid": "odd"}, reason: damaged},
	} {
		good := edKey.with(jwkMembers{"kid": "good"})
		for place, text := range map[string][]byte{"in front": jwksText(t, tt.key, good), "behind": jwksText(t, good, tt.key)} {
			parsed, skipped, err := keys.ParsePublicJWKS(text)
			if err != nil {
				t.Errorf("%s, %s: %v", tt.name, place, err)
				continue
			}
			used := ""
			for _, key := range parsed {
				if key.ID() != "good" {
					used = key.String()
				}
			}
			if used != tt.used || len(parsed)+len(skipped) != 2 {
				t.Errorf("%s, %s: uses %q beside the good key, want %q; skipped %v", tt.name, place, used, tt.used, skipped)
			}
			id := cmp.Or(tt.id, "odd")
			if id == "none" {
				id = ""
			}
			for _, key := range skipped {
				if key.ID != id || key.Reason != tt.reason {
					t.Errorf("%s, %s: skipped %+v, want %q, %q", tt.name, place, key, id, tt.reason)
				}
				checkNoMaterial(t, tt.name, fmt.Sprintf("%+v", key), tt.key)
			}
		}
		if tt.used != "" {
			continue
		}
		parsed, skipped, err := keys.ParsePublicJWKS(jwksText(t, tt.key, tt.key))
		if err == nil || len(parsed) != 0 || len(skipped) != 2 {
			t.Errorf("%s, alone: %v, skipped %v, %v", tt.name, parsed, skipped, err)
			continue
		}
		checkNoMaterial(t, tt.name, err.Error(), tt.key)
	}
}

// TestPublicJWKSSkipsKeysThatAreNotStrictJSON has a published set with one key that is not strict
// JSON. The good key beside it is used, unless the odd one is a secret.
func TestPublicJWKSSkipsKeysThatAreNotStrictJSON(t *testing.T) {
	_, ecKey, edKey := publicJWKs(t)
	good := string(must(json.Marshal(edKey.with(jwkMembers{"kid": "good"})))(t))
	ec := strings.TrimSuffix(string(must(json.Marshal(ecKey))(t)), "}")
	for _, tt := range []struct {
		name   string
		key    string
		id     string
		secret bool
	}{
		{name: "a duplicate member", key: ec + `,"use":"sig","use":"sig"}`, id: "odd"},
		{name: "a duplicate id", key: ec + `,"kid":"other"}`, id: "other"},
		{name: "a duplicate member of a member", key: ec + `,"x-note":{"a":1,"a":2}}`, id: "odd"},
		{name: "invalid UTF-8 in a value", key: ec + ",\"x-note\":\"\xff\"}", id: "odd"},
		{name: "invalid UTF-8 in a name", key: ec + ",\"\xff\":1}", id: "odd"},
		{name: "invalid UTF-8 in the id", key: "{\"kty\":\"RSA\",\"kid\":\"a\xff\"}"},
		{name: "half of a surrogate pair", key: ec + `,"x-note":"\ud800"}`, id: "odd"},
		{name: "a string", key: `"odd"`},
		{name: "a private key with a duplicate member", key: ec + `,"d":"c2VjcmV0","d":null}`, secret: true},
		{name: "a private key with invalid UTF-8", key: ec + ",\"d\":\"c2VjcmV0\",\"x-note\":\"\xff\"}", secret: true},
		{name: "a private member that is null", key: ec + `,"d":null}`, secret: true},
	} {
		for place, text := range map[string]string{"in front": tt.key + "," + good, "behind": good + "," + tt.key} {
			parsed, skipped, err := keys.ParsePublicJWKS([]byte(`{"keys":[` + text + `]}`))
			if tt.secret {
				if err == nil || parsed != nil || strings.Contains(err.Error(), "c2VjcmV0") {
					t.Errorf("%s, %s: %v, %v", tt.name, place, parsed, err)
				}
				continue
			}
			if err != nil || len(parsed) != 1 || parsed[0].ID() != "good" || len(skipped) != 1 {
				t.Errorf("%s, %s: %v, skipped %v, %v", tt.name, place, parsed, skipped, err)
				continue
			}
			if skipped[0] != (keys.Skipped{ID: tt.id, Reason: "the key is not a strict JSON object"}) {
				t.Errorf("%s, %s: skipped %+v, want the id %q", tt.name, place, skipped[0], tt.id)
			}
		}
		if _, err := keys.ParseJWKS([]byte(`{"keys":[` + good + "," + tt.key + `]}`)); err == nil && !tt.secret {
			t.Errorf("%s: the application's key is used", tt.name)
		}
	}
	for _, text := range []string{`{"keys":[],"keys":[` + good + `]}`, `{"keys":[` + good + `]}x`, `{"keys":[` + good + `]`, `[` + good + `]`} {
		if parsed, _, err := keys.ParsePublicJWKS([]byte(text)); err == nil {
			t.Errorf("a set that is not strict JSON: %v", parsed)
		}
	}
}

// checkNoMaterial checks that a text quotes no parameter of a key.
func checkNoMaterial(t *testing.T, name, text string, key jwkMembers) {
	t.Helper()
	for _, parameter := range []string{"n", "x", "y", "x5c", "pub", "k", "d"} {
		if value, ok := key[parameter].(string); ok && value != "" && strings.Contains(text, value) {
			t.Errorf("%s: %q has the member %s", name, text, parameter)
		}
	}
}

// TestPublicJWKSRefusesSecrets has a published set with a secret: everybody can sign with it.
func TestPublicJWKSRefusesSecrets(t *testing.T) {
	rsaKey, ecKey, edKey := publicJWKs(t)
	secret := encode64([]byte("a secret that must not be quoted"))
	for _, tt := range []struct {
		name string
		key  jwkMembers
	}{
		{name: "a symmetric key", key: jwkMembers{"kty": "oct", "alg": "HS256", "k": secret}},
		{name: "a symmetric key for encryption", key: jwkMembers{"kty": "oct", "use": "enc", "k": secret}},
		{name: "a secret of an unknown kind", key: jwkMembers{"kty": "AKP", "d": secret}},
		{name: "a private EC key", key: ecKey.with(jwkMembers{"d": secret})},
		{name: "a private Ed25519 key", key: edKey.with(jwkMembers{"d": secret})},
		{name: "a private EC key with a damaged point", key: ecKey.with(jwkMembers{"x": "", "d": secret})},
		{name: "a private RSA key", key: rsaKey.with(jwkMembers{"d": secret})},
		{name: "RSA primes", key: rsaKey.with(jwkMembers{"p": secret, "q": secret})},
		{name: "further RSA primes", key: rsaKey.with(jwkMembers{"oth": []any{}})},
	} {
		parsed, skipped, err := keys.ParsePublicJWKS(jwksText(t, edKey, tt.key))
		if err == nil || parsed != nil || skipped != nil {
			t.Errorf("%s: %v, skipped %v, %v", tt.name, parsed, skipped, err)
			continue
		}
		checkNoMaterial(t, tt.name, err.Error(), tt.key)
	}
}

// TestPublicJWKSKeepsKeysOfOneID has two keys with one id, and the issuer of a key.
func TestPublicJWKSKeepsKeysOfOneID(t *testing.T) {
	rsaKey, ecKey, _ := publicJWKs(t)
	parsed, skipped, err := keys.ParsePublicJWKS(jwksText(t, rsaKey, ecKey.with(jwkMembers{"issuer": "https://tenant.example"})))
	if err != nil || len(parsed) != 2 || len(skipped) != 0 {
		t.Fatalf("%v, skipped %v, %v", parsed, skipped, err)
	}
	if parsed[0].ID() != "odd" || parsed[1].ID() != "odd" || parsed[0].Issuer() != "" || parsed[1].Issuer() != "https://tenant.example" {
		t.Errorf("%v, issuers %q and %q", parsed, parsed[0].Issuer(), parsed[1].Issuer())
	}
}

// TestSecretsOfOneByteAreRefused has secrets that nobody took from a random source.
func TestSecretsOfOneByteAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		secret []byte
		good   bool
	}{
		{name: "zeros", secret: make([]byte, 64)},
		{name: "ones", secret: []byte(strings.Repeat("\xff", 64))},
		{name: "one letter", secret: []byte(strings.Repeat("s", 64))},
		{name: "empty", secret: nil},
		{name: "one byte differs", secret: append([]byte(strings.Repeat("s", 63)), 't'), good: true},
		{name: "the first byte differs", secret: append([]byte("t"), strings.Repeat("s", 63)...), good: true},
	} {
		for _, algorithm := range keys.HMACAlgorithms() {
			_, err := keys.NewHMAC(algorithm, tt.secret)
			if (err == nil) != tt.good {
				t.Errorf("%s for %s: %v", tt.name, algorithm, err)
			}
			if err != nil && len(tt.secret) > 0 && strings.Contains(err.Error(), string(tt.secret[:8])) {
				t.Errorf("%s for %s: %v", tt.name, algorithm, err)
			}
		}
		text := jwksText(t, jwkMembers{"kty": "oct", "kid": "s", "alg": "HS256", "k": encode64(tt.secret)})
		if _, err := keys.ParseJWKS(text); (err == nil) != tt.good {
			t.Errorf("%s in a JWK set: %v", tt.name, err)
		}
	}
}
