package security

import (
	"errors"
	"fmt"
	"strings"
)

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
