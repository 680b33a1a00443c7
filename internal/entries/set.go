// Package entries contains the revocations that a process keeps in memory: those of
// blacklist.Memory, and the copy of a store in package replica. Look-ups take no lock. The package
// also computes the places of entries in stores.
package entries

import (
	"math"
	"math/bits"
	"sync/atomic"
)

// Key identifies an entry by 128 bits of hashes. A collision only refuses a token that was not
// revoked.
//
// The place says where the entry is: its highest bits select the shard and the words of the filter,
// the others the slot and the bits in those words. The low bits of the name are the kind. So no
// name is zero, names of different kinds differ, and removed entries can be counted by kind.
type Key struct{ Name, Place uint64 }

const (
	kindBits = 7
	kinds    = kindBits + 1
)

// MakeKey returns the key of an entry of the kind, which is 1 to 7. The kind replaces the low bits
// of the name.
func MakeKey(kind uint8, name, place uint64) Key {
	return Key{name&^kindBits | uint64(kind&kindBits), place}
}

func (k Key) kind() uint8 { return uint8(k.Name & kindBits) }

// Entry is a revocation, in milliseconds since 1970.
type Entry struct {
	Key           Key
	Until, CutOff int64
}

// Everything is the cut-off of a token's or session's entry: it covers every session start.
const Everything = math.MaxInt64

// Set is a bounded set of entries. It is safe for concurrent use. It starts no goroutine: the
// owner calls [Set.SweepSome] once in a while, which removes expired entries in small steps.
type Set struct {
	capacity int64
	grace    int64 // for so long expired entries stay
	filter   filter
	shards   []shard
	shift    uint // place >> shift is the number of the shard

	count  atomic.Int64        // entries in the shards, including expired ones
	ofKind [kinds]atomic.Int64 // the same by kind, so that absent kinds are not looked up
	cursor atomic.Uint64       // the shard to sweep next

	_       [64]byte // look-ups read the version, and only changes write to its cache line
	version atomic.Uint64
	_       [64]byte
}

const (
	// entriesPerShard is the approximate number of entries per shard of a full Set. Moving a
	// whole shard, the longest step of any call, then takes a fraction of a millisecond.
	entriesPerShard = 2500
	maxShards       = 1 << 16

	// shardsPerSweep is the number of shards that a sweep checks for expired entries.
	shardsPerSweep = 64
)

// Forever is the grace of a Set from which only SweepEnded removes entries.
const Forever = math.MaxInt64 / 4

// New returns an empty Set for so many entries, at least 1. An expired entry has no effect in Put,
// but is removed only after the grace, in milliseconds.
func New(capacity int, grace int64) *Set {
	t := new(Set)
	t.Init(capacity, grace)
	return t
}

// Init makes t what New returns, for a Set that is a field: a look-up then follows one pointer less.
func (t *Set) Init(capacity int, grace int64) {
	logBits := min(bits.Len(uint(capacity-1)/entriesPerShard), bits.Len(maxShards-1))
	t.capacity, t.grace = int64(capacity), grace
	t.filter = newFilter(capacity)
	t.shards, t.shift = make([]shard, 1<<logBits), uint(64-logBits)
	for i := range t.shards {
		t.shards[i].soonest.Store(math.MaxInt64)
		t.shards[i].filter = t.filter.slice(i, len(t.shards))
	}
}

// Has reports whether there are entries of the kind, which is at most 7.
func (t *Set) Has(kind uint8) bool { return t.ofKind[kind&kindBits].Load() != 0 }

// MayContain reports whether there may be an entry with the place; false is certain.
func (t *Set) MayContain(place uint64) bool { return t.filter.mayContain(place) }

// Find returns the slot of the key, or nil.
func (t *Set) Find(k Key) *Slot { return t.shardAt(k.Place).table.Load().find(k) }

// FindPlace returns the first slot of the kind with the place, whatever its name, or nil. If the
// name is another one, Find knows whether there is a second slot.
func (t *Set) FindPlace(kind uint8, place uint64) *Slot {
	return t.shardAt(place).table.Load().findPlace(kind, place)
}

// Len returns the number of entries, including expired ones that were not removed yet.
func (t *Set) Len() int { return int(t.count.Load()) }

// Put records e and reports whether it was in force before. ok is false if the capacity is reached
// and no entry can be removed.
func (t *Set) Put(e Entry, now int64) (before, ok bool) {
	for {
		before, done := t.put(e, now)
		if done {
			return before, true
		}
		if !t.makeRoom(now - t.grace) {
			return false, false
		}
	}
}

func (t *Set) shardAt(place uint64) *shard { return &t.shards[place>>t.shift] }

// Version returns a number that each Put changes that adds an entry: after look-ups can find the
// entry, and before Put returns.
func (t *Set) Version() uint64 { return t.version.Load() }

// put records e and reports whether it was in force before. done is false if there is no room.
func (t *Set) put(e Entry, now int64) (before, done bool) {
	sh := t.shardAt(e.Key.Place)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.table.Load().find(e.Key); s != nil {
		return s.merge(e, now), true
	}
	if t.count.Add(1) > t.capacity {
		t.count.Add(-1)
		return false, false
	}
	// Counted before it can be found: a look-up that follows this call must not skip the kind.
	t.ofKind[e.Key.kind()].Add(1)
	t.subtract(sh.insert(e, now-t.grace))
	t.version.Add(1)
	return false, true
}

// SweepSome sweeps one shard with expired entries, if there is one among the next shardsPerSweep.
// It reports whether there was one. Entries stay for the grace of New.
func (t *Set) SweepSome(now int64) bool { return t.SweepEnded(now - t.grace) }

// SweepEnded does what SweepSome does, for entries that end at or before end.
func (t *Set) SweepEnded(end int64) bool {
	for range min(shardsPerSweep, len(t.shards)) {
		if sh := t.nextShard(); sh.soonest.Load() <= end {
			t.subtract(sh.sweep(end, false))
			return true
		}
	}
	return false
}

// Shards returns the number of shards: so many calls of SweepSome reach every shard.
func (t *Set) Shards() int { return len(t.shards) }

// makeRoom sweeps until an entry was removed, and reports whether one was. If nothing has expired,
// it makes one comparison per shard.
func (t *Set) makeRoom(now int64) bool {
	for range t.shards {
		if sh := t.nextShard(); sh.soonest.Load() <= now {
			if dropped := sh.sweep(now, true); dropped != (tally{}) {
				t.subtract(dropped)
				return true
			}
		}
	}
	return false
}

func (t *Set) nextShard() *shard { return &t.shards[t.cursor.Add(1)%uint64(len(t.shards))] }

// subtract subtracts the removed entries from the counts.
func (t *Set) subtract(dropped tally) {
	if dropped == (tally{}) {
		return
	}
	for kind, n := range dropped {
		t.ofKind[kind].Add(-n)
		t.count.Add(-n)
	}
}
