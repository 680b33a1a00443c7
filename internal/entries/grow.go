package entries

// Grown returns a Set with the capacity that has the entries of t that end after end. A Set does
// not grow: its filter is made for its capacity. Look-ups may go on in t meanwhile; nothing may
// write to it. The capacity must be at least the number of the entries.
func (t *Set) Grown(capacity int, end int64) *Set {
	grown := New(capacity, t.grace)
	for i := range t.shards {
		old := t.shards[i].table.Load()
		if old == nil {
			continue
		}
		for j := range old.slots {
			s := &old.slots[j]
			k := s.Key()
			if k.Name == 0 {
				continue
			}
			// The keys differ, so that nothing is merged and the time does not matter.
			if until, cutOff := s.Load(); until > end {
				grown.Put(Entry{Key: k, Until: until, CutOff: cutOff}, 0)
			}
		}
	}
	return grown
}
