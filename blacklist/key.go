package blacklist

import (
	"crypto/sha256"
	"encoding/binary"
)

// Key identifies an entry in a store: the SHA-256 of the kind and of the fields that identify the
// entry, each preceded by its length. So different identities have different keys, whatever
// characters their ids contain, and a store contains no ids.
type Key [sha256.Size]byte

// KeyOf returns the key of the revocation of the given kind that covers the token. It reports false
// if the identity lacks the id that the kind needs, or if the kind is unknown: no such revocation
// exists, so there is nothing to look up.
//
// The key is made of these fields:
//
//   - [Token]: Verifier, ID
//   - [Session]: Verifier, Subject, Session
//   - [Subject]: Verifier, Subject
//   - [Verifier]: Verifier
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

func hash(kind Kind, fields ...string) Key {
	buf := make([]byte, 0, 192)
	buf = append(buf, byte(kind))
	for _, field := range fields {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(field)))
		buf = append(buf, field...)
	}
	return sha256.Sum256(buf)
}
