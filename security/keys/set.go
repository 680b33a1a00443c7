//go:build ignore

package security

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// KeySet holds the keys of one verifier: the one that signs and those that still verify. It is immutable.
type KeySet struct {
	signing *Key
	keys    []*Key
	// headers are the header segments that an Issuer writes with these keys, already decoded: nearly every token has one of
	// them. It never grows.
	headers map[string]signedAs
}

// signedAs is what a header says: which key has signed, and what type of token it is.
type signedAs struct {
	key *Key
	// typ is the header's typ in the form of tokenTypeOf, class its class.
	typ, class string
}

// KeySource gives a verifier its keys: a [KeySet] that never changes, a [KeyRotation], or a [RemoteKeySet].
type KeySource interface {
	// current returns the keys that are trusted now, or an error that wraps ErrUnavailable where that cannot be known.
	current() (*KeySet, error)
}

// hasNoKeys reports whether the source is nil, whatever its type, or an empty set.
func hasNoKeys(keys KeySource) bool {
	switch keys := keys.(type) {
	case *KeySet:
		return keys == nil || len(keys.keys) == 0
	case *KeyRotation:
		return keys == nil
	case *RemoteKeySet:
		return keys == nil
	}
	return keys == nil
}

func (s *KeySet) current() (*KeySet, error) { return s, nil }

// KeyRotation is a key set that is replaced while the application runs. Every verification uses the set of that moment.
type KeyRotation struct{ set atomic.Pointer[KeySet] }

// NewKeyRotation begins with the key set.
func NewKeyRotation(set *KeySet) (*KeyRotation, error) {
	r := &KeyRotation{}
	return r, r.Replace(set)
}

// Replace puts another key set in place. To rotate without logging anybody out: first a set in which the new key stands behind the
// old one, wherever tokens are verified; then one in which it stands in front of it and signs; and when the last token of the old
// key has expired, one without it. To distrust a key at once, a set without it: see [KeySet.Without].
func (r *KeyRotation) Replace(set *KeySet) error {
	if set == nil || len(set.keys) == 0 {
		return errors.New("security: a rotation needs a key set; make one with NewKeySet")
	}
	r.set.Store(set)
	return nil
}

func (r *KeyRotation) current() (*KeySet, error) {
	set := r.set.Load()
	if set == nil {
		return nil, unavailable("no key set", nil)
	}
	return set, nil
}

// NewKeySet makes a key set. Tokens are signed with the first key that can sign; every key verifies. Key ids are
// distinct. A set whose keys only verify serves a verifier without an [Issuer].
func NewKeySet(keys ...*Key) (*KeySet, error) {
	if len(keys) == 0 {
		return nil, errors.New("security: a key set needs a key")
	}
	set := &KeySet{keys: append([]*Key(nil), keys...)}
	for i, key := range keys {
		if key == nil || key.keyMaterial == nil {
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
	set.headers = make(map[string]signedAs, 2*len(keys))
	for _, key := range keys {
		for _, name := range []string{accessType, refreshType} {
			typ := NewTokenType[NoClaims](name).headerType()
			set.headers[key.header(typ)] = signedAs{key: key, typ: typ}
		}
	}
	return set, nil
}

// Without returns the set without the key of the id, for a key that is not to be trusted any more. Removing a key that is not there,
// or the last one, is an error.
func (s *KeySet) Without(id string) (*KeySet, error) {
	keys := slices.DeleteFunc(slices.Clone(s.keys), func(key *Key) bool { return key.id == id })
	if len(keys) == len(s.keys) {
		return nil, errors.New("security: the key set has no key of this id")
	}
	return NewKeySet(keys...)
}

// readHeader decodes a header segment and chooses the key.
func (s *KeySet) readHeader(segment string) (signedAs, error) {
	if known, ok := s.headers[segment]; ok {
		return known, nil
	}
	h, err := decodeHeader(segment)
	if err != nil {
		return signedAs{}, err
	}
	key, err := s.find(h.keyID, h.hasKeyID, h.algorithm)
	return signedAs{key, tokenTypeOf(h.typ), h.class}, err
}

// errUnknownKeyID says that a well-formed header names a key that is not there.
var errUnknownKeyID = because(ErrInvalidToken, "no key for this key id")

// find returns the key for a token's header. Without a key id a key is chosen only if exactly one could match. The
// algorithm must be the key's own: the token never chooses it.
func (s *KeySet) find(id string, hasID bool, algorithm string) (*Key, error) {
	var found *Key
	known := false
	for _, key := range s.keys {
		if hasID && key.id != id {
			continue
		}
		known = true
		if string(key.algorithm) != algorithm {
			continue
		}
		if found != nil {
			return nil, because(ErrInvalidToken, "no key id and more than one key for the algorithm")
		}
		found = key
	}
	switch {
	case !known:
		return nil, errUnknownKeyID
	case found == nil:
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
