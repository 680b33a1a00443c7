package blacklist

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/entries"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// Memory is a [Blacklist] in the memory of the process. Use it for tests, and for services of one
// process that may lose revocations: it forgets them when the process ends, and no other process
// sees them. With [WithNotBefore] a restart logs everybody out instead.
//
// A Memory is bounded, see [WithCapacity], and never drops an entry in force. Look-ups take no lock
// and do not wait. It starts no goroutine: calls remove expired entries in small steps and free
// their memory. An entry takes 43 to 96 bytes, from about ten thousand entries on, and each entry
// of the capacity another two. The clock decides whether an entry is in force. An entry that was
// removed while the clock was ahead does not return when the clock is corrected.
type Memory struct {
	clock     func() time.Time
	capacity  int64
	notBefore int64
	keys      keyMaker
	entries   entries.Set

	calls  atomic.Uint64 // of Revoke, to sweep in some of them
	closed atomic.Bool
}

var (
	_ Blacklist = (*Memory)(nil)
	_ InProcess = (*Memory)(nil)
	_ Locator   = (*Memory)(nil)
)

const (
	// One in so many calls sweeps a shard. Look-ups do so too, for a service that revokes nothing
	// for hours.
	revokesPerSweep = 16
	lookupsPerSweep = 1024
)

// NewMemory returns an empty Memory. It logs one warning: that revocations are lost on restart.
func NewMemory(opts ...MemoryOption) (*Memory, error) {
	cfg, err := newMemoryConfig(opts)
	if err != nil {
		return nil, err
	}
	m := &Memory{
		clock:     cfg.clock,
		capacity:  int64(cfg.capacity),
		notBefore: math.MinInt64,
		keys:      newKeyMaker(),
	}
	m.entries.Init(cfg.capacity, 0)
	var refused []any
	if !cfg.notBefore.IsZero() {
		m.notBefore = millis.Ceil(cfg.notBefore)
		refused = []any{"sessions_refused_before", cfg.notBefore}
	}
	cfg.logger.Warn("blacklist: revocations are kept in memory: a restart forgets them, and no other process sees them",
		refused...)
	return m, nil
}

// Revoke implements [Blacklist]. It returns [ErrFull] at the capacity and [ErrClosed] after Close.
func (m *Memory) Revoke(ctx context.Context, r Revocation) (before bool, err error) {
	if err := m.usable(ctx); err != nil {
		return false, err
	}
	if err := r.Validate(); err != nil {
		return false, err
	}
	now, end := millis.Floor(m.clock()), millis.Until(r.Until)
	if end <= now {
		return false, fmt.Errorf("%w: Until is not in the future", ErrInvalid)
	}
	e := entries.Entry{Key: m.keys.key(r.Kind, &r.Identity), CutOff: entries.Everything, Until: end}
	if r.Kind == Subject || r.Kind == Issuer {
		e.CutOff = millis.Floor(r.CutOff)
	}
	if m.calls.Add(1)%revokesPerSweep == 0 {
		m.entries.SweepSome(now)
	}
	before, ok := m.entries.Put(e, now)
	if !ok {
		return false, fmt.Errorf("%w: %d entries in force", ErrFull, m.capacity)
	}
	return before, nil
}

// IsRevoked implements [Blacklist]. It returns [ErrClosed] after Close, and never waits.
func (m *Memory) IsRevoked(ctx context.Context, id Identity) (bool, error) {
	return m.isRevoked(ctx, &id, nil)
}

// Locate implements [Locator].
func (m *Memory) Locate(id Identity) *Located {
	located, issuer := &Located{Owner: m, Identity: id}, m.keys.place.text(id.Issuer)
	for kind := Token; kind <= Issuer; kind++ {
		if id.Has(kind) {
			located.Places[kind-1] = m.keys.place.of(kind, issuer, &id)
		}
	}
	return located
}

// IsRevokedAt implements [Locator].
func (m *Memory) IsRevokedAt(ctx context.Context, located *Located) (bool, error) {
	return m.isRevoked(ctx, &located.Identity, located)
}

// isRevoked computes the places unless located has them.
func (m *Memory) isRevoked(ctx context.Context, id *Identity, located *Located) (bool, error) {
	if err := m.usable(ctx); err != nil {
		return false, err
	}
	start := millis.Floor(id.SessionStart)
	if start < m.notBefore {
		return true, nil
	}
	version := m.entries.Version()
	if located.IsAbsent(version) {
		return false, nil
	}
	// At random, because a counter would be written by every core.
	if rand.Uint64()%lookupsPerSweep == 0 {
		m.entries.SweepSome(millis.Floor(m.clock()))
	}
	var issuer uint64
	if located == nil {
		issuer = m.keys.place.text(id.Issuer)
	}
	absent := true
	for kind := Token; kind <= Issuer; kind++ {
		if !id.Has(kind) || !m.entries.Has(uint8(kind)) {
			continue
		}
		var place uint64
		if located != nil {
			place = located.Places[kind-1]
		} else {
			place = m.keys.place.of(kind, issuer, id)
		}
		if slot := m.find(kind, place, id); slot != nil {
			if slot.Covers(millis.Floor(m.clock()), start) {
				return true, nil
			}
			absent = false
		}
	}
	if absent {
		located.SetAbsent(version)
	}
	return false, nil
}

// InProcess says that look-ups do not wait.
func (m *Memory) InProcess() {}

// Len returns the number of entries, including expired ones that were not removed yet.
func (m *Memory) Len() int { return m.entries.Len() }

// Close makes every later call return [ErrClosed]. It returns nil, also when it is called again.
func (m *Memory) Close() error {
	m.closed.Store(true)
	return nil
}

// usable returns the error of a done context or a closed Memory.
func (m *Memory) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.closed.Load() {
		return ErrClosed
	}
	return nil
}

// find returns the entry of the kind, which has the place, or nil. The whole key costs more than the
// place, so it is computed only if the filter says that there may be an entry.
func (m *Memory) find(kind Kind, place uint64, id *Identity) *entries.Slot {
	if !m.entries.MayContain(place) {
		return nil
	}
	return m.entries.Find(entries.MakeKey(uint8(kind), m.keys.nameOf(kind, id), place))
}
