package replica

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Reason is why a snapshot was read.
type Reason string

const (
	// First is the first snapshot of the process.
	First Reason = "first"
	// Gap is a snapshot after records were missing, see [ErrGap].
	Gap Reason = "gap"
	// Room is a snapshot after entries of a full copy have expired.
	Room Reason = "room"
)

// Stats is the state of a Replica and what it did.
type Stats struct {
	Ready bool          // the first snapshot is complete
	Fresh bool          // the copy answers: it is not older than the bound, and not full
	Age   time.Duration // of the copy, if Ready
	Bound time.Duration // the largest age of a copy that answers
	// Entries is the number of entries in the copy, including those that ended a short time ago.
	Entries int
	// Full is set if an entry did not fit: look-ups of all tokens that are not revoked ask the
	// store.
	Full bool

	Snapshots       map[Reason]uint64 // complete snapshots
	SnapshotsFailed uint64
	SnapshotTook    time.Duration // the last complete one
	ReadsFailed     uint64        // including those that found a gap
	LastError       error         // of the last failed snapshot or read; it is not for clients

	Asked   uint64 // look-ups that asked the store
	Refused uint64 // look-ups that got an error, because too many asked the store already

	// Delays counts the records by the time from written to applied: Delays[i] are those of at
	// most DelayBounds()[i], and the last one those above. Records without a time are not counted.
	Delays   []uint64
	DelaySum time.Duration
}

// delayBounds are milliseconds, because records have times in milliseconds.
var delayBounds = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// DelayBounds returns the upper bounds of [Stats.Delays] except the last.
func DelayBounds() []time.Duration { return slices.Clone(delayBounds[:]) }

// counters are what Stats returns. The goroutine of the Replica writes those behind mu.
type counters struct {
	asked, refused atomic.Uint64

	mu              sync.Mutex
	snapshots       map[Reason]uint64
	snapshotsFailed uint64
	snapshotTook    time.Duration
	readsFailed     uint64
	lastError       error
	delays          [len(delayBounds) + 1]uint64
	delaySum        time.Duration
	onDelay         hooks[func(time.Duration)]
	isFresh         bool // the copy was not older than the bound when that was checked last
}

// Stats returns the state of the Replica.
func (r *Replica) Stats() Stats {
	state, now := r.state.Load(), r.cfg.clock.now()
	c := &r.stats
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{
		Ready: state != nil, Fresh: r.answers(state, now), Bound: r.cfg.bound, Entries: r.table.entries.Len(),
		Snapshots: maps.Clone(c.snapshots), SnapshotsFailed: c.snapshotsFailed, SnapshotTook: c.snapshotTook,
		ReadsFailed: c.readsFailed, LastError: c.lastError,
		Asked: c.asked.Load(), Refused: c.refused.Load(),
		Delays: slices.Clone(c.delays[:]), DelaySum: c.delaySum,
	}
	if state != nil {
		s.Age = now.since(state.began)
		s.Full = r.table.overflows.Load() != state.overflows
	}
	return s
}

func (c *counters) failed(err error, snapshot bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastError = err
	if snapshot {
		c.snapshotsFailed++
	} else {
		c.readsFailed++
	}
}

func (c *counters) snapshot(reason Reason, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.snapshots[reason]++
	c.snapshotTook = took
}

// fresh notes that the copy is not too old, and reports whether it was before.
func (c *counters) fresh() (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, c.isFresh = !c.isFresh, true
	return changed
}

// becameStale notes that the copy is too old, and reports whether it was not before.
func (c *counters) becameStale() (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, c.isFresh = c.isFresh, false
	return changed
}

// batch counts the delays of the records. They were applied so long after they were read.
func (c *counters) batch(b *Batch, applied time.Duration) {
	delays := make([]time.Duration, 0, len(b.Entries))
	for i := range b.Entries {
		if written := b.Entries[i].Written; written != 0 {
			delays = append(delays, max(0, time.Duration(b.Now.UnixMilli()-written)*time.Millisecond+applied))
		}
	}
	c.count(delays)
	c.onDelay.call(func(f func(time.Duration)) {
		for _, delay := range delays {
			f(delay)
		}
	})
}

func (c *counters) count(delays []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, delay := range delays {
		j, _ := slices.BinarySearch(delayBounds[:], delay)
		c.delays[j]++
		c.delaySum += delay
	}
}

// limitedLog logs each message at most once a minute.
type limitedLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	last   map[string]time.Time
}

const logInterval = time.Minute

func (l *limitedLog) warn(message string) { l.log(slog.LevelWarn, message) }

func (l *limitedLog) fail(message string) { l.log(slog.LevelError, message) }

func (l *limitedLog) log(level slog.Level, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if at, ok := l.last[message]; ok && now.Sub(at) < logInterval {
		return
	}
	if l.last == nil {
		l.last = make(map[string]time.Time)
	}
	l.last[message] = now
	l.logger.Log(context.Background(), level, message)
}
