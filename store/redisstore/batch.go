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

// How look-ups share round trips:
//
// Each master has a queue while look-ups are sent to it. A look-up that finds no queue is sent at
// once, by the goroutine of its caller. One that finds a queue joins a batch in it. Up to maxActive
// senders work on a queue: each takes the oldest batch, sends it, and hands over to the next
// sender. A sender is started when a look-up joins and fewer than maxActive are active, or when one
// finishes and batches wait. So there is no timer, and no goroutine but the senders.
//
// AutoPipeline of go-redis is not used: it is experimental, it ignores the caller's deadline once a
// command is queued, and all users of the client share it, any of whom may close it.

const (
	// maxActive is the number of senders of a queue. With fewer, more look-ups share a batch, and a
	// look-up that finds all of them active waits longer.
	maxActive = 4

	// maxBatch is the largest number of look-ups in a batch. It also bounds how many look-ups fail
	// when one connection hangs.
	maxBatch = 128
)

type batcher struct {
	send    func(ctx context.Context, node *redis.Client, queries []*query) // sets values and err of each
	timeout time.Duration                                                   // of a batch
	logger  *slog.Logger

	mu     sync.Mutex
	queues map[*redis.Client]*queue // of the masters that have an active sender
}

// queue contains the batches that wait for one master. The mutex of the batcher guards it.
type queue struct {
	active   int      // senders; above 0 while a batch waits
	starting bool     // a sender was started and has not taken its batch yet
	waiting  []*batch // none of them is empty
}

// query is the MGET of one look-up. The sender owns values and err until the batch is done, the
// caller afterwards.
type query struct {
	keys   []string
	values []any
	err    error
}

// batch is a number of queries that are sent together.
type batch struct {
	queries []*query // the mutex of the batcher guards it until the batch is taken
	taken   bool
	done    chan struct{} // closed when the batch has ended
	failed  atomic.Bool   // a query has reported the failure of the batch
}

// errUnanswered is the error of a query whose batch ended without a result for it.
var errUnanswered = errors.New("the batch ended without an answer")

// sharedError is a failure that another look-up of the same batch has reported before. The breaker
// counts the failure of a batch once.
type sharedError struct{ error }

func (e sharedError) Unwrap() error { return e.error }

// get reads the keys with an MGET on the node. When ctx ends while the query is part of a batch,
// get returns at once and the batch continues. A query that is sent alone uses ctx itself and the
// goroutine of the caller, which is faster than handing it to another goroutine.
func (b *batcher) get(ctx context.Context, node *redis.Client, keys []string) ([]any, error) {
	mget := &query{keys: keys, err: errUnanswered}
	q, joined := b.join(node, mget)
	if joined == nil {
		defer b.finish(node, q)
		b.send(ctx, node, []*query{mget})
		return mget.values, mget.err
	}
	select {
	case <-joined.done:
		return mget.values, joined.markShared(mget.err)
	case <-ctx.Done():
		if b.remove(q, joined, mget) {
			return nil, ctx.Err()
		}
		return nil, joined.markShared(ctx.Err())
	}
}

// markShared wraps all failures of a batch but the first in sharedError. A caller that cancelled
// its context does not report a failure of the batch.
func (b *batch) markShared(err error) error {
	if err != nil && !errors.Is(err, context.Canceled) && b.failed.Swap(true) {
		return sharedError{err}
	}
	return err
}

// join adds the query to the node's queue and returns its batch. The batch is nil if no sender is
// active: then the caller is the sender.
func (b *batcher) join(node *redis.Client, added *query) (*queue, *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[node]
	if q == nil {
		q = &queue{active: 1}
		b.queues[node] = q
		return q, nil
	}
	next := q.openBatch()
	next.queries = append(next.queries, added)
	if q.active < maxActive && !q.starting {
		q.active++
		b.startSender(node, q)
	}
	return q, next
}

// openBatch returns the first waiting batch with room, so that queries which left leave no gaps.
func (q *queue) openBatch() *batch {
	for _, waiting := range q.waiting {
		if len(waiting.queries) < maxBatch {
			return waiting
		}
	}
	next := &batch{done: make(chan struct{})}
	q.waiting = append(q.waiting, next)
	return next
}

// remove takes the query out of its batch. It reports whether the batch was still waiting.
func (b *batcher) remove(q *queue, from *batch, removed *query) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if from.taken {
		return false
	}
	from.queries = slices.DeleteFunc(from.queries, func(other *query) bool { return other == removed })
	if len(from.queries) == 0 {
		q.waiting = slices.DeleteFunc(q.waiting, func(other *batch) bool { return other == from })
	}
	return true
}

// startSender starts a sender. The caller holds the mutex and has counted the sender.
func (b *batcher) startSender(node *redis.Client, q *queue) {
	q.starting = true
	go b.sendNext(node, q)
}

// sendNext is a sender: it takes the oldest batch, sends it, and ends it.
func (b *batcher) sendNext(node *redis.Client, q *queue) {
	defer b.finish(node, q)
	runtime.Gosched() // goroutines that are ready to run may be about to join
	next := b.take(q)
	if next == nil {
		return
	}
	defer b.end(next)
	// No caller's cancellation, deadline or trace applies to the others in the batch.
	ctx, cancel := context.WithTimeout(context.Background(), b.timeout)
	defer cancel()
	b.send(ctx, node, next.queries)
}

// end is deferred by a sender. It recovers from a panic of a hook of the client, which would end
// the process, because no server recovers for this goroutine.
func (b *batcher) end(sent *batch) {
	if p := recover(); p != nil {
		b.logger.Error("redisstore: a hook of the client panicked", "stack", string(debug.Stack()))
		for _, each := range sent.queries {
			each.values, each.err = nil, errUnanswered
		}
	}
	close(sent.done)
}

// take removes the oldest batch from the queue. It returns nil if all callers have left.
func (b *batcher) take(q *queue) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	q.starting = false
	if len(q.waiting) == 0 {
		return nil
	}
	oldest := q.waiting[0]
	oldest.taken = true
	q.waiting = slices.Delete(q.waiting, 0, 1)
	return oldest
}

// finish ends a sender. If a batch waits and no other sender is about to take it, the next begins.
func (b *batcher) finish(node *redis.Client, q *queue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(q.waiting) > 0 && !q.starting {
		b.startSender(node, q)
		return
	}
	if q.active--; q.active == 0 {
		delete(b.queues, node)
	}
}
