package replica

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Replica is a [blacklist.Blacklist] that answers look-ups from a copy of a store. The package
// documentation says what it promises. It is safe for concurrent use.
type Replica struct {
	feed  Feed
	cfg   config
	table *table

	// state is nil until the first snapshot is complete.
	state  atomic.Pointer[freshness]
	asking atomic.Int64 // look-ups that wait for the store
	closed atomic.Bool

	hooks  hooks[func()]
	stats  counters
	log    limitedLog
	ready  chan struct{} // closed when state is set
	stale  *time.Timer   // runs when the copy becomes too old
	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended
}

var (
	_ blacklist.Blacklist = (*Replica)(nil)
	_ blacklist.Pinger    = (*Replica)(nil)
	_ blacklist.Wrapper   = (*Replica)(nil)
	_ blacklist.InProcess = (*Replica)(nil)
	_ blacklist.Locator   = (*Replica)(nil)
)

var (
	errTooMany = unavailable("the copy cannot answer, and too many look-ups ask the store already", nil)
	errNotRead = unavailable("the first snapshot is not complete", nil)
)

// New returns a Replica of the store and begins to copy it in one goroutine. It does not wait:
// until the first snapshot is complete, look-ups ask the store. [Replica.Ready] waits for that. The
// caller closes the Replica, and then the store.
func New(feed Feed, opts ...Option) (*Replica, error) {
	if feed == nil {
		return nil, errors.New("replica: New needs a store with a feed")
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Replica{
		feed: feed, cfg: cfg, table: newTable(feed, cfg.capacity),
		log:   limitedLog{logger: cfg.logger},
		ready: make(chan struct{}), cancel: cancel, done: make(chan struct{}),
	}
	r.stats.snapshots = make(map[Reason]uint64)
	r.stale = time.AfterFunc(cfg.bound, r.becameStale)
	go r.run(ctx)
	return r, nil
}

// Revoke implements [blacklist.Blacklist]. It records the revocation in the store and then in the
// copy, so that it is in force in this process at once. Errors are those of the store.
func (r *Replica) Revoke(ctx context.Context, rev blacklist.Revocation) (before bool, err error) {
	if err := r.usable(ctx); err != nil {
		return false, err
	}
	before, err = r.feed.Revoke(ctx, rev)
	if err != nil {
		return false, err
	}
	r.table.record(rev, r.state.Load().time(r.cfg.clock.now()))
	r.changed()
	return before, nil
}

// IsRevoked implements [blacklist.Blacklist]. It answers from the copy. It asks the store if the
// copy is older than the bound, or full, or if it contains an entry that ended a moment ago. An
// error wraps [blacklist.ErrUnavailable], unless the context ended or the Replica was closed.
//
// A token that the copy covers is revoked, whatever the age of the copy.
func (r *Replica) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	return r.isRevoked(ctx, &id, nil)
}

// Locate implements [blacklist.Locator].
func (r *Replica) Locate(id blacklist.Identity) *blacklist.Located {
	return r.table.places.Locate(r, id)
}

// IsRevokedAt implements [blacklist.Locator].
func (r *Replica) IsRevokedAt(ctx context.Context, located *blacklist.Located) (bool, error) {
	return r.isRevoked(ctx, &located.Identity, located)
}

func (r *Replica) isRevoked(ctx context.Context, id *blacklist.Identity, located *blacklist.Located) (bool, error) {
	if err := r.usable(ctx); err != nil {
		return false, err
	}
	// The order matters. A process may be suspended between any two steps. The age is that of the
	// copy before the look-up, at the time after the look-up.
	state := r.state.Load()
	until, covered := r.table.covered(id, located)
	now := r.cfg.clock.now()
	if covered {
		if until > state.time(now) {
			return true, nil
		}
	} else if r.answers(state, now) {
		return false, nil
	}
	return r.ask(ctx, *id)
}

// IsRevokedNow is IsRevoked for a decision that cannot wait for the bound: a token that the copy does
// not cover is looked up in the store too.
func (r *Replica) IsRevokedNow(ctx context.Context, id blacklist.Identity) (bool, error) {
	if err := r.usable(ctx); err != nil {
		return false, err
	}
	if until, covered := r.table.covered(&id, nil); covered && until > r.state.Load().time(r.cfg.clock.now()) {
		return true, nil
	}
	return r.feed.IsRevoked(ctx, id)
}

// Recorded puts a revocation into the copy that was recorded in the store by another way than
// Revoke, such as a transaction of the store, so that it is in force in this process at once.
func (r *Replica) Recorded(rev blacklist.Revocation) {
	r.table.record(rev, r.state.Load().time(r.cfg.clock.now()))
	r.changed()
}

// answers reports whether what the copy does not contain was not recorded before the bound.
func (r *Replica) answers(state *freshness, now instant) bool {
	return state != nil && now.since(state.began) <= r.cfg.bound && r.table.overflows.Load() == state.overflows
}

// ask looks up the token in the store.
func (r *Replica) ask(ctx context.Context, id blacklist.Identity) (bool, error) {
	if r.asking.Add(1) > int64(r.cfg.lookups) {
		r.asking.Add(-1)
		r.stats.refused.Add(1)
		return false, errTooMany
	}
	defer r.asking.Add(-1)
	r.stats.asked.Add(1)
	inTime, cancel := context.WithTimeout(ctx, r.cfg.lookupTimeout)
	defer cancel()
	revoked, err := r.feed.IsRevoked(inTime, id)
	switch {
	case err == nil:
		return revoked, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, blacklist.ErrUnavailable):
		return false, err
	}
	return false, unavailable("the copy cannot answer, and the store did not either", err)
}

// InProcess says that the validator needs no deadline for look-ups: most do not wait, and one that
// asks the store has the deadline of [WithLookupTimeout].
func (r *Replica) InProcess() {}

// Unwrap returns the store.
func (r *Replica) Unwrap() blacklist.Blacklist { return r.feed }

// Ping implements [blacklist.Pinger]. It returns an error until the first snapshot is complete,
// and then that of the store: without it, revocations fail at once and look-ups after the bound.
func (r *Replica) Ping(ctx context.Context) error {
	if err := r.usable(ctx); err != nil {
		return err
	}
	if r.state.Load() == nil {
		return errNotRead
	}
	return blacklist.Ping(ctx, r.feed)
}

// Ready waits until the first snapshot is complete, so that the copy answers. It returns the error
// of the context, or [blacklist.ErrClosed] after Close.
func (r *Replica) Ready(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	case <-r.done:
		return blacklist.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the goroutine and makes every later call return [blacklist.ErrClosed]. It does not
// close the store. It returns nil, also when it is called again.
func (r *Replica) Close() error {
	r.closed.Store(true)
	r.cancel()
	<-r.done
	r.stale.Stop()
	return nil
}

// usable returns the error of a done context or a closed Replica.
func (r *Replica) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.closed.Load() {
		return blacklist.ErrClosed
	}
	return nil
}

// failure is an error with a fixed text. It wraps blacklist.ErrUnavailable and the cause.
type failure struct {
	text  string
	cause error
}

func unavailable(text string, cause error) error { return &failure{text, cause} }

func (f *failure) Error() string { return "replica: " + f.text }

func (f *failure) Unwrap() []error {
	if f.cause == nil {
		return []error{blacklist.ErrUnavailable}
	}
	return []error{blacklist.ErrUnavailable, f.cause}
}
