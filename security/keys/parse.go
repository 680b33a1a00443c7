//go:build ignore

package security

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ParsePEM makes a key from one PEM block: a private key in PKCS #8, PKCS #1 or SEC 1, or a public key in SPKI or PKCS #1. An
// RSA key can be used with several algorithms, so the algorithm has to be said; for the others it may be empty, and has to be
// that of the key otherwise. An encrypted block is an error: decrypt it beforehand, this package asks for no passphrases.
func ParsePEM(algorithm Algorithm, text []byte, options ...KeyOption) (*Key, error) {
	block, rest := pem.Decode(text)
	if block != nil && block.Type == "EC PARAMETERS" { // openssl writes them in front of the key
		block, rest = pem.Decode(rest)
	}
	switch {
	case block == nil:
		return nil, errors.New("security: no PEM block")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("security: more than one key in the PEM text")
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, errors.New("security: the private key is encrypted; decrypt it first: openssl pkey -in key.pem -out plain.pem")
	}
	var material any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		material, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		material, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		material, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		material, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		material, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("security: a PEM block of type %q holds no key; PRIVATE KEY and PUBLIC KEY do", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("security: the PEM block of type %q cannot be read", block.Type)
	}
	return newKeyOf(algorithm, material, options)
}

// newKeyOf makes a key of whatever kind. Only RSA and symmetric keys need the algorithm; where it is given it has to fit.
func newKeyOf(algorithm Algorithm, material any, options []KeyOption) (*Key, error) {
	var key *Key
	var err error
	switch material := material.(type) {
	case []byte:
		return NewHMACKey(algorithm, material, options...)
	case *rsa.PrivateKey:
		return NewRSAKey(algorithm, material, options...)
	case *rsa.PublicKey:
		return NewRSAPublicKey(algorithm, material, options...)
	case *ecdsa.PrivateKey:
		key, err = NewECDSAKey(material, options...)
	case *ecdsa.PublicKey:
		key, err = NewECDSAPublicKey(material, options...)
	case ed25519.PrivateKey:
		key, err = NewEd25519Key(material, options...)
	case ed25519.PublicKey:
		key, err = NewEd25519PublicKey(material, options...)
	default:
		return nil, errors.New("security: the key is of a kind that signs no tokens here: RSA, ECDSA and Ed25519 do")
	}
	if err == nil && algorithm != "" && algorithm != key.algorithm {
		return nil, fmt.Errorf("security: the key is for %s, not for %s", key.algorithm, algorithm)
	}
	return key, err
}

// ParseJWKS makes the keys of a JWK set of one's own (RFC 7517, section 5), private and symmetric ones included, or of a single
// JWK, in the order of the text: a [KeySet] signs with the first that can. Keys for encryption and of unknown kinds are left
// out, as the RFC asks; a key that is of a known kind and cannot be used is an error. An RSA or symmetric key needs its "alg".
func ParseJWKS(text []byte) ([]*Key, error) { return parseJWKS(text, false) }

// ParsePublicJWKS is ParseJWKS for the key set of somebody else, such as an identity provider: a private or symmetric key in it
// is an error, because whoever published it has published a secret.
func ParsePublicJWKS(text []byte) ([]*Key, error) { return parseJWKS(text, true) }

func parseJWKS(text []byte, public bool) ([]*Key, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
		Kty  string           `json:"kty"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("security: the JWK set is not strict JSON with a member keys")
	}
	if set.Kty != "" {
		if set.Keys != nil {
			return nil, errors.New("security: a JWK set with a member kty")
		}
		set.Keys = []jsontext.Value{text}
	}
	var keys []*Key
	for i, value := range set.Keys {
		key, err := parseJWK(value, public)
		if err != nil {
			return nil, fmt.Errorf("security: key %d of the JWK set: %w", i+1, err)
		}
		if key != nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("security: the JWK set has no key for signatures")
	}
	return keys, nil
}

// isEncryption reports whether a key operation (RFC 7517, section 4.3) is none of signatures.
func isEncryption(operation string) bool {
	return slices.Contains([]string{"encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits"}, operation)
}

// parseJWK returns nil for a key that is not for us.
func parseJWK(value jsontext.Value, public bool) (*Key, error) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(value); err != nil {
		if errors.Is(err, jose.ErrUnsupportedKeyType) {
			return nil, nil
		}
		return nil, errors.New("it cannot be read")
	}
	var operations struct {
		Names []string `json:"key_ops"`
	}
	if err := json.Unmarshal(value, &operations); err != nil {
		return nil, errors.New("its key_ops is not a list of strings")
	}
	if public && !jwk.IsPublic() {
		return nil, errors.New("it is private or symmetric and does not belong into a published set")
	}
	if jwk.Use == "enc" || slices.ContainsFunc(operations.Names, isEncryption) {
		return nil, nil
	}
	var options []KeyOption
	if jwk.KeyID != "" {
		options = append(options, WithKeyID(jwk.KeyID))
	}
	if _, rsaKey := jwk.Key.(*rsa.PublicKey); rsaKey && jwk.Algorithm == "" {
		// Most identity providers mean this when they say nothing, and it is what RFC 9068, section 2.1, asks for.
		jwk.Algorithm = string(RS256)
	}
	return newKeyOf(Algorithm(jwk.Algorithm), jwk.Key, options)
}
