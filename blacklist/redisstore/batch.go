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
// at once. Those that come meanwhile gather, and go out together in one pipeline as soon as there is a flight for them.
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
	flights  int  // above 0 while anybody waits
	boarding bool // one of them has not gone out yet
	waiting  []*mget
}

// mget is the MGET of one look-up. While it flies values and err are the flight's, afterwards they are the caller's, who
// may have gone.
type mget struct {
	keys   []string
	flight *flight
	done   chan struct{}
	values []any
	err    error
}

// flight is what the look-ups of a batch have in common.
type flight struct{ failed atomic.Bool }

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
	l, alone := b.join(node, m)
	if alone {
		defer b.land(node, l)
		b.send(ctx, node, []*mget{m})
		return m.values, m.err
	}
	select {
	case <-m.done:
		return m.values, m.shared(m.err)
	case <-ctx.Done():
		b.leave(l, m)
		return nil, m.shared(ctx.Err())
	}
}

// shared marks the failures of a flight but the first. A caller who gave up has said nothing about the flight.
func (m *mget) shared(err error) error {
	if err != nil && !errors.Is(err, context.Canceled) && m.flight != nil && m.flight.failed.Swap(true) {
		return sharedError{err}
	}
	return err
}

// join puts m into the node's line, unless nobody else is under way.
func (b *batcher) join(node *redis.Client, m *mget) (l *line, alone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l = b.lines[node]
	if l == nil {
		l = &line{flights: 1}
		b.lines[node] = l
		return l, true
	}
	m.done = make(chan struct{})
	l.waiting = append(l.waiting, m)
	if l.flights < maxFlights && !l.boarding {
		l.flights++
		l.boarding = true
		go b.fly(node, l)
	}
	return l, false
}

// leave takes m out of the line, if it is still in it: a line is never longer than its callers are many.
func (b *batcher) leave(l *line, m *mget) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(l.waiting, m); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
}

// fly takes a batch to the node and back.
func (b *batcher) fly(node *redis.Client, l *line) {
	defer b.land(node, l)
	runtime.Gosched() // whoever is ready to run may be about to join
	batch := b.board(l)
	if len(batch) == 0 {
		return
	}
	defer func() {
		// A panic of a client's hook would end the process from here: no server recovers for this goroutine.
		if p := recover(); p != nil {
			b.log.Error("redisstore: a hook of the client panicked", "stack", string(debug.Stack()))
			for _, m := range batch {
				m.values, m.err = nil, errUnanswered
			}
		}
		for _, m := range batch {
			close(m.done)
		}
	}()
	// A context of its own: no caller's cancellation, deadline or trace is another's.
	ctx, cancel := context.WithTimeout(context.Background(), b.timeout)
	defer cancel()
	b.send(ctx, node, batch)
}

// board takes those who have waited longest out of the line.
func (b *batcher) board(l *line) []*mget {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.boarding = false
	batch := l.waiting
	if len(batch) > maxBatch {
		batch, l.waiting = slices.Clone(batch[:maxBatch]), slices.Delete(batch, 0, maxBatch)
	} else {
		l.waiting = nil
	}
	f := &flight{}
	for _, m := range batch {
		m.flight = f
	}
	return batch
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
