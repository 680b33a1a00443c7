package redisstore

import (
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/session/sessiontest"
)

// TestRotationsSurviveFaults: during 10,000 rotations by 64 clients that repeat until they are
// answered, the server fails. No session ends, no generation has two successors, and no
// acknowledged log-out is lost.
func TestRotationsSurviveFaults(t *testing.T) {
	for _, tt := range []struct {
		name string
		// start returns a store, and a function that makes the servers fail and work again.
		start func(t *testing.T) (*Store, func())
	}{
		{name: "paused", start: func(t *testing.T) (*Store, func()) {
			srv := redistest.Start(t)
			return open(t, srv.Client(t)), func() {
				srv.Pause()
				time.Sleep(3 * time.Second) // longer than the deadline of a call
				srv.Resume()
			}
		}},
		{name: "killed, appendfsync always", start: func(t *testing.T) (*Store, func()) {
			srv := redistest.Start(t, redistest.WithAOF("always"))
			return open(t, srv.Client(t)), func() {
				srv.Kill()
				time.Sleep(3 * time.Second) // longer than the deadline of a call
				srv.Restart()
			}
		}},
		{name: "Sentinel fail-over", start: func(t *testing.T) (*Store, func()) {
			sn := redistest.StartSentinel(t)
			return open(t, sn.Client(t), WithReplicas(2, 500*time.Millisecond)), func() {
				master := sn.Nodes[0]
				master.Kill()
				sn.Rejoin(master, sn.WaitFailover(master))
			}
		}},
		{name: "Sentinel, master paused", start: func(t *testing.T) (*Store, func()) {
			sn := redistest.StartSentinel(t)
			return open(t, sn.Client(t), WithReplicas(2, 500*time.Millisecond)), func() {
				master := sn.Nodes[0]
				master.Pause()
				sn.WaitFailover(master)
				master.Resume() // the Sentinels make it a replica
			}
		}},
		{name: "Cluster fail-over", start: func(t *testing.T) (*Store, func()) {
			c := redistest.StartCluster(t)
			return open(t, c.Client(t), WithReplicas(1, 500*time.Millisecond)), func() {
				c.Nodes[0].Kill()
				c.WaitMaster(c.Nodes[3])
				c.Nodes[0].Restart()
				c.WaitWhole(6)
				c.WaitReplica(c.Nodes[3])
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, fail := tt.start(t)
			rotateDuring(t, s, fail)
		})
	}
}

// rotateDuring runs the rotations of the suite, and the fault after a fifth of them.
func rotateDuring(t *testing.T, s *Store, fail func()) {
	t.Helper()
	run := sessiontest.NewRotations(t, s, nil)
	run.Fault = func(p *sessiontest.Progress) {
		if !p.Await(2000) {
			t.Error("the servers do not fail during the run")
		}
		fail()
	}
	if report := run.Run(t); report.Repeats == 0 {
		t.Error("the fault had no effect")
	}
	waitUntilWorks(t, s)
}
