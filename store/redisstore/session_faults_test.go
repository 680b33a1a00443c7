package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/session"
)

// TestLostReplyRotatesOnce: the reply to a commit is lost after the server has made it. The client
// sends it again, and the step runs again and finds its nonce: the generation rises by one. The last
// run writes nothing, but a commit follows, so that WAIT covers the first one.
func TestLostReplyRotatesOnce(t *testing.T) {
	srv := redistest.Start(t)
	proxy := redistest.StartProxy(t, srv)
	o := srv.Options()
	o.Addr = proxy.Addr()
	client := redistest.Closed(t, redis.NewClient(o))
	commits := &counter{sha: commitScript.sha}
	client.AddHook(commits)
	s := open(t, client)
	subject := benchSubject(0)
	if err := begin(t.Context(), s, benchRow(subject, "a", time.Now())); err != nil {
		t.Fatal(err)
	}
	for generation := uint32(2); generation < 12; generation++ {
		commits.n.Store(0)
		proxy.DropReplyTo(commitScript.sha)
		row, err := rotate(t.Context(), s, subject, "a", fmt.Sprint("nonce", generation))
		if err != nil || row.Generation != generation || !proxy.Dropped() {
			t.Fatalf("generation %d, want %d; error %v; dropped %v", row.Generation, generation, err, proxy.Dropped())
		}
		if n := commits.n.Load(); n != 2 {
			t.Errorf("%d commits, want the one that was made and one for WAIT", n)
		}
	}
}

// counter counts the scripts with a digest, without those that the client sends again.
type counter struct {
	sha string
	n   atomic.Int64
}

func (*counter) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if cmd.Name() == "evalsha" && cmd.Args()[1] == c.sha {
				c.n.Add(1)
			}
		}
		return next(ctx, cmds)
	}
}

// TestManyRefreshesRotateOnce: 100 refreshes at once with one nonce, in two processes, over a
// network that loses replies, raise the generation once.
func TestManyRefreshesRotateOnce(t *testing.T) {
	srv := redistest.Start(t)
	proxy := redistest.StartProxy(t, srv)
	o := srv.Options()
	o.Addr = proxy.Addr()
	stores := []*Store{
		open(t, redistest.Closed(t, redis.NewClient(o)), WithTimeouts(10*time.Second, 10*time.Second)),
		open(t, srv.Client(t), WithTimeouts(10*time.Second, 10*time.Second)),
	}
	subject := benchSubject(0)
	if err := begin(t.Context(), stores[0], benchRow(subject, "a", time.Now())); err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		proxy.DropReplyTo(commitScript.sha)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if row, err := rotate(t.Context(), stores[i%2], subject, "a", fmt.Sprint("round", round)); err != nil || row.Generation != uint32(round+2) {
					t.Errorf("generation %d in round %d, %v", row.Generation, round, err)
				}
			})
		}
		wg.Wait()
	}
}

// TestTransactionsOfTwoProcesses: many transactions of two processes on one row lose nothing.
func TestTransactionsOfTwoProcesses(t *testing.T) {
	srv := redistest.Start(t)
	stores := []*Store{
		open(t, srv.Client(t), WithTimeouts(20*time.Second, 20*time.Second)),
		open(t, srv.Client(t), WithTimeouts(20*time.Second, 20*time.Second)),
	}
	subject := benchSubject(0)
	if err := begin(t.Context(), stores[0], benchRow(subject, "a", time.Now())); err != nil {
		t.Fatal(err)
	}
	const callers, calls = 16, 25
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := range calls {
				if _, err := rotate(t.Context(), stores[i%2], subject, "a", fmt.Sprint(i, "-", n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if row, err := rotate(t.Context(), stores[0], subject, "a", "last"); err != nil || row.Generation != callers*calls+2 {
		t.Errorf("generation %d, want %d; %v", row.Generation, callers*calls+2, err)
	}
}

// TestCommitWithTooFewReplicas: a commit waits like a revocation, also one that changes nothing.
func TestCommitWithTooFewReplicas(t *testing.T) {
	s := open(t, redistest.Start(t).Client(t))
	subject := benchSubject(0)
	row := benchRow(subject, "a", time.Now())
	s.cfg.replicas, s.cfg.replicasWait = 1, 10*time.Millisecond
	put := func(tx session.Tx) error { return tx.Put(row) }
	for name, err := range map[string]error{
		"first write": s.Update(t.Context(), subject, put),
		"same write":  s.Update(t.Context(), subject, put),
		"epoch":       s.Update(t.Context(), subject, func(tx session.Tx) error { return tx.SetEpoch(1) }),
		"forget":      s.Forget(t.Context(), subject),
	} {
		mustSay(t, name, err, errFewReplicas.text)
	}
	if err := s.Update(t.Context(), subject, func(tx session.Tx) error { _, err := tx.Epoch(); return err }); err != nil {
		t.Errorf("a step that writes nothing: %v", err)
	}
}

// TestEmptiedStoreEndsSessions: after FLUSHALL, before or during a transaction, all sessions are
// over. No row is written into a bucket without a mark.
func TestEmptiedStoreEndsSessions(t *testing.T) {
	subject := benchSubject(0)
	for _, tt := range []struct {
		name    string
		missing MissingMark
		during  bool
	}{
		{name: "LogOut, before", missing: LogOut},
		{name: "LogOut, during", missing: LogOut, during: true},
		{name: "Refuse, before", missing: Refuse},
		{name: "Refuse, during", missing: Refuse, during: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := redistest.Start(t)
			s := open(t, srv.Client(t), WithMissingMark(tt.missing))
			if !tt.during {
				if err := begin(t.Context(), s, benchRow(subject, "old", time.Now())); err != nil {
					t.Fatal(err)
				}
				srv.Do("FLUSHALL")
			}
			runs := 0
			var found bool
			err := s.Update(t.Context(), subject, func(tx session.Tx) (err error) {
				if _, found, err = tx.Session("old"); err != nil {
					return err
				}
				if runs++; runs == 1 && tt.during {
					srv.Do("FLUSHALL")
				}
				return tx.Put(benchRow(subject, "new", time.Now()))
			})
			keys := s.layout.session(subject).keys
			marks, rows := srv.Do("EXISTS", keys[0]), srv.Do("EXISTS", keys[1])
			if tt.missing == Refuse {
				mustSay(t, "Update", err, "mark")
				if marks != int64(0) || rows != int64(0) {
					t.Errorf("%v marks, %v subjects in a store without marks", marks, rows)
				}
				return
			}
			if err != nil || found || marks != int64(1) || rows != int64(1) {
				t.Errorf("error %v, old session found %v, %v marks, %v subjects", err, found, marks, rows)
			}
			if n := srv.Do("DBSIZE").(int64); n != buckets+4 {
				t.Errorf("%d keys, want a mark in each bucket, the three keys of the subject and the records", n)
			}
		})
	}
}

// TestLateCommitAfterForget: a commit that was under way during Forget writes nothing.
func TestLateCommitAfterForget(t *testing.T) {
	s := open(t, redistest.Start(t).Client(t))
	subject, runs := benchSubject(0), 0
	err := s.Update(t.Context(), subject, func(tx session.Tx) error {
		if _, found, err := tx.Session("a"); err != nil || found {
			return err
		}
		if runs++; runs > 1 {
			return errors.New("ran again")
		}
		if err := s.Forget(t.Context(), subject); err != nil {
			return err
		}
		return tx.Put(benchRow(subject, "a", time.Now()))
	})
	if err == nil || err.Error() != "ran again" {
		t.Errorf("error %v, want that the step ran again", err)
	}
}

// TestRowsOfOthersAreRefused: a step cannot write a row of another subject, whose keys may be on
// another master, and none without an id, which would replace the record.
func TestRowsOfOthersAreRefused(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	before := srv.Do("DBSIZE")
	for name, row := range map[string]session.Row{
		"another subject": benchRow(benchSubject(1), "a", time.Now()),
		"no id":           benchRow(benchSubject(0), "", time.Now()),
	} {
		err := s.Update(t.Context(), benchSubject(0), func(tx session.Tx) error {
			if _, found, err := tx.Session(""); err != nil || found {
				t.Errorf("a row without an id: %v, %v", found, err)
			}
			return tx.Put(row)
		})
		mustSay(t, name, err, "the row")
	}
	if after := srv.Do("DBSIZE"); after != before {
		t.Errorf("%v keys before, %v afterwards", before, after)
	}
}

// TestValuesOfOthersAreErrors: a row or a record that this version did not write is an error, never
// a session.
func TestValuesOfOthersAreErrors(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	subject := benchSubject(-1)
	keys := s.layout.session(subject)
	for _, tt := range []struct {
		name  string
		write func()
	}{
		{name: "a row without a time", write: func() { srv.Do("HSET", keys.keys[1], "sid-x", "{}") }},
		{name: "a row of another version", write: func() { srv.Do("HSET", keys.keys[1], "sid-x", `9999999999999:{"v":2}`) }},
		{name: "a record of another version", write: func() { srv.Do("HSET", keys.keys[1], "", "1") }},
		{name: "rows of another type", write: func() { srv.Do("SET", keys.keys[1], "") }},
	} {
		srv.Do("DEL", keys.keys[1], keys.keys[2])
		srv.Do("ZADD", keys.keys[2], 1, "sid-x")
		tt.write()
		errs := sessionErrors(t, s)
		for _, name := range []string{"Update that writes", "Update that reads", "List"} {
			if errs[name] == nil {
				t.Errorf("%s, %s: no error", tt.name, name)
				continue
			}
			mustBeUnavailable(t, errs[name])
		}
	}
}

// TestEvictionWhileRunning: eviction that is switched on while the store is running is an error of
// every call within a second, and not a token that is no longer revoked.
func TestEvictionWhileRunning(t *testing.T) {
	const tokens = 2000
	for _, tt := range []struct {
		name   string
		evict  func(*redistest.Server)
		repair func(*redistest.Server)
	}{
		{
			name: "switched on",
			evict: func(srv *redistest.Server) {
				srv.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
				srv.Do("CONFIG", "SET", "maxmemory", "100kb")
			},
			repair: func(srv *redistest.Server) {
				srv.Do("CONFIG", "SET", "maxmemory", "0")
				srv.Do("FLUSHALL")
				srv.Do("CONFIG", "RESETSTAT")
			},
		},
		{
			name: "switched on and off",
			evict: func(srv *redistest.Server) {
				srv.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
				srv.Do("CONFIG", "SET", "maxmemory", "100kb")
				_, _ = srv.Do("CONFIG", "SET", "maxmemory", "0"), srv.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
			},
			repair: func(srv *redistest.Server) { srv.Do("FLUSHALL"); srv.Do("CONFIG", "RESETSTAT") },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := redistest.Start(t)
			now := &clock{}
			s := open(t, srv.Client(t), WithClock(now.now), WithBreaker(0, 0))
			for i := range tokens {
				revoke(t, s, blacklist.OfToken(user(fmt.Sprint(i)), inAnHour()))
			}
			tt.evict(srv)
			if stats := parseInfo(srv.Do("INFO", "stats").(string)); stats["evicted_keys"] == "0" {
				t.Fatal("the server has evicted nothing, so the test shows nothing")
			}
			now.add(watchInterval)
			refused, accepted := 0, 0
			for i := range tokens {
				revoked, err := s.IsRevoked(t.Context(), user(fmt.Sprint(i)))
				switch {
				case err != nil:
					mustBeUnavailable(t, err)
					refused++
				case !revoked:
					accepted++
				}
			}
			if refused != tokens || accepted > 0 {
				t.Errorf("%d of %d look-ups returned errors, %d revoked tokens were accepted", refused, tokens, accepted)
			}
			_, err := s.Revoke(t.Context(), blacklist.OfToken(user("new"), inAnHour()))
			mustSay(t, "Revoke", err, "evict")
			mustSay(t, "Ping", s.Ping(t.Context()), "evict")
			for name, err := range sessionErrors(t, s) {
				mustSay(t, name, err, "evict")
			}
			tt.repair(srv)
			waitUntilWorks(t, s)
		})
	}
}

// TestEvictionOnOneMaster: while one master of a Cluster evicts keys, the calls in its buckets return
// errors and the others answer.
func TestEvictionOnOneMaster(t *testing.T) {
	c := redistest.StartCluster(t)
	now := &clock{}
	s := open(t, c.Client(t), WithClock(now.now), WithTimeouts(10*time.Second, 10*time.Second))
	c.Nodes[1].Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	c.Nodes[1].Do("CONFIG", "SET", "maxmemory", "1gb")
	now.add(watchInterval)
	answered, refused := 0, 0
	for i := range 64 {
		_, err := s.IsRevoked(t.Context(), user(fmt.Sprint(i)))
		if err != nil {
			refused++
			mustBeUnavailable(t, err)
		} else {
			answered++
		}
		subject := session.Subject{Issuer: user("").Issuer, Name: user(fmt.Sprint(i)).Subject}
		updateErr := s.Update(t.Context(), subject, func(tx session.Tx) error { return tx.Put(benchRow(subject, "a", time.Now())) })
		if (err == nil) != (updateErr == nil) { // both are in one bucket
			t.Errorf("IsRevoked: %v; Update: %v", err, updateErr)
		}
	}
	if answered == 0 || refused == 0 {
		t.Errorf("%d look-ups answered, %d refused", answered, refused)
	}
	_, err := s.Revoke(t.Context(), blacklist.OfIssuer("https://issuer.example", time.Now(), inAnHour()))
	mustSay(t, "Revoke of an issuer", err, "evict")
}
