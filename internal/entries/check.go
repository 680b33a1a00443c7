package entries

import "fmt"

// Check compares the counters of a Set with its content, and returns an error if they differ. It is
// for tests, while nothing else uses the Set.
func Check(t *Set) error {
	var total int64
	var byKind tally
	for i := range t.shards {
		used, err := t.checkShard(&t.shards[i], &byKind)
		if err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
		total += int64(used)
	}
	if n := t.count.Load(); total != n {
		return fmt.Errorf("%d entries, %d counted", total, n)
	}
	for kind, n := range byKind {
		if counted := t.ofKind[kind].Load(); n != counted {
			return fmt.Errorf("%d of kind %d, %d counted", n, kind, counted)
		}
	}
	return nil
}

func (t *Set) checkShard(sh *shard, byKind *tally) (used int, err error) {
	tab := sh.table.Load()
	if tab == nil {
		tab = &table{}
	}
	for i := range tab.slots {
		s := &tab.slots[i]
		k := s.Key()
		if k.Name == 0 {
			continue
		}
		used++
		byKind[k.kind()]++
		if !t.filter.mayContain(k.Place) || t.shardAt(k.Place) != sh {
			return used, fmt.Errorf("an entry is not in the filter, or is in a wrong shard")
		}
		if s.until.Load() < sh.soonest.Load() {
			return used, fmt.Errorf("an entry ends before soonest")
		}
	}
	if used > len(tab.slots)/4*3 {
		return used, fmt.Errorf("%d of %d slots used", used, len(tab.slots))
	}
	if used != sh.used {
		return used, fmt.Errorf("%d used, %d counted", used, sh.used)
	}
	return used, nil
}
