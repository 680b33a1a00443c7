package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

const (
	// lookers is the number of callers that look up, in each process. While the store does not
	// answer, each may wait for the deadline of a look-up.
	lookers = 16
	// tick is the time between two looks for revocations that have become older than the bound.
	tick = 5 * time.Millisecond
	// randomPerTick is the number of revocations, of all earlier ones, that are presented in a tick.
	randomPerTick = 5
)

// presenting presents acknowledged revocations: each one as soon as it is older than the bound, and
// random ones of all that are older.
type presenting struct {
	*worker
	queue  chan int // slots
	over   atomic.Bool
	ticker sync.WaitGroup
	all    sync.WaitGroup
}

func (w *worker) startPresenting() *presenting {
	p := &presenting{worker: w, queue: make(chan int, lookers)}
	p.ticker.Go(p.choose)
	for range lookers {
		p.all.Go(func() {
			for slot := range p.queue {
				p.present(slot)
			}
		})
	}
	return p
}

func (p *presenting) stop() {
	p.over.Store(true)
	p.ticker.Wait()
	close(p.queue)
	p.all.Wait()
}

// choose passes slots to the callers.
func (p *presenting) choose() {
	var open, young, old []int // not acknowledged yet; not older than the bound; older
	next := 0
	for !p.over.Load() {
		for ; next < p.board.slots(); next++ {
			open = append(open, next)
		}
		open = slices.DeleteFunc(open, func(slot int) bool {
			state := p.board.state(slot)
			if state >= stateBefore {
				young = append(young, slot)
			}
			return state != stateFree && state != stateBegun
		})
		now := monotonic()
		young = slices.DeleteFunc(young, func(slot int) bool {
			due := now-p.board.state(slot) > int64(p.cfg.Bound)
			if due {
				p.queue <- slot
				old = append(old, slot)
			}
			return due
		})
		for range randomPerTick {
			if len(old) > 0 {
				p.queue <- old[rand.IntN(len(old))]
			}
		}
		p.lookUpOther()
		time.Sleep(tick)
	}
}

// present looks a revocation up.
func (p *presenting) present(slot int) {
	began := monotonic()
	var revoked bool
	var err error
	if located, ok := p.located.Load(slot); ok {
		revoked, err = p.copy.IsRevokedAt(context.Background(), located.(*blacklist.Located))
	} else {
		revoked, err = p.copy.IsRevoked(context.Background(), identity(slot, p.board.start(slot)))
	}
	p.judge(slot, began, revoked, err)
}

// locatedEach is of how many revocations one is looked up by its places, which the process knows
// from before the revocation: the copy has remembered that there was no entry.
const locatedEach = 16

// judge checks the answer of a look-up. A revocation that the store has lost is left out; the state
// of its slot is not a time.
func (w *worker) judge(slot int, began int64, revoked bool, err error) {
	w.counts.lookups.Add(1)
	state := w.board.state(slot)
	switch {
	case err != nil:
		w.counts.errors.Add(1)
	case !revoked && state >= stateBefore && began-state > int64(w.cfg.Bound):
		w.faults.add(violation{
			Kind: late, Slot: slot, Process: w.cfg.ID, After: time.Duration(began - state), Age: w.copy.Stats().Age,
		})
	}
}

// lookUpOther looks up a token that nobody has revoked.
func (w *worker) lookUpOther() {
	id := identity(rand.IntN(maxSlots), time.Now().Add(2*time.Hour))
	id.ID, id.Session, id.Subject, id.Issuer = id.ID+"-", id.Session+"-", id.Subject+"-", issuer
	if revoked, err := w.copy.IsRevoked(onlyCopy, id); err == nil && revoked {
		w.counts.refusedWrongly.Add(1)
	}
}

// lookUpAll looks up every acknowledged revocation, until each was answered, for 20 seconds. It
// returns how many were not.
func (w *worker) lookUpAll() (unanswered int) {
	deadline := time.Now().Add(20 * time.Second)
	for slot := range w.board.slots() {
		for w.board.state(slot) >= stateBefore {
			began := monotonic()
			revoked, err := w.copy.IsRevoked(context.Background(), identity(slot, w.board.start(slot)))
			w.judge(slot, began, revoked, err)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				unanswered++
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return unanswered
}

// lookUpVictims looks up one victim after the other, each until it is revoked. An answer that comes
// more than the bound after the revocation is wrong, also if the look-up began before it: the
// process was stopped meanwhile, and must not answer from an old copy.
func (w *worker) lookUpVictims() {
	for n := range maxVictims {
		id := victim(n)
		for {
			revoked, err := w.copy.IsRevoked(context.Background(), id)
			now := monotonic()
			w.counts.lookups.Add(1)
			if err != nil {
				w.counts.errors.Add(1)
				continue
			}
			if revoked {
				break
			}
			if at := w.board.victim(n); at != 0 && now-at > int64(w.cfg.Bound) {
				w.faults.add(violation{Kind: frozen, Slot: n, Process: w.cfg.ID, After: time.Duration(now - at)})
			}
		}
	}
}

// delays are the times from the return of Revoke in another process until the copy has the entry.
type delays struct {
	mu  sync.Mutex
	all []int32 // microseconds
}

// startDelays looks for the revocations of all processes after each change of the copy. An entry
// that comes before Revoke has returned has the delay 0. The store is not asked.
func (w *worker) startDelays() (stop func()) {
	changed := make(chan struct{}, 1)
	unhook := w.copy.OnChange(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		s := search{worker: w, found: make(map[int]int64), next: w.board.slots()}
		for {
			select {
			case <-changed:
				s.look()
			case <-over:
				return
			}
		}
	}()
	return func() {
		unhook()
		close(over)
		<-done
	}
}

// search finds out when the copy has an entry for the first time.
type search struct {
	*worker
	next    int
	missing []wanted
	found   map[int]int64 // slots of which Revoke has not returned
}

type wanted struct {
	slot    int
	located *blacklist.Located
}

func (s *search) look() {
	for ; s.next < s.board.slots() && s.board.state(s.next) != stateFree; s.next++ {
		if s.board.process(s.next) == s.cfg.ID {
			continue // in force at once
		}
		located := s.copy.Locate(identity(s.next, s.board.start(s.next)))
		if s.next%locatedEach == 0 {
			s.located.Store(s.next, located)
		}
		s.missing = append(s.missing, wanted{s.next, located})
	}
	s.missing = slices.DeleteFunc(s.missing, func(w wanted) bool {
		if state := s.board.state(w.slot); state == stateFailed || state == stateLost {
			return true
		}
		revoked, err := s.copy.IsRevokedAt(onlyCopy, w.located)
		if err != nil || !revoked {
			return false
		}
		s.found[w.slot] = monotonic()
		return true
	})
	s.delays.mu.Lock()
	defer s.delays.mu.Unlock()
	for slot, at := range s.found {
		if state := s.board.state(slot); state >= stateBefore {
			s.delays.all = append(s.delays.all, int32(min(max(0, at-state)/1000, 1<<31-1)))
			delete(s.found, slot)
		} else if state != stateBegun {
			delete(s.found, slot)
		}
	}
}

// quantiles are those of the delays of a process.
type quantiles struct {
	Count         int
	P50, P99, Max time.Duration
}

func (d *delays) quantiles() *quantiles {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) == 0 {
		return &quantiles{}
	}
	slices.Sort(d.all)
	at := func(q float64) time.Duration {
		return time.Duration(d.all[int(q*float64(len(d.all)-1))]) * time.Microsecond
	}
	return &quantiles{Count: len(d.all), P50: at(0.5), P99: at(0.99), Max: at(1)}
}

func (q quantiles) String() string {
	return ms(q.P50) + " / " + ms(q.P99) + " / " + ms(q.Max)
}

// ms returns milliseconds with three digits.
func ms(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'g', 3, 64)
}
