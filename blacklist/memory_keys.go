package blacklist

import (
	"hash/maphash"
	"math/rand/v2"

	"github.com/oapi-guard/oapi-guard/internal/entries"
)

// keyMaker makes keys from the same fields as [KeyOf]. Each field is hashed separately, so that the
// boundaries between fields matter. The seeds belong to the process, so nobody can provoke a
// collision, of which there is one in 10^23 at 10 million entries.
type keyMaker struct{ name, place hasher }

func newKeyMaker() keyMaker { return keyMaker{newHasher(), newHasher()} }

func (m *keyMaker) key(kind Kind, id *Identity) entries.Key {
	return entries.MakeKey(uint8(kind), m.nameOf(kind, id), m.place.of(kind, m.place.text(id.Issuer), id))
}

func (m *keyMaker) nameOf(kind Kind, id *Identity) uint64 {
	return m.name.of(kind, m.name.text(id.Issuer), id)
}

// hasher is a seeded hash: the sum of the hashes of the fields, each multiplied by a different odd
// factor.
type hasher struct {
	seed    maphash.Seed
	factors [4]uint64
}

func newHasher() hasher {
	h := hasher{seed: maphash.MakeSeed()}
	for i := range h.factors {
		h.factors[i] = rand.Uint64() | 1
	}
	return h
}

func (h *hasher) text(s string) uint64 { return maphash.String(h.seed, s) }

// of returns the hash for the kind. issuer is the hash of the issuer.
func (h *hasher) of(kind Kind, issuer uint64, id *Identity) uint64 {
	if kind == Issuer && id.Template != "" {
		issuer = h.text(id.Template)
	}
	sum := uint64(kind)*h.factors[0] + issuer*h.factors[1]
	switch kind {
	case Token:
		sum += h.text(id.ID) * h.factors[2]
	case Session:
		sum += h.text(id.Subject)*h.factors[2] + h.text(id.Session)*h.factors[3]
	case Subject:
		sum += h.text(id.Subject) * h.factors[2]
	}
	return sum
}
