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
	// add puts the command into the pipeline. text says that the server may not know the script yet.
	add(ctx context.Context, p redis.Pipeliner, text bool)
	// take reads the reply. An error leaves the op to be done again or given up.
	take() error
}

// revokeOp runs the script.
type revokeOp struct {
	keys []string // mark, entry
	args []any
	cmd  *redis.Cmd
	code int64
}

func (o *revokeOp) key() string { return o.keys[0] }

func (o *revokeOp) add(ctx context.Context, p redis.Pipeliner, text bool) {
	if text {
		o.cmd = p.Eval(ctx, revokeSource, o.keys, o.args...)
		return
	}
	o.cmd = p.EvalSha(ctx, revokeScript.Hash(), o.keys, o.args...)
}

func (o *revokeOp) take() (err error) {
	o.code, err = o.cmd.Int64()
	return err
}

// markOp makes a mark where there is none.
type markOp struct {
	name, value string
	cmd         *redis.StatusCmd
	made        bool
}

func (o *markOp) key() string { return o.name }

func (o *markOp) add(ctx context.Context, p redis.Pipeliner, _ bool) {
	o.cmd = p.SetArgs(ctx, o.name, o.value, redis.SetArgs{Mode: "NX"})
}

func (o *markOp) take() error {
	err := o.cmd.Err()
	if errors.Is(err, redis.Nil) {
		return nil // another process was first
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

func (o *getOp) take() error {
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

// maxRounds bounds how often a write follows a Cluster that changes its shape; the deadline mostly ends it earlier.
const maxRounds = 12

// write does the ops and waits until the replicas and disks asked for have them. Any error means that it may have done
// some of them.
func (s *Store) write(ctx context.Context, ops []op) error { return s.run(ctx, ops, true) }

// read does the ops without waiting for anything.
func (s *Store) read(ctx context.Context, ops []op) error { return s.run(ctx, ops, false) }

func (s *Store) run(ctx context.Context, ops []op, wait bool) error {
	text := false
	for round := 1; ; round++ {
		groups, err := s.group(ctx, ops)
		if err == nil {
			ops, err = s.runGroups(ctx, groups, text, wait)
			if err == nil && len(ops) == 0 {
				return nil
			}
		}
		noScript := redis.HasErrorPrefix(err, "NOSCRIPT")
		switch {
		case round == maxRounds, ctx.Err() != nil:
			return unavailable(err)
		case noScript:
			text = true // the server was restarted, or forgot its scripts; at once, without a pause
			continue
		case s.cluster == nil, !isPassing(err):
			return unavailable(err) // go-redis has tried again already
		}
		s.cluster.ReloadState(ctx)
		pause := time.NewTimer(min(time.Duration(round)*20*time.Millisecond, 200*time.Millisecond))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return unavailable(err)
		}
	}
}

// group returns the ops by the master that owns their keys.
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

// runGroups does each master's ops, at the same time. It returns the ops that are not done, and an error of one of them:
// one that ends the matter rather than one that passes.
func (s *Store) runGroups(ctx context.Context, groups map[*redis.Client][]op, text, wait bool) ([]op, error) {
	if len(groups) == 1 {
		for node, ops := range groups {
			return s.runNode(ctx, node, ops, text, wait)
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var left []op
	var worst error
	for node, ops := range groups {
		wg.Go(func() {
			undone, err := s.runNode(ctx, node, ops, text, wait)
			mu.Lock()
			defer mu.Unlock()
			left = append(left, undone...)
			if worst == nil || err != nil && !isPassing(err) && !redis.HasErrorPrefix(err, "NOSCRIPT") {
				worst = err
			}
		})
	}
	wg.Wait()
	return left, worst
}

// runNode sends the ops to one master in one pipeline, and behind them, on the same connection, WAIT: it speaks of the
// writes of its own connection only. Outside MULTI, where WAIT would not wait.
func (s *Store) runNode(ctx context.Context, node *redis.Client, ops []op, text, wait bool) ([]op, error) {
	var waited *redis.IntCmd
	var synced *redis.IntSliceCmd
	_, err := node.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, o := range ops {
			o.add(ctx, p, text && i == 0) // the first brings the script along for those behind it
		}
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
	// The pipeline reports the first error of a command, or, where it got no connection, an error that the commands may
	// not know of.
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	for _, o := range ops {
		if e := o.take(); e != nil && err == nil {
			err = e
		}
	}
	switch {
	case err != nil:
		// All of them again: those that were done find their own nonce, and WAIT is to cover them as well.
		return ops, err
	case waited != nil && waited.Val() < int64(s.cfg.replicas):
		return ops, errFewReplicas
	case synced != nil && !enoughDisks(synced.Val(), s.cfg.aofReplicas):
		return ops, errFewDisks
	}
	return nil, nil
}

// enoughDisks reads the reply of WAITAOF: the master's own disk, 0 or 1, and how many replicas'.
func enoughDisks(reply []int64, replicas int) bool {
	return len(reply) == 2 && reply[0] >= 1 && reply[1] >= int64(replicas)
}

var (
	errFewReplicas = &storeError{text: "too few replicas have taken the revocation in time"}
	errFewDisks    = &storeError{text: "too few disks have taken the revocation in time"}
)
