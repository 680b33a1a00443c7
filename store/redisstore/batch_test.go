package redisstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// testBatcher is a batcher whose batches stay pending until the test completes them.
type testBatcher struct {
	batcher
	node *redis.Client

	mu      sync.Mutex
	pending []*sentBatch
	most    int // the largest number of pending batches
}

// sentBatch is one call of send.
type sentBatch struct {
	ctx  context.Context
	keys []string // the first of each query
	end  chan func(queries []*query)
}

func newTestBatcher() *testBatcher {
	a := &testBatcher{node: &redis.Client{}}
	a.batcher = batcher{send: a.hold, timeout: time.Minute, logger: discard(), queues: make(map[*redis.Client]*queue)}
	return a
}

func (a *testBatcher) hold(ctx context.Context, _ *redis.Client, queries []*query) {
	sent := &sentBatch{ctx: ctx, end: make(chan func([]*query))}
	for _, q := range queries {
		sent.keys = append(sent.keys, q.keys[0])
	}
	a.mu.Lock()
	a.pending = append(a.pending, sent)
	a.most = max(a.most, len(a.pending))
	a.mu.Unlock()
	(<-sent.end)(queries)
}

// complete answers the oldest pending batch with how, and returns it.
func (a *testBatcher) complete(t *testing.T, how func(queries []*query)) *sentBatch {
	t.Helper()
	synctest.Wait()
	a.mu.Lock()
	if len(a.pending) == 0 {
		t.Fatal("no batch is pending")
	}
	sent := a.pending[0]
	a.pending = a.pending[1:]
	a.mu.Unlock()
	sent.end <- how
	synctest.Wait()
	return sent
}

// echo answers each query with its key.
func echo(queries []*query) {
	for _, q := range queries {
		q.values, q.err = []any{q.keys[0]}, nil
	}
}

func fail(queries []*query) {
	for _, q := range queries {
		q.err = errReplyFormat
	}
}

// call is a look-up that was started.
type call struct {
	key    string
	done   bool
	values []any
	err    error
}

func (a *testBatcher) begin(ctx context.Context, key string) *call {
	c := &call{key: key}
	go func() {
		c.values, c.err = a.get(ctx, a.node, []string{key})
		c.done = true
	}()
	synctest.Wait()
	return c
}

func (a *testBatcher) beginAll(ctx context.Context, n int) []*call {
	calls := make([]*call, n)
	for i := range calls {
		calls[i] = a.begin(ctx, fmt.Sprint(i))
	}
	return calls
}

// mustAnswer checks that each call has the answer to its own key.
func mustAnswer(t *testing.T, calls ...*call) {
	t.Helper()
	for _, c := range calls {
		if !c.done || c.err != nil || !slices.Equal(c.values, []any{c.key}) {
			t.Errorf("call %s: done %v, %v, %v", c.key, c.done, c.values, c.err)
		}
	}
}

// mustBeIdle checks that no queue and no batch is left.
func (a *testBatcher) mustBeIdle(t *testing.T) {
	t.Helper()
	if len(a.queues) != 0 || len(a.pending) != 0 {
		t.Errorf("%d queues and %d batches are left after all calls", len(a.queues), len(a.pending))
	}
}

func sizes(batches []*sentBatch) (n []int) {
	for _, sent := range batches {
		n = append(n, len(sent.keys))
	}
	return n
}

// TestBatchSizes: look-ups are sent at once until maxActive batches are pending. Later look-ups are
// sent together, at most maxBatch of them.
func TestBatchSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestBatcher()
		for range 3 {
			calls := a.beginAll(t.Context(), maxActive+maxBatch+1)
			if got := sizes(a.pending); !slices.Equal(got, slices.Repeat([]int{1}, maxActive)) {
				t.Fatalf("batches of %v are pending at first", got)
			}
			a.complete(t, echo)
			mustAnswer(t, calls[0])
			if calls[1].done {
				t.Error("a call has an answer before its batch is completed")
			}
			a.complete(t, echo)
			if got := sizes(a.pending); !slices.Equal(got, []int{1, 1, maxBatch, 1}) {
				t.Fatalf("batches of %v are pending then", got)
			}
			for range maxActive {
				a.complete(t, echo)
			}
			mustAnswer(t, calls...)
			a.mustBeIdle(t)
		}
		if a.most != maxActive {
			t.Errorf("%d batches were pending at once, want %d", a.most, maxActive)
		}
	})
}

// TestLookUpSentAloneUsesCallerContext: a single look-up is sent with the context of its caller.
func TestLookUpSentAloneUsesCallerContext(t *testing.T) {
	type key struct{}
	a := newTestBatcher()
	ctx := context.WithValue(t.Context(), key{}, "trace")
	a.send = func(got context.Context, _ *redis.Client, queries []*query) {
		if got != ctx || len(queries) != 1 {
			t.Error("the look-up is sent with another context, or with others")
		}
		echo(queries)
	}
	values, err := a.get(ctx, a.node, []string{"a"})
	mustAnswer(t, &call{"a", true, values, err})
	a.mustBeIdle(t)
}

func TestEachMasterHasItsOwnQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestBatcher()
		first := a.beginAll(t.Context(), maxActive+2)
		a.node = &redis.Client{}
		second := a.beginAll(t.Context(), maxActive)
		if got := sizes(a.pending); len(got) != 2*maxActive || slices.Max(got) != 1 {
			t.Errorf("batches of %v are pending", got)
		}
		for len(a.pending) > 0 {
			a.complete(t, echo)
		}
		mustAnswer(t, append(first, second...)...)
		a.mustBeIdle(t)
	})
}

// TestCallerLeavesItsBatch: a caller whose context ends returns at once, from a waiting and from a
// sent batch. The other look-ups of the batch continue.
func TestCallerLeavesItsBatch(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		a := newTestBatcher()
		stay := a.beginAll(t.Context(), maxActive)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "trace"))
		short, cancelShort := context.WithTimeout(t.Context(), time.Second)
		defer cancelShort()
		inSent := a.begin(ctx, "in a sent batch")
		stay = append(stay, a.begin(t.Context(), "in the same sent batch"))
		a.complete(t, echo)
		inWaiting := a.begin(ctx, "in a waiting batch")
		withDeadline := a.begin(short, "with a deadline")
		stay = append(stay, a.begin(t.Context(), "in the same waiting batch"))

		begun := time.Now()
		cancel()
		synctest.Wait()
		for _, c := range []*call{inSent, inWaiting} {
			if !c.done || !errors.Is(c.err, context.Canceled) || c.values != nil {
				t.Errorf("%s: done %v, %v, %v", c.key, c.done, c.values, c.err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !withDeadline.done || !errors.Is(withDeadline.err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("with a deadline: done %v, %v, after %v", withDeadline.done, withDeadline.err, time.Since(begun))
		}
		if l := a.queues[a.node]; len(l.waiting) != 1 || len(l.waiting[0].queries) != 1 {
			t.Errorf("%d batches wait, want one with one query", len(l.waiting))
		}
		shared := a.pending[len(a.pending)-1]
		if !slices.Equal(shared.keys, []string{"in a sent batch", "in the same sent batch"}) || shared.ctx.Err() != nil || shared.ctx.Value(key{}) != nil {
			t.Errorf("the batch of %q ends with its first caller, or has its trace: %v", shared.keys, shared.ctx)
		}
		for len(a.pending) > 0 {
			if sent := a.complete(t, echo); slices.Contains(sent.keys, inWaiting.key) || slices.Contains(sent.keys, withDeadline.key) {
				t.Errorf("%q is sent after its callers left", sent.keys)
			}
		}
		mustAnswer(t, stay...)
		a.mustBeIdle(t)
	})
}

// TestEmptyBatchIsNotSent: after all callers of the waiting batches have left, nothing is sent.
func TestEmptyBatchIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestBatcher()
		stay := a.beginAll(t.Context(), maxActive)
		ctx, cancel := context.WithCancel(t.Context())
		a.beginAll(ctx, maxBatch+2)
		cancel()
		synctest.Wait()
		if n := len(a.queues[a.node].waiting); n != 0 {
			t.Errorf("%d batches wait without a caller", n)
		}
		for len(a.pending) > 0 {
			a.complete(t, echo)
		}
		mustAnswer(t, stay...)
		a.mustBeIdle(t)
	})
}

// TestNewCallersFillWaitingBatches: after callers have left, the other batches are sent, and new
// callers take the free places in them.
func TestNewCallersFillWaitingBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestBatcher()
		stay := a.beginAll(t.Context(), maxActive)
		all, leaveAll := context.WithCancel(t.Context())
		most, leaveMost := context.WithCancel(t.Context())
		a.beginAll(all, maxBatch) // the first waiting batch
		a.beginAll(most, maxBatch-1)
		stay = append(stay, a.begin(t.Context(), "in the second batch"))
		stay = append(stay, a.begin(t.Context(), "in the third batch"))
		leaveAll()
		leaveMost()
		synctest.Wait()
		stay = append(stay, a.beginAll(t.Context(), maxBatch-1)...)
		before := len(a.pending)
		var sent []*sentBatch
		for len(a.pending) > 0 {
			sent = append(sent, a.complete(t, echo))
		}
		if got := sizes(sent[before:]); !slices.Equal(got, []int{maxBatch, 1}) {
			t.Errorf("batches of %v were sent", got)
		}
		mustAnswer(t, stay...)
		a.mustBeIdle(t)
	})
}

// TestSenderWithoutBatchEnds: a sender ends if the only caller of its batch left before it was
// sent.
func TestSenderWithoutBatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestBatcher()
		first := a.begin(t.Context(), "first")
		gone, goNow := context.WithCancel(t.Context())
		goNow()
		for range 1000 {
			// The scheduler decides whether the query is sent first.
			if _, err := a.get(gone, a.node, []string{"x"}); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		synctest.Wait()
		for len(a.pending) > 0 {
			a.complete(t, echo)
		}
		mustAnswer(t, first)
		a.mustBeIdle(t)
	})
}

func TestBatchHasItsOwnTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestBatcher()
		a.beginAll(t.Context(), 2)
		if end, ok := a.pending[1].ctx.Deadline(); !ok || time.Until(end) != a.timeout {
			t.Errorf("the deadline of the batch is %v", end)
		}
		a.complete(t, echo)
		a.complete(t, echo)
		a.mustBeIdle(t)
	})
}

// TestFailedBatchGivesErrors: however the sending of a batch fails, all its callers get an error
// and the next batch is sent. A hook of the client that panics does not end the process.
func TestFailedBatchGivesErrors(t *testing.T) {
	const secret = "a secret in a panic"
	for _, tt := range []struct {
		name   string
		how    func([]*query)
		logged bool
	}{
		{name: "no answer and no error", how: func([]*query) {}},
		{name: "a panic", how: func([]*query) { panic(secret) }, logged: true},
		{name: "a panic after the answer", how: func(queries []*query) { echo(queries); panic(secret) }, logged: true},
		{name: "the goroutine ends", how: func([]*query) { runtime.Goexit() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				a := newTestBatcher()
				a.logger = slog.New(slog.NewTextHandler(&log, nil))
				first := a.beginAll(t.Context(), maxActive)
				lost := []*call{a.begin(t.Context(), "x"), a.begin(t.Context(), "y")}
				a.complete(t, echo) // the two are sent
				behind := a.begin(t.Context(), "behind")
				for range maxActive - 1 {
					a.complete(t, echo)
				}
				if got := sizes(a.pending); !slices.Equal(got, []int{2, 1}) {
					t.Fatalf("batches of %v are pending", got)
				}
				a.complete(t, tt.how)
				for _, c := range lost {
					if !c.done || !errors.Is(c.err, errUnanswered) || c.values != nil {
						t.Errorf("%s: done %v, %v, %v", c.key, c.done, c.values, c.err)
					}
				}
				a.complete(t, echo)
				mustAnswer(t, append(first, behind)...)
				a.mustBeIdle(t)
				if strings.Contains(log.String(), secret) || tt.logged != (log.Len() > 0) {
					t.Errorf("log: %s", log.String())
				}
			})
		})
	}
}

// TestPanicReachesCallerSentAlone: the panic of a hook reaches a caller that is sent alone, as for
// any command of the client.
func TestPanicReachesCallerSentAlone(t *testing.T) {
	a := newTestBatcher()
	a.send = func(context.Context, *redis.Client, []*query) { panic("a hook") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_, _ = a.get(t.Context(), a.node, []string{"a"})
	}()
	a.mustBeIdle(t)
}

// TestFailedBatchCountsOnce: a batch that fails counts as one failure, whatever its size. Look-ups
// that were sent alone or failed before they were sent count one each.
func TestFailedBatchCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestBatcher()
		calls := a.beginAll(t.Context(), maxActive)
		a.complete(t, fail)
		for range 5 {
			calls = append(calls, a.begin(t.Context(), "in one batch"))
		}
		for range maxActive {
			a.complete(t, fail)
		}
		a.complete(t, fail)
		count := func(calls []*call) (n int) {
			for _, c := range calls {
				if !errors.Is(c.err, errReplyFormat) && !errors.Is(c.err, context.DeadlineExceeded) {
					t.Errorf("error %v", c.err)
				}
				if !errors.As(c.err, new(sharedError)) {
					n++
				}
			}
			return n
		}
		// A free sender sent the first of the five, the next one sent the others together.
		if n := count(calls); n != maxActive+2 {
			t.Errorf("%d batches failed and count as %d failures", maxActive+2, n)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a.beginAll(t.Context(), maxActive)
		calls = a.beginAll(ctx, 6)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := count(calls); n != len(calls) {
			t.Errorf("%d look-ups that were never sent count as %d failures", len(calls), n)
		}
		for len(a.pending) > 0 {
			a.complete(t, echo)
		}

		a.beginAll(t.Context(), maxActive)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gone, goNow := context.WithCancel(t.Context())
		a.begin(gone, "cancelled first")
		calls = a.beginAll(ctx, 6)
		a.complete(t, echo)
		goNow()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := count(calls); n != 1 {
			t.Errorf("%d look-ups that left one batch count as %d failures", len(calls), n)
		}
		for len(a.pending) > 0 {
			a.complete(t, echo)
		}
		a.mustBeIdle(t)
	})
}
