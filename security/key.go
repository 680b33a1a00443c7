package security

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// Algorithm is a signature algorithm by its JWA name (RFC 7518, section 3.1, and RFC 8037). Names are exact.
type Algorithm string

// The algorithms that keys can be made for.
const (
	HS256 Algorithm = "HS256"
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
	EdDSA Algorithm = "EdDSA"
)

// Key is a signature key bound to one algorithm: a token that names another one is refused, whatever its key id.
// A Key prints as its id; the key material never leaves it.
type Key struct {
	id        string
	algorithm Algorithm
	method    jwt.SigningMethod
	// sign is nil for a key that only verifies.
	sign, verify any
}

// KeyOption changes how a key is made.
type KeyOption func(*Key) error

// WithKeyID sets the key id, the header kid (RFC 7515, section 4.1.4). The default is the key's thumbprint (RFC 7638).
func WithKeyID(id string) KeyOption {
	return func(k *Key) error {
		if id == "" || len(id) > maxKeyID || !utf8.ValidString(id) || strings.IndexByte(id, 0) >= 0 {
			return fmt.Errorf("security: a key id is UTF-8 without NUL, of 1 to %d bytes", maxKeyID)
		}
		k.id = id
		return nil
	}
}

// maxKeyID bounds the key ids that are looked up, in bytes.
const maxKeyID = 256

// NewHMACKey makes a symmetric key for HS256, HS384 or HS512. The secret has at least as many bytes as the hash, 32, 48
// or 64 (RFC 7518, section 3.2), and should come from a random source, not from a person. It is copied.
func NewHMACKey(algorithm Algorithm, secret []byte, options ...KeyOption) (*Key, error) {
	methods := map[Algorithm]*jwt.SigningMethodHMAC{
		HS256: jwt.SigningMethodHS256, HS384: jwt.SigningMethodHS384, HS512: jwt.SigningMethodHS512,
	}
	method, ok := methods[algorithm]
	if !ok {
		return nil, fmt.Errorf("security: %q is not an HMAC algorithm; use HS256, HS384 or HS512", string(algorithm))
	}
	if least := method.Hash.Size(); len(secret) < least {
		return nil, fmt.Errorf("security: a key for %s has at least %d bytes, this one has %d", algorithm, least, len(secret))
	}
	secret = append([]byte(nil), secret...)
	thumbprint := `{"k":"` + base64.RawURLEncoding.EncodeToString(secret) + `","kty":"oct"}`
	return newKey(algorithm, method, secret, secret, thumbprint, options)
}

// NewEd25519Key makes a key that signs and verifies with Ed25519 (RFC 8037). It is copied.
func NewEd25519Key(private ed25519.PrivateKey, options ...KeyOption) (*Key, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("security: an Ed25519 private key has %d bytes, this one has %d", ed25519.PrivateKeySize, len(private))
	}
	seed := private.Seed()
	private = ed25519.NewKeyFromSeed(seed)
	return newEd25519Key(crypto.PrivateKey(private), private.Public().(ed25519.PublicKey), options)
}

// NewEd25519PublicKey makes a key that only verifies. It is copied.
func NewEd25519PublicKey(public ed25519.PublicKey, options ...KeyOption) (*Key, error) {
	if len(public) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("security: an Ed25519 public key has %d bytes, this one has %d", ed25519.PublicKeySize, len(public))
	}
	return newEd25519Key(nil, append(ed25519.PublicKey(nil), public...), options)
}

func newEd25519Key(private crypto.PrivateKey, public ed25519.PublicKey, options []KeyOption) (*Key, error) {
	thumbprint := `{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(public) + `"}`
	return newKey(EdDSA, jwt.SigningMethodEdDSA, private, public, thumbprint, options)
}

// newKey takes the members of the key that RFC 7638 hashes, already in its canonical form.
func newKey(algorithm Algorithm, method jwt.SigningMethod, sign, verify any, thumbprint string, options []KeyOption) (*Key, error) {
	sum := sha256.Sum256([]byte(thumbprint))
	key := &Key{
		id:        base64.RawURLEncoding.EncodeToString(sum[:]),
		algorithm: algorithm, method: method, sign: sign, verify: verify,
	}
	for _, option := range options {
		if err := option(key); err != nil {
			return nil, err
		}
	}
	return key, nil
}

// header returns the header segment of the tokens that the key signs.
func (k *Key) header(typ string) string {
	id, _ := jsontext.AppendQuote(nil, k.id) // fails on invalid UTF-8 only, which WithKeyID refuses
	return base64url.EncodeToString([]byte(`{"alg":"` + string(k.algorithm) + `","kid":` + string(id) + `,"typ":"` + typ + `"}`))
}

// ID returns the key id.
func (k *Key) ID() string { return k.id }

// Algorithm returns the algorithm that the key is bound to.
func (k *Key) Algorithm() Algorithm { return k.algorithm }

// CanSign reports whether the key can sign, not only verify.
func (k *Key) CanSign() bool { return k.sign != nil }

// String returns the algorithm and the key id, never key material.
func (k *Key) String() string { return string(k.algorithm) + " key " + k.id }

// Format prints as String does, whatever the verb: %v of a struct that holds a key would print its bytes otherwise.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// LogValue logs as String does.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText refuses, so that no encoder writes key material.
func (k *Key) MarshalText() ([]byte, error) {
	return nil, errors.New("security: a key is not for encoding")
}

// KeySet holds the keys of one verifier: the one that signs and those that still verify. It is immutable.
type KeySet struct {
	signing *Key
	keys    []*Key
}

// NewKeySet makes a key set. Tokens are signed with the first key that can sign; every key verifies. Key ids are
// distinct. A set whose keys only verify serves a verifier without an [Issuer].
func NewKeySet(keys ...*Key) (*KeySet, error) {
	if len(keys) == 0 {
		return nil, errors.New("security: a key set needs a key")
	}
	set := &KeySet{keys: append([]*Key(nil), keys...)}
	for i, key := range keys {
		if key == nil || key.verify == nil {
			return nil, fmt.Errorf("security: key %d of the key set is nil or was not made by this package", i+1)
		}
		for _, other := range keys[:i] {
			if other.id == key.id {
				return nil, fmt.Errorf("security: two keys of the key set have the id %s; set one with WithKeyID", key.id)
			}
		}
		if set.signing == nil && key.sign != nil {
			set.signing = key
		}
	}
	return set, nil
}

// find returns the key for a token's header. Without a key id a key is chosen only if exactly one could match. The
// algorithm must be the key's own: the token never chooses it.
func (s *KeySet) find(id string, hasID bool, algorithm string) (*Key, error) {
	var found *Key
	for _, key := range s.keys {
		if hasID && key.id != id || string(key.algorithm) != algorithm {
			continue
		}
		if found != nil {
			return nil, because(ErrInvalidToken, "no key id and more than one key for the algorithm")
		}
		found = key
	}
	if found == nil {
		return nil, because(ErrInvalidToken, "no key for this key id and algorithm")
	}
	return found, nil
}

// String lists the key ids, never key material.
func (s *KeySet) String() string {
	names := make([]string, len(s.keys))
	for i, key := range s.keys {
		names[i] = key.String()
	}
	return strings.Join(names, ", ")
}

// Format prints as String does, whatever the verb.
func (s *KeySet) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }
