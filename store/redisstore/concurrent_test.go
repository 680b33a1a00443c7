package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// crowd is many tokens of which a random half is revoked, so that shifted replies are noticed.
type crowd struct {
	ids     []blacklist.Identity
	revoked []bool
	patient bool // no caller has a deadline before that of the store
}

func newCrowd(t testing.TB, s *Store) *crowd {
	t.Helper()
	c, name := &crowd{}, rand.Uint64()
	for i := range 512 {
		id, revoked := user(fmt.Sprint(name, "-", i)), rand.IntN(2) == 0
		if revoked {
			revoke(t, s, blacklist.OfToken(id, inAnHour()))
		}
		c.ids, c.revoked = append(c.ids, id), append(c.revoked, revoked)
	}
	return c
}

// lookUp looks up tokens with many callers, as long as next returns true. Every answer must be
// right, and every error must be one of the store. It returns the number of answers and errors.
func (c *crowd) lookUp(t *testing.T, s *Store, callers int, next func(round int) bool) (answers, errs int64) {
	t.Helper()
	var answered, failed atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for round := 0; next(round); round++ {
				i := rand.IntN(len(c.ids))
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if round%8 == 0 && !c.patient {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(2000))*time.Microsecond)
				}
				revoked, err := s.IsRevoked(ctx, c.ids[i])
				cancel()
				switch {
				case err != nil:
					checkUnavailable(t, err)
					failed.Add(1)
				case revoked != c.revoked[i]:
					t.Errorf("%s: IsRevoked = %v, want %v", c.ids[i].ID, revoked, c.revoked[i])
				default:
					answered.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return answered.Load(), failed.Load()
}

func rounds(n int) func(int) bool { return func(round int) bool { return round < n } }

// lookUps returns the number of look-ups in the commands, if the tokens have all ids.
func lookUps(cmds ...redis.Cmder) (n int) {
	for _, cmd := range cmds {
		if cmd.Name() == "mget" {
			n += (len(cmd.Args()) - 1) / maxKeys
		}
	}
	return n
}

// counting counts the round trips that several look-ups share.
type counting struct{ shared atomic.Int64 }

func (*counting) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *counting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.count(cmd)
		return next(ctx, cmd)
	}
}
func (c *counting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.count(cmds...)
		return next(ctx, cmds)
	}
}

func (c *counting) count(cmds ...redis.Cmder) {
	if lookUps(cmds...) > 1 {
		c.shared.Add(1)
	}
}

// breakingConn is a connection that breaks in the middle of a reply.
type breakingConn struct {
	net.Conn
	left   int // bytes before it breaks
	broken *atomic.Int64
}

func (c *breakingConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		c.broken.Add(1)
		_ = c.Conn.Close()
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// TestAnswersAreNeverMixedUp: whatever happens to the connections, no look-up gets the answer of
// another one, or an answer that the server did not give.
func TestAnswersAreNeverMixedUp(t *testing.T) {
	for name, retries := range map[string]int{"with retries": 0, "without retries": -1} {
		t.Run("connections break, "+name, func(t *testing.T) {
			srv := redistest.Start(t)
			c := newCrowd(t, open(t, srv.Client(t)))
			var broken atomic.Int64
			o := srv.Options()
			o.MaxRetries = retries
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				// New reads 256 marks of 37 bytes from one connection.
				return &breakingConn{Conn: conn, left: 1000 + rand.IntN(24_000), broken: &broken}, nil
			}
			client := redistest.Closed(t, redis.NewClient(o))
			var s *Store
			redistest.Eventually(t, "the store opens", func() (err error) {
				s, err = New(t.Context(), client, WithLogger(discard()), WithBreaker(0, 0))
				return err
			})
			hook := &counting{}
			client.AddHook(hook)
			answers, errs := c.lookUp(t, s, 64, rounds(100))
			if answers < 1000 || broken.Load() < 10 || hook.shared.Load() < 10 {
				t.Errorf("%d answers, %d connections broke, %d batches: too few to show anything", answers, broken.Load(), hook.shared.Load())
			}
			t.Logf("%d answers, %d errors, %d connections broke, %d batches", answers, errs, broken.Load(), hook.shared.Load())
		})
	}

	t.Run("replies are lost", func(t *testing.T) {
		srv := redistest.Start(t)
		proxy := redistest.StartProxy(t, srv)
		o := srv.Options()
		o.Addr = proxy.Addr()
		s := open(t, redistest.Closed(t, redis.NewClient(o)), WithTimeouts(50*time.Millisecond, time.Second), WithBreaker(0, 0))
		c := newCrowd(t, s)
		stop, dropped := make(chan struct{}), 0
		var wg sync.WaitGroup
		wg.Go(func() {
			defer proxy.Hold(false)
			for hold := true; ; hold = !hold {
				proxy.Hold(hold)
				if proxy.Dropped() {
					dropped++
				}
				proxy.DropReplyTo("mget")
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(rand.IntN(30)) * time.Millisecond):
				}
			}
		})
		end := time.Now().Add(3 * time.Second)
		answers, errs := c.lookUp(t, s, 64, func(int) bool { return time.Now().Before(end) })
		close(stop)
		wg.Wait()
		if answers < 100 || errs < 100 || dropped < 3 {
			t.Errorf("%d answers, %d errors, %d connections cut: too few to show anything", answers, errs, dropped)
		}
		t.Logf("%d answers, %d errors, %d connections cut", answers, errs, dropped)
		waitUntilWorks(t, s)
	})

	t.Run("the store is emptied", func(t *testing.T) {
		srv := redistest.Start(t)
		s := open(t, srv.Client(t), WithTimeouts(10*time.Second, 10*time.Second))
		c := newCrowd(t, s)
		var asked, late atomic.Int64
		var emptied atomic.Bool
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range 100 {
					i, before := rand.IntN(len(c.ids)), emptied.Load()
					revoked, err := s.IsRevoked(t.Context(), c.ids[i])
					if err != nil {
						t.Error(err)
					} else if !revoked && (c.revoked[i] || before) {
						t.Errorf("%s: IsRevoked = false", c.ids[i].ID)
					}
					if before {
						late.Add(1)
					}
					if asked.Add(1) == 1000 {
						srv.Do("FLUSHALL")
						emptied.Store(true)
					}
				}
			})
		}
		wg.Wait()
		if late.Load() < 1000 {
			t.Errorf("%d look-ups after the store was emptied, want 1000", late.Load())
		}
	})

	t.Run("cluster", func(t *testing.T) {
		servers := redistest.StartCluster(t)
		client := servers.Client(t)
		hook := &counting{}
		client.OnNewNode(func(node *redis.Client) { node.AddHook(hook) })
		s := open(t, client)
		c := newCrowd(t, s)
		answers, errs := c.lookUp(t, s, 64, rounds(100))
		if answers < 1000 || hook.shared.Load() < 10 {
			t.Errorf("%d answers, %d batches: too few to show anything", answers, hook.shared.Load())
		}
		t.Logf("%d answers, %d errors, %d batches", answers, errs, hook.shared.Load())
	})
}

// checkSend sends queries of the keys to the node. Those whose index is in bad must get an error
// that contains the text, the others their values.
func checkSend(t *testing.T, s *Store, node *redis.Client, keys [][]string, text string, bad ...int) {
	t.Helper()
	var queries []*query
	for _, k := range keys {
		queries = append(queries, &query{keys: k, err: errUnanswered})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	s.send(ctx, node, queries)
	for i, q := range queries {
		switch {
		case slices.Contains(bad, i):
			if q.err == nil || !strings.Contains(q.err.Error(), text) || q.values != nil {
				t.Errorf("query %d: values %v, error %v", i, q.values, q.err)
			}
		case q.err != nil || len(q.values) != len(q.keys) || len(q.keys) > 0 && q.values[len(q.values)-1] == nil:
			t.Errorf("query %d: values %v, error %v", i, q.values, q.err)
		}
	}
}

// TestBadReplyFailsAllLookUpsOfAnMGET: all look-ups of one MGET get its error. Without an error
// each gets the values of its keys, of which the last is the mark.
func TestBadReplyFailsAllLookUpsOfAnMGET(t *testing.T) {
	srv := redistest.Start(t)
	client := srv.Client(t)
	s := open(t, client)
	good := s.layout.lookup(7, user("a"))
	keys := [][]string{good, good[2:], good, good[4:]}
	checkSend(t, s, s.single, keys, "")
	checkSend(t, s, s.single, [][]string{good, {}, good}, "")
	checkSend(t, s, s.single, [][]string{{}, {}}, "wrong number", 0, 1) // MGET without keys
	hook := &pipelineHook{}
	client.AddHook(hook)
	for _, change := range []func([]any) []any{
		func(values []any) []any { return values[1:] }, func(values []any) []any { return append(values, nil) }, func([]any) []any { return nil },
	} {
		hook.do = func(ctx context.Context, cmds []redis.Cmder, next redis.ProcessPipelineHook) error {
			err := next(ctx, cmds)
			for _, cmd := range cmds {
				if mget, ok := cmd.(*redis.SliceCmd); ok {
					mget.SetVal(change(mget.Val()))
				}
			}
			return err
		}
		checkSend(t, s, s.single, keys, errReplyFormat.Error(), 0, 1, 2, 3)
	}
	srv.Kill()
	checkSend(t, s, s.single, keys, "", 0, 1, 2, 3)
}

// TestBadReplyOfNodeFailsOneLookUp: on a node of a Cluster an error reply fails one look-up only.
func TestBadReplyOfNodeFailsOneLookUp(t *testing.T) {
	s := open(t, redistest.StartCluster(t).Client(t))
	good := s.layout.lookup(7, user("a"))
	node, err := s.cluster.MasterForKey(t.Context(), good[0])
	if err != nil {
		t.Fatal(err)
	}
	checkSend(t, s, node, [][]string{good, {}, good, good[4:]}, "wrong number", 1)
}

// pipelineHook is a hook of the application, which may do anything to commands and pipelines.
type pipelineHook struct {
	do func(ctx context.Context, cmds []redis.Cmder, next redis.ProcessPipelineHook) error
}

func (*pipelineHook) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h *pipelineHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return h.do(ctx, []redis.Cmder{cmd}, func(ctx context.Context, cmds []redis.Cmder) error { return next(ctx, cmds[0]) })
	}
}
func (h *pipelineHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return h.do(ctx, cmds, next) }
}

// replyError looks like an error reply of the server.
type replyError struct{}

func (replyError) Error() string { return "ERR made up" }
func (replyError) RedisError()   {}

// TestHooksCannotCauseWrongAnswers: whatever a hook of the client does with a batch, no look-up
// gets an answer that the server did not give.
func TestHooksCannotCauseWrongAnswers(t *testing.T) {
	srv := redistest.Start(t)
	client := srv.Client(t)
	s := open(t, client, WithBreaker(0, 0))
	c := newCrowd(t, s)
	hook := &pipelineHook{}
	client.AddHook(hook)
	for name, do := range map[string]func(context.Context, []redis.Cmder, redis.ProcessPipelineHook) error{
		"nothing sent, no error":   func(context.Context, []redis.Cmder, redis.ProcessPipelineHook) error { return nil },
		"nothing sent, an error":   func(context.Context, []redis.Cmder, redis.ProcessPipelineHook) error { return errors.New("no") },
		"nothing sent, as a reply": func(context.Context, []redis.Cmder, redis.ProcessPipelineHook) error { return replyError{} },
		"sent, and an error": func(ctx context.Context, cmds []redis.Cmder, next redis.ProcessPipelineHook) error {
			_ = next(ctx, cmds)
			return errors.New("no")
		},
	} {
		hook.do = do
		if answers, _ := c.lookUp(t, s, 16, rounds(20)); answers != 0 {
			t.Errorf("%s: %d answers", name, answers)
		}
	}
	hook.do = func(ctx context.Context, cmds []redis.Cmder, next redis.ProcessPipelineHook) error {
		if lookUps(cmds...) > 1 {
			panic("a hook")
		}
		return next(ctx, cmds)
	}
	if answers, errs := c.lookUp(t, s, 16, rounds(20)); answers == 0 || errs == 0 {
		t.Errorf("a hook that panics: %d answers, %d errors", answers, errs)
	}
	hook.do = func(ctx context.Context, cmds []redis.Cmder, next redis.ProcessPipelineHook) error {
		return next(ctx, cmds)
	}
	waitUntilWorks(t, s)
}

// TestHangingConnectionFailsItsBatchOnly: the look-ups on a connection that hangs fail in time and
// the others are answered. The breaker stays closed, because the failures of one batch count once.
func TestHangingConnectionFailsItsBatchOnly(t *testing.T) {
	srv := redistest.Start(t)
	client := srv.Client(t)
	s := open(t, client, WithTimeouts(time.Second, time.Second), WithBreaker(2, time.Minute))
	c := newCrowd(t, s)
	c.patient = true
	var hung atomic.Int64
	gathered := make(chan struct{})
	client.AddHook(&pipelineHook{func(ctx context.Context, cmds []redis.Cmder, next redis.ProcessPipelineHook) error {
		select {
		case <-gathered:
		case <-ctx.Done():
			return ctx.Err()
		}
		if n := lookUps(cmds...); n > 8 && hung.CompareAndSwap(0, int64(n)) {
			<-ctx.Done()
			return ctx.Err()
		}
		return next(ctx, cmds)
	}})
	var wg sync.WaitGroup
	wg.Go(func() {
		if answers, errs := c.lookUp(t, s, 64, rounds(1)); errs == 0 || errs != hung.Load() || answers+errs != 64 {
			t.Errorf("%d look-ups hung, %d failed, %d were answered", hung.Load(), errs, answers)
		}
	})
	redistest.Eventually(t, "all look-ups are in flight", func() error {
		if n := s.inFlight.Load(); n != 64 {
			return fmt.Errorf("%d are in flight", n)
		}
		return nil
	})
	close(gathered)
	wg.Wait()
	if _, err := s.IsRevoked(t.Context(), c.ids[0]); err != nil {
		t.Errorf("a look-up afterwards: %v", err)
	}
}

// TestHangingServerBoundsBatches: with a thousand callers and a server that hangs, batches and
// queries stay bounded, and the breaker opens.
func TestHangingServerBoundsBatches(t *testing.T) {
	const callers = 1000
	srv := redistest.Start(t)
	s := open(t, srv.Client(t), WithTimeouts(300*time.Millisecond, time.Second), WithBreaker(5, time.Minute))
	c := newCrowd(t, s)
	c.patient = true
	srv.Pause()
	defer srv.Resume()
	var mostActive, mostWaiting atomic.Int64
	end := time.Now().Add(time.Second)
	answers, _ := c.lookUp(t, s, callers, func(int) bool {
		s.batches.mu.Lock()
		defer s.batches.mu.Unlock()
		if l := s.batches.queues[s.single]; l != nil {
			mostActive.Store(max(mostActive.Load(), int64(l.active)))
			waiting := 0
			for _, f := range l.waiting {
				waiting += len(f.queries)
			}
			mostWaiting.Store(max(mostWaiting.Load(), int64(waiting)))
		}
		return time.Now().Before(end)
	})
	if answers != 0 {
		t.Errorf("%d answers of a server that hangs", answers)
	}
	if f, w := mostActive.Load(), mostWaiting.Load(); f == 0 || f > maxActive || w == 0 || w > callers {
		t.Errorf("%d active senders and %d waiting queries, with %d callers", f, w, callers)
	}
	if _, err := s.IsRevoked(t.Context(), c.ids[0]); !errors.Is(err, errBreakerOpen) {
		t.Errorf("the breaker is not open: %v", err)
	}
	redistest.Eventually(t, "no queue is left", func() error {
		s.batches.mu.Lock()
		defer s.batches.mu.Unlock()
		if n := len(s.batches.queues); n > 0 {
			return fmt.Errorf("%d queues", n)
		}
		return nil
	})
}
