package redisstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// runs is how often the master is killed: once, or as often as REDISSTORE_FAILOVERS says.
func runs(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("REDISSTORE_FAILOVERS"))
	if err != nil || n < 1 {
		return 1
	}
	return n
}

const revocations = 10_000

// TestSentinelFailoverLosesNothing: the master is killed during 10,000 revocations, each of which
// waits for both replicas. No acknowledged revocation is lost.
func TestSentinelFailoverLosesNothing(t *testing.T) {
	sn := redistest.StartSentinel(t)
	s := open(t, sn.Client(t), WithReplicas(2, 500*time.Millisecond))
	master := sn.Nodes[0]
	for run := range runs(t) {
		failover(t, s, run, func() {
			master.Kill()
			master = sn.Rejoin(master, sn.WaitFailover(master))
		})
	}
}

// TestClusterFailoverLosesNothing is the same test for one of the three masters of a Cluster.
func TestClusterFailoverLosesNothing(t *testing.T) {
	c := redistest.StartCluster(t)
	client := c.Client(t)
	s := open(t, client, WithReplicas(1, 500*time.Millisecond))
	for run := range runs(t) {
		master, replica := c.Nodes[run%3], c.Nodes[run%3+3]
		if run/3%2 == 1 {
			master, replica = replica, master
		}
		failover(t, s, run, func() {
			master.Kill()
			c.WaitMaster(replica)
			master.Restart()
			c.WaitWhole(6)
			c.WaitReplica(replica)
		})
	}
}

// failover revokes 10,000 tokens with 32 workers, calls kill after the first 2,000 or so, and looks
// all of them up at the end. A worker that gets an error tries the same token again. Meanwhile
// other callers look up tokens that were revoked before or never: they may get errors, but no wrong
// answer.
func failover(t *testing.T, s *Store, run int, kill func()) {
	t.Helper()
	id := func(i int) blacklist.Identity { return user(fmt.Sprintf("%d-%d", run, i)) }
	var next, acknowledged, failures atomic.Int64
	var wg sync.WaitGroup
	started := make(chan struct{})
	var once sync.Once
	begun := time.Now()
	deadline := begun.Add(60 * time.Second)
	before := newCrowd(t, s)
	var over atomic.Bool
	defer over.Store(true)
	asked := make(chan int64, 1)
	go func() {
		answers, _ := before.lookUp(t, s, 8, func(int) bool { return !over.Load() })
		asked <- answers
	}()
	for range 32 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= revocations {
					return
				}
				for {
					_, err := s.Revoke(t.Context(), blacklist.OfToken(id(i), inAnHour()))
					if err == nil {
						break
					}
					checkUnavailable(t, err)
					failures.Add(1)
					if time.Now().After(deadline) {
						t.Error("the store does not work again")
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
				if acknowledged.Add(1) == revocations/5 {
					once.Do(func() { close(started) })
				}
			}
		})
	}
	<-started
	if acknowledged.Load() > revocations*9/10 {
		t.Error("the master is killed too late to have an effect")
	}
	kill()
	wg.Wait()
	took := time.Since(begun)
	over.Store(true)
	if answers := <-asked; answers == 0 {
		t.Error("no look-up was answered during the fail-over")
	}
	waitUntilWorks(t, s)
	lost := 0
	for i := range revocations {
		revoked, err := s.IsRevoked(t.Context(), id(i))
		for errors.Is(err, errBreakerOpen) && time.Now().Before(deadline) { // until the breaker of the bucket allows a probe
			time.Sleep(10 * time.Millisecond)
			revoked, err = s.IsRevoked(t.Context(), id(i))
		}
		if err != nil {
			t.Fatalf("a look-up after the fail-over: %v", err)
		}
		if !revoked {
			lost++
		}
	}
	t.Logf("run %d: %d acknowledged, %d lost, %d tries failed, %v", run, acknowledged.Load(), lost, failures.Load(),
		took.Round(time.Millisecond))
	if lost > 0 {
		t.Errorf("%d acknowledged revocations are lost", lost)
	}
	if isRevoked(t, s, user("never revoked")) {
		t.Error("a token is revoked without a revocation: the marks were made again, so the test shows nothing")
	}
}

// checkUnavailable is mustBeUnavailable for goroutines, which must not end the test.
func checkUnavailable(t *testing.T, err error) {
	if u := unavailable(err); u.Error() != err.Error() {
		t.Errorf("an error that is not one of the store: %v", err)
	}
}

// TestTooFewReplicasIsAnError: with too few replicas a revocation returns an error, although the
// master has recorded it.
func TestTooFewReplicasIsAnError(t *testing.T) {
	srv := redistest.Start(t)
	if _, err := New(t.Context(), srv.Client(t), WithLogger(discard()), WithReplicas(1, 10*time.Millisecond)); err == nil {
		t.Fatal("New made marks without the replica")
	} else {
		mustBeUnavailable(t, err)
	}
	s := open(t, srv.Client(t))
	s.cfg.replicas, s.cfg.replicasWait = 1, 10*time.Millisecond
	for _, r := range []blacklist.Revocation{
		blacklist.OfToken(user("a"), inAnHour()), blacklist.OfIssuer("v", time.Now(), inAnHour()),
	} {
		_, err := s.Revoke(t.Context(), r)
		mustBeUnavailable(t, err)
		if err.Error() != errFewReplicas.Error() {
			t.Errorf("error %v", err)
		}
	}
	if !isRevoked(t, s, user("a")) {
		t.Error("the master has not recorded the revocation")
	}
}

// TestRevokeAlwaysWrites: a revocation that changes nothing writes too, because WAIT covers writes
// only.
func TestRevokeAlwaysWrites(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	r := blacklist.OfToken(user("a"), time.Time{})
	revoke(t, s, r)
	for range 3 {
		srv.Do("CONFIG", "RESETSTAT")
		if !revoke(t, s, r) {
			t.Error("Revoke reports before = false for a revocation in force")
		}
		if stats := parseInfo(srv.Do("INFO", "commandstats").(string)); !strings.HasPrefix(stats["cmdstat_set"], "calls=1,") {
			t.Errorf("SET: %q", stats["cmdstat_set"])
		}
	}
}

// TestHangingReplicaFailsRevocations: while a replica hangs, revocations return errors in time.
// They succeed again afterwards.
func TestHangingReplicaFailsRevocations(t *testing.T) {
	sn := redistest.StartSentinel(t)
	s := open(t, sn.Client(t), WithReplicas(2, 300*time.Millisecond))
	r := blacklist.OfToken(user("a"), time.Time{})
	revoke(t, s, r)
	if !revoke(t, s, r) {
		t.Error("Revoke reports before = false for a revocation in force")
	}
	sn.Nodes[2].Pause()
	_, err := s.Revoke(t.Context(), r)
	mustBeUnavailable(t, err)
	sn.Nodes[2].Resume()
	redistest.Eventually(t, "revocations succeed again", func() error { _, err := s.Revoke(t.Context(), r); return err })
}

// TestWithAOFWaitsForDisks simulates the reply to WAITAOF: the command follows the write in the
// same pipeline, and its reply decides.
func TestWithAOFWaitsForDisks(t *testing.T) {
	client := redistest.Start(t).Client(t)
	s := open(t, client)
	s.cfg.aof, s.cfg.aofReplicas, s.cfg.aofWait = true, 2, 70*time.Millisecond
	hook := &waitAOF{}
	client.AddHook(hook)
	for _, tt := range []struct {
		name  string
		reply []int64
		want  bool
	}{
		{name: "master and two replicas", reply: []int64{1, 2}, want: true},
		{name: "master and three replicas", reply: []int64{1, 3}, want: true},
		{name: "not the master", reply: []int64{0, 2}, want: false},
		{name: "one replica", reply: []int64{1, 1}, want: false},
		{name: "empty reply", reply: nil, want: false},
		{name: "short reply", reply: []int64{1}, want: false},
	} {
		hook.reply, hook.seen = tt.reply, ""
		_, err := s.Revoke(t.Context(), blacklist.OfToken(user(tt.name), inAnHour()))
		if (err == nil) != tt.want {
			t.Errorf("%s: error %v, want none = %v", tt.name, err, tt.want)
		}
		if err != nil {
			mustBeUnavailable(t, err)
		}
		if hook.seen != "[waitaof 1 2 70]" {
			t.Errorf("sent %q", hook.seen)
		}
		if !isRevoked(t, s, user(tt.name)) {
			t.Errorf("%s: the token is not revoked", tt.name)
		}
	}
}

type waitAOF struct {
	reply []int64
	seen  string
}

func (*waitAOF) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*waitAOF) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *waitAOF) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		last := cmds[len(cmds)-1]
		if last.Name() != "waitaof" {
			return next(ctx, cmds)
		}
		h.seen = fmt.Sprint(last.Args())
		last.(*redis.IntSliceCmd).SetVal(h.reply)
		return next(ctx, cmds[:len(cmds)-1])
	}
}

// TestNewRefusesReplicaOnly: the options of a fail-over client do not show that it reads from
// replicas; the role of its server does.
func TestNewRefusesReplicaOnly(t *testing.T) {
	sn := redistest.StartSentinel(t)
	o := sn.Options()
	o.ReplicaOnly = true
	_, err := New(t.Context(), redistest.Closed(t, redis.NewFailoverClient(o)), WithLogger(discard()))
	mustBeUnavailable(t, err)
	if err.Error() != errNoMaster.Error() {
		t.Errorf("error %v", err)
	}
}

// TestMissingMasterFailsItsBuckets: while one master of a Cluster is down, look-ups in its buckets
// return errors and others may answer. The cut-off of an issuer, which is in all buckets, returns
// an error. Everything works again when the master is back.
func TestMissingMasterFailsItsBuckets(t *testing.T) {
	c := redistest.StartCluster(t)
	s := open(t, c.Client(t), quick()...)
	for i := range 24 {
		revoke(t, s, blacklist.OfToken(user(fmt.Sprint(i)), inAnHour()))
	}
	c.Nodes[1].Pause() // and its replica; after a second the other masters refuse too, because the Cluster is incomplete
	c.Nodes[4].Pause()
	answered, failed := 0, 0
	for i := range 24 {
		revoked, err := s.IsRevoked(t.Context(), user(fmt.Sprint(i)))
		switch {
		case err != nil:
			mustBeUnavailable(t, err)
			failed++
		case !revoked:
			t.Errorf("revoked token %d is accepted while a master is down", i)
		default:
			answered++
		}
	}
	if failed == 0 {
		t.Error("no look-up failed while a master is down")
	}
	t.Logf("%d look-ups answered, %d failed", answered, failed)
	_, err := s.Revoke(t.Context(), blacklist.OfIssuer("v", time.Now(), inAnHour()))
	mustBeUnavailable(t, err)
	mustBeUnavailable(t, s.Ping(t.Context()))
	c.Nodes[1].Resume()
	c.Nodes[4].Resume()
	waitUntilWorks(t, s)
	redistest.Eventually(t, "an issuer is cut off", func() error {
		_, err := s.Revoke(t.Context(), blacklist.OfIssuer("v", time.Now(), inAnHour()))
		return err
	})
	for i := range 24 {
		id := user(fmt.Sprint(i))
		if !isRevoked(t, s, id) {
			t.Errorf("revoked token %d is accepted after the fault", i)
		}
		if id.Issuer = "v"; !isRevoked(t, s, id) {
			t.Errorf("bucket of token %d does not contain the cut-off of the issuer", i)
		}
	}
}

// TestLookUpsAnswerWhileSlotMoves: while a Cluster moves a slot, look-ups in it answer rightly.
func TestLookUpsAnswerWhileSlotMoves(t *testing.T) {
	c := redistest.StartCluster(t)
	client := c.Client(t)
	s := open(t, client, WithTimeouts(10*time.Second, 10*time.Second))
	stale := open(t, c.Client(t)) // learns of the move from the reply to a write
	id, free := user("a"), user("a")
	free.ID, free.Session = "another token", "another session"
	revoke(t, s, blacklist.OfToken(id, inAnHour()))
	bucket := s.layout.bucket(id)
	slot := int(c.Nodes[0].Do("CLUSTER", "KEYSLOT", s.layout.mark(bucket)).(int64))
	from := slot * 3 / 16384
	source, target := c.Nodes[from], c.Nodes[(from+1)%3]
	sourceID, targetID := source.Do("CLUSTER", "MYID"), target.Do("CLUSTER", "MYID")

	check := func(stage string) {
		t.Helper()
		var wg sync.WaitGroup
		for range 16 { // so that look-ups share batches
			wg.Go(func() {
				revoked, err1 := s.IsRevoked(t.Context(), id)
				other, err2 := s.IsRevoked(t.Context(), free)
				if !revoked || other || err1 != nil || err2 != nil {
					t.Errorf("%s: %v, %v; %v, %v", stage, revoked, err1, other, err2)
				}
			})
		}
		wg.Wait()
	}
	target.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", sourceID)
	source.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", targetID)
	check("nothing moved")
	keys := source.Do("CLUSTER", "GETKEYSINSLOT", slot, 100).([]any)
	if len(keys) < 2 {
		t.Fatalf("keys %v", keys)
	}
	for i, key := range keys {
		source.Do("MIGRATE", "127.0.0.1", target.Port, key, 0, 5000)
		check(fmt.Sprintf("%d keys of %d moved", i+1, len(keys)))
	}
	for _, n := range c.Nodes[:3] {
		n.Do("CLUSTER", "SETSLOT", slot, "NODE", targetID)
	}
	check("moved")
	if revoke(t, stale, blacklist.OfToken(free, inAnHour())) || !revoke(t, stale, blacklist.OfToken(id, inAnHour())) {
		t.Error("Revoke reports before wrongly after the move")
	}
	if !isRevoked(t, s, free) || !isRevoked(t, stale, free) {
		t.Error("a token is not revoked after the move")
	}
}
