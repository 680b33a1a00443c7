package entries

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// Namespaces caches the Namespace of issuers and templates, of which a process sees few. The first
// 256 stay; those of others are computed for each look-up. It is safe for concurrent use.
type Namespaces struct {
	key   [16]byte
	seed  maphash.Seed
	slots [256]atomic.Pointer[cachedNamespace]
}

type cachedNamespace struct {
	issuer string
	Namespace
}

// maxCachedIssuer is the length of the longest issuer that is cached.
const maxCachedIssuer = 512

// Init makes s an empty cache for places with the key.
func (s *Namespaces) Init(key [16]byte) { s.key, s.seed = key, maphash.MakeSeed() }

// Of returns the Namespace of the issuer. It uses computed if that is not cached.
func (s *Namespaces) Of(issuer string, computed *Namespace) *Namespace {
	slot := &s.slots[maphash.String(s.seed, issuer)%uint64(len(s.slots))]
	n := slot.Load()
	if n != nil && n.issuer == issuer {
		return &n.Namespace
	}
	*computed = NewNamespace(s.key, issuer)
	if n == nil && len(issuer) <= maxCachedIssuer {
		slot.CompareAndSwap(nil, &cachedNamespace{strings.Clone(issuer), *computed})
	}
	return computed
}
