package blacklist

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"

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

	filter filter
	shards []shard
	shift  uint // place >> shift is the number of the shard

	count  atomic.Int64             // entries in the shards, including expired ones
	ofKind [Issuer + 1]atomic.Int64 // the same by kind, so that absent kinds are not looked up
	calls  atomic.Uint64            // of Revoke, to sweep in some of them
	cursor atomic.Uint64            // the shard to sweep next
	closed atomic.Bool
}

var (
	_ Blacklist = (*Memory)(nil)
	_ InProcess = (*Memory)(nil)
)

const (
	// entriesPerShard is the approximate number of entries per shard of a full Memory. Moving a
	// whole shard, the longest step of any call, then takes a fraction of a millisecond.
	entriesPerShard = 2500
	maxShards       = 1 << 16

	// One in so many calls sweeps a shard. Look-ups do so too, for a service that revokes nothing
	// for hours.
	revokesPerSweep = 16
	lookupsPerSweep = 1024
	// shardsPerSweep is the number of shards that a sweep checks for expired entries.
	shardsPerSweep = 64

	// everything is the cut-off of a token's or session's entry: it covers every session start.
	everything = math.MaxInt64
)

// NewMemory returns an empty Memory. It logs one warning: that revocations are lost on restart.
func NewMemory(opts ...MemoryOption) (*Memory, error) {
	cfg, err := newMemoryConfig(opts)
	if err != nil {
		return nil, err
	}
	logBits := min(bits.Len(uint(cfg.capacity-1)/entriesPerShard), bits.Len(maxShards-1))
	m := &Memory{
		clock:     cfg.clock,
		capacity:  int64(cfg.capacity),
		notBefore: math.MinInt64,
		keys:      newKeyMaker(),
		filter:    newFilter(cfg.capacity),
		shards:    make([]shard, 1<<logBits),
		shift:     uint(64 - logBits),
	}
	for i := range m.shards {
		m.shards[i].soonest.Store(millis.Never)
		m.shards[i].filter = m.filter.slice(i, len(m.shards))
	}
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
	e := entry{key: m.keys.key(r.Kind, &r.Identity), cutOff: everything, until: end}
	if r.Kind == Subject || r.Kind == Issuer {
		e.cutOff = millis.Floor(r.CutOff)
	}
	if m.calls.Add(1)%revokesPerSweep == 0 {
		m.sweepSome(now)
	}
	for {
		before, done := m.put(e, now)
		if done {
			return before, nil
		}
		if !m.makeRoom(now) {
			return false, fmt.Errorf("%w: %d entries in force", ErrFull, m.capacity)
		}
	}
}

// IsRevoked implements [Blacklist]. It returns [ErrClosed] after Close, and never waits.
func (m *Memory) IsRevoked(ctx context.Context, id Identity) (bool, error) {
	if err := m.usable(ctx); err != nil {
		return false, err
	}
	start := millis.Floor(id.SessionStart)
	if start < m.notBefore {
		return true, nil
	}
	// At random, because a counter would be written by every core.
	if rand.Uint64()%lookupsPerSweep == 0 {
		m.sweepSome(millis.Floor(m.clock()))
	}
	iss := m.keys.place.text(id.Issuer)
	if id.ID != "" && m.covers(Token, iss, &id, start) ||
		id.Session != "" && m.covers(Session, iss, &id, start) ||
		id.Subject != "" && m.covers(Subject, iss, &id, start) {
		return true, nil
	}
	if id.Template != "" {
		iss = m.keys.place.text(id.Template)
	}
	return m.covers(Issuer, iss, &id, start), nil
}

// InProcess says that look-ups do not wait.
func (m *Memory) InProcess() {}

// Len returns the number of entries, including expired ones that were not removed yet.
func (m *Memory) Len() int { return int(m.count.Load()) }

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

// covers reports whether an entry of the kind is in force for the token. iss is the place hash of
// its namespace. The whole key and the clock cost more than the place, so they are computed only if
// the filter says that there may be an entry.
func (m *Memory) covers(kind Kind, iss uint64, id *Identity, start int64) bool {
	if m.ofKind[kind].Load() == 0 {
		return false
	}
	place := m.keys.place.hash(kind, iss, id)
	if !m.filter.mayContain(place) {
		return false
	}
	s := m.shardAt(place).table.Load().find(key{m.keys.nameOf(kind, id), place})
	return s != nil && s.covers(millis.Floor(m.clock()), start)
}

func (m *Memory) shardAt(place uint64) *shard { return &m.shards[place>>m.shift] }

// put records e and reports whether it was in force before. done is false if there is no room.
func (m *Memory) put(e entry, now int64) (before, done bool) {
	sh := m.shardAt(e.key.place)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.table.Load().find(e.key); s != nil {
		return s.merge(e, now), true
	}
	if m.count.Add(1) > m.capacity {
		m.count.Add(-1)
		return false, false
	}
	// Counted before it can be found: a look-up that follows this call must not skip the kind.
	m.ofKind[e.key.kind()].Add(1)
	m.subtract(sh.insert(e, now))
	return false, true
}

// sweepSome sweeps one shard with expired entries, if there is one among the next shardsPerSweep.
func (m *Memory) sweepSome(now int64) {
	for range min(shardsPerSweep, len(m.shards)) {
		if sh := m.nextShard(); sh.soonest.Load() <= now {
			m.subtract(sh.sweep(now, false))
			return
		}
	}
}

// makeRoom sweeps until an entry was removed, and reports whether one was. If nothing has expired,
// it makes one comparison per shard.
func (m *Memory) makeRoom(now int64) bool {
	for range m.shards {
		if sh := m.nextShard(); sh.soonest.Load() <= now {
			if dropped := sh.sweep(now, true); dropped != (tally{}) {
				m.subtract(dropped)
				return true
			}
		}
	}
	return false
}

func (m *Memory) nextShard() *shard { return &m.shards[m.cursor.Add(1)%uint64(len(m.shards))] }

// subtract subtracts the removed entries from the counts.
func (m *Memory) subtract(dropped tally) {
	if dropped == (tally{}) {
		return
	}
	for kind, n := range dropped {
		m.ofKind[kind].Add(-n)
		m.count.Add(-n)
	}
}
