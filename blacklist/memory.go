package blacklist

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// DefaultCapacity is the number of entries that a [Memory] holds at most unless [WithCapacity] says otherwise.
const DefaultCapacity = 10_000_000

// Memory is a [Blacklist] in the process: for tests, and for services of one process that can live with this: it forgets
// every revocation when the process ends, and no other process sees one. [WithNotBefore] turns the first of these into
// "everybody logs in again".
//
// It is bounded, see [WithCapacity], and never drops an entry in force. Look-ups take no lock and wait for nobody. There
// is no goroutine in the background: calls sweep expired entries in small steps, and memory goes back as they leave. An
// entry in force takes 43 to 96 bytes, once there are some ten thousand, and each entry of the capacity two. It is in
// force by the clock; one that left because the clock ran ahead does not come back when the clock is set right.
type Memory struct {
	clock     func() time.Time
	capacity  int64
	notBefore int64
	keys      keyMaker

	filter filter
	shards []shard
	shift  uint // the highest bits of a key's place, after this shift, are the number of its shard

	held   atomic.Int64               // entries in the shards, expired ones too
	ofKind [Verifier + 1]atomic.Int64 // the same by kind: nothing is looked up where there is nothing
	calls  atomic.Uint64              // of Revoke, to sweep in every few
	cursor atomic.Uint64              // the shard that is swept next
	closed atomic.Bool
}

var (
	_ Blacklist = (*Memory)(nil)
	_ InProcess = (*Memory)(nil)
)

const (
	// entriesPerShard is about how many entries a shard of a full Memory holds. To move a whole shard, which is the
	// longest that any call takes, is then a matter of a fraction of a millisecond.
	entriesPerShard = 2500
	maxShards       = 1 << 16

	// One in so many calls sweeps a shard. Look-ups do it too, for a service that revokes nothing for hours.
	revokesPerSweep = 16
	lookupsPerSweep = 1024
	// shardsPerSweep is how many shards a sweep looks at to find one with something expired.
	shardsPerSweep = 64

	// everything is the cut-off of an entry that covers sessions whenever they began.
	everything = math.MaxInt64
)

// MemoryOption sets an option of [NewMemory].
type MemoryOption func(*memoryConfig) error

type memoryConfig struct {
	clock     func() time.Time
	capacity  int
	logger    *slog.Logger
	notBefore time.Time
}

// WithClock sets the clock; time.Now by default.
func WithClock(now func() time.Time) MemoryOption {
	return func(c *memoryConfig) error {
		if now == nil {
			return errors.New("WithClock needs a clock")
		}
		c.clock = now
		return nil
	}
}

// WithCapacity sets how many entries are held at most, [DefaultCapacity] by default. Beyond it, when no expired entry is
// left to sweep, Revoke returns [ErrFull]: to forget an entry in force would let a revoked token pass.
func WithCapacity(entries int) MemoryOption {
	return func(c *memoryConfig) error {
		if entries < 1 {
			return fmt.Errorf("WithCapacity(%d): at least one entry", entries)
		}
		c.capacity = entries
		return nil
	}
}

// WithLogger sets where NewMemory warns that revocations are forgotten on restart; slog.Default() by default.
func WithLogger(logger *slog.Logger) MemoryOption {
	return func(c *memoryConfig) error {
		if logger == nil {
			return errors.New("WithLogger needs a logger")
		}
		c.logger = logger
		return nil
	}
}

// WithNotBefore refuses the sessions that began before t, rounded up to whole milliseconds; none by default. With the
// time of the start, a restart logs everybody out instead of bringing revoked tokens back. A verifier whose session
// starts are whole seconds then also refuses a login of the first second.
func WithNotBefore(t time.Time) MemoryOption {
	return func(c *memoryConfig) error {
		if t.IsZero() {
			return errors.New("WithNotBefore needs an instant")
		}
		c.notBefore = t
		return nil
	}
}

// NewMemory returns an empty Memory and logs one warning: that it forgets on restart.
func NewMemory(opts ...MemoryOption) (*Memory, error) {
	cfg := memoryConfig{clock: time.Now, capacity: DefaultCapacity, logger: slog.Default()}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("blacklist: a nil option")
		}
		if err := opt(&cfg); err != nil {
			return nil, fmt.Errorf("blacklist: %w", err)
		}
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
		m.shards[i].filter = m.filter.part(i, len(m.shards))
	}
	if cfg.notBefore.IsZero() {
		cfg.logger.Warn("blacklist: revocations are kept in memory: a restart forgets them, and no other process sees them")
	} else {
		m.notBefore = millis.Ceil(cfg.notBefore)
		cfg.logger.Warn("blacklist: revocations are kept in memory: a restart forgets them, and no other process sees them",
			"sessions_refused_before", cfg.notBefore)
	}
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
		return false, fmt.Errorf("%w: its end has come", ErrInvalid)
	}
	e := entry{key: m.keys.key(r.Kind, &r.Identity), cutOff: everything, until: end}
	if r.Kind == Subject || r.Kind == Verifier {
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
	// By chance and not by a counter: every core would write to that.
	if rand.Uint64()%lookupsPerSweep == 0 {
		m.sweepSome(millis.Floor(m.clock()))
	}
	v := m.keys.place.text(id.Verifier)
	return id.ID != "" && m.covers(Token, v, &id, start) ||
		id.Session != "" && m.covers(Session, v, &id, start) ||
		id.Subject != "" && m.covers(Subject, v, &id, start) ||
		m.covers(Verifier, v, &id, start), nil
}

// InProcess marks that look-ups never wait.
func (m *Memory) InProcess() {}

// Len returns the number of entries held, including expired ones that were not swept yet.
func (m *Memory) Len() int { return int(m.held.Load()) }

// Close makes every later call return [ErrClosed]. It may be called more than once, and returns nil.
func (m *Memory) Close() error {
	m.closed.Store(true)
	return nil
}

func (m *Memory) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.closed.Load() {
		return ErrClosed
	}
	return nil
}

// covers reports whether an entry of the kind is in force for the token; v is the hash of its verifier for a place. It
// does what is left to do only where there may be an entry: a whole key and the clock take longer than the place.
func (m *Memory) covers(kind Kind, v uint64, id *Identity, start int64) bool {
	if m.ofKind[kind].Load() == 0 {
		return false
	}
	place := m.keys.place.hash(kind, v, id)
	if !m.filter.mayHave(place) {
		return false
	}
	s := m.shardAt(place).table.Load().find(key{m.keys.nameOf(kind, id), place})
	return s != nil && s.covers(millis.Floor(m.clock()), start)
}

func (m *Memory) shardAt(place uint64) *shard { return &m.shards[place>>m.shift] }

// put puts e in force and reports whether it was before; done is false where there is no room for it.
func (m *Memory) put(e entry, now int64) (before, done bool) {
	sh := m.shardAt(e.key.place)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.table.Load().find(e.key); s != nil {
		return s.merge(e, now), true
	}
	if m.held.Add(1) > m.capacity {
		m.held.Add(-1)
		return false, false
	}
	// Counted before it can be found, so that whoever is told that it is in force also looks it up.
	m.ofKind[e.key.kind()].Add(1)
	m.left(sh.insert(e, now))
	return false, true
}

// sweepSome sweeps one shard with something expired, if there is one among the next few.
func (m *Memory) sweepSome(now int64) {
	for range min(shardsPerSweep, len(m.shards)) {
		if sh := m.nextShard(); sh.soonest.Load() <= now {
			m.left(sh.sweep(now, false))
			return
		}
	}
}

// makeRoom sweeps until an entry has left, and reports whether one has. Where nothing has expired, this costs one
// comparison a shard.
func (m *Memory) makeRoom(now int64) bool {
	for range m.shards {
		if sh := m.nextShard(); sh.soonest.Load() <= now {
			if dropped := sh.sweep(now, true); dropped != (tally{}) {
				m.left(dropped)
				return true
			}
		}
	}
	return false
}

func (m *Memory) nextShard() *shard { return &m.shards[m.cursor.Add(1)%uint64(len(m.shards))] }

func (m *Memory) left(dropped tally) {
	if dropped == (tally{}) {
		return
	}
	for kind, n := range dropped {
		m.ofKind[kind].Add(-n)
		m.held.Add(-n)
	}
}
