// Package places computes where the entries for a token are in a copy of a store that a process keeps
// in memory.
package places

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/entries"
)

// Maker computes places with one key, as [blacklist.PlaceOf] does. It caches what the places of an
// issuer or template have in common. A process sees few: the first 256 stay, and those of others
// are computed for each look-up. It is safe for concurrent use.
type Maker struct {
	key   blacklist.PlaceKey
	seed  maphash.Seed
	slots [256]atomic.Pointer[namespace]
}

type namespace struct {
	issuer string
	entries.Namespace
}

// maxCachedIssuer is the length of the longest issuer that is cached.
const maxCachedIssuer = 512

// Init makes m an empty Maker for places with the key.
func (m *Maker) Init(key blacklist.PlaceKey) { m.key, m.seed = key, maphash.MakeSeed() }

// Locate returns the identity with all its places in the blacklist.
func (m *Maker) Locate(owner blacklist.Blacklist, id blacklist.Identity) *blacklist.Located {
	located := &blacklist.Located{Owner: owner, Identity: id}
	var common Common
	for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
		if id.Has(kind) {
			located.Places[kind-1] = m.Place(kind, &id, nil, &common)
		}
	}
	return located
}

// Common is what the places of one token have in common: the namespace of its issuer. The zero
// Common is for a token of which no place was computed yet.
type Common struct {
	// cached or computed is the namespace. The places of a token are computed one by one, because
	// most blacklists do not have entries of every kind.
	cached     *entries.Namespace
	computed   entries.Namespace
	isComputed bool
}

// Place returns the place of the entry of the kind: that of located, unless located is nil. The
// identity has what the kind needs; see [blacklist.Identity.Has].
func (m *Maker) Place(kind blacklist.Kind, id *blacklist.Identity, located *blacklist.Located, common *Common) uint64 {
	if located != nil {
		return located.Places[kind-1]
	}
	if kind == blacklist.Issuer && id.Template != "" {
		var ofTemplate Common
		return m.namespace(id.Template, &ofTemplate).Issuer()
	}
	n := m.namespace(id.Issuer, common)
	switch kind {
	case blacklist.Token:
		return n.One(uint8(kind), id.ID)
	case blacklist.Session:
		return n.Two(uint8(kind), id.Subject, id.Session)
	case blacklist.Subject:
		return n.One(uint8(kind), id.Subject)
	default:
		return n.Issuer()
	}
}

// namespace returns the namespace of the issuer, which common has or will have.
func (m *Maker) namespace(issuer string, common *Common) *entries.Namespace {
	switch {
	case common.cached != nil:
		return common.cached
	case common.isComputed:
		return &common.computed
	}
	slot := &m.slots[maphash.String(m.seed, issuer)%uint64(len(m.slots))]
	known := slot.Load()
	if known != nil && known.issuer == issuer {
		common.cached = &known.Namespace
		return common.cached
	}
	common.computed, common.isComputed = entries.NewNamespace(m.key, issuer), true
	if known == nil && len(issuer) <= maxCachedIssuer {
		slot.CompareAndSwap(nil, &namespace{strings.Clone(issuer), common.computed})
	}
	return &common.computed
}
