package keys_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// FuzzParsePublicJWKS reads arbitrary JWK sets of somebody else.
func FuzzParsePublicJWKS(f *testing.F) {
	rsaKey, ecKey, edKey := publicJWKs(f)
	for _, seed := range [][]byte{
		jwksText(f, rsaKey, ecKey, edKey),
		jwksText(f, edKey.with(jwkMembers{"alg": "Ed25519", "issuer": "https://tenant.example"}), rsaKey.with(jwkMembers{"use": "enc"})),
		jwksText(f, ecKey.with(jwkMembers{"crv": "secp256k1"}), edKey.with(jwkMembers{"kid": 7, "key_ops": []string{"verify"}})),
		jwksText(f, rsaKey.with(jwkMembers{"x5c": []string{"MIIB"}, "x5t": "AA", "x5u": "https://x.example"})),
		jwksText(f, jwkMembers{"kty": "oct", "alg": "HS256", "k": "MDEy"}, ecKey.with(jwkMembers{"d": "AA"})),
		[]byte(`{"keys":[{"kty":"OKP","kid":"a","kid":"b"},{"kty":"OKP","d":"AA","d":null}]}`), []byte("{\"keys\":[{\"kid\":\"\xff\"}],\"\xff\":1}"),
		[]byte(`{"keys":[]}`), []byte(`{"keys":[null,1,"x",[],{}]}`), []byte(`{"kty":"OKP"}`), []byte(`null`), []byte(``),
	} {
		f.Add(seed)
	}
	// The keys are for verification only, each key is used or skipped, and no set has a secret.
	f.Fuzz(func(t *testing.T, text []byte) {
		parsed, skipped, err := keys.ParsePublicJWKS(text)
		if (err == nil) != (len(parsed) > 0) {
			t.Fatalf("%d keys and the error %v", len(parsed), err)
		}
		for _, key := range skipped {
			if len(key.ID) > 64 || !strings.HasPrefix(key.Reason, "the key ") {
				t.Errorf("skipped %+v", key)
			}
		}
		if err != nil {
			return
		}
		var loose struct {
			Keys []map[string]json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal(text, &loose); err == nil && loose.Keys != nil && len(parsed)+len(skipped) != len(loose.Keys) {
			t.Errorf("%d keys used and %d skipped of %d", len(parsed), len(skipped), len(loose.Keys))
		}
		for _, members := range loose.Keys {
			for _, secret := range []string{"d", "k", "p", "q", "oth"} {
				if members[secret] != nil {
					t.Errorf("accepted a set with the member %s", secret)
				}
			}
		}
		for _, key := range parsed {
			if _, err := key.Sign("x"); key.CanSign() || !errors.Is(err, keys.ErrNoSigningKey) {
				t.Errorf("%s can sign", key)
			}
			if key.Verify("x", []byte("signature")) == nil {
				t.Errorf("%s accepts any signature", key)
			}
		}
	})
}
