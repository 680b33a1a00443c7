package redisstore

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// quick are deadlines and a breaker that do not keep a test waiting.
func quick(opts ...Option) []Option {
	return append([]Option{
		WithTimeouts(150*time.Millisecond, 300*time.Millisecond), WithBreaker(3, 50*time.Millisecond),
	}, opts...)
}

// TestFaults: whatever happens to the server, a look-up is an error in time, never an answer, and the store works again
// by itself when the server does. What was revoked before is revoked after.
func TestFaults(t *testing.T) {
	for name, fault := range map[string]struct {
		start  []redistest.Option
		break_ func(*redistest.Server)
		mend   func(*redistest.Server)
	}{
		"killed": {
			[]redistest.Option{redistest.WithAOF()},
			func(s *redistest.Server) { s.Kill() },
			func(s *redistest.Server) { s.Restart() },
		},
		"killed, restarted empty": {
			nil,
			func(s *redistest.Server) { s.Kill() },
			func(s *redistest.Server) { s.RestartEmpty() },
		},
		"paused (SIGSTOP)": {
			nil,
			func(s *redistest.Server) { s.Pause() },
			func(s *redistest.Server) { s.Resume() },
		},
		"slow beyond the deadline": {
			nil,
			func(s *redistest.Server) { s.Do("CLIENT", "PAUSE", 60_000, "ALL") },
			func(s *redistest.Server) { s.Kill(); s.RestartEmpty() },
		},
		"demoted to a replica": {
			nil,
			func(s *redistest.Server) { s.Do("REPLICAOF", "127.0.0.1", "1") },
			func(s *redistest.Server) { s.Do("REPLICAOF", "NO", "ONE") },
		},
		"password changed": {
			[]redistest.Option{redistest.WithPassword(password)},
			func(s *redistest.Server) {
				s.Do("CONFIG", "SET", "requirepass", "another")
				s.Password = "another"
				s.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			},
			func(s *redistest.Server) { s.Do("CONFIG", "SET", "requirepass", password); s.Password = password },
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := redistest.Start(t, fault.start...)
			c := &clock{}
			s := open(t, srv.Client(t), quick(WithClock(c.now))...)
			id, free := user("revoked"), user("not revoked")
			revoke(t, s, blacklist.OfToken(id, inAnHour()))
			if isRevoked(t, s, free) {
				t.Fatal("revoked without a revocation")
			}

			fault.break_(srv)
			c.add(2 * roleInterval)
			for range 2 {
				mustNotKnow(t, s, id)
				mustNotKnow(t, s, free)
			}
			mustFail(t, s.Ping(t.Context()))
			_, err := New(t.Context(), s.single, WithLogger(discard()), WithTimeouts(time.Second, 300*time.Millisecond))
			mustFail(t, err)

			fault.mend(srv)
			works(t, s)
			if !isRevoked(t, s, id) {
				t.Error("revoked before the fault, and not after it")
			}
		})
	}
}

// TestOutOfMemory: a server that may not evict refuses the write, and the caller hears of it. Look-ups go on.
func TestOutOfMemory(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	revoke(t, s, blacklist.OfToken(user("a"), inAnHour()))
	srv.Do("CONFIG", "SET", "maxmemory", "1")
	_, err := s.Revoke(t.Context(), blacklist.OfToken(user("b"), inAnHour()))
	mustFail(t, err)
	if !redis.IsOOMError(err) || !strings.Contains(err.Error(), "memory") {
		t.Errorf("error %v", err)
	}
	if !isRevoked(t, s, user("a")) || isRevoked(t, s, user("b")) {
		t.Error("wrong answers")
	}
	srv.Do("CONFIG", "SET", "maxmemory", "0")
	works(t, s)
}

func TestWrongPassword(t *testing.T) {
	srv := redistest.Start(t, redistest.WithPassword(password))
	for name, pw := range map[string]string{"wrong": password + "!", "none": ""} {
		o := srv.Options()
		o.Password = pw
		_, err := New(t.Context(), redistest.Closed(t, redis.NewClient(o)), WithLogger(discard()))
		mustFail(t, err)
		if !strings.Contains(err.Error(), "password refused") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestPoolExhausted: with every connection in use a look-up waits for one no longer than its deadline.
func TestPoolExhausted(t *testing.T) {
	srv := redistest.Start(t)
	o := srv.Options()
	o.PoolSize, o.MaxActiveConns, o.PipelinePoolSize = 1, 1, -1
	client := redistest.Closed(t, redis.NewClient(o))
	s := open(t, client, quick()...)
	held := client.Conn()
	if err := held.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		mustNotKnow(t, s, user("a"))
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	works(t, s)
}

// TestNetworkLoss: the connection stands, but nothing comes back.
func TestNetworkLoss(t *testing.T) {
	srv := redistest.Start(t)
	proxy := redistest.StartProxy(t, srv)
	o := srv.Options()
	o.Addr = proxy.Addr()
	s := open(t, redistest.Closed(t, redis.NewClient(o)), quick()...)
	revoke(t, s, blacklist.OfToken(user("a"), inAnHour()))
	proxy.Hold(true)
	for range 4 {
		mustNotKnow(t, s, user("a"))
	}
	proxy.Hold(false)
	works(t, s)
	if !isRevoked(t, s, user("a")) {
		t.Error("not revoked")
	}
}

// TestScriptsForgotten: a server that has forgotten its scripts (SCRIPT FLUSH, a restart, a fail-over) gets them again.
func TestScriptsForgotten(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	for i := range 3 {
		srv.Do("SCRIPT", "FLUSH")
		id := user(fmt.Sprint(i))
		if revoke(t, s, blacklist.OfToken(id, inAnHour())) || !revoke(t, s, blacklist.OfToken(id, inAnHour())) {
			t.Error("before is wrong")
		}
		srv.Do("SCRIPT", "FLUSH")
		id.Verifier = fmt.Sprint("https://distrusted", i, ".example")
		if r := blacklist.OfVerifier(id.Verifier, time.Now(), inAnHour()); revoke(t, s, r) || !revoke(t, s, r) {
			t.Error("before is wrong for a verifier")
		}
		if !isRevoked(t, s, id) {
			t.Error("not revoked")
		}
	}
}

// TestReplyLost: a revocation whose reply is lost is sent again by the client. It must not find itself: the only caller
// would hear that somebody else had used the refresh token, and a session would be revoked for nothing.
func TestReplyLost(t *testing.T) {
	srv := redistest.Start(t)
	proxy := redistest.StartProxy(t, srv)
	o := srv.Options()
	o.Addr = proxy.Addr()
	s := open(t, redistest.Closed(t, redis.NewClient(o)))
	revoke(t, s, blacklist.OfToken(user("first"), inAnHour())) // the script is known from now on
	for i := range 3 {
		id := user(fmt.Sprint(i))
		for _, r := range []blacklist.Revocation{
			blacklist.OfToken(id, inAnHour()), blacklist.OfSession(id, time.Time{}),
			blacklist.OfSubject(id.Verifier, id.Subject, time.Now(), inAnHour()),
			blacklist.OfVerifier(id.ID, time.Now(), inAnHour()),
		} {
			proxy.DropReplyTo("evalsha")
			if revoke(t, s, r) {
				t.Errorf("the only call to revoke a %s hears that it was revoked before", r.Kind)
			}
			if !proxy.Dropped() {
				t.Fatal("no reply was lost")
			}
			// With a later end, so that the entry is written anew and the nonce of the first must survive that.
			if r.Until = time.Now().Add(2 * time.Hour); !revoke(t, s, r) {
				t.Errorf("the second call to revoke a %s hears that it was the first", r.Kind)
			}
			proxy.DropReplyTo("evalsha")
			if !revoke(t, s, r) {
				t.Errorf("a repeated call to revoke a %s hears that it was the first", r.Kind)
			}
		}
	}
}

// TestConsumedOnce: of many concurrent callers one is the first, over a network that loses replies.
func TestConsumedOnce(t *testing.T) {
	srv := redistest.Start(t)
	proxy := redistest.StartProxy(t, srv)
	o := srv.Options()
	o.Addr = proxy.Addr()
	s := open(t, redistest.Closed(t, redis.NewClient(o)))
	for round := range 20 {
		id := user(fmt.Sprint(round))
		proxy.DropReplyTo("evalsha")
		var first atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				before, err := s.Revoke(t.Context(), blacklist.OfToken(id, time.Now().Add(time.Duration(i+1)*time.Minute)))
				if err != nil {
					t.Error(err)
				} else if !before {
					first.Add(1)
				}
			})
		}
		wg.Wait()
		if n := first.Load(); n != 1 {
			t.Errorf("round %d: %d callers were the first", round, n)
		}
	}
}

// TestDeadStoreIsCheap: many requests on a store that hangs do not pile up: the breaker lets one look-up at a time wait.
func TestDeadStoreIsCheap(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t), WithTimeouts(100*time.Millisecond, time.Second), WithBreaker(3, 10*time.Second))
	srv.Pause()
	for range 3 {
		_, err := s.IsRevoked(t.Context(), user("a"))
		mustFail(t, err)
	}
	begun := time.Now()
	for range 10_000 {
		if _, err := s.IsRevoked(t.Context(), user("a")); !errors.Is(err, errOpen) {
			t.Fatalf("error %v", err)
		}
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("10,000 look-ups on a dead store took %v", took)
	}
	srv.Resume()
}

func TestTooManyInFlight(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t), WithMaxInFlight(4), WithTimeouts(time.Minute, time.Minute))
	srv.Pause()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := s.IsRevoked(t.Context(), user("a")); err != nil {
				t.Error(err)
			}
		})
	}
	redistest.Eventually(t, "four look-ups wait", func() error {
		if n := s.inFlight.Load(); n != 4 {
			return fmt.Errorf("%d do", n)
		}
		return nil
	})
	_, lookup := s.IsRevoked(t.Context(), user("a"))
	_, write := s.Revoke(t.Context(), blacklist.OfToken(user("a"), inAnHour()))
	for _, err := range []error{lookup, write, s.Ping(t.Context())} {
		mustFail(t, err)
		if !errors.Is(err, errCrowded) {
			t.Errorf("error %v", err)
		}
	}
	srv.Resume()
	wg.Wait()
	works(t, s)
	if n := s.inFlight.Load(); n != 0 {
		t.Errorf("%d in flight, with nobody there", n)
	}
}
