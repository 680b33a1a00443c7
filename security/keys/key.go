//go:build ignore

package security

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
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
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	EdDSA Algorithm = "EdDSA"
)

var hmacMethods = map[Algorithm]*jwt.SigningMethodHMAC{
	HS256: jwt.SigningMethodHS256, HS384: jwt.SigningMethodHS384, HS512: jwt.SigningMethodHS512,
}

var rsaMethods = map[Algorithm]jwt.SigningMethod{
	RS256: jwt.SigningMethodRS256, RS384: jwt.SigningMethodRS384, RS512: jwt.SigningMethodRS512,
	PS256: pss(jwt.SigningMethodPS256), PS384: pss(jwt.SigningMethodPS384), PS512: pss(jwt.SigningMethodPS512),
}

// ecdsaMethods has the one algorithm of each curve (RFC 7518, section 3.4).
var ecdsaMethods = map[elliptic.Curve]*jwt.SigningMethodECDSA{
	elliptic.P256(): jwt.SigningMethodES256, elliptic.P384(): jwt.SigningMethodES384, elliptic.P521(): jwt.SigningMethodES512,
}

// pss returns a method that takes only the salt length that RFC 7518, section 3.5, asks for; golang-jwt's own takes any.
func pss(m *jwt.SigningMethodRSAPSS) *jwt.SigningMethodRSAPSS {
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: m.Hash}
	return &jwt.SigningMethodRSAPSS{SigningMethodRSA: m.SigningMethodRSA, Options: options, VerifyOptions: options}
}

// Key is a signature key bound to one algorithm: a token that names another one is refused, whatever its key id.
// A Key prints as its id; the key material never leaves it.
type Key struct {
	id        string
	algorithm Algorithm
	method    jwt.SigningMethod
	*keyMaterial
}

// keyMaterial is behind two pointers, because fmt follows one where it prints a field without asking its type.
type keyMaterial struct{ *keySecrets }

type keySecrets struct {
	// sign is nil for a key that only verifies.
	sign, verify any
	// macs has a *keyedMAC for each verification under way with a symmetric key; nil for other keys.
	macs *sync.Pool
}

// keyedMAC is an HMAC that has hashed its key already: to do it for each token costs as much as the rest of the verification.
type keyedMAC struct {
	hash.Hash
	input, sum []byte
}

// check checks a signature.
func (k *Key) check(signed string, signature []byte) error {
	if k.macs == nil {
		return k.method.Verify(signed, signature, k.verify)
	}
	mac := k.macs.Get().(*keyedMAC)
	defer k.macs.Put(mac)
	mac.Reset()
	mac.input = append(mac.input[:0], signed...)
	_, _ = mac.Write(mac.input) // a hash never fails
	mac.sum = mac.Sum(mac.sum[:0])
	if !hmac.Equal(mac.sum, signature) {
		return jwt.ErrSignatureInvalid
	}
	return nil
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
	method, ok := hmacMethods[algorithm]
	if !ok {
		return nil, fmt.Errorf("security: %q is not an HMAC algorithm; use HS256, HS384 or HS512", string(algorithm))
	}
	if least := method.Hash.Size(); len(secret) < least {
		return nil, fmt.Errorf("security: a key for %s has at least %d bytes, this one has %d", algorithm, least, len(secret))
	}
	secret = bytes.Clone(secret)
	macs := &sync.Pool{New: func() any { return &keyedMAC{Hash: hmac.New(method.Hash.New, secret)} }}
	thumbprint := sha256.Sum256([]byte(`{"k":"` + base64url.EncodeToString(secret) + `","kty":"oct"}`))
	return newKey(&Key{algorithm: algorithm, method: method, keyMaterial: &keyMaterial{&keySecrets{sign: secret, verify: secret, macs: macs}}}, thumbprint[:], options)
}

// Sizes of the moduli of RSA keys, in bits: the least is that of RFC 7518, section 3.3, and a larger one than the most would
// cost every request too much.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// NewRSAKey makes a key that signs and verifies with RS256, RS384, RS512, PS256, PS384 or PS512. Its modulus has 2048 to 8192
// bits.
func NewRSAKey(algorithm Algorithm, private *rsa.PrivateKey, options ...KeyOption) (*Key, error) {
	if private == nil {
		return nil, errors.New("security: no RSA key")
	}
	if err := private.Validate(); err != nil {
		return nil, errors.New("security: the RSA private key is not valid")
	}
	return newRSAKey(algorithm, private, &private.PublicKey, options)
}

// NewRSAPublicKey makes a key that only verifies, with the algorithms of NewRSAKey.
func NewRSAPublicKey(algorithm Algorithm, public *rsa.PublicKey, options ...KeyOption) (*Key, error) {
	return newRSAKey(algorithm, nil, public, options)
}

func newRSAKey(algorithm Algorithm, private any, public *rsa.PublicKey, options []KeyOption) (*Key, error) {
	method, ok := rsaMethods[algorithm]
	if !ok {
		return nil, fmt.Errorf("security: %q is not an RSA algorithm; use RS256 to RS512 or PS256 to PS512", string(algorithm))
	}
	if public == nil || public.N == nil {
		return nil, errors.New("security: no RSA key")
	}
	if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("security: an RSA key has %d to %d bits, this one has %d", minRSABits, maxRSABits, bits)
	}
	if public.E < 3 || public.E%2 == 0 || public.E > 1<<31-1 || public.N.Bit(0) == 0 {
		return nil, errors.New("security: the modulus of an RSA key is odd, and so is its exponent, which is at least 3")
	}
	return newPublicKey(&Key{algorithm: algorithm, method: method, keyMaterial: &keyMaterial{&keySecrets{sign: private, verify: public}}}, public, options)
}

// NewECDSAKey makes a key that signs and verifies. Its curve says with what: P-256 with ES256, P-384 with ES384, P-521 with
// ES512.
func NewECDSAKey(private *ecdsa.PrivateKey, options ...KeyOption) (*Key, error) {
	if private == nil {
		return nil, errors.New("security: no ECDSA key")
	}
	if _, err := private.ECDH(); err != nil {
		return nil, errors.New("security: the ECDSA private key is not valid")
	}
	return newECDSAKey(private, &private.PublicKey, options)
}

// NewECDSAPublicKey makes a key that only verifies, with the algorithm of its curve. A point that is not on the curve is an
// error.
func NewECDSAPublicKey(public *ecdsa.PublicKey, options ...KeyOption) (*Key, error) {
	return newECDSAKey(nil, public, options)
}

func newECDSAKey(private any, public *ecdsa.PublicKey, options []KeyOption) (*Key, error) {
	if public == nil || public.Curve == nil {
		return nil, errors.New("security: no ECDSA key")
	}
	method, ok := ecdsaMethods[public.Curve]
	if !ok {
		return nil, errors.New("security: the curve of an ECDSA key is P-256, P-384 or P-521")
	}
	if _, err := public.ECDH(); err != nil {
		return nil, errors.New("security: the point of the ECDSA key is not on its curve")
	}
	return newPublicKey(&Key{algorithm: Algorithm(method.Alg()), method: method, keyMaterial: &keyMaterial{&keySecrets{sign: private, verify: public}}}, public, options)
}

// NewEd25519Key makes a key that signs and verifies with Ed25519 (RFC 8037). It is copied.
func NewEd25519Key(private ed25519.PrivateKey, options ...KeyOption) (*Key, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("security: an Ed25519 private key has %d bytes, this one has %d", ed25519.PrivateKeySize, len(private))
	}
	// From the seed, so that the public half is that of the private one.
	private = ed25519.NewKeyFromSeed(private.Seed())
	public := ed25519.PublicKey(private[ed25519.SeedSize:])
	return newPublicKey(&Key{algorithm: EdDSA, method: jwt.SigningMethodEdDSA, keyMaterial: &keyMaterial{&keySecrets{sign: crypto.PrivateKey(private), verify: public}}}, public, options)
}

// NewEd25519PublicKey makes a key that only verifies. It is copied.
func NewEd25519PublicKey(public ed25519.PublicKey, options ...KeyOption) (*Key, error) {
	if len(public) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("security: an Ed25519 public key has %d bytes, this one has %d", ed25519.PublicKeySize, len(public))
	}
	public = ed25519.PublicKey(bytes.Clone(public))
	return newPublicKey(&Key{algorithm: EdDSA, method: jwt.SigningMethodEdDSA, keyMaterial: &keyMaterial{&keySecrets{verify: public}}}, public, options)
}

func newPublicKey(key *Key, public any, options []KeyOption) (*Key, error) {
	jwk := jose.JSONWebKey{Key: public}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, errors.New("security: the key has no thumbprint")
	}
	return newKey(key, thumbprint, options)
}

func newKey(key *Key, thumbprint []byte, options []KeyOption) (*Key, error) {
	key.id = base64url.EncodeToString(thumbprint)
	for _, option := range options {
		if option == nil {
			return nil, errors.New("security: a nil option")
		}
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
func (k Key) String() string { return string(k.algorithm) + " key " + k.id }

// Format prints as String does, whatever the verb: %v of a struct that holds a key would print its bytes otherwise.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// LogValue logs as String does.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText refuses, so that no encoder writes key material.
func (k Key) MarshalText() ([]byte, error) {
	return nil, errors.New("security: a key is not for encoding")
}
