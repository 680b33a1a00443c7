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

// quick returns options with short deadlines and a breaker with a short cool-down.
func quick(opts ...Option) []Option {
	return append([]Option{
		WithTimeouts(150*time.Millisecond, 300*time.Millisecond), WithBreaker(3, 50*time.Millisecond),
	}, opts...)
}

// TestFaultOfTheServerIsAnError: during a fault of the server, look-ups return errors in time and
// never answers. After the fault the store works again by itself, and earlier revocations are still
// in force.
func TestFaultOfTheServerIsAnError(t *testing.T) {
	for _, tt := range []struct {
		name   string
		start  []redistest.Option
		fault  func(*redistest.Server)
		repair func(*redistest.Server)
	}{
		{
			name:   "killed, restarted with its file",
			start:  []redistest.Option{redistest.WithAOF("always")},
			fault:  func(s *redistest.Server) { s.Kill() },
			repair: func(s *redistest.Server) { s.Restart() },
		},
		{
			name:   "killed, restarted empty",
			fault:  func(s *redistest.Server) { s.Kill() },
			repair: func(s *redistest.Server) { s.RestartEmpty() },
		},
		{
			name:   "paused (SIGSTOP)",
			fault:  func(s *redistest.Server) { s.Pause() },
			repair: func(s *redistest.Server) { s.Resume() },
		},
		{
			name:   "slower than the deadline",
			fault:  func(s *redistest.Server) { s.Do("CLIENT", "PAUSE", 60_000, "ALL") },
			repair: func(s *redistest.Server) { s.Kill(); s.RestartEmpty() },
		},
		{
			name:   "demoted to a replica",
			fault:  func(s *redistest.Server) { s.Do("REPLICAOF", "127.0.0.1", "1") },
			repair: func(s *redistest.Server) { s.Do("REPLICAOF", "NO", "ONE") },
		},
		{
			name:  "password changed",
			start: []redistest.Option{redistest.WithPassword(password)},
			fault: func(s *redistest.Server) {
				s.Do("CONFIG", "SET", "requirepass", "another")
				s.Password = "another"
				s.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			},
			repair: func(s *redistest.Server) { s.Do("CONFIG", "SET", "requirepass", password); s.Password = password },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Start(t, tt.start...)
			c := &clock{}
			s := open(t, srv.Client(t), quick(WithClock(c.now))...)
			id, free := user("revoked"), user("not revoked")
			revoke(t, s, blacklist.OfToken(id, inAnHour()))
			if isRevoked(t, s, free) {
				t.Fatal("a token is revoked without a revocation")
			}

			tt.fault(srv)
			c.add(2 * watchInterval)
			for range 2 {
				mustFailInTime(t, s, id)
				mustFailInTime(t, s, free)
			}
			mustBeUnavailable(t, s.Ping(t.Context()))
			_, err := New(t.Context(), s.single, WithLogger(discard()), WithTimeouts(time.Second, 300*time.Millisecond))
			mustBeUnavailable(t, err)

			tt.repair(srv)
			waitUntilWorks(t, s)
			if !isRevoked(t, s, id) {
				t.Error("a token that was revoked before the fault is accepted after it")
			}
		})
	}
}

// TestServerOutOfMemory: a server without eviction refuses the write, so the revocation returns an
// error. Look-ups still answer.
func TestServerOutOfMemory(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	revoke(t, s, blacklist.OfToken(user("a"), inAnHour()))
	srv.Do("CONFIG", "SET", "maxmemory", "1")
	_, err := s.Revoke(t.Context(), blacklist.OfToken(user("b"), inAnHour()))
	mustBeUnavailable(t, err)
	if !redis.IsOOMError(err) || !strings.Contains(err.Error(), "memory") {
		t.Errorf("error %v", err)
	}
	if !isRevoked(t, s, user("a")) || isRevoked(t, s, user("b")) {
		t.Error("wrong answers")
	}
	srv.Do("CONFIG", "SET", "maxmemory", "0")
	waitUntilWorks(t, s)
}

func TestWrongPasswordIsAnError(t *testing.T) {
	srv := redistest.Start(t, redistest.WithPassword(password))
	for name, wrong := range map[string]string{"another password": password + "!", "no password": ""} {
		o := srv.Options()
		o.Password = wrong
		_, err := New(t.Context(), redistest.Closed(t, redis.NewClient(o)), WithLogger(discard()))
		mustBeUnavailable(t, err)
		if !strings.Contains(err.Error(), "refused the user or password") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestExhaustedPoolIsAnError: if all connections are in use, calls wait no longer than their
// deadlines.
func TestExhaustedPoolIsAnError(t *testing.T) {
	srv := redistest.Start(t)
	o := srv.Options()
	o.PoolSize, o.MaxActiveConns, o.PipelinePoolSize = 1, 1, -1
	client := redistest.Closed(t, redis.NewClient(o))
	s := open(t, client, quick()...)
	conn := client.Conn()
	if err := conn.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		mustFailInTime(t, s, user("a"))
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	waitUntilWorks(t, s)
}

// TestLostRepliesAreErrors: the connections are open, but no reply arrives.
func TestLostRepliesAreErrors(t *testing.T) {
	srv := redistest.Start(t)
	proxy := redistest.StartProxy(t, srv)
	o := srv.Options()
	o.Addr = proxy.Addr()
	s := open(t, redistest.Closed(t, redis.NewClient(o)), quick()...)
	revoke(t, s, blacklist.OfToken(user("a"), inAnHour()))
	proxy.Hold(true)
	for range 4 {
		mustFailInTime(t, s, user("a"))
	}
	proxy.Hold(false)
	waitUntilWorks(t, s)
	if !isRevoked(t, s, user("a")) {
		t.Error("the token is not revoked")
	}
}

// TestScriptsAreSentAgain: a server that has lost its scripts (SCRIPT FLUSH, a restart, a
// fail-over) receives them again.
func TestScriptsAreSentAgain(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	for i := range 3 {
		srv.Do("SCRIPT", "FLUSH")
		id := user(fmt.Sprint(i))
		if revoke(t, s, blacklist.OfToken(id, inAnHour())) || !revoke(t, s, blacklist.OfToken(id, inAnHour())) {
			t.Error("Revoke reports before wrongly for a token")
		}
		srv.Do("SCRIPT", "FLUSH")
		id.Issuer = fmt.Sprint("https://distrusted", i, ".example")
		if r := blacklist.OfIssuer(id.Issuer, time.Now(), inAnHour()); revoke(t, s, r) || !revoke(t, s, r) {
			t.Error("Revoke reports before wrongly for an issuer")
		}
		if !isRevoked(t, s, id) {
			t.Error("the token is not revoked")
		}
	}
}

// TestRetryAfterLostReplyDoesNotReportBefore: the client repeats a revocation whose reply was lost.
// The retry must not report "in force before", or a session would be revoked for a refresh token
// that was used once.
func TestRetryAfterLostReplyDoesNotReportBefore(t *testing.T) {
	srv := redistest.Start(t)
	proxy := redistest.StartProxy(t, srv)
	o := srv.Options()
	o.Addr = proxy.Addr()
	s := open(t, redistest.Closed(t, redis.NewClient(o)))
	revoke(t, s, blacklist.OfToken(user("first"), inAnHour())) // the server knows the script from now on
	for i := range 3 {
		id := user(fmt.Sprint(i))
		for _, r := range []blacklist.Revocation{
			blacklist.OfToken(id, inAnHour()), blacklist.OfSession(id, time.Time{}),
			blacklist.OfSubject(id.Issuer, id.Subject, time.Now(), inAnHour()),
			blacklist.OfIssuer(id.ID, time.Now(), inAnHour()),
		} {
			proxy.DropReplyTo("evalsha")
			if revoke(t, s, r) {
				t.Errorf("the first call to revoke a %s reports before = true", r.Kind)
			}
			if !proxy.Dropped() {
				t.Fatal("no reply was lost")
			}
			// A later end: the entry is written again and must keep the nonce of the first call.
			if r.Until = time.Now().Add(2 * time.Hour); !revoke(t, s, r) {
				t.Errorf("the second call to revoke a %s reports before = false", r.Kind)
			}
			proxy.DropReplyTo("evalsha")
			if !revoke(t, s, r) {
				t.Errorf("the third call to revoke a %s reports before = false", r.Kind)
			}
		}
	}
}

// TestExactlyOneCallerIsFirst: exactly one of many concurrent callers is the first, over a network
// that loses replies.
func TestExactlyOneCallerIsFirst(t *testing.T) {
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

// TestOpenBreakerFailsFast: while the server hangs, look-ups fail at once.
func TestOpenBreakerFailsFast(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t), WithTimeouts(100*time.Millisecond, time.Second), WithBreaker(3, 10*time.Second))
	srv.Pause()
	for range 3 {
		_, err := s.IsRevoked(t.Context(), user("a"))
		mustBeUnavailable(t, err)
	}
	begun := time.Now()
	for range 10_000 {
		if _, err := s.IsRevoked(t.Context(), user("a")); !errors.Is(err, errBreakerOpen) {
			t.Fatalf("error %v", err)
		}
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("10,000 look-ups with an open breaker took %v", took)
	}
	srv.Resume()
}

func TestMaxInFlightIsEnforced(t *testing.T) {
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
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	_, lookup := s.IsRevoked(t.Context(), user("a"))
	_, write := s.Revoke(t.Context(), blacklist.OfToken(user("a"), inAnHour()))
	errs := []error{lookup, write, s.Ping(t.Context())}
	for _, err := range sessionErrors(t, s) {
		errs = append(errs, err)
	}
	for _, err := range errs {
		mustBeUnavailable(t, err)
		if !errors.Is(err, errTooMany) {
			t.Errorf("error %v", err)
		}
	}
	srv.Resume()
	wg.Wait()
	waitUntilWorks(t, s)
	if n := s.inFlight.Load(); n != 0 {
		t.Errorf("%d operations in flight after all calls returned", n)
	}
}
