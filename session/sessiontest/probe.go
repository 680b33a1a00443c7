package sessiontest

import (
	"context"
	"fmt"
	"sync"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// probe stands between a manager and its store and blacklist. Its functions are called around each
// call.
type probe struct {
	store session.Store
	list  blacklist.Blacklist

	mu sync.Mutex
	// before is called before a call. Its error is the answer, and the call is not made.
	before func(call string) error
	// after is called after a call that succeeded. Its error is the answer: the reply is lost.
	after func(call string) error
	// resend makes each transaction twice: the client of a store does that after a lost reply.
	resend bool
	// between is called once, between the two times that a transaction is made.
	between func()
	// foreground leaves out the calls of the manager's goroutines, which have no turn in a race.
	foreground bool
}

// foregroundKey is in the contexts of the suite, and not in those of the manager's goroutines.
type foregroundKey struct{}

// setTurns makes the function the turn of each call of the suite, and nil ends that.
func (p *probe) setTurns(turn func(call string) error) {
	p.set(turn, nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.foreground = turn != nil
}

// leavesOut reports whether nothing is called around a call with the context.
func (p *probe) leavesOut(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.foreground && ctx.Value(foregroundKey{}) == nil
}

func (p *probe) set(before, after func(call string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before, p.after = before, after
}

func (p *probe) setResend(resend bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resend = resend
}

func (p *probe) setBetween(between func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.between = between
}

// resends reports whether the transaction is made again, and calls between.
func (p *probe) resends() bool {
	p.mu.Lock()
	resend, between := p.resend || p.between != nil, p.between
	p.between = nil
	p.mu.Unlock()
	if between != nil {
		between()
	}
	return resend
}

func (p *probe) functions() (before, after func(call string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after = p.before, p.after
	if before == nil {
		before = func(string) error { return nil }
	}
	if after == nil {
		after = func(string) error { return nil }
	}
	return before, after
}

func (p *probe) do(ctx context.Context, call string, f func() error) error {
	if p.leavesOut(ctx) {
		return f()
	}
	before, after := p.functions()
	if err := before(call); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return after(call)
}

// probedStore is the store with the probe.
type probedStore struct{ *probe }

func (p *probedStore) Update(ctx context.Context, s session.Subject, step func(session.Tx) error) error {
	return p.do(ctx, "Update", func() error {
		err := p.store.Update(ctx, s, step)
		if err == nil && p.resends() {
			err = p.store.Update(ctx, s, step)
		}
		return err
	})
}

func (p *probedStore) List(ctx context.Context, s session.Subject, position string, limit int) (rows []session.Row, next string, err error) {
	err = p.do(ctx, "List", func() error {
		rows, next, err = p.store.List(ctx, s, position, limit)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return rows, next, nil
}

func (p *probedStore) Owed(ctx context.Context, limit int) ([]session.Row, error) {
	return p.store.Owed(ctx, limit)
}

func (p *probedStore) Forget(ctx context.Context, s session.Subject) error {
	return p.do(ctx, "Forget", func() error { return p.store.Forget(ctx, s) })
}

// probedList is the blacklist with the probe.
type probedList struct{ *probe }

func (p *probedList) Revoke(ctx context.Context, r blacklist.Revocation) (before bool, err error) {
	err = p.do(ctx, fmt.Sprint("Revoke ", r.Kind), func() error {
		before, err = p.list.Revoke(ctx, r)
		return err
	})
	return before && err == nil, err
}

func (p *probedList) IsRevoked(ctx context.Context, id blacklist.Identity) (revoked bool, err error) {
	err = p.do(ctx, "IsRevoked", func() error {
		revoked, err = p.list.IsRevoked(ctx, id)
		return err
	})
	return revoked && err == nil, err
}

// probedBoth is a store that is a blacklist, with the probe.
type probedBoth struct {
	*probedStore
	*probedList
}
