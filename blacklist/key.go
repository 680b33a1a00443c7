package blacklist

import (
	"crypto/sha256"
	"encoding/binary"
)

// Key names an entry in a store: SHA-256 over the kind and the parts that identify it, each preceded by its length.
// No separator in a subject or an id can make two identities one, and nobody reads an id out of a store.
type Key [sha256.Size]byte

// KeyOf returns the key under which a revocation of the given kind covers the token. It reports false where the
// identity lacks the part that the kind is about, or for an unknown kind: such a revocation cannot exist, so there is
// nothing to look up.
//
// The parts are, by kind: Token: Verifier, ID. Session: Verifier, Subject, Session. Subject: Verifier, Subject.
// Verifier: Verifier.
func KeyOf(kind Kind, id Identity) (Key, bool) {
	switch kind {
	case Token:
		return hash(kind, id.Verifier, id.ID), id.ID != ""
	case Session:
		return hash(kind, id.Verifier, id.Subject, id.Session), id.Session != ""
	case Subject:
		return hash(kind, id.Verifier, id.Subject), id.Subject != ""
	case Verifier:
		return hash(kind, id.Verifier), true
	default:
		return Key{}, false
	}
}

func hash(kind Kind, parts ...string) Key {
	buf := make([]byte, 0, 192)
	buf = append(buf, byte(kind))
	for _, part := range parts {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(part)))
		buf = append(buf, part...)
	}
	return sha256.Sum256(buf)
}
