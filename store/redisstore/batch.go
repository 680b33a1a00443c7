package redisstore

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxFlights is how many batches are under way to one master at a time. Fewer would share more, and make a look-up
	// that comes while all are under way wait longer for the next.
	maxFlights = 4

	// maxBatch bounds a batch, and with it how many look-ups one connection that hangs can hold up.
	maxBatch = 128
)

// batcher lets look-ups that are under way at the same time share round trips. One that finds none under way goes out
// at once. Those that come meanwhile gather, and go out together as soon as there is a flight for them.
// There is no timer in it, and no goroutine but those of the flights.
//
// AutoPipeline of go-redis does not serve: it is experimental, does not heed the caller's deadline once a command is
// queued, and is one for all users of the client, any of whom may close it.
type batcher struct {
	send    func(ctx context.Context, node *redis.Client, batch []*mget) // fills in values and err of each
	timeout time.Duration                                                // of a flight
	log     *slog.Logger

	mu    sync.Mutex
	lines map[*redis.Client]*line // of the masters that have a flight
}

// line is what waits for one master. The batcher's mutex guards it.
type line struct {
	flights  int       // above 0 while anybody waits
	boarding bool      // one of them has not gone out yet
	waiting  []*flight // none of them is empty
}

// mget is the MGET of one look-up. While it flies values and err are the flight's, afterwards they are the caller's, who
// may have gone.
type mget struct {
	keys   []string
	values []any
	err    error
}

// flight is a batch: the look-ups that go out together.
type flight struct {
	batch  []*mget // the batcher's mutex guards it until the flight has left
	left   bool
	done   chan struct{} // closed when it is over
	failed atomic.Bool
}

// errUnanswered is what a look-up hears of a flight that ended without a word about it.
var errUnanswered = errors.New("the batch ended without an answer")

// sharedError is a failure that another look-up of the same flight has reported already. One connection that breaks is
// one failure for the breaker, however many look-ups were on it.
type sharedError struct{ error }

func (e sharedError) Unwrap() error { return e.error }

// get reads the keys with an MGET on the node. When ctx ends while others share the way it returns at once, and they do
// not notice. One that is alone goes in ctx itself: to hand it to a goroutine, which could be left behind, would make it
// slower.
func (b *batcher) get(ctx context.Context, node *redis.Client, keys []string) ([]any, error) {
	m := &mget{keys: keys, err: errUnanswered}
	l, f := b.join(node, m)
	if f == nil {
		defer b.land(node, l)
		b.send(ctx, node, []*mget{m})
		return m.values, m.err
	}
	select {
	case <-f.done:
		return m.values, f.shared(m.err)
	case <-ctx.Done():
		if b.leave(l, f, m) {
			return nil, ctx.Err()
		}
		return nil, f.shared(ctx.Err())
	}
}

// shared marks the failures of a flight but the first. A caller who gave up has said nothing about the flight.
func (f *flight) shared(err error) error {
	if err != nil && !errors.Is(err, context.Canceled) && f.failed.Swap(true) {
		return sharedError{err}
	}
	return err
}

// join puts m into the node's line and returns its flight, or none where nobody else is under way.
func (b *batcher) join(node *redis.Client, m *mget) (*line, *flight) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lines[node]
	if l == nil {
		l = &line{flights: 1}
		b.lines[node] = l
		return l, nil
	}
	f := l.open()
	f.batch = append(f.batch, m)
	if l.flights < maxFlights && !l.boarding {
		l.flights++
		l.boarding = true
		go b.fly(node, l)
	}
	return l, f
}

// open returns the flight that takes whoever comes now: the first with a free place, so that those who left leave no holes.
func (l *line) open() *flight {
	for _, f := range l.waiting {
		if len(f.batch) < maxBatch {
			return f
		}
	}
	f := &flight{done: make(chan struct{})}
	l.waiting = append(l.waiting, f)
	return f
}

// leave takes m out of the line, and reports whether it was still in it: a line is never longer than its callers are many.
func (b *batcher) leave(l *line, f *flight, m *mget) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.left {
		return false
	}
	f.batch = slices.DeleteFunc(f.batch, func(other *mget) bool { return other == m })
	if len(f.batch) == 0 {
		l.waiting = slices.DeleteFunc(l.waiting, func(other *flight) bool { return other == f })
	}
	return true
}

// fly takes a batch to the node and back.
func (b *batcher) fly(node *redis.Client, l *line) {
	defer b.land(node, l)
	runtime.Gosched() // whoever is ready to run may be about to join
	f := b.board(l)
	if f == nil {
		return
	}
	defer func() {
		// A panic of a client's hook would end the process from here: no server recovers for this goroutine.
		if p := recover(); p != nil {
			b.log.Error("redisstore: a hook of the client panicked", "stack", string(debug.Stack()))
			for _, m := range f.batch {
				m.values, m.err = nil, errUnanswered
			}
		}
		close(f.done)
	}()
	// A context of its own: no caller's cancellation, deadline or trace is another's.
	ctx, cancel := context.WithTimeout(context.Background(), b.timeout)
	defer cancel()
	b.send(ctx, node, f.batch)
}

// board takes those who have waited longest out of the line.
func (b *batcher) board(l *line) *flight {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.boarding = false
	if len(l.waiting) == 0 {
		return nil
	}
	f := l.waiting[0]
	f.left = true
	l.waiting = slices.Delete(l.waiting, 0, 1)
	return f
}

// land ends a flight. If anybody waits and no other flight is about to take them, the next begins.
func (b *batcher) land(node *redis.Client, l *line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(l.waiting) > 0 && !l.boarding {
		l.boarding = true
		go b.fly(node, l)
		return
	}
	if l.flights--; l.flights == 0 {
		delete(b.lines, node)
	}
}
