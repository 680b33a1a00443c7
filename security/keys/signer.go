package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// NewSigner makes a key whose private half stays elsewhere: in a key management service, a
// hardware module or an agent. It signs through the crypto.Signer and verifies with the signer's
// public key. The algorithm may be empty, but for RSA. The signer gets a digest, or the whole text
// for Ed25519, as crypto.Signer says; with PS256, PS384 and PS512 its options are *rsa.PSSOptions.
//
// Each token costs one call of the signer. A call cannot be cancelled: bound it in the signer.
func NewSigner(algorithm Algorithm, signer crypto.Signer, options ...Option) (*Key, error) {
	if isNil(signer) {
		return nil, errors.New("keys: NewSigner needs a signer")
	}
	var public any = signer.Public()
	if pointer, ok := public.(*ed25519.PublicKey); ok && pointer != nil {
		public = *pointer
	}
	switch public.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return nil, errors.New("keys: the public key of the signer is not RSA, ECDSA or Ed25519")
	}
	key, err := newKeyOf(algorithm, public, options)
	if err != nil {
		return nil, err
	}
	key.sign = remoteSigner{signer, key.method}
	return key, nil
}

// remoteSigner signs as a golang-jwt method does, through a crypto.Signer.
type remoteSigner struct {
	crypto.Signer
	method jwt.SigningMethod
}

var errSigner = errors.New("keys: the signer did not sign")

func (s remoteSigner) sign(text string) ([]byte, error) {
	var options crypto.SignerOpts
	switch m := s.method.(type) {
	case *jwt.SigningMethodRSA:
		options = m.Hash
	case *jwt.SigningMethodRSAPSS:
		options = m.Options
	case *jwt.SigningMethodECDSA:
		options = m.Hash
	default: // Ed25519 signs the text itself
		options = crypto.Hash(0)
	}
	message := []byte(text)
	if hash := options.HashFunc(); hash != 0 {
		h := hash.New()
		_, _ = h.Write(message) // a hash never fails
		message = h.Sum(nil)
	}
	signature, err := s.Signer.Sign(rand.Reader, message, options)
	if err != nil {
		return nil, errors.Join(errSigner, err)
	}
	if m, ok := s.method.(*jwt.SigningMethodECDSA); ok {
		return fixedLength(signature, m.KeySize)
	}
	return signature, nil
}

// fixedLength turns an ECDSA signature from the ASN.1 form of crypto.Signer into that of RFC 7518,
// section 3.4: r and s, each of size bytes.
func fixedLength(der []byte, size int) ([]byte, error) {
	var signature struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &signature)
	if err != nil || len(rest) > 0 || !fits(signature.R, size) || !fits(signature.S, size) {
		return nil, errSigner
	}
	out := make([]byte, 2*size)
	signature.R.FillBytes(out[:size])
	signature.S.FillBytes(out[size:])
	return out, nil
}

func fits(n *big.Int, size int) bool { return n.Sign() > 0 && n.BitLen() <= 8*size }
