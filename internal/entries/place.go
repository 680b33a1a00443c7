package entries

import "math/bits"

// Place returns the place that blacklist.PlaceOf documents.
func Place(key [16]byte, kind uint8, issuer string, fields ...string) uint64 {
	hash := bits.ReverseBytes64(SipHash(key, issuer)) // the number is big-endian in the message
	h := sip{state: newSipState(key).add(uint64(kind) | hash<<8), tail: hash >> 56, length: 9}
	for _, field := range fields {
		h.number(uint32(len(field)))
		h.text(field)
	}
	return h.sum()
}

// Namespace computes the places of the entries of one issuer or template, as [Place] does. It
// contains what they have in common.
type Namespace struct {
	states [3]sipState // of the kinds 1 to 3, after the kind and seven bytes of the issuer's hash
	tail   uint64      // the eighth byte
	issuer uint64      // the place of the entry of kind 4, which has no fields
}

// NewNamespace returns the Namespace of the issuer.
func NewNamespace(key [16]byte, issuer string) (n Namespace) {
	hash := bits.ReverseBytes64(SipHash(key, issuer))
	state := newSipState(key)
	n.tail = hash >> 56
	for i := range n.states {
		n.states[i] = state.add(uint64(i+1) | hash<<8)
	}
	n.issuer = Place(key, 4, issuer)
	return n
}

func (n *Namespace) begin(kind uint8) sip {
	return sip{state: n.states[kind-1], tail: n.tail, length: 9}
}

// Issuer returns the place of the entry of kind 4.
func (n *Namespace) Issuer() uint64 { return n.issuer }

// One returns the place of the entry of the kind, 1 to 3, with one field.
func (n *Namespace) One(kind uint8, field string) uint64 {
	h := n.begin(kind)
	h.number(uint32(len(field)))
	h.text(field)
	return h.sum()
}

// Two returns the place of the entry of the kind, 1 to 3, with two fields.
func (n *Namespace) Two(kind uint8, first, second string) uint64 {
	h := n.begin(kind)
	h.number(uint32(len(first)))
	h.text(first)
	h.number(uint32(len(second)))
	h.text(second)
	return h.sum()
}

// SipHash returns SipHash-2-4 of the message (Aumasson and Bernstein, 2012).
func SipHash(key [16]byte, message string) uint64 {
	h := sip{state: newSipState(key)}
	h.text(message)
	return h.sum()
}

// sip computes SipHash-2-4 of a message that comes in pieces, without a copy of it.
type sip struct {
	state  sipState
	tail   uint64 // the bytes that do not fill a word yet
	length uint64
}

// word returns the first eight bytes as a little-endian number.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// short returns up to seven bytes as a little-endian number.
func short(s string) (n uint64) {
	for i := len(s) - 1; i >= 0; i-- {
		n = n<<8 | uint64(s[i])
	}
	return n
}

// text adds the bytes of s.
func (h *sip) text(s string) {
	shift := 8 * (h.length & 7)
	h.length += uint64(len(s))
	state, tail := h.state, h.tail // in registers
	for ; len(s) >= 8; s = s[8:] {
		w := word(s)
		m := tail | w<<shift
		tail = w >> (64 - shift)
		// add, which the compiler does not inline
		state.v3 ^= m
		state = state.firstHalf().secondHalf().firstHalf().secondHalf()
		state.v0 ^= m
	}
	rest := short(s)
	tail |= rest << shift
	if shift+8*uint64(len(s)) >= 64 {
		state = state.add(tail)
		tail = rest >> (64 - shift)
	}
	h.state, h.tail = state, tail
}

// number adds the four bytes of n, big-endian.
func (h *sip) number(n uint32) {
	shift, w := 8*(h.length&7), uint64(bits.ReverseBytes32(n))
	h.length += 4
	h.tail |= w << shift
	if shift >= 32 {
		h.state = h.state.add(h.tail)
		h.tail = w >> (64 - shift)
	}
}

// sum returns the hash.
func (h *sip) sum() uint64 {
	s := h.state.add(h.tail | h.length<<56)
	s.v2 ^= 0xff
	s = s.firstHalf().secondHalf().firstHalf().secondHalf().firstHalf().secondHalf().firstHalf().secondHalf()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

// sipState is the state of SipHash. It has four words, so that it stays in registers.
type sipState struct{ v0, v1, v2, v3 uint64 }

func newSipState(key [16]byte) sipState {
	k0, k1 := word(string(key[:8])), word(string(key[8:]))
	return sipState{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
}

// add mixes a word of the message into the state.
func (s sipState) add(word uint64) sipState {
	s.v3 ^= word
	s = s.firstHalf().secondHalf().firstHalf().secondHalf()
	s.v0 ^= word
	return s
}

// firstHalf and secondHalf are a round. The compiler does not inline a function that is longer.
func (s sipState) firstHalf() sipState {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	return s
}

func (s sipState) secondHalf() sipState {
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
	return s
}
