// Package keyfile has the format of a key file: a JWK set with private or symmetric keys (RFC 7517),
// and the times of a rotation. Package keys reads such files, and the command rotates them.
//
// Each key has the member "oapi-guard" with its times, and the set has one with the settings of a
// rotation. Programs that do not know these members ignore them, as RFC 7517, sections 4 and 5, asks.
package keyfile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Set is the content of a key file.
type Set struct {
	Keys     []Key          `json:"keys"`
	Settings Settings       `json:"oapi-guard,omitzero"`
	Other    jsontext.Value `json:",embed"`
}

// Settings are what a rotation has to wait for.
type Settings struct {
	// TokenLifetime is the longest lifetime of a token: that of the sessions.
	TokenLifetime Duration `json:"token_lifetime,omitzero"`
	// Propagation is the time until every process and every client has read a changed file.
	Propagation Duration `json:"propagation,omitzero"`
}

// Key is a key of the file. Its JWK is in Other.
type Key struct {
	ID        string         `json:"kid"`
	Algorithm string         `json:"alg"`
	Times     Times          `json:"oapi-guard,omitzero"`
	Other     jsontext.Value `json:",embed"`
}

// Times are when the steps of a rotation were taken for a key. A time that is zero has not come.
type Times struct {
	// Published is when the key came into the file.
	Published time.Time `json:"published,omitzero"`
	// Signing is when it began to sign.
	Signing time.Time `json:"signing,omitzero"`
	// Retiring is when another key began to sign in its place.
	Retiring time.Time `json:"retiring,omitzero"`
}

// Duration is a duration in the text of package time, such as 720h0m0s.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < 0 {
		return errors.New("not a duration")
	}
	*d = Duration(parsed)
	return nil
}

// errFormat has no text of the JSON library, which could repeat a part of a key.
var errFormat = errors.New("it is not a JWK set with members kid and alg")

// Parse reads the text of a file.
func Parse(text []byte) (*Set, error) {
	set := &Set{}
	if err := json.Unmarshal(text, set); err != nil || len(set.Keys) == 0 {
		return nil, errFormat
	}
	for _, key := range set.Keys {
		if key.ID == "" || key.Algorithm == "" {
			return nil, errFormat
		}
	}
	return set, nil
}

// Text returns the text of the file.
func (s *Set) Text() ([]byte, error) {
	text, err := json.Marshal(s, jsontext.WithIndent("  "))
	if err != nil {
		return nil, errors.New("the key set cannot be written")
	}
	return append(text, '\n'), nil
}

// JWK returns the key in the form of the JOSE library.
func (k Key) JWK() (gojose.JSONWebKey, error) {
	var jwk gojose.JSONWebKey
	text, err := json.Marshal(k)
	if err == nil {
		err = jwk.UnmarshalJSON(text)
	}
	if err != nil {
		return jwk, fmt.Errorf("the key %s cannot be read", k.ID)
	}
	return jwk, nil
}

// NewKey makes a key of the file from its material: a private or public key, or the bytes of a secret.
func NewKey(id, algorithm string, material any) (Key, error) {
	var key Key
	text, err := (gojose.JSONWebKey{Key: material, KeyID: id, Algorithm: algorithm, Use: "sig"}).MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, &key)
	}
	if err != nil {
		return Key{}, errors.New("the key has no form as a JWK")
	}
	return key, nil
}

// Generate makes a key for an algorithm. Its id is its thumbprint (RFC 7638).
func Generate(algorithm string) (Key, error) {
	material, err := generate(algorithm)
	if err != nil {
		return Key{}, err
	}
	id, err := thumbprint(material)
	if err != nil {
		return Key{}, errors.New("the key has no thumbprint")
	}
	return NewKey(id, algorithm, material)
}

// thumbprint returns the SHA-256 thumbprint of a key in base64url. The JOSE library has none for a
// secret.
func thumbprint(material any) (string, error) {
	if secret, ok := material.([]byte); ok {
		sum := sha256.Sum256([]byte(`{"k":"` + encoding.EncodeToString(secret) + `","kty":"oct"}`))
		return encoding.EncodeToString(sum[:]), nil
	}
	sum, err := (&gojose.JSONWebKey{Key: material}).Thumbprint(crypto.SHA256)
	return encoding.EncodeToString(sum), err
}

// Algorithms are those of Generate.
var Algorithms = []string{
	"ES256", "ES384", "ES512", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "HS256", "HS384", "HS512",
}

const rsaBits = 3072 // NIST SP 800-57 part 1, table 2: 128 bits of security

func generate(algorithm string) (any, error) {
	switch algorithm {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case "HS256", "HS384", "HS512":
		secret := make([]byte, 64)
		rand.Read(secret) // never returns an error
		return secret, nil
	}
	return nil, fmt.Errorf("%q is no algorithm; use one of ES256, ES384, ES512, EdDSA, RS256 to RS512, PS256 to PS512, HS256 to HS512", algorithm)
}
