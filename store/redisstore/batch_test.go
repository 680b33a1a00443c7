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

// airport is a batcher whose flights are under way until the test lets them land.
type airport struct {
	batcher
	node *redis.Client

	mu     sync.Mutex
	flying []*trip
	most   int // that were under way at once
}

// trip is one call of send.
type trip struct {
	ctx  context.Context
	keys []string // one of each look-up
	end  chan func(batch []*mget)
}

func newAirport() *airport {
	a := &airport{node: &redis.Client{}}
	a.batcher = batcher{send: a.fly, timeout: time.Minute, log: discard(), lines: make(map[*redis.Client]*line)}
	return a
}

func (a *airport) fly(ctx context.Context, _ *redis.Client, batch []*mget) {
	tr := &trip{ctx: ctx, end: make(chan func([]*mget))}
	for _, m := range batch {
		tr.keys = append(tr.keys, m.keys[0])
	}
	a.mu.Lock()
	a.flying = append(a.flying, tr)
	a.most = max(a.most, len(a.flying))
	a.mu.Unlock()
	(<-tr.end)(batch)
}

// land ends the flight that began first and returns it.
func (a *airport) land(t *testing.T, how func(batch []*mget)) *trip {
	t.Helper()
	synctest.Wait()
	a.mu.Lock()
	if len(a.flying) == 0 {
		t.Fatal("nothing is under way")
	}
	tr := a.flying[0]
	a.flying = a.flying[1:]
	a.mu.Unlock()
	tr.end <- how
	synctest.Wait()
	return tr
}

// echo answers every look-up with its own key.
func echo(batch []*mget) {
	for _, m := range batch {
		m.values, m.err = []any{m.keys[0]}, nil
	}
}

func fail(batch []*mget) {
	for _, m := range batch {
		m.err = errReplyFormat
	}
}

// call is a look-up that has begun.
type call struct {
	key    string
	done   bool
	values []any
	err    error
}

func (a *airport) begin(ctx context.Context, key string) *call {
	c := &call{key: key}
	go func() {
		c.values, c.err = a.get(ctx, a.node, []string{key})
		c.done = true
	}()
	synctest.Wait()
	return c
}

func (a *airport) beginAll(ctx context.Context, n int) []*call {
	calls := make([]*call, n)
	for i := range calls {
		calls[i] = a.begin(ctx, fmt.Sprint(i))
	}
	return calls
}

// mustAnswer checks that each call has got the answer to its own question.
func mustAnswer(t *testing.T, calls ...*call) {
	t.Helper()
	for _, c := range calls {
		if !c.done || c.err != nil || !slices.Equal(c.values, []any{c.key}) {
			t.Errorf("call %s: done %v, %v, %v", c.key, c.done, c.values, c.err)
		}
	}
}

// mustBeIdle checks that nothing is left of what was under way.
func (a *airport) mustBeIdle(t *testing.T) {
	t.Helper()
	if len(a.lines) != 0 || len(a.flying) != 0 {
		t.Errorf("%d lines, %d flights, with nobody there", len(a.lines), len(a.flying))
	}
}

func sizes(trips []*trip) (n []int) {
	for _, tr := range trips {
		n = append(n, len(tr.keys))
	}
	return n
}

// TestBatchGathers: one goes at once, as many flights as there may be go at once, the others gather and go together, at
// most maxBatch of them.
func TestBatchGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		for range 3 {
			calls := a.beginAll(t.Context(), maxFlights+maxBatch+1)
			if got := sizes(a.flying); !slices.Equal(got, slices.Repeat([]int{1}, maxFlights)) {
				t.Fatalf("batches of %v are under way at once", got)
			}
			a.land(t, echo)
			mustAnswer(t, calls[0])
			if calls[1].done {
				t.Error("a call has an answer that has not come")
			}
			a.land(t, echo)
			if got := sizes(a.flying); !slices.Equal(got, []int{1, 1, maxBatch, 1}) {
				t.Fatalf("batches of %v are under way then", got)
			}
			for range maxFlights {
				a.land(t, echo)
			}
			mustAnswer(t, calls...)
			a.mustBeIdle(t)
		}
		if a.most != maxFlights {
			t.Errorf("%d were under way at once", a.most)
		}
	})
}

// TestBatchAlone: a look-up that is alone goes out in the caller's own context, and nothing is handed over.
func TestBatchAlone(t *testing.T) {
	type key struct{}
	a := newAirport()
	ctx := context.WithValue(t.Context(), key{}, "trace")
	a.send = func(got context.Context, _ *redis.Client, batch []*mget) {
		if got != ctx || len(batch) != 1 {
			t.Error("it is in another context, or with others")
		}
		echo(batch)
	}
	values, err := a.get(ctx, a.node, []string{"a"})
	mustAnswer(t, &call{"a", true, values, err})
	a.mustBeIdle(t)
}

// TestBatchNodes: each master has flights of its own.
func TestBatchNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		first := a.beginAll(t.Context(), maxFlights+2)
		a.node = &redis.Client{}
		second := a.beginAll(t.Context(), maxFlights)
		if got := sizes(a.flying); len(got) != 2*maxFlights || slices.Max(got) != 1 {
			t.Errorf("batches of %v are under way", got)
		}
		for len(a.flying) > 0 {
			a.land(t, echo)
		}
		mustAnswer(t, append(first, second...)...)
		a.mustBeIdle(t)
	})
}

// TestBatchLeaves: a caller whose context ends leaves at once, in the line and on the way, and the others do not notice.
func TestBatchLeaves(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		stay := a.beginAll(t.Context(), maxFlights)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "trace"))
		short, cancelShort := context.WithTimeout(t.Context(), time.Second)
		defer cancelShort()
		onBoard := a.begin(ctx, "on board")
		stay = append(stay, a.begin(t.Context(), "beside"))
		a.land(t, echo)
		inLine := a.begin(ctx, "in line")
		late := a.begin(short, "late")
		stay = append(stay, a.begin(t.Context(), "behind"))

		begun := time.Now()
		cancel()
		synctest.Wait()
		for _, c := range []*call{onBoard, inLine} {
			if !c.done || !errors.Is(c.err, context.Canceled) || c.values != nil {
				t.Errorf("%s: done %v, %v, %v", c.key, c.done, c.values, c.err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !late.done || !errors.Is(late.err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("late: done %v, %v, after %v", late.done, late.err, time.Since(begun))
		}
		if l := a.lines[a.node]; len(l.waiting) != 1 || len(l.waiting[0].batch) != 1 {
			t.Errorf("%d wait, one is there", len(l.waiting))
		}
		shared := a.flying[len(a.flying)-1]
		if !slices.Equal(shared.keys, []string{"on board", "beside"}) || shared.ctx.Err() != nil || shared.ctx.Value(key{}) != nil {
			t.Errorf("the flight of %q ends with its first passenger, or knows its trace: %v", shared.keys, shared.ctx)
		}
		for len(a.flying) > 0 {
			if tr := a.land(t, echo); slices.Contains(tr.keys, "in line") || slices.Contains(tr.keys, "late") {
				t.Errorf("%q is under way for nobody", tr.keys)
			}
		}
		mustAnswer(t, stay...)
		a.mustBeIdle(t)
	})
}

// TestBatchAllLeave: when everybody in the line has left, nothing goes out for them.
func TestBatchAllLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		stay := a.beginAll(t.Context(), maxFlights)
		ctx, cancel := context.WithCancel(t.Context())
		a.beginAll(ctx, maxBatch+2)
		cancel()
		synctest.Wait()
		if n := len(a.lines[a.node].waiting); n != 0 {
			t.Errorf("%d flights wait for nobody", n)
		}
		for len(a.flying) > 0 {
			a.land(t, echo)
		}
		mustAnswer(t, stay...)
		a.mustBeIdle(t)
	})
}

// TestBatchOthersLeave: when all of one batch in the line have left, the others go out, and whoever comes takes the places of those who left.
func TestBatchOthersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		stay := a.beginAll(t.Context(), maxFlights)
		all, leaveAll := context.WithCancel(t.Context())
		most, leaveMost := context.WithCancel(t.Context())
		a.beginAll(all, maxBatch) // the first batch
		a.beginAll(most, maxBatch-1)
		stay = append(stay, a.begin(t.Context(), "of the second"))
		stay = append(stay, a.begin(t.Context(), "of the third"))
		leaveAll()
		leaveMost()
		synctest.Wait()
		stay = append(stay, a.beginAll(t.Context(), maxBatch-1)...)
		before := len(a.flying)
		var went []*trip
		for len(a.flying) > 0 {
			went = append(went, a.land(t, echo))
		}
		if got := sizes(went[before:]); !slices.Equal(got, []int{maxBatch, 1}) {
			t.Errorf("batches of %v went out", got)
		}
		mustAnswer(t, stay...)
		a.mustBeIdle(t)
	})
}

// TestBatchNobodyBoards: a flight whose only passenger has left before it went out ends, and nothing goes out.
func TestBatchNobodyBoards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		first := a.begin(t.Context(), "first")
		gone, goNow := context.WithCancel(t.Context())
		goNow()
		for range 1000 {
			// Whether it goes out first is up to the scheduler.
			if _, err := a.get(gone, a.node, []string{"x"}); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		synctest.Wait()
		for len(a.flying) > 0 {
			a.land(t, echo)
		}
		mustAnswer(t, first)
		a.mustBeIdle(t)
	})
}

// TestBatchTimeout: a flight ends when its own time is over, whoever is on it.
func TestBatchTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		a.beginAll(t.Context(), 2)
		if end, ok := a.flying[1].ctx.Deadline(); !ok || time.Until(end) != a.timeout {
			t.Errorf("it ends at %v", end)
		}
		a.land(t, echo)
		a.land(t, echo)
		a.mustBeIdle(t)
	})
}

// TestBatchEnds: however a flight ends, everybody on it gets an error, nobody an answer, and the next goes out. A hook of
// the client that panics, or ends its goroutine, does neither to the process.
func TestBatchEnds(t *testing.T) {
	const secret = "a secret in a panic"
	for name, how := range map[string]func([]*mget){
		"without a word":        func([]*mget) {},
		"panic":                 func([]*mget) { panic(secret) },
		"panic after an answer": func(batch []*mget) { echo(batch); panic(secret) },
		"goroutine ended":       func([]*mget) { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				a := newAirport()
				a.log = slog.New(slog.NewTextHandler(&log, nil))
				first := a.beginAll(t.Context(), maxFlights)
				lost := []*call{a.begin(t.Context(), "x"), a.begin(t.Context(), "y")}
				a.land(t, echo) // those two go out
				behind := a.begin(t.Context(), "behind")
				for range maxFlights - 1 {
					a.land(t, echo)
				}
				if got := sizes(a.flying); !slices.Equal(got, []int{2, 1}) {
					t.Fatalf("batches of %v are under way", got)
				}
				a.land(t, how)
				for _, c := range lost {
					if !c.done || !errors.Is(c.err, errUnanswered) || c.values != nil {
						t.Errorf("%s: done %v, %v, %v", c.key, c.done, c.values, c.err)
					}
				}
				a.land(t, echo)
				mustAnswer(t, append(first, behind)...)
				a.mustBeIdle(t)
				if strings.Contains(log.String(), secret) || strings.Contains(name, "panic") != (log.Len() > 0) {
					t.Errorf("log: %s", log.String())
				}
			})
		})
	}
}

// TestBatchAlonePanics: the panic of a hook reaches the caller that is alone, as it does from any command.
func TestBatchAlonePanics(t *testing.T) {
	a := newAirport()
	a.send = func(context.Context, *redis.Client, []*mget) { panic("a hook") }
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

// TestBatchFailsOnce: a flight that fails is one failure, however many were on it; look-ups that were alone, or failed
// before they went out, are one each.
func TestBatchFailsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAirport()
		calls := a.beginAll(t.Context(), maxFlights)
		a.land(t, fail)
		for range 5 {
			calls = append(calls, a.begin(t.Context(), "on one flight"))
		}
		for range maxFlights {
			a.land(t, fail)
		}
		a.land(t, fail)
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
		// The first of the five took the place that was free, the others went out together.
		if n := count(calls); n != maxFlights+2 {
			t.Errorf("%d flights failed, and %d failures count", maxFlights+2, n)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a.beginAll(t.Context(), maxFlights)
		calls = a.beginAll(ctx, 6)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := count(calls); n != len(calls) {
			t.Errorf("%d look-ups that never went out count as %d failures", len(calls), n)
		}
		for len(a.flying) > 0 {
			a.land(t, echo)
		}

		a.beginAll(t.Context(), maxFlights)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gone, goNow := context.WithCancel(t.Context())
		a.begin(gone, "gives up first")
		calls = a.beginAll(ctx, 6)
		a.land(t, echo)
		goNow()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := count(calls); n != 1 {
			t.Errorf("%d look-ups that left one flight count as %d failures", len(calls), n)
		}
		for len(a.flying) > 0 {
			a.land(t, echo)
		}
		a.mustBeIdle(t)
	})
}
