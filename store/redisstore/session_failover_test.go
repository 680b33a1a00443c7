package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/session"
)

const (
	rotations = 10_000
	clients   = 64
	perLogin  = 50 // rotations until a client logs out and in again
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
			srv := redistest.Start(t, redistest.WithAOF(), redistest.WithArgs("--appendfsync", "always"))
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
			s, fail := tt.start(t)
			rotateDuring(t, s, fail)
		})
	}
}

// rotateDuring rotates with all clients and calls fail after a fifth of the rotations.
func rotateDuring(t *testing.T, s *Store, fail func()) {
	t.Helper()
	run := &rotationRun{store: s, deadline: time.Now().Add(90 * time.Second), started: make(chan struct{})}
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { run.client(t, i) })
	}
	<-run.started
	if run.rotated.Load() > rotations*9/10 {
		t.Error("the servers fail too late to have an effect")
	}
	fail()
	wg.Wait()
	waitUntilWorks(t, s)
	lost := 0
	for _, id := range run.loggedOut {
		if !isRevoked(t, s, id) {
			lost++
		}
	}
	t.Logf("%d rotations, %d tries failed, %d log-outs, %d of them lost", run.rotated.Load(), run.failed.Load(), len(run.loggedOut), lost)
	if lost > 0 || run.failed.Load() == 0 {
		t.Error("log-outs are lost, or the fault had no effect")
	}
}

type rotationRun struct {
	store           *Store
	deadline        time.Time
	started         chan struct{}
	rotated, failed atomic.Int64

	mu        sync.Mutex
	loggedOut []blacklist.Identity
}

// client logs in, refreshes and logs out until there are enough rotations. Two tabs refresh each
// generation.
func (r *rotationRun) client(t *testing.T, i int) {
	subject := benchSubject(i)
	ctx := context.Background()
	for login := 0; r.rotated.Load() < rotations; login++ {
		id := fmt.Sprint("login", login)
		if !r.untilAnswered(t, func() error { return begin(ctx, r.store, benchRow(subject, id, time.Now())) }) {
			return
		}
		for generation := uint32(1); generation <= perLogin; generation++ {
			var nonces [2]string
			var wg sync.WaitGroup
			for tab := range nonces {
				wg.Go(func() {
					r.untilAnswered(t, func() (err error) {
						nonces[tab], err = refresh(ctx, r.store, subject, id, generation)
						return err
					})
				})
			}
			wg.Wait()
			if nonces[0] != nonces[1] || nonces[0] == "" {
				t.Errorf("generation %d has the successors %q", generation, nonces)
				return
			}
			if r.rotated.Add(1) == rotations/5 {
				close(r.started)
			}
		}
		if !r.untilAnswered(t, func() error { return end(ctx, r.store, subject, id) }) {
			return
		}
		identity := user("out")
		identity.Issuer, identity.Subject, identity.Session = subject.Issuer, subject.Name, id
		r.mu.Lock()
		r.loggedOut = append(r.loggedOut, identity)
		r.mu.Unlock()
	}
}

// untilAnswered repeats the call while the store is unavailable.
func (r *rotationRun) untilAnswered(t *testing.T, call func() error) bool {
	for {
		err := call()
		switch {
		case err == nil:
			return true
		case !errors.Is(err, session.ErrUnavailable), time.Now().After(r.deadline):
			t.Error(err)
			return false
		}
		r.failed.Add(1)
		time.Sleep(10 * time.Millisecond)
	}
}

var refreshes atomic.Int64

// refresh presents a generation and returns the nonce of its successor. The predecessor of the
// current generation gets the same one again.
func refresh(ctx context.Context, s *Store, subject session.Subject, id string, presented uint32) (successor string, err error) {
	nonce := fmt.Sprint("nonce", refreshes.Add(1))
	err = s.Update(ctx, subject, func(tx session.Tx) error {
		row, found, err := tx.Session(id)
		switch {
		case err != nil:
			return err
		case !found || !row.IsLive(tx.Now()):
			return errors.New("the session is over")
		case row.Nonce == nonce:
			successor = nonce
			return nil
		case presented == row.Generation:
			row.Generation++
			row.Nonce, row.Rotated = nonce, tx.Now()
		case presented+1 != row.Generation:
			return fmt.Errorf("generation %d was presented, the current one is %d", presented, row.Generation)
		}
		successor = row.Nonce
		return tx.Put(row)
	})
	return successor, err
}
