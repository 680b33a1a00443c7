package blacklist

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
)

// The entries of a Memory are in shards, each a hash table with open addressing. A Go map would not do: it never gives
// memory back, moves all of itself at once, and needs a lock for a look-up.
//
// A look-up reads a table without a lock, which works because of what writers, who hold the shard's lock, leave alone:
// a slot's key is written once, before the slot can be found, and a table's slots never become free again. Entries leave
// when the shard moves those in force to a new table; a look-up that still reads the old one began before the move.

// key is the hash of what an entry is about. The low bits of a are its kind, so that it is never zero, keys of two
// kinds never meet, and what leaves can be counted by kind.
type key struct{ a, b uint64 }

const kindBits = 7

func (k key) kind() Kind { return Kind(k.a & kindBits) }

// key returns the key of an entry of the kind for the token, from the same parts as [KeyOf].
func (h *hasher) key(kind Kind, id *Identity) key {
	switch kind {
	case Token:
		return h.hash(kind, id.Verifier, id.ID, "")
	case Session:
		return h.hash(kind, id.Verifier, id.Subject, id.Session)
	case Subject:
		return h.hash(kind, id.Verifier, id.Subject, "")
	default:
		return h.hash(kind, id.Verifier, "", "")
	}
}

// hash hashes three parts, each but the last after its length, so that no two different triples are written alike. The
// kind is put into the result.
func (h *hasher) hash(kind Kind, p, q, r string) key {
	var short [128]byte
	var k key
	if 16+len(p)+len(q)+len(r) <= len(short) {
		buf := binary.LittleEndian.AppendUint64(short[:0], uint64(len(p)))
		buf = append(buf, p...)
		buf = binary.LittleEndian.AppendUint64(buf, uint64(len(q)))
		buf = append(buf, q...)
		buf = append(buf, r...)
		k = key{maphash.Bytes(h[0], buf), maphash.Bytes(h[1], buf)}
	} else {
		k = key{hashLong(h[0], p, q, r), hashLong(h[1], p, q, r)}
	}
	k.a = k.a&^kindBits | uint64(kind)
	return k
}

// hashLong hashes parts of any length without copying them.
func hashLong(seed maphash.Seed, p, q, r string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	var length [8]byte
	for _, part := range [...]string{p, q} {
		binary.LittleEndian.PutUint64(length[:], uint64(len(part)))
		_, _ = h.Write(length[:]) // never fails
		_, _ = h.WriteString(part)
	}
	_, _ = h.WriteString(r)
	return h.Sum64()
}

// entry is a revocation in milliseconds.
type entry struct {
	key           key
	until, cutOff int64
}

// slot holds an entry, or nothing while a is zero. Two fill a cache line.
type slot struct {
	a, b          atomic.Uint64
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

// find returns the slot of the key, or nil; a nil table has none.
func (t *table) find(k key) *slot {
	if t == nil {
		return nil
	}
	for i := k.b; ; i++ {
		s := &t.slots[i&t.mask]
		switch a := s.a.Load(); {
		case a == 0:
			return nil
		case a == k.a && s.b.Load() == k.b:
			return s
		}
	}
}

// add puts an entry, whose key is not there, into a free slot.
func (t *table) add(e entry) {
	i := e.key.b
	for t.slots[i&t.mask].a.Load() != 0 {
		i++
	}
	s := &t.slots[i&t.mask]
	s.cutOff.Store(e.cutOff)
	s.until.Store(e.until)
	s.b.Store(e.key.b)
	s.a.Store(e.key.a) // last: from here on look-ups find it
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
	_       [32]byte // a cache line to each shard
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
			if s.a.Load() == 0 {
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
	if old := sh.table.Load(); old != nil {
		for i := range old.slots {
			s := &old.slots[i]
			e := entry{key{s.a.Load(), s.b.Load()}, s.until.Load(), s.cutOff.Load()}
			switch {
			case e.key.a == 0:
			case e.until > now:
				t.add(e)
			default:
				dropped[e.key.kind()]++
			}
		}
	}
	sh.used = inForce
	sh.soonest.Store(soonest)
	sh.table.Store(t)
	return dropped
}
