package keys

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

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/oapi-guard/oapi-guard/internal/jose"
)

// Algorithm is a signature algorithm by its JWA name (RFC 7518, section 3.1, and RFC 8037). Names
// are exact.
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
	PS256: strictPSS(jwt.SigningMethodPS256), PS384: strictPSS(jwt.SigningMethodPS384), PS512: strictPSS(jwt.SigningMethodPS512),
}

// ecdsaMethods has the one algorithm of each curve (RFC 7518, section 3.4).
var ecdsaMethods = map[elliptic.Curve]*jwt.SigningMethodECDSA{
	elliptic.P256(): jwt.SigningMethodES256, elliptic.P384(): jwt.SigningMethodES384, elliptic.P521(): jwt.SigningMethodES512,
}

// strictPSS returns a method that accepts only the salt length of RFC 7518, section 3.5. The
// method of golang-jwt accepts any.
func strictPSS(m *jwt.SigningMethodRSAPSS) *jwt.SigningMethodRSAPSS {
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: m.Hash}
	return &jwt.SigningMethodRSAPSS{SigningMethodRSA: m.SigningMethodRSA, Options: options, VerifyOptions: options}
}

// Key is a signature key that is bound to one algorithm. A token with another algorithm in its
// header is refused, even if the key id matches. A Key prints as its algorithm and its id. No
// method returns its key material.
type Key struct {
	id        string
	algorithm Algorithm
	method    jwt.SigningMethod
	// issuer is the issuer that the JWK names for itself, or "".
	issuer string
	*keyMaterial
}

// keyMaterial is behind two pointers, because fmt follows one where it prints a field without
// asking its type.
type keyMaterial struct{ *keySecrets }

type keySecrets struct {
	// sign is nil for a key that only verifies. It is a remoteSigner for a key of NewSigner.
	sign, verify any
	// macs has a *keyedMAC for each verification in progress with a symmetric key. It is nil for
	// other keys.
	macs *sync.Pool
}

// keyedMAC is an HMAC whose key is already hashed. To hash the key for each token costs as much as
// the rest of the verification.
type keyedMAC struct {
	hash.Hash
	input, sum []byte
}

// Verify checks the signature of a text. The error says nothing but that the signature is wrong.
func (k *Key) Verify(text string, signature []byte) error {
	if k.keyMaterial == nil {
		return errZeroKey
	}
	if k.macs == nil {
		// A copy, so that the signature of the caller can be on the stack.
		return k.method.Verify(text, bytes.Clone(signature), k.verify)
	}
	mac := k.macs.Get().(*keyedMAC)
	defer k.macs.Put(mac)
	mac.Reset()
	mac.input = append(mac.input[:0], text...)
	_, _ = mac.Write(mac.input) // a hash never fails
	mac.sum = mac.Sum(mac.sum[:0])
	if !hmac.Equal(mac.sum, signature) {
		return jwt.ErrSignatureInvalid
	}
	return nil
}

// Sign returns the signature of a text. It fails for a key that only verifies, and where the
// signer of [NewSigner] fails.
func (k *Key) Sign(text string) ([]byte, error) {
	if k.keyMaterial == nil {
		return nil, errZeroKey
	}
	switch material := k.sign.(type) {
	case nil:
		return nil, ErrNoSigningKey
	case remoteSigner:
		return material.sign(text)
	default:
		return k.method.Sign(text, material)
	}
}

var errZeroKey = errors.New("keys: the key was not made by this package")

// Option changes how a key is made.
type Option func(*Key) error

// WithID sets the key id, which tokens carry in the header kid (RFC 7515, section 4.1.4): UTF-8
// without NUL, 1 to 256 bytes. The default is the key's thumbprint (RFC 7638).
func WithID(id string) Option {
	return func(k *Key) error {
		if id == "" || len(id) > jose.MaxKeyID || !utf8.ValidString(id) || strings.IndexByte(id, 0) >= 0 {
			return fmt.Errorf("keys: a key id is UTF-8 without NUL, of 1 to %d bytes", jose.MaxKeyID)
		}
		k.id = id
		return nil
	}
}

// NewHMAC makes a symmetric key for HS256, HS384 or HS512. The secret has at least as many bytes as
// the hash: 32, 48 or 64 (RFC 7518, section 3.2). Take it from a random source, not from a person.
// NewHMAC copies it.
func NewHMAC(algorithm Algorithm, secret []byte, options ...Option) (*Key, error) {
	method, ok := hmacMethods[algorithm]
	if !ok {
		return nil, fmt.Errorf("keys: %q is not an HMAC algorithm; use HS256, HS384 or HS512", string(algorithm))
	}
	if len(secret) > 0 && bytes.Count(secret, secret[:1]) == len(secret) {
		return nil, errors.New("keys: all bytes of the secret are the same; take it from a random source")
	}
	if least := method.Hash.Size(); len(secret) < least {
		return nil, fmt.Errorf("keys: a key for %s has at least %d bytes, this one has %d", algorithm, least, len(secret))
	}
	secret = bytes.Clone(secret)
	macs := &sync.Pool{New: func() any { return &keyedMAC{Hash: hmac.New(method.Hash.New, secret)} }}
	thumbprint := sha256.Sum256([]byte(`{"k":"` + jose.Base64URL.EncodeToString(secret) + `","kty":"oct"}`))
	key := newKey(algorithm, method, keySecrets{sign: secret, verify: secret, macs: macs})
	return key.finish(thumbprint[:], options)
}

// Sizes of the modulus of an RSA key, in bits. RFC 7518, section 3.3, sets the smallest. A modulus
// above the largest makes each verification too slow.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// NewRSA makes a key that signs and verifies with RS256, RS384, RS512, PS256, PS384 or PS512. Its
// modulus has 2048 to 8192 bits.
func NewRSA(algorithm Algorithm, private *rsa.PrivateKey, options ...Option) (*Key, error) {
	if private == nil {
		return nil, errors.New("keys: no RSA key")
	}
	if err := private.Validate(); err != nil {
		return nil, errors.New("keys: the RSA private key is not valid")
	}
	return newRSA(algorithm, private, &private.PublicKey, options)
}

// NewRSAPublic makes a key that only verifies, with the algorithms of [NewRSA].
func NewRSAPublic(algorithm Algorithm, public *rsa.PublicKey, options ...Option) (*Key, error) {
	return newRSA(algorithm, nil, public, options)
}

func newRSA(algorithm Algorithm, private any, public *rsa.PublicKey, options []Option) (*Key, error) {
	method, ok := rsaMethods[algorithm]
	if !ok {
		return nil, fmt.Errorf("keys: %q is not an RSA algorithm; use RS256 to RS512 or PS256 to PS512", string(algorithm))
	}
	if public == nil || public.N == nil {
		return nil, errors.New("keys: no RSA key")
	}
	if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("keys: an RSA key has %d to %d bits, this one has %d", minRSABits, maxRSABits, bits)
	}
	if public.E < 3 || public.E%2 == 0 || public.E > 1<<31-1 || public.N.Bit(0) == 0 {
		return nil, errors.New("keys: an RSA key has an odd modulus and an odd exponent of at least 3")
	}
	return newKey(algorithm, method, keySecrets{sign: private, verify: public}).finishPublic(public, options)
}

// NewECDSA makes a key that signs and verifies. The curve decides the algorithm: P-256 is ES256,
// P-384 is ES384, P-521 is ES512.
func NewECDSA(private *ecdsa.PrivateKey, options ...Option) (*Key, error) {
	if private == nil {
		return nil, errors.New("keys: no ECDSA key")
	}
	if _, err := private.ECDH(); err != nil {
		return nil, errors.New("keys: the ECDSA private key is not valid")
	}
	return newECDSA(private, &private.PublicKey, options)
}

// NewECDSAPublic makes a key that only verifies, with the algorithm of its curve. A point that is
// not on the curve is an error.
func NewECDSAPublic(public *ecdsa.PublicKey, options ...Option) (*Key, error) {
	return newECDSA(nil, public, options)
}

func newECDSA(private any, public *ecdsa.PublicKey, options []Option) (*Key, error) {
	if public == nil || public.Curve == nil {
		return nil, errors.New("keys: no ECDSA key")
	}
	method, ok := ecdsaMethods[public.Curve]
	if !ok {
		return nil, errors.New("keys: the curve of an ECDSA key is P-256, P-384 or P-521")
	}
	if _, err := public.ECDH(); err != nil {
		return nil, errors.New("keys: the point of the ECDSA key is not on its curve")
	}
	return newKey(Algorithm(method.Alg()), method, keySecrets{sign: private, verify: public}).finishPublic(public, options)
}

// NewEd25519 makes a key that signs and verifies with Ed25519 (RFC 8037). It copies the key.
func NewEd25519(private ed25519.PrivateKey, options ...Option) (*Key, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("keys: an Ed25519 private key has %d bytes, this one has %d", ed25519.PrivateKeySize, len(private))
	}
	// From the seed, so that the public half matches the private half.
	private = ed25519.NewKeyFromSeed(private.Seed())
	public := ed25519.PublicKey(private[ed25519.SeedSize:])
	return newKey(EdDSA, jwt.SigningMethodEdDSA, keySecrets{sign: crypto.PrivateKey(private), verify: public}).finishPublic(public, options)
}

// NewEd25519Public makes a key that only verifies. It copies the key.
func NewEd25519Public(public ed25519.PublicKey, options ...Option) (*Key, error) {
	if len(public) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("keys: an Ed25519 public key has %d bytes, this one has %d", ed25519.PublicKeySize, len(public))
	}
	public = ed25519.PublicKey(bytes.Clone(public))
	return newKey(EdDSA, jwt.SigningMethodEdDSA, keySecrets{verify: public}).finishPublic(public, options)
}

func newKey(algorithm Algorithm, method jwt.SigningMethod, secrets keySecrets) *Key {
	return &Key{algorithm: algorithm, method: method, keyMaterial: &keyMaterial{&secrets}}
}

// finishPublic sets the thumbprint of the public half as the key id and applies the options.
func (k *Key) finishPublic(public any, options []Option) (*Key, error) {
	jwk := gojose.JSONWebKey{Key: public}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, errors.New("keys: the key has no thumbprint")
	}
	return k.finish(thumbprint, options)
}

func (k *Key) finish(thumbprint []byte, options []Option) (*Key, error) {
	k.id = jose.Base64URL.EncodeToString(thumbprint)
	for _, option := range options {
		if option == nil {
			return nil, errNilOption
		}
		if err := option(k); err != nil {
			return nil, err
		}
	}
	return k, nil
}

var errNilOption = errors.New("keys: a nil option")

// ID returns the key id.
func (k *Key) ID() string { return k.id }

// Algorithm returns the algorithm that the key is bound to.
func (k *Key) Algorithm() Algorithm { return k.algorithm }

// Issuer returns the issuer that the key is for, as its JWK states it, or "". Key sets of providers
// with many tenants have such keys. It may have a placeholder for the tenant, such as {tenantid}.
func (k *Key) Issuer() string { return k.issuer }

// CanSign reports whether the key can sign.
func (k *Key) CanSign() bool { return k.keyMaterial != nil && k.sign != nil }

// String returns the algorithm and the key id, never key material.
func (k Key) String() string { return string(k.algorithm) + " key " + k.id }

// Format prints as String does, for every verb. Without it, %v of a struct that holds a key would
// print its bytes.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// LogValue logs as String does.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText returns an error, so that no encoder writes key material.
func (k Key) MarshalText() ([]byte, error) {
	return nil, errors.New("keys: a key is not for encoding")
}
