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
//   - [Token]: Issuer, ID
//   - [Session]: Issuer, Subject, Session
//   - [Subject]: Issuer, Subject
//   - [Issuer]: Template, or Issuer if there is no template
func KeyOf(kind Kind, id Identity) (Key, bool) {
	switch kind {
	case Token:
		return hash(kind, id.Issuer, id.ID), id.Has(kind)
	case Session:
		return hash(kind, id.Issuer, id.Subject, id.Session), id.Has(kind)
	case Subject:
		return hash(kind, id.Issuer, id.Subject), id.Has(kind)
	case Issuer:
		return hash(kind, namespace(kind, &id)), true
	default:
		return Key{}, false
	}
}

// Has reports whether a revocation of the kind can cover the token: whether the token has the id
// that the kind needs.
func (id *Identity) Has(kind Kind) bool {
	switch kind {
	case Token:
		return id.ID != ""
	case Session:
		return id.Session != ""
	case Subject:
		return id.Subject != ""
	default:
		return kind == Issuer
	}
}

// namespace returns the text that separates the entries of the kind from those of other issuers.
func namespace(kind Kind, id *Identity) string {
	if kind == Issuer && id.Template != "" {
		return id.Template
	}
	return id.Issuer
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
