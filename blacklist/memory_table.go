package blacklist

import (
	"hash/maphash"
	"math"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// The entries of a Memory are in shards, each a hash table with open addressing. A Go map would not do: it never gives
// memory back, moves all of itself at once, and needs a lock for a look-up.
//
// A look-up reads a table without a lock, which works because of what writers, who hold the shard's lock, leave alone:
// a slot's key is written once, before the slot can be found, and a table's slots never become free again. Entries leave
// when the shard moves those in force to a new table; a look-up that still reads the old one began before the move.

// key stands for what an entry is about: 128 bits of hash with seeds of the process, in place of the 256 of [Key],
// because two identities that fall together by chance, one in 10^24 at 10 million entries, would only refuse a token that
// was not revoked.
//
// The place says where the entry is: the highest bits its shard and its words in the filter, the others its slot and its
// bits in those words. The low bits of the name are the kind, so that no name is zero, names of two kinds never meet, and what
// leaves can be counted by kind.
type key struct{ name, place uint64 }

const kindBits = 7

func (k key) kind() Kind { return Kind(k.name & kindBits) }

// keyMaker makes keys, of the same parts as [KeyOf]. Each part is hashed by itself, so that it does not matter where one
// ends and the next begins.
type keyMaker struct{ name, place hasher }

func newKeyMaker() keyMaker { return keyMaker{newHasher(), newHasher()} }

func (m *keyMaker) key(kind Kind, id *Identity) key {
	return key{m.nameOf(kind, id), m.place.hash(kind, m.place.text(id.Verifier), id)}
}

func (m *keyMaker) nameOf(kind Kind, id *Identity) uint64 {
	return m.name.hash(kind, m.name.text(id.Verifier), id)&^kindBits | uint64(kind)
}

// hasher is one seeded hash of the parts, which are summed up with odd factors of their own.
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

// hash returns the hash for the kind; v is the verifier's.
func (h *hasher) hash(kind Kind, v uint64, id *Identity) uint64 {
	sum := uint64(kind)*h.factors[0] + v*h.factors[1]
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

// entry is a revocation in milliseconds.
type entry struct {
	key           key
	until, cutOff int64
}

// slot holds an entry, or nothing while the name is zero. Two fill a cache line.
type slot struct {
	name, place   atomic.Uint64
	until, cutOff atomic.Int64
}

// covers reports whether the entry is in force at now for a session begun at start. It reads the end first and merge
// writes it last: with a new end it never sees an old cut-off.
func (s *slot) covers(now, start int64) bool { return s.until.Load() > now && s.cutOff.Load() >= start }

// merge puts e in force in the slot of its key, and reports whether it was before. The later end and the later cut-off
// win over an entry in force; an expired one counts for nothing.
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

// table is a hash table of 2^n slots, of which some are always free, so that every search ends.
type table struct {
	slots []slot
	mask  uint64
}

func newTable(slots int) *table { return &table{slots: make([]slot, slots), mask: uint64(slots - 1)} }

// find returns the slot of the key, or nil. A nil table has none.
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

// add puts an entry, whose key is not there, into a free slot.
func (t *table) add(e entry) {
	i := e.key.place
	for t.slots[i&t.mask].name.Load() != 0 {
		i++
	}
	s := &t.slots[i&t.mask]
	s.cutOff.Store(e.cutOff)
	s.until.Store(e.until)
	s.place.Store(e.key.place)
	s.name.Store(e.key.name) // last: from here on look-ups find it
}

// filter answers for nearly all keys that are not there: two Bloom filters, each with three bits of one word for a key.
// To reach the slots of 10 million entries takes ten times as long as everything else in a look-up, because a processor's
// cache cannot hold them. It can hold the first filter, which in a full Memory lets one key in twelve pass that is not
// there; of those, the second one lets one in twelve pass.
//
// The highest bits of a place choose the word, as they choose the shard, so that each shard has words of its own. A word
// shows all entries in force at every moment: a shard that moves writes the new words over the old ones.
type filter struct {
	words [2][]atomic.Uint64
	shift uint
}

// entriesPerWord is how many keys share a word at most, on average, in a full Memory.
const entriesPerWord = 12

func newFilter(capacity int) filter {
	logWords := bits.Len(uint(capacity-1) / entriesPerWord)
	f := filter{shift: uint(64 - logWords)}
	for i := range f.words {
		f.words[i] = make([]atomic.Uint64, 1<<logWords)
	}
	return f
}

// part returns the words for one of so many shards.
func (f *filter) part(i, shards int) filter {
	n := len(f.words[0]) / shards
	return filter{[2][]atomic.Uint64{f.words[0][i*n : (i+1)*n], f.words[1][i*n : (i+1)*n]}, f.shift}
}

// mayHave reports whether a key of the place may be there; false is certain. It is for the whole filter.
func (f *filter) mayHave(place uint64) bool {
	i, b := place>>f.shift, shown(place)
	return f.words[0][i].Load()&b[0] == b[0] && f.words[1][i].Load()&b[1] == b[1]
}

// inPart returns the number of the place's words in the part that has them.
func (f *filter) inPart(place uint64) uint64 { return place >> f.shift & uint64(len(f.words[0])-1) }

// show makes the part show the place.
func (f *filter) show(place uint64) {
	i, b := f.inPart(place), shown(place)
	f.words[0][i].Or(b[0])
	f.words[1][i].Or(b[1])
}

// shown returns the bits that show a place in its two words.
func shown(place uint64) [2]uint64 {
	return [2]uint64{
		1<<(place>>20&63) | 1<<(place>>26&63) | 1<<(place>>32&63),
		1<<(place&63) | 1<<(place>>6&63) | 1<<(place>>12&63),
	}
}

// slotsFor returns how many slots to give n entries: at most three quarters get used, and an eighth more entries than n
// fit, so that a table is not moved again at once. From 43 to 96 bytes an entry, 67 on average.
func slotsFor(n int) int {
	slots := 8
	for n+n/8+1 > slots/4*3 {
		slots *= 2
	}
	return slots
}

// shard is a part of the entries. Whoever changes it holds mu.
type shard struct {
	mu    sync.Mutex
	used  int // slots in use, by expired entries too
	table atomic.Pointer[table]
	// soonest is not after the end of any entry: before it, there is nothing to sweep.
	soonest atomic.Int64
	filter  filter   // its part of the whole one
	_       [40]byte // whole cache lines to each shard
}

// tally counts entries by kind.
type tally [Verifier + 1]int64

// insert adds an entry whose key is not there. Where it needs a larger table, expired entries leave; it returns them.
func (sh *shard) insert(e entry, now int64) (dropped tally) {
	t := sh.table.Load()
	if t == nil || sh.used+1 > len(t.slots)/4*3 {
		dropped = sh.move(now, 1)
		t = sh.table.Load()
	}
	sh.filter.show(e.key.place)
	t.add(e)
	sh.used++
	if e.until < sh.soonest.Load() {
		sh.soonest.Store(e.until)
	}
	return dropped
}

// sweep lets the expired entries leave, all of them or, unless all is set, only where they are a quarter at least and so
// worth a move.
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

// inForce returns how many entries are in force, and when the first of them ends.
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

// move puts the entries in force into a new table with room for so many more, and returns those that have left.
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
				i, b := sh.filter.inPart(e.key.place), shown(e.key.place)
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
