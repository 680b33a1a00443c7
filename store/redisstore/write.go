package redisstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// op is one command on the master of its key.
type op interface {
	key() string
	// add adds the command to the pipeline. If sendScript is set, a script is sent as text, because
	// the server may not know it.
	add(ctx context.Context, p redis.Pipeliner, sendScript bool)
	// readReply reads the reply and returns its error.
	readReply() error
}

// revokeOp runs revokeSource.
type revokeOp struct {
	keys []string // mark, entry
	args []any
	cmd  *redis.Cmd
	code int64
}

func (o *revokeOp) key() string { return o.keys[0] }

func (o *revokeOp) add(ctx context.Context, p redis.Pipeliner, sendScript bool) {
	if sendScript {
		o.cmd = p.Eval(ctx, revokeSource, o.keys, o.args...)
		return
	}
	o.cmd = p.EvalSha(ctx, revokeScript.Hash(), o.keys, o.args...)
}

func (o *revokeOp) readReply() (err error) {
	o.code, err = o.cmd.Int64()
	return err
}

// markOp makes a mark if there is none.
type markOp struct {
	name, value string
	cmd         *redis.StatusCmd
	made        bool
}

func (o *markOp) key() string { return o.name }

func (o *markOp) add(ctx context.Context, p redis.Pipeliner, _ bool) {
	o.cmd = p.SetArgs(ctx, o.name, o.value, redis.SetArgs{Mode: "NX"})
}

func (o *markOp) readReply() error {
	err := o.cmd.Err()
	if errors.Is(err, redis.Nil) {
		return nil // another process has made it
	}
	o.made = err == nil
	return err
}

// getOp reads one key.
type getOp struct {
	name  string
	cmd   *redis.StringCmd
	found bool
}

func (o *getOp) key() string { return o.name }

func (o *getOp) add(ctx context.Context, p redis.Pipeliner, _ bool) { o.cmd = p.Get(ctx, o.name) }

func (o *getOp) readReply() error {
	err := o.cmd.Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	o.found = err == nil
	return err
}

func toOps[O op](in []O) []op {
	out := make([]op, len(in))
	for i, o := range in {
		out[i] = o
	}
	return out
}

// maxRounds is the largest number of tries while a Cluster changes. Usually the deadline comes
// first.
const maxRounds = 12

// write runs the ops and waits for the replicas and disks that the options require. After an error
// some of the ops may have run.
func (s *Store) write(ctx context.Context, ops []op) error { return s.run(ctx, ops, true) }

// read runs the ops without waiting for replicas or disks, except those of a fence.
func (s *Store) read(ctx context.Context, ops []op) error { return s.run(ctx, ops, false) }

// run sends the ops to their masters, and again after errors that a retry may solve.
func (s *Store) run(ctx context.Context, ops []op, wait bool) error {
	sendScript := false
	for round := 1; ; round++ {
		groups, err := s.group(ctx, ops)
		if err == nil {
			ops, err = s.runGroups(ctx, groups, sendScript, wait)
			if err == nil && len(ops) == 0 {
				return nil
			}
		}
		noScript := redis.HasErrorPrefix(err, "NOSCRIPT")
		switch {
		case round == maxRounds, ctx.Err() != nil:
			return unavailable(err)
		case noScript:
			sendScript = true // the server was restarted or lost its scripts; retry without a pause
			continue
		case s.cluster == nil, !isTransient(err):
			return unavailable(err) // go-redis has retried already
		}
		s.cluster.ReloadState(ctx)
		if !sleep(ctx, min(time.Duration(round)*20*time.Millisecond, 200*time.Millisecond)) {
			return unavailable(err)
		}
	}
}

// sleep waits for the duration. It returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// group returns the ops by the master of their keys.
func (s *Store) group(ctx context.Context, ops []op) (map[*redis.Client][]op, error) {
	if s.cluster == nil {
		return map[*redis.Client][]op{s.single: ops}, nil
	}
	groups := make(map[*redis.Client][]op)
	for _, o := range ops {
		node, err := s.cluster.MasterForKey(ctx, o.key())
		if err != nil {
			return nil, err
		}
		groups[node] = append(groups[node], o)
	}
	return groups, nil
}

// runGroups runs the ops of all masters concurrently. It returns the ops that did not succeed, and
// an error of one of them, preferably one that a retry cannot solve.
func (s *Store) runGroups(ctx context.Context, groups map[*redis.Client][]op, sendScript, wait bool) ([]op, error) {
	if len(groups) == 1 {
		for node, ops := range groups {
			return s.runNode(ctx, node, ops, sendScript, wait)
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed []op
	var worst error
	for node, ops := range groups {
		wg.Go(func() {
			remaining, err := s.runNode(ctx, node, ops, sendScript, wait)
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, remaining...)
			if worst == nil || err != nil && !isTransient(err) && !redis.HasErrorPrefix(err, "NOSCRIPT") {
				worst = err
			}
		})
	}
	wg.Wait()
	return failed, worst
}

// runNode sends the ops to one master in one pipeline, followed by WAIT. WAIT must use the same
// connection, because it covers the writes of its connection only, and must not be in MULTI, where
// it does not wait. runNode returns the ops that did not succeed.
func (s *Store) runNode(ctx context.Context, node *redis.Client, ops []op, sendScript, wait bool) ([]op, error) {
	var waited *redis.IntCmd
	var synced *redis.IntSliceCmd
	watch := s.watches.of(node)
	asks := watch.due(s.cfg.now())
	var state stateQuery
	var probe masterProbe
	var fence fence
	if !wait { // a replica refuses the others
		probe = s.newMasterProbe(ctx)
		fence = s.newFence(ctx, ops[0].key())
	}
	_, err := node.Pipelined(ctx, func(p redis.Pipeliner) error {
		_ = p.BatchProcess(ctx, probe.commands()...)
		if asks {
			state = newStateQuery(ctx)
			_ = p.BatchProcess(ctx, state[0], state[1], state[2])
		}
		for i, o := range ops {
			o.add(ctx, p, sendScript && i == 0) // the server then knows the script for the others
		}
		_ = p.BatchProcess(ctx, fence.commands()...)
		if wait && s.cfg.replicas > 0 {
			waited = redis.NewIntCmd(ctx, "wait", s.cfg.replicas, s.cfg.replicasWait.Milliseconds())
			_ = p.Process(ctx, waited)
		}
		if wait && s.cfg.aof {
			synced = redis.NewIntSliceCmd(ctx, "waitaof", 1, s.cfg.aofReplicas, s.cfg.aofWait.Milliseconds())
			_ = p.Process(ctx, synced)
		}
		return nil
	})
	// The pipeline returns the first error of a command. Without a connection it returns an error
	// that the commands may not have.
	if errors.Is(err, redis.Nil) || probe.cmd != nil && isReply(err) {
		err = probe.refused()
	}
	for _, o := range ops {
		if e := o.readReply(); e != nil && err == nil {
			err = e
		}
	}
	if asks {
		// A refused question must not hide the error of an op that a retry can solve.
		if e := watch.answer(state, s.cluster != nil); e != nil && (err == nil || !isTransient(err)) {
			err = e
		}
	}
	switch {
	case err != nil:
		// Retry all ops: those that succeeded find their nonce, and WAIT must cover them too.
		return ops, err
	case fence.refused() != nil:
		return ops, fence.refused()
	case waited != nil && waited.Val() < int64(s.cfg.replicas):
		return ops, errFewReplicas
	case synced != nil && !enoughDisks(synced.Val(), s.cfg.aofReplicas):
		return ops, errFewDisks
	}
	return nil, nil
}

// enoughDisks checks the reply of WAITAOF: 1 if the master has written to disk, and the number of
// replicas that have.
func enoughDisks(reply []int64, replicas int) bool {
	return len(reply) == 2 && reply[0] >= 1 && reply[1] >= int64(replicas)
}

var (
	errFewReplicas = &storeError{text: "too few replicas have received the write in time"}
	errFewDisks    = &storeError{text: "too few servers have written to disk in time"}
)
