package security

import (
	"context"
	"errors"
	"sync"

	"github.com/oapi-guard/oapi-guard/internal/jose"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// openedToken is a token whose signature was verified.
type openedToken struct {
	content []byte
	// ofKey and keys are for the cache: the set that verified a token with this header.
	ofKey keys.Header
	keys  *keys.Set
	// key is the key that signed it.
	key    *keys.Key
	header *decodedHeader
}

// contents has memory for decoded payloads. Each serves one token after the other.
var contents = sync.Pool{New: func() any { return new([]byte) }}

// open checks form, header and signature, and then decodes the payload from base64url into the
// memory.
func (v *Verifier) open(ctx context.Context, text string, memory *[]byte) (openedToken, error) {
	c, err := jose.Cut(text, v.maxSize)
	if err != nil {
		return openedToken{}, malformed(err)
	}
	known := v.headers.find(c.Header)
	var header jose.Header
	if known != nil {
		header = known.Header
	} else if header, err = jose.DecodeHeader(c.Header); err != nil {
		return openedToken{}, malformed(err)
	}
	ofKey := keys.Header{Algorithm: keys.Algorithm(header.Algorithm), KeyID: header.KeyID, HasKeyID: header.HasKeyID, Type: header.Type}
	if header.Algorithm == "Ed25519" { // RFC 9864, section 2.2: EdDSA with this curve
		ofKey.Algorithm = keys.EdDSA
	}
	set, key, err := v.checkSignature(ctx, c, ofKey)
	if err != nil {
		return openedToken{}, err
	}
	if known == nil {
		known = v.headers.store(c.Header, header)
	}
	if *memory, err = jose.Base64URL.AppendDecode((*memory)[:0], []byte(c.Payload)); err != nil {
		return openedToken{}, withReason(ErrInvalidToken, "the encoding of the payload")
	}
	return openedToken{*memory, ofKey, set, key, known}, nil
}

// maxTriedKeys bounds the keys that are tried for one token.
const maxTriedKeys = 8

// checkSignature checks the signature with the key that the header names. It returns the key and the
// set that has it. If several keys have the key id, each one with the algorithm is tried. Without a
// key id each key with the algorithm is tried if the layout has no key ids; otherwise there must be
// exactly one.
func (v *Verifier) checkSignature(ctx context.Context, c jose.Compact, header keys.Header) (*keys.Set, *keys.Key, error) {
	set, err := v.keys.VerificationKeys(ctx, header)
	if err != nil {
		return nil, nil, keysError(err)
	}
	if set == nil {
		return nil, nil, unavailable("the key source returned no set", nil)
	}
	candidates, err := set.Candidates(header)
	if err != nil {
		return nil, nil, keysError(err)
	}
	switch {
	case len(candidates) > maxTriedKeys:
		return nil, nil, withReason(ErrInvalidToken, "too many keys for the header of the token")
	case len(candidates) > 1 && !header.HasKeyID && !v.demands.KeyIDUnknown:
		return nil, nil, withReason(ErrInvalidToken, "no key id and more than one key for the algorithm")
	}
	var memory [512]byte // as long as the longest usual signature, of an RSA key of 4096 bits
	signature, err := jose.Base64URL.AppendDecode(memory[:0], []byte(c.Signature))
	if err != nil {
		return nil, nil, withReason(ErrInvalidToken, "the encoding of the signature")
	}
	for _, key := range candidates {
		if key.Verify(c.Signed, signature) == nil {
			return set, key, nil
		}
	}
	return nil, nil, withReason(ErrInvalidToken, "the signature")
}

// malformed returns ErrInvalidToken with the reason of package jose.
func malformed(err error) error {
	var reason jose.Malformed
	if errors.As(err, &reason) {
		return withReason(ErrInvalidToken, string(reason))
	}
	return withReason(ErrInvalidToken, "the form of the token")
}

// keysError returns what an error of a key source means for a request.
func keysError(err error) error {
	switch {
	case errors.Is(err, keys.ErrUnknownKey):
		return ErrInvalidToken.Because("no key has the key id of the token", err)
	case errors.Is(err, keys.ErrWrongAlgorithm):
		return ErrInvalidToken.Because("no key for the key id and the algorithm of the token", err)
	}
	return unavailable("the keys of a verifier are unavailable", err)
}
