package sqlstore

import (
	"context"
	"sync"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// queues let the steps of this process that concern one row run one after the other. Steps that
// refresh one session at the same time then do not find that another one was faster, which would
// make them run again, and the steps that wait use no connection.
type queues struct {
	mu    sync.Mutex
	byKey map[blacklist.Key]*queue
}

type queue struct {
	turn  chan struct{} // has room for one
	users int
}

// wait waits for the turn of the caller, who ends it with done.
func (q *queues) wait(ctx context.Context, key blacklist.Key) (done func(), err error) {
	q.mu.Lock()
	if q.byKey == nil {
		q.byKey = map[blacklist.Key]*queue{}
	}
	row := q.byKey[key]
	if row == nil {
		row = &queue{turn: make(chan struct{}, 1)}
		q.byKey[key] = row
	}
	row.users++
	q.mu.Unlock()
	leave := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if row.users--; row.users == 0 {
			delete(q.byKey, key)
		}
	}
	select {
	case row.turn <- struct{}{}:
		return func() { <-row.turn; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
