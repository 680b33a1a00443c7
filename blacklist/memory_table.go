package blacklist

import (
	"hash/maphash"
	"math"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// How a Memory stores entries:
//
// The entries are in shards, each a hash table with open addressing. A Go map is not used: it does
// not free memory, it moves as a whole, and a look-up in it needs a lock.
//
// A look-up reads a table without a lock. This is safe because of two rules for writers, which hold
// the lock of the shard: the key of a slot is written once, before look-ups can find the slot, and
// the slots of a table never become free again. Entries are removed when the shard moves those in
// force to a new table. A look-up that still reads the old table began before the move.
//
// A filter in front of the tables answers most look-ups of tokens that are not revoked.

// key identifies an entry. It has 128 bits of hashes with seeds of the process, instead of the 256
// bits of a [Key]: a collision, one in 10^24 at 10 million entries, would only refuse a token that
// was not revoked.
//
// The place says where the entry is: its highest bits select the shard and the words of the filter,
// the others the slot and the bits in those words. The low bits of the name are the kind. So no
// name is zero, names of different kinds differ, and removed entries can be counted by kind.
type key struct{ name, place uint64 }

const kindBits = 7

func (k key) kind() Kind { return Kind(k.name & kindBits) }

// keyMaker makes keys from the same fields as [KeyOf]. Each field is hashed separately, so that the
// boundaries between fields matter.
type keyMaker struct{ name, place hasher }

func newKeyMaker() keyMaker { return keyMaker{newHasher(), newHasher()} }

func (m *keyMaker) key(kind Kind, id *Identity) key {
	return key{m.nameOf(kind, id), m.place.hash(kind, m.place.text(namespace(kind, id)), id)}
}

func (m *keyMaker) nameOf(kind Kind, id *Identity) uint64 {
	return m.name.hash(kind, m.name.text(namespace(kind, id)), id)&^kindBits | uint64(kind)
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

// hash returns the hash for the kind. iss is the hash of the namespace.
func (h *hasher) hash(kind Kind, iss uint64, id *Identity) uint64 {
	sum := uint64(kind)*h.factors[0] + iss*h.factors[1]
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

// entry is a revocation, in milliseconds since 1970.
type entry struct {
	key           key
	until, cutOff int64
}

// slot contains an entry, or none while the name is zero. Two slots fill a cache line.
type slot struct {
	name, place   atomic.Uint64
	until, cutOff atomic.Int64
}

// covers reports whether the entry is in force at now and covers a session that began at start. It
// reads until first and merge writes it last, so with a new until it never sees an old cut-off.
func (s *slot) covers(now, start int64) bool { return s.until.Load() > now && s.cutOff.Load() >= start }

// merge records e in the slot of its key, and reports whether it was in force before. The later end
// and the later cut-off win over an entry in force. An expired one has no effect.
func (s *slot) merge(e entry, now int64) (before bool) {
	until, cutOff := s.until.Load(), s.cutOff.Load()
	if until > now {
		before = cutOff >= e.cutOff
		e.until, e.cutOff = max(until, e.until), max(cutOff, e.cutOff)
	}
	s.cutOff.Store(e.cutOff)
	s.until.Store(e.until)
	return before
}

// table is a hash table of 2^n slots. Some are always free, so that every search ends.
type table struct {
	slots []slot
	mask  uint64
}

func newTable(slots int) *table { return &table{slots: make([]slot, slots), mask: uint64(slots - 1)} }

// find returns the slot of the key, or nil. A nil table is empty.
func (t *table) find(k key) *slot {
	if t == nil {
		return nil
	}
	for i := k.place; ; i++ {
		s := &t.slots[i&t.mask]
		switch name := s.name.Load(); {
		case name == 0:
			return nil
		case name == k.name && s.place.Load() == k.place:
			return s
		}
	}
}

// add puts an entry with a new key into a free slot.
func (t *table) add(e entry) {
	i := e.key.place
	for t.slots[i&t.mask].name.Load() != 0 {
		i++
	}
	s := &t.slots[i&t.mask]
	s.cutOff.Store(e.cutOff)
	s.until.Store(e.until)
	s.place.Store(e.key.place)
	s.name.Store(e.key.name) // last: from now on look-ups find the entry
}

// filter excludes nearly all keys that are not in the tables. It consists of two Bloom filters;
// each sets three bits of one word for a key. Reading a slot among 10 million entries takes ten
// times as long as the rest of a look-up, because the slots do not fit into the cache of a
// processor. The first filter does. In a full Memory it excludes eleven of twelve absent keys, and
// the second one eleven of twelve of the others.
//
// The highest bits of a place select the word, as they select the shard, so shards do not share
// words. At every moment the words contain all entries in force: a move overwrites each word at
// once.
type filter struct {
	words [2][]atomic.Uint64
	shift uint
}

// entriesPerWord is the average number of keys per word in a full Memory, at most.
const entriesPerWord = 12

func newFilter(capacity int) filter {
	logWords := bits.Len(uint(capacity-1) / entriesPerWord)
	f := filter{shift: uint(64 - logWords)}
	for i := range f.words {
		f.words[i] = make([]atomic.Uint64, 1<<logWords)
	}
	return f
}

// slice returns the words of the i-th of so many shards.
func (f *filter) slice(i, shards int) filter {
	n := len(f.words[0]) / shards
	return filter{[2][]atomic.Uint64{f.words[0][i*n : (i+1)*n], f.words[1][i*n : (i+1)*n]}, f.shift}
}

// mayContain reports whether there may be a key with the place; false is certain. It works on the
// whole filter only.
func (f *filter) mayContain(place uint64) bool {
	i, b := place>>f.shift, filterBits(place)
	return f.words[0][i].Load()&b[0] == b[0] && f.words[1][i].Load()&b[1] == b[1]
}

// indexInSlice returns the index of the words of a place in the slice of its shard.
func (f *filter) indexInSlice(place uint64) uint64 {
	return place >> f.shift & uint64(len(f.words[0])-1)
}

// add adds a place to the slice of its shard.
func (f *filter) add(place uint64) {
	i, b := f.indexInSlice(place), filterBits(place)
	f.words[0][i].Or(b[0])
	f.words[1][i].Or(b[1])
}

// filterBits returns the bits of a place in its two words.
func filterBits(place uint64) [2]uint64 {
	return [2]uint64{
		1<<(place>>20&63) | 1<<(place>>26&63) | 1<<(place>>32&63),
		1<<(place&63) | 1<<(place>>6&63) | 1<<(place>>12&63),
	}
}

// slotsFor returns the number of slots for n entries. At most three quarters of the slots are used,
// and an eighth more entries than n fit, so that the next move is not soon. An entry then takes 43
// to 96 bytes, 67 on average.
func slotsFor(n int) int {
	slots := 8
	for n+n/8+1 > slots/4*3 {
		slots *= 2
	}
	return slots
}

// shard contains a share of the entries. Writers hold mu.
type shard struct {
	mu    sync.Mutex
	used  int // slots in use, including expired entries
	table atomic.Pointer[table]
	// soonest is at or before the end of every entry: before it nothing has expired.
	soonest atomic.Int64
	filter  filter   // its slice of the whole filter
	_       [40]byte // padding to whole cache lines
}

// tally counts entries by kind.
type tally [Issuer + 1]int64

// insert adds an entry with a new key. If the table is too small it moves the shard, which removes
// expired entries, and returns their number.
func (sh *shard) insert(e entry, now int64) (dropped tally) {
	t := sh.table.Load()
	if t == nil || sh.used+1 > len(t.slots)/4*3 {
		dropped = sh.move(now, 1)
		t = sh.table.Load()
	}
	sh.filter.add(e.key.place)
	t.add(e)
	sh.used++
	if e.until < sh.soonest.Load() {
		sh.soonest.Store(e.until)
	}
	return dropped
}

// sweep removes the expired entries and returns their number. Unless all is set, it does so only if
// they are at least a quarter of the entries, so that the move is worth its cost.
func (sh *shard) sweep(now int64, all bool) (dropped tally) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	inForce, soonest := sh.inForce(now)
	switch expired := sh.used - inForce; {
	case expired == 0:
		sh.soonest.Store(soonest) // entries were prolonged
		return dropped
	case !all && expired < (sh.used+3)/4:
		return dropped
	}
	return sh.move(now, 0)
}

// inForce returns the number of entries in force, and when the first of them ends.
func (sh *shard) inForce(now int64) (n int, soonest int64) {
	soonest = math.MaxInt64
	if t := sh.table.Load(); t != nil {
		for i := range t.slots {
			s := &t.slots[i]
			if s.name.Load() == 0 {
				continue
			}
			if until := s.until.Load(); until > now {
				n++
				soonest = min(soonest, until)
			}
		}
	}
	return n, soonest
}

// move copies the entries in force to a new table with room for more entries. It returns the number
// of those that it removed.
func (sh *shard) move(now int64, more int) (dropped tally) {
	inForce, soonest := sh.inForce(now)
	var t *table
	if inForce+more > 0 {
		t = newTable(slotsFor(inForce + more))
	}
	words := make([][2]uint64, len(sh.filter.words[0]))
	if old := sh.table.Load(); old != nil {
		for i := range old.slots {
			s := &old.slots[i]
			e := entry{key{s.name.Load(), s.place.Load()}, s.until.Load(), s.cutOff.Load()}
			switch {
			case e.key.name == 0:
			case e.until > now:
				t.add(e)
				i, b := sh.filter.indexInSlice(e.key.place), filterBits(e.key.place)
				words[i][0] |= b[0]
				words[i][1] |= b[1]
			default:
				dropped[e.key.kind()]++
			}
		}
	}
	sh.used = inForce
	sh.soonest.Store(soonest)
	sh.table.Store(t)
	for i, word := range words {
		sh.filter.words[0][i].Store(word[0])
		sh.filter.words[1][i].Store(word[1])
	}
	return dropped
}
