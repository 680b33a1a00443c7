// Package hooks has a list of functions that are called together.
package hooks

import (
	"slices"
	"sync"
	"sync/atomic"
)

// List is a list of functions. It is safe for concurrent use, and calls take no lock. The zero value
// is an empty list.
type List struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*func()]
}

// Add adds f. stop removes it; one call may still run when it returns.
func (l *List) Add(f func()) (stop func()) {
	added := &f
	l.change(func(list []*func()) []*func() { return append(list, added) })
	return func() {
		l.change(func(list []*func()) []*func() {
			return slices.DeleteFunc(list, func(other *func()) bool { return other == added })
		})
	}
}

// Call calls the functions in the order in which they were added.
func (l *List) Call() {
	if list := l.list.Load(); list != nil {
		for _, f := range *list {
			(*f)()
		}
	}
}

func (l *List) change(edit func([]*func()) []*func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*func()
	if old := l.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = edit(list)
	l.list.Store(&list)
}
