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

// runs is how often the master is killed. REDISSTORE_FAILOVERS asks for more than the suite has time for.
func runs(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("REDISSTORE_FAILOVERS"))
	if err != nil || n < 1 {
		return 1
	}
	return n
}

const revocations = 10_000

// TestSentinelFailover: the master is killed while 10,000 revocations run, each of which waits for both replicas. None
// that was acknowledged may be lost.
func TestSentinelFailover(t *testing.T) {
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

// TestClusterFailover: likewise one master of three.
func TestClusterFailover(t *testing.T) {
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

// failover revokes 10,000 tokens with 32 workers, calls kill after the first 2,000 or so, and then looks all of them up.
// A worker that gets an error tries the same token again. All the while others look up what was revoked before, and what
// never was: they may hear errors, but no wrong answer.
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
		answers, _ := before.ask(t, s, 8, func(int) bool { return !over.Load() })
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
					mustFailQuietly(t, err)
					failures.Add(1)
					if time.Now().After(deadline) {
						t.Error("the store does not come back")
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
		t.Error("the master is killed too late to disturb anything")
	}
	kill()
	wg.Wait()
	took := time.Since(begun)
	over.Store(true)
	if answers := <-asked; answers == 0 {
		t.Error("no look-up was answered meanwhile")
	}
	works(t, s)
	lost := 0
	for i := range revocations {
		revoked, err := s.IsRevoked(t.Context(), id(i))
		for errors.Is(err, errOpen) && time.Now().Before(deadline) { // until the breaker of its bucket tries again
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
		t.Errorf("%d revocations that were acknowledged are lost", lost)
	}
	if isRevoked(t, s, user("never revoked")) {
		t.Error("revoked without a revocation: the marks were made anew, so nothing above says anything")
	}
}

// mustFailQuietly is mustFail for the workers, whose goroutines must not end the test.
func mustFailQuietly(t *testing.T, err error) {
	if u := unavailable(err); u.Error() != err.Error() {
		t.Errorf("an error that is not the store's: %v", err)
	}
}

// TestTooFewReplicas: where WAIT counts too few, the caller hears of it, though the master has the revocation.
func TestTooFewReplicas(t *testing.T) {
	srv := redistest.Start(t)
	if _, err := New(t.Context(), srv.Client(t), WithLogger(discard()), WithReplicas(1, 10*time.Millisecond)); err == nil {
		t.Fatal("New has made marks without the replica")
	} else {
		mustFail(t, err)
	}
	s := open(t, srv.Client(t))
	s.cfg.replicas, s.cfg.replicasWait = 1, 10*time.Millisecond
	for _, r := range []blacklist.Revocation{
		blacklist.OfToken(user("a"), inAnHour()), blacklist.OfVerifier("v", time.Now(), inAnHour()),
	} {
		_, err := s.Revoke(t.Context(), r)
		mustFail(t, err)
		if err.Error() != errFewReplicas.Error() {
			t.Errorf("error %v", err)
		}
	}
	if !isRevoked(t, s, user("a")) {
		t.Error("the master has it, and does not say so")
	}
}

// TestAlwaysWrites: also a revocation that changes nothing is a write, so that WAIT behind it has something to wait for.
func TestAlwaysWrites(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	r := blacklist.OfToken(user("a"), time.Time{})
	revoke(t, s, r)
	for range 3 {
		srv.Do("CONFIG", "RESETSTAT")
		if !revoke(t, s, r) {
			t.Error("not in force before")
		}
		if stats := parseInfo(srv.Do("INFO", "commandstats").(string)); !strings.HasPrefix(stats["cmdstat_set"], "calls=1,") {
			t.Errorf("SET: %q", stats["cmdstat_set"])
		}
	}
}

// TestReplicaHangs: a replica that does not answer fails the revocation, in time, and recovers.
func TestReplicaHangs(t *testing.T) {
	sn := redistest.StartSentinel(t)
	s := open(t, sn.Client(t), WithReplicas(2, 300*time.Millisecond))
	r := blacklist.OfToken(user("a"), time.Time{})
	revoke(t, s, r)
	if !revoke(t, s, r) {
		t.Error("not in force before")
	}
	sn.Nodes[2].Pause()
	_, err := s.Revoke(t.Context(), r)
	mustFail(t, err)
	sn.Nodes[2].Resume()
	redistest.Eventually(t, "the replica is back", func() error { _, err := s.Revoke(t.Context(), r); return err })
}

// TestWaitAOF stands in for a server that has WAITAOF: the command goes out behind the write, in the same pipeline, and
// its reply decides.
func TestWaitAOF(t *testing.T) {
	client := redistest.Start(t).Client(t)
	s := open(t, client)
	s.cfg.aof, s.cfg.aofReplicas, s.cfg.aofWait = true, 2, 70*time.Millisecond
	hook := &waitAOF{}
	client.AddHook(hook)
	for i, c := range []struct {
		reply []int64
		want  bool
	}{
		{[]int64{1, 2}, true}, {[]int64{1, 3}, true}, {[]int64{0, 2}, false}, {[]int64{1, 1}, false}, {nil, false}, {[]int64{1}, false},
	} {
		hook.reply, hook.seen = c.reply, ""
		_, err := s.Revoke(t.Context(), blacklist.OfToken(user(fmt.Sprint(i)), inAnHour()))
		if (err == nil) != c.want {
			t.Errorf("%v: error %v", c.reply, err)
		}
		if err != nil {
			mustFail(t, err)
		}
		if hook.seen != "[waitaof 1 2 70]" {
			t.Errorf("sent %q", hook.seen)
		}
		if !isRevoked(t, s, user(fmt.Sprint(i))) {
			t.Error("not revoked")
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

// TestReplicaOnly: the options of a fail-over client do not show that it reads from replicas; its server does.
func TestReplicaOnly(t *testing.T) {
	sn := redistest.StartSentinel(t)
	o := sn.Options()
	o.ReplicaOnly = true
	_, err := New(t.Context(), redistest.Closed(t, redis.NewFailoverClient(o)), WithLogger(discard()))
	mustFail(t, err)
	if err.Error() != errNoMaster.Error() {
		t.Errorf("error %v", err)
	}
}

// TestClusterPart: with one master of a Cluster gone, its buckets cannot be known, and the others go on; a verifier's
// cut-off, which is for all buckets, is an error. When the master is back it all works.
func TestClusterPart(t *testing.T) {
	c := redistest.StartCluster(t)
	s := open(t, c.Client(t), quick()...)
	for i := range 24 {
		revoke(t, s, blacklist.OfToken(user(fmt.Sprint(i)), inAnHour()))
	}
	c.Nodes[1].Pause() // with its replica; after a second the other masters refuse too, as the Cluster is not whole
	c.Nodes[4].Pause()
	known, unknown := 0, 0
	for i := range 24 {
		revoked, err := s.IsRevoked(t.Context(), user(fmt.Sprint(i)))
		switch {
		case err != nil:
			mustFail(t, err)
			unknown++
		case !revoked:
			t.Errorf("%d is revoked, and not revoked with a master gone", i)
		default:
			known++
		}
	}
	if unknown == 0 {
		t.Error("a master is gone, and every look-up knew")
	}
	t.Logf("%d known, %d unknown", known, unknown)
	_, err := s.Revoke(t.Context(), blacklist.OfVerifier("v", time.Now(), inAnHour()))
	mustFail(t, err)
	mustFail(t, s.Ping(t.Context()))
	c.Nodes[1].Resume()
	c.Nodes[4].Resume()
	works(t, s)
	redistest.Eventually(t, "a verifier is cut off", func() error {
		_, err := s.Revoke(t.Context(), blacklist.OfVerifier("v", time.Now(), inAnHour()))
		return err
	})
	for i := range 24 {
		id := user(fmt.Sprint(i))
		if !isRevoked(t, s, id) {
			t.Errorf("%d is revoked, and not revoked after the fault", i)
		}
		if id.Verifier = "v"; !isRevoked(t, s, id) {
			t.Errorf("bucket of %d: the verifier is not cut off", i)
		}
	}
}

// TestSlotMoves: while a slot is on its way to another master its look-ups still answer right.
func TestSlotMoves(t *testing.T) {
	c := redistest.StartCluster(t)
	client := c.Client(t)
	s := open(t, client, WithTimeouts(10*time.Second, 10*time.Second))
	stale := open(t, c.Client(t)) // learns of the move from the answer to a write
	id, free := user("a"), user("a")
	free.ID, free.Session = "another token", "another session"
	revoke(t, s, blacklist.OfToken(id, inAnHour()))
	bucket := s.layout.bucket(id)
	slot := int(c.Nodes[0].Do("CLUSTER", "KEYSLOT", s.layout.mark(bucket)).(int64))
	from := slot * 3 / 16384
	source, target := c.Nodes[from], c.Nodes[(from+1)%3]
	sourceID, targetID := source.Do("CLUSTER", "MYID"), target.Do("CLUSTER", "MYID")

	right := func(stage string) {
		t.Helper()
		var wg sync.WaitGroup
		for range 16 { // in batches
			wg.Go(func() {
				yes, err1 := s.IsRevoked(t.Context(), id)
				no, err2 := s.IsRevoked(t.Context(), free)
				if !yes || no || err1 != nil || err2 != nil {
					t.Errorf("%s: %v, %v; %v, %v", stage, yes, err1, no, err2)
				}
			})
		}
		wg.Wait()
	}
	target.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", sourceID)
	source.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", targetID)
	right("nothing moved")
	keys := source.Do("CLUSTER", "GETKEYSINSLOT", slot, 100).([]any)
	if len(keys) < 2 {
		t.Fatalf("keys %v", keys)
	}
	for i, key := range keys {
		source.Do("MIGRATE", "127.0.0.1", target.Port, key, 0, 5000)
		right(fmt.Sprintf("%d keys of %d moved", i+1, len(keys)))
	}
	for _, n := range c.Nodes[:3] {
		n.Do("CLUSTER", "SETSLOT", slot, "NODE", targetID)
	}
	right("moved")
	if revoke(t, stale, blacklist.OfToken(free, inAnHour())) || !revoke(t, stale, blacklist.OfToken(id, inAnHour())) {
		t.Error("before is wrong where the slot went")
	}
	if !isRevoked(t, s, free) || !isRevoked(t, stale, free) {
		t.Error("not revoked where the slot went")
	}
}
