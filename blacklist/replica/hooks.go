package replica

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// OnChange registers f. It is called after the content of the copy has changed (records, a
// snapshot, a mark, a revocation of this process), and after the copy became older than the bound
// or was read again. After a call, a look-up sees what changed.
//
// f must return at once: records wait for it. It may be called from several goroutines at the same
// time, and must not call methods of the Replica; it sends to a channel, for example. stop ends the
// calls; one may still run when it returns.
func (r *Replica) OnChange(f func()) (stop func()) { return r.hooks.add(f) }

// OnDelay registers f for metrics. It is called for each record of the feed that has a time, with
// the time from written to applied. f must return at once and must not call methods of the Replica.
// stop ends the calls; one may still run when it returns.
func (r *Replica) OnDelay(f func(delay time.Duration)) (stop func()) { return r.stats.onDelay.add(f) }

// hooks is a list of functions of one type. Calls take no lock.
type hooks[F any] struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*F]
}

// add adds f and returns a function that removes it.
func (h *hooks[F]) add(f F) (remove func()) {
	added := &f
	h.change(func(list []*F) []*F { return append(list, added) })
	return func() {
		h.change(func(list []*F) []*F {
			return slices.DeleteFunc(list, func(other *F) bool { return other == added })
		})
	}
}

func (h *hooks[F]) change(edit func([]*F) []*F) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*F
	if old := h.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = edit(list)
	h.list.Store(&list)
}

// call calls each function by means of one.
func (h *hooks[F]) call(one func(F)) {
	if list := h.list.Load(); list != nil {
		for _, f := range *list {
			one(*f)
		}
	}
}

// changed calls the functions of OnChange.
func (r *Replica) changed() { r.hooks.call(func(f func()) { f() }) }
