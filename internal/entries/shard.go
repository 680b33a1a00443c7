package entries

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
)

// How a Set stores entries:
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

// Slot contains an entry, or none while the name is zero. Two slots fill a cache line.
type Slot struct {
	name, place   atomic.Uint64
	until, cutOff atomic.Int64
}

// Key returns the key of the entry.
func (s *Slot) Key() Key { return Key{s.name.Load(), s.place.Load()} }

// Load returns the end and the cut-off. It reads the end first, see Covers.
func (s *Slot) Load() (until, cutOff int64) {
	until = s.until.Load()
	return until, s.cutOff.Load()
}

// Covers reports whether the Entry is in force at now and covers a session that began at start. It
// reads until first and merge writes it last, so with a new until it never sees an old cut-off.
func (s *Slot) Covers(now, start int64) bool { return s.until.Load() > now && s.cutOff.Load() >= start }

// merge records e in the slot of its key, and reports whether it was in force before. The later end
// and the later cut-off win over an entry in force. An expired one has no effect.
func (s *Slot) merge(e Entry, now int64) (before bool) {
	until, cutOff := s.until.Load(), s.cutOff.Load()
	if until > now {
		before = cutOff >= e.CutOff
		e.Until, e.CutOff = max(until, e.Until), max(cutOff, e.CutOff)
	}
	s.cutOff.Store(e.CutOff)
	s.until.Store(e.Until)
	return before
}

// table is a hash table of 2^n slots. Some are always free, so that every search ends.
type table struct {
	slots []Slot
	mask  uint64
}

func newTable(slots int) *table { return &table{slots: make([]Slot, slots), mask: uint64(slots - 1)} }

// find returns the slot of the key, or nil. A nil table is empty.
func (t *table) find(k Key) *Slot {
	if t == nil {
		return nil
	}
	for i := k.Place; ; i++ {
		s := &t.slots[i&t.mask]
		switch name := s.name.Load(); {
		case name == 0:
			return nil
		case name == k.Name && s.place.Load() == k.Place:
			return s
		}
	}
}

// findPlace returns the first slot of the kind with the place, or nil. A nil table is empty.
func (t *table) findPlace(kind uint8, place uint64) *Slot {
	if t == nil {
		return nil
	}
	for i := place; ; i++ {
		s := &t.slots[i&t.mask]
		switch name := s.name.Load(); {
		case name == 0:
			return nil
		case uint8(name&kindBits) == kind && s.place.Load() == place:
			return s
		}
	}
}

// add puts an entry with a new key into a free slot.
func (t *table) add(e Entry) {
	i := e.Key.Place
	for t.slots[i&t.mask].name.Load() != 0 {
		i++
	}
	s := &t.slots[i&t.mask]
	s.cutOff.Store(e.CutOff)
	s.until.Store(e.Until)
	s.place.Store(e.Key.Place)
	s.name.Store(e.Key.Name) // last: from now on look-ups find the Entry
}

// filter excludes nearly all keys that are not in the tables. It consists of two Bloom filters;
// each sets three bits of one word for a key. Reading a slot among 10 million entries takes ten
// times as long as the rest of a look-up, because the slots do not fit into the cache of a
// processor. The first filter does. In a full Set it excludes eleven of twelve absent keys, and
// the second one eleven of twelve of the others.
//
// The highest bits of a place select the word, as they select the shard, so shards do not share
// words. At every moment the words contain all entries in force: a move overwrites each word at
// once.
type filter struct {
	words [2][]atomic.Uint64
	shift uint
}

// entriesPerWord is the average number of keys per word in a full Set, at most.
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
type tally [kinds]int64

// insert adds an entry with a new key. If the table is too small it moves the shard, which removes
// expired entries, and returns their number.
func (sh *shard) insert(e Entry, now int64) (dropped tally) {
	t := sh.table.Load()
	if t == nil || sh.used+1 > len(t.slots)/4*3 {
		dropped = sh.move(now, 1)
		t = sh.table.Load()
	}
	sh.filter.add(e.Key.Place)
	t.add(e)
	sh.used++
	if e.Until < sh.soonest.Load() {
		sh.soonest.Store(e.Until)
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
			e := Entry{Key{s.name.Load(), s.place.Load()}, s.until.Load(), s.cutOff.Load()}
			switch {
			case e.Key.Name == 0:
			case e.Until > now:
				t.add(e)
				i, b := sh.filter.indexInSlice(e.Key.Place), filterBits(e.Key.Place)
				words[i][0] |= b[0]
				words[i][1] |= b[1]
			default:
				dropped[e.Key.kind()]++
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
