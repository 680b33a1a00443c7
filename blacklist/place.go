package blacklist

import (
	"encoding/binary"
	"math/bits"
)

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
	switch kind {
	case Token:
		return place(key, kind, id.Issuer, id.ID), id.ID != ""
	case Session:
		return place(key, kind, id.Issuer, id.Subject, id.Session), id.Session != ""
	case Subject:
		return place(key, kind, id.Issuer, id.Subject), id.Subject != ""
	case Issuer:
		return place(key, kind, namespace(kind, &id)), true
	default:
		return 0, false
	}
}

func place(key PlaceKey, kind Kind, issuer string, fields ...string) uint64 {
	buf := append(make([]byte, 0, 192), issuer...)
	sum := sipHash(key, buf)
	buf = append(buf[:0], byte(kind))
	buf = binary.BigEndian.AppendUint64(buf, sum)
	for _, field := range fields {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(field)))
		buf = append(buf, field...)
	}
	return sipHash(key, buf)
}

// sipHash returns SipHash-2-4 of the message (Aumasson and Bernstein, 2012).
func sipHash(key PlaceKey, message []byte) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
	s := sipState{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	last := uint64(len(message)) << 56
	for ; len(message) >= 8; message = message[8:] {
		s = s.add(binary.LittleEndian.Uint64(message))
	}
	for i, b := range message {
		last |= uint64(b) << (8 * i)
	}
	s = s.add(last)
	s.v2 ^= 0xff
	s = s.round().round().round().round()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

// sipState is the state of SipHash.
type sipState struct{ v0, v1, v2, v3 uint64 }

// add mixes a word of the message into the state.
func (s sipState) add(word uint64) sipState {
	s.v3 ^= word
	s = s.round().round()
	s.v0 ^= word
	return s
}

func (s sipState) round() sipState {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
	return s
}
