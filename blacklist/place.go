package blacklist

import "github.com/oapi-guard/oapi-guard/internal/entries"

// PlaceKey is the key of the places of a store. All processes that share a store use the same.
type PlaceKey [16]byte

// PlaceOf returns the place of the entry that [KeyOf] names: a keyed 64-bit hash of the same
// fields. It reports false where KeyOf does.
//
// A store keeps the place with each entry. A copy of the store then finds out with the places alone
// that there is no entry for a token, in less time than four keys take to compute. Two entries can
// have the same place, so compare the keys of an entry that was found by its place.
//
// The place is SipHash-2-4 over one byte for the kind, the eight bytes of SipHash-2-4 over the
// issuer or template, and the other fields in the order of KeyOf, each preceded by its length in
// four bytes. Numbers are big-endian.
func PlaceOf(key PlaceKey, kind Kind, id Identity) (uint64, bool) {
	issuer := namespace(kind, &id)
	switch kind {
	case Token:
		return entries.Place(key, uint8(kind), issuer, id.ID), id.Has(kind)
	case Session:
		return entries.Place(key, uint8(kind), issuer, id.Subject, id.Session), id.Has(kind)
	case Subject:
		return entries.Place(key, uint8(kind), issuer, id.Subject), id.Has(kind)
	case Issuer:
		return entries.Place(key, uint8(kind), issuer), true
	default:
		return 0, false
	}
}
