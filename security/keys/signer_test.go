package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// remoteKey is a crypto.Signer as one of a key service: it shows the public key only, and signs by a
// function.
type remoteKey struct {
	public crypto.PublicKey
	do     func(random io.Reader, message []byte, options crypto.SignerOpts) ([]byte, error)
}

func (k remoteKey) Public() crypto.PublicKey { return k.public }

func (k remoteKey) Sign(random io.Reader, message []byte, options crypto.SignerOpts) ([]byte, error) {
	return k.do(random, message, options)
}

// serviceOf returns a signer with the private key of the standard library.
func serviceOf(private crypto.Signer) remoteKey { return remoteKey{private.Public(), private.Sign} }

// TestSignerIssuesTokens issues tokens through the signers of the standard library. The same tokens
// are verified here, and by golang-jwt with the public key.
func TestSignerIssuesTokens(t *testing.T) {
	k := testKeys()
	edPublic := k.ed.Public().(ed25519.PublicKey)
	for _, tt := range []struct {
		name      string
		algorithm keys.Algorithm
		signer    crypto.Signer
		want      keys.Algorithm
	}{
		{name: "RSA, PKCS #1", algorithm: keys.RS256, signer: k.rsa, want: keys.RS256},
		{name: "RSA, PKCS #1 with SHA-512", algorithm: keys.RS512, signer: k.rsa, want: keys.RS512},
		{name: "RSA, PSS", algorithm: keys.PS256, signer: k.rsa, want: keys.PS256},
		{name: "RSA, PSS with SHA-384", algorithm: keys.PS384, signer: k.rsa, want: keys.PS384},
		{name: "P-256", signer: k.p256, want: keys.ES256},
		{name: "P-256, with its algorithm", algorithm: keys.ES256, signer: k.p256, want: keys.ES256},
		{name: "P-384", signer: k.p384, want: keys.ES384},
		{name: "P-521", signer: k.p521, want: keys.ES512},
		{name: "Ed25519", signer: k.ed, want: keys.EdDSA},
		{name: "Ed25519, with its algorithm", algorithm: keys.EdDSA, signer: k.ed, want: keys.EdDSA},
		{name: "RSA in a service", algorithm: keys.PS256, signer: serviceOf(k.rsa), want: keys.PS256},
		{name: "ECDSA in a service", signer: serviceOf(k.p256), want: keys.ES256},
		{name: "Ed25519 behind a pointer", signer: remoteKey{&edPublic, k.ed.Sign}, want: keys.EdDSA},
	} {
		key, err := keys.NewSigner(tt.algorithm, tt.signer, keys.WithID("service"))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if key.Algorithm() != tt.want || key.ID() != "service" || !key.CanSign() {
			t.Errorf("%s: %s, signs: %v", tt.name, key, key.CanSign())
		}
		app := apptest.NewWith(t, must(keys.NewSet(key))(t))
		for range 8 { // r and s of ECDSA have leading zeros now and then
			text := must(app.Issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
			if err := app.Refuses(t, text, accessToken); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			public := tt.signer.Public()
			if tt.want == keys.EdDSA {
				public = edPublic
			}
			if _, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return public, nil },
				jwt.WithTimeFunc(app.Clock.Now), jwt.WithValidMethods([]string{string(tt.want)})); err != nil {
				t.Errorf("%s, with golang-jwt: %v", tt.name, err)
			}
		}
	}
}

// TestSignersRefused has signers that do not fit the algorithm, or whose key is not good enough.
func TestSignersRefused(t *testing.T) {
	k := testKeys()
	var none *rsa.PrivateKey
	var nilPublic *ed25519.PublicKey
	small := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))(t)
	for _, tt := range []struct {
		name      string
		algorithm keys.Algorithm
		signer    crypto.Signer
		options   []keys.Option
	}{
		{name: "no signer"},
		{name: "a nil pointer", algorithm: keys.RS256, signer: none},
		{name: "RSA without an algorithm", signer: k.rsa},
		{name: "RSA for ES256", algorithm: keys.ES256, signer: k.rsa},
		{name: "RSA for HS256", algorithm: keys.HS256, signer: k.rsa},
		{name: "P-256 for RS256", algorithm: keys.RS256, signer: k.p256},
		{name: "P-256 for ES384", algorithm: keys.ES384, signer: k.p256},
		{name: "Ed25519 for ES256", algorithm: keys.ES256, signer: k.ed},
		{name: "an unknown algorithm", algorithm: "none", signer: k.p256},
		{name: "RSA of 1024 bits", algorithm: keys.RS256, signer: remoteKey{public: small}},
		{name: "P-224", signer: remoteKey{public: &p224.PublicKey}},
		{name: "no public key", signer: remoteKey{}},
		{name: "a nil public key", signer: remoteKey{public: nilPublic}},
		{name: "a symmetric public key", algorithm: keys.HS256, signer: remoteKey{public: testSecret}},
		{name: "Ed25519 of 31 bytes", signer: remoteKey{public: ed25519.PublicKey(make([]byte, 31))}},
		{name: "a nil option", signer: k.p256, options: []keys.Option{nil}},
		{name: "an empty id", signer: k.p256, options: []keys.Option{keys.WithID("")}},
	} {
		if key, err := keys.NewSigner(tt.algorithm, tt.signer, tt.options...); err == nil {
			t.Errorf("%s: made %s", tt.name, key)
		}
	}
}

// TestSignerThatFails issues with a signer that is down, or that returns no ECDSA signature. Each
// call is an error, and nothing of the token is in it.
func TestSignerThatFails(t *testing.T) {
	k := testKeys()
	down := errors.New("the key service is down")
	returns := func(signature []byte, err error) remoteKey {
		return remoteKey{&k.p256.PublicKey, func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return signature, err }}
	}
	for _, tt := range []struct {
		name   string
		signer crypto.Signer
		cause  error
	}{
		{name: "down", signer: returns(nil, down), cause: down},
		{name: "an error beside a signature", signer: returns([]byte{1}, down), cause: down},
		{name: "nothing", signer: returns(nil, nil)},
		{name: "the fixed length in place of ASN.1", signer: returns(make([]byte, 64), nil)},
		{name: "ASN.1 with something behind", signer: returns([]byte{0x30, 6, 2, 1, 1, 2, 1, 1, 0}, nil)},
		{name: "r is 0", signer: returns([]byte{0x30, 6, 2, 1, 0, 2, 1, 1}, nil)},
		{name: "s is negative", signer: returns([]byte{0x30, 6, 2, 1, 1, 2, 1, 0xff}, nil)},
		{name: "r is longer than the curve", signer: returns(append([]byte{0x30, 38, 2, 33, 0x01}, append(make([]byte, 32), 2, 1, 1)...), nil)},
	} {
		app := apptest.NewWith(t, must(keys.NewSet(must(keys.NewSigner("", tt.signer))(t)))(t))
		token, err := app.Issuer.IssueAccessToken(t.Context(), "alice-subject", nil, security.WithID("some-id"))
		if err == nil || token.Text() != "" {
			t.Errorf("%s: issued %q, %v", tt.name, token.Text(), err)
			continue
		}
		if tt.cause != nil && !errors.Is(err, tt.cause) {
			t.Errorf("%s: %v does not wrap %v", tt.name, err, tt.cause)
		}
		for _, secret := range []string{"alice-subject", "some-id", "eyJ", encode64([]byte(`{"alg`))} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error has %q: %v", tt.name, secret, err)
			}
		}
	}
}
