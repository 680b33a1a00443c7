package replica

import (
	"slices"
	"sync"
	"sync/atomic"
)

// OnChange registers f. It is called after the content of the copy has changed (records, a
// snapshot, a mark, a revocation of this process), and after the copy became older than the bound
// or was read again. After a call, a look-up sees what changed.
//
// f must return at once: records wait for it. It may be called from several goroutines at the same
// time, and must not call methods of the Replica; it sends to a channel, for example. stop ends the
// calls; one may still run when it returns.
func (r *Replica) OnChange(f func()) (stop func()) {
	h := &f
	r.hooks.change(func(list []*func()) []*func() { return append(list, h) })
	return func() {
		r.hooks.change(func(list []*func()) []*func() {
			return slices.DeleteFunc(list, func(other *func()) bool { return other == h })
		})
	}
}

// hooks is a list of functions. Calls take no lock.
type hooks struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*func()]
}

func (h *hooks) change(edit func([]*func()) []*func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*func()
	if old := h.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = edit(list)
	h.list.Store(&list)
}

func (h *hooks) call() {
	if list := h.list.Load(); list != nil {
		for _, f := range *list {
			(*f)()
		}
	}
}
