package entries

import "math/bits"

// Place returns the place that blacklist.PlaceOf documents. issuer is the SipHash of the issuer or
// template.
func Place(key [16]byte, kind uint8, issuer uint64, fields ...string) uint64 {
	swapped := bits.ReverseBytes64(issuer) // the number is big-endian in the message
	h := newSip(key)
	h.state = h.state.add(uint64(kind) | swapped<<8)
	h.tail, h.length = swapped>>56, 9
	for _, field := range fields {
		h = h.number(uint32(len(field))).text(field)
	}
	return h.sum()
}

// SipHash returns SipHash-2-4 of the message (Aumasson and Bernstein, 2012).
func SipHash(key [16]byte, message string) uint64 { return newSip(key).text(message).sum() }

// sip computes SipHash-2-4 of a message that comes in pieces, without a copy of it.
type sip struct {
	state  sipState
	tail   uint64 // the bytes that do not fill a word yet
	length uint64
}

func newSip(key [16]byte) sip {
	k0, k1 := word(string(key[:8])), word(string(key[8:]))
	return sip{state: sipState{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}}
}

// word returns the first eight bytes as a little-endian number.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// text adds the bytes of s.
func (h sip) text(s string) sip {
	shift := 8 * (h.length & 7)
	h.length += uint64(len(s))
	for ; len(s) >= 8; s = s[8:] {
		w := word(s)
		h.state = h.state.add(h.tail | w<<shift)
		h.tail = w >> (64 - shift)
	}
	for i := range len(s) {
		h.tail |= uint64(s[i]) << shift
		if shift += 8; shift == 64 {
			h.state = h.state.add(h.tail)
			h.tail, shift = 0, 0
		}
	}
	return h
}

// number adds the four bytes of n, big-endian.
func (h sip) number(n uint32) sip {
	shift, w := 8*(h.length&7), uint64(bits.ReverseBytes32(n))
	h.length += 4
	h.tail |= w << shift
	if shift >= 32 {
		h.state = h.state.add(h.tail)
		h.tail = w >> (64 - shift)
	}
	return h
}

// sum returns the hash.
func (h sip) sum() uint64 {
	s := h.state.add(h.tail | h.length<<56)
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
