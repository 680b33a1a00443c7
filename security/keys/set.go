package keys

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
)

var (
	// ErrUnavailable means that a source cannot know its keys at the moment. A request with a token
	// is answered 503.
	ErrUnavailable = errors.New("keys: unavailable")
	// ErrUnknownKey means that no key has the key id of the header.
	ErrUnknownKey = errors.New("keys: no key has this key id")
	// ErrWrongAlgorithm means that no key with the key id is bound to the algorithm of the header.
	ErrWrongAlgorithm = errors.New("keys: no key for this key id and algorithm")
	// ErrNoSigningKey means that no key of the set can sign.
	ErrNoSigningKey = errors.New("keys: no key can sign")
)

// Header is what the JOSE header of a token says of its key (RFC 7515, section 4.1). The signature
// is not checked yet: treat the values as untrusted input.
type Header struct {
	Algorithm Algorithm
	// KeyID is the header kid. HasKeyID tells an empty kid from none.
	KeyID    string
	HasKeyID bool
	// Type is the header typ in lower case, without the prefix "application/".
	Type string
}

// Source gives a verifier the keys of its issuer. [Set], [Rotation] and [Remote] are sources. An
// application can have its own, such as one with a set for each tenant.
type Source interface {
	// VerificationKeys returns the keys that may have signed a token with the header. The verifier
	// calls it for every token, so it must be fast and safe for concurrent use. The verifier chooses
	// the key of the set by kid and alg.
	//
	// The verifier remembers a token that it has verified, together with the set. It checks the
	// signature again as soon as VerificationKeys returns another pointer for the same header.
	// Return the same *Set while the keys are the same, and another one to distrust a key.
	//
	// The token is refused with 401 if the error wraps [ErrUnknownKey] or [ErrWrongAlgorithm]. Any
	// other error means that the keys cannot be known, and is answered 503.
	VerificationKeys(ctx context.Context, header Header) (*Set, error)
}

// SigningSource is a [Source] that can also sign.
type SigningSource interface {
	Source
	// SigningKey returns the key that signs a new token. The context is that of the call that
	// issues the token.
	SigningKey(ctx context.Context) (*Key, error)
}

// CurrentSet is implemented by a source that has one set at a time. The JWKS handler publishes it,
// and a readiness probe asks for it.
type CurrentSet interface {
	// Current returns the keys that are trusted now. The error wraps [ErrUnavailable] where they
	// cannot be known.
	Current(ctx context.Context) (*Set, error)
}

var (
	_ SigningSource = (*Set)(nil)
	_ SigningSource = (*Rotation)(nil)
	_ Source        = (*Remote)(nil)
	_ CurrentSet    = (*Set)(nil)
	_ CurrentSet    = (*Rotation)(nil)
	_ CurrentSet    = (*Remote)(nil)
)

// Set holds the keys of one issuer: the one that signs and those that verify. It is immutable.
type Set struct {
	signing *Key
	keys    []*Key
	byID    map[string][]*Key
}

// NewSet makes a key set. Its first key that can sign signs the tokens. Every key verifies. Key ids
// are distinct. A set whose keys only verify is for a verifier without an issuer.
func NewSet(keys ...*Key) (*Set, error) {
	if len(keys) == 0 {
		return nil, errors.New("keys: a key set needs a key")
	}
	for i, key := range keys {
		if key == nil || key.keyMaterial == nil {
			return nil, fmt.Errorf("keys: key %d of the key set is nil or was not made by this package", i+1)
		}
		for _, other := range keys[:i] {
			if other.id == key.id {
				return nil, fmt.Errorf("keys: two keys of the key set have the id %s; set one with WithID", key.id)
			}
		}
	}
	return newSet(keys), nil
}

// newSet makes a set of keys that may share an id, as in the set of somebody else.
func newSet(keys []*Key) *Set {
	set := &Set{keys: slices.Clone(keys), byID: make(map[string][]*Key, len(keys))}
	for _, key := range set.keys {
		set.byID[key.id] = append(set.byID[key.id], key)
		if set.signing == nil && key.CanSign() {
			set.signing = key
		}
	}
	return set
}

// Len returns the number of keys.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.keys)
}

// Without returns the set without the key of the id, to distrust that key. To remove a key that is
// not there, or the last one, is an error.
func (s *Set) Without(id string) (*Set, error) {
	if s == nil {
		return nil, errors.New("keys: no key set")
	}
	keys := slices.DeleteFunc(slices.Clone(s.keys), func(key *Key) bool { return key.id == id })
	if len(keys) == len(s.keys) {
		return nil, errors.New("keys: the key set has no key of this id")
	}
	return NewSet(keys...)
}

// publicKey is what tells a public key of a set from the others.
type publicKey struct {
	id, issuer string
	algorithm  Algorithm
	spki       string
}

// publicKeys returns the keys of a set of public keys, or nil if it cannot tell them apart.
func (s *Set) publicKeys() map[publicKey]bool {
	all := make(map[publicKey]bool, len(s.keys))
	for _, key := range s.keys {
		spki, err := x509.MarshalPKIXPublicKey(key.verify)
		if err != nil {
			return nil
		}
		all[publicKey{key.id, key.issuer, key.algorithm, string(spki)}] = true
	}
	return all
}

// equal reports whether two sets of public keys have the same keys, in any order.
func (s *Set) equal(other *Set) bool {
	all := s.publicKeys()
	return all != nil && maps.Equal(all, other.publicKeys())
}

// has reports whether a key has the id.
func (s *Set) has(id string) bool { return s.byID[id] != nil }

// Candidates returns the keys that may have signed a token with the header: those with its
// algorithm, and with its key id if it has one. The errors are [ErrUnknownKey] and
// [ErrWrongAlgorithm].
func (s *Set) Candidates(header Header) ([]*Key, error) {
	if s == nil {
		return nil, ErrUnavailable
	}
	candidates := s.keys
	if header.HasKeyID {
		if candidates = s.byID[header.KeyID]; candidates == nil {
			return nil, ErrUnknownKey
		}
	}
	fits := func(key *Key) bool { return key.algorithm == header.Algorithm }
	if len(candidates) == 1 && fits(candidates[0]) {
		return candidates, nil
	}
	var found []*Key
	for _, key := range candidates {
		if fits(key) {
			found = append(found, key)
		}
	}
	if found == nil {
		return nil, ErrWrongAlgorithm
	}
	return found, nil
}

// VerificationKeys returns the set itself.
func (s *Set) VerificationKeys(ctx context.Context, _ Header) (*Set, error) { return s.Current(ctx) }

// Current returns the set itself.
func (s *Set) Current(context.Context) (*Set, error) {
	if s.Len() == 0 {
		return nil, ErrUnavailable
	}
	return s, nil
}

// SigningKey returns the first key that can sign, or [ErrNoSigningKey].
func (s *Set) SigningKey(context.Context) (*Key, error) {
	if s.Len() == 0 || s.signing == nil {
		return nil, ErrNoSigningKey
	}
	return s.signing, nil
}

// String lists the keys by algorithm and id, never key material.
func (s *Set) String() string {
	if s == nil {
		return ""
	}
	names := make([]string, len(s.keys))
	for i, key := range s.keys {
		names[i] = key.String()
	}
	return strings.Join(names, ", ")
}

// Format prints as String does, for every verb.
func (s *Set) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// Rotation is a key set that the application replaces while it runs. Each verification uses the
// set of that moment.
type Rotation struct{ set atomic.Pointer[Set] }

// NewRotation begins with the key set.
func NewRotation(set *Set) (*Rotation, error) {
	r := &Rotation{}
	return r, r.Replace(set)
}

// Replace puts another key set in place. To rotate without logging anybody out, take three steps,
// each on every machine that verifies. First put the new key behind the old one. Then put it in
// front: it signs from now on. When the last token of the old key has expired, take the old key
// out. To distrust a key at once, use [Set.Without].
func (r *Rotation) Replace(set *Set) error {
	if set.Len() == 0 {
		return errors.New("keys: a rotation needs a key set; make one with NewSet")
	}
	r.set.Store(set)
	return nil
}

// VerificationKeys returns the set of this moment.
func (r *Rotation) VerificationKeys(ctx context.Context, _ Header) (*Set, error) {
	return r.Current(ctx)
}

// Current returns the set of this moment.
func (r *Rotation) Current(context.Context) (*Set, error) {
	set := r.set.Load()
	if set == nil {
		return nil, ErrUnavailable
	}
	return set, nil
}

// SigningKey returns the key that signs at this moment, or [ErrNoSigningKey].
func (r *Rotation) SigningKey(ctx context.Context) (*Key, error) {
	set, err := r.Current(ctx)
	if err != nil {
		return nil, err
	}
	return set.SigningKey(ctx)
}

// isNil reports whether an interface holds nothing, or a nil pointer.
func isNil(value any) bool {
	v := reflect.ValueOf(value)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}
