package redisstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// lookup reads the bucket and makes the mark where it is missing, if the policy says so.
func (s *Store) lookup(ctx context.Context, bucket uint8, id blacklist.Identity) (bool, error) {
	keys := s.layout.lookup(bucket, id)
	start := floor(id.SessionStart)
	revoked, err := s.readBucket(ctx, keys, start)
	if err == nil || !errors.Is(err, errMarkMissing) || s.cfg.missing != LogOut {
		return revoked, err
	}
	if err := s.remake(ctx, bucket); err != nil {
		return false, err
	}
	return s.readBucket(ctx, keys, start)
}

// readBucket answers from one read of the keys, of which the last is the mark. Whatever it cannot read in full is an
// error, except where an entry that it can read already says revoked.
func (s *Store) readBucket(ctx context.Context, keys []string, start int64) (bool, error) {
	values, err := s.get(ctx, keys)
	if err != nil {
		return false, unavailable(err)
	}
	if len(values) != len(keys) {
		return false, unavailable(errReplyFormat)
	}
	last := len(values) - 1
	if values[last] == nil {
		return false, errNoMark
	}
	mark, ok := values[last].(string)
	if !ok {
		return false, unavailable(errMarkFormat)
	}
	notBefore, err := parseMark(mark)
	if err != nil {
		return false, unavailable(err)
	}
	if start <= notBefore {
		return true, nil
	}
	now := floor(s.cfg.now())
	var bad error
	for _, v := range values[:last] {
		if v == nil {
			continue
		}
		entry, ok := v.(string)
		if !ok {
			bad = errEntryFormat
			continue
		}
		covered, err := covers(entry, now, start)
		if covered {
			return true, nil
		}
		if err != nil {
			bad = err
		}
	}
	if bad != nil {
		return false, unavailable(bad)
	}
	return false, nil
}

// get reads the keys in one MGET on one master, in a batch with other look-ups.
func (s *Store) get(ctx context.Context, keys []string) ([]any, error) {
	if s.cluster == nil {
		return s.batches.get(ctx, s.single, keys)
	}
	// Not ClusterClient.MGet: it may cut the command up by key, depending on what the server says of MGET.
	node, err := s.cluster.MasterForKey(ctx, keys[0])
	if err != nil {
		return nil, err
	}
	values, err := s.batches.get(ctx, node, keys)
	if err == nil || !isPassing(err) || ctx.Err() != nil {
		return values, err
	}
	s.cluster.ReloadState(ctx)
	return s.getSlowly(ctx, keys)
}

// send reads for a batch of look-ups: with one MGET on a single server, and on a node of a Cluster, where the keys of one
// command have to be of one slot, with a pipeline of one for each look-up. Once a second it also asks a single server for
// its role.
func (s *Store) send(ctx context.Context, node *redis.Client, batch []*mget) {
	together := len(batch)
	if s.cluster != nil {
		together = 1
	}
	var cmds []redis.Cmder
	for group := range slices.Chunk(batch, together) {
		cmds = append(cmds, readAll(ctx, group))
	}
	var role *redis.StringCmd
	if s.cluster == nil && s.role.due(s.cfg.now()) {
		role = redis.NewStringCmd(ctx, "info", "replication")
		cmds = append(cmds, role)
	}
	var err error
	if len(cmds) == 1 {
		err = node.Process(ctx, cmds[0]) // faster than a pipeline of one
	} else {
		_, err = node.Pipelined(ctx, func(p redis.Pipeliner) error { return p.BatchProcess(ctx, cmds...) })
	}
	// A reply that is an error is about its command alone; any other error, of the connection or of a hook, is about all.
	var reply redis.Error
	if errors.As(err, &reply) {
		err = nil
	}
	if role != nil {
		err = cmp.Or(err, s.role.check(role))
	}
	for i := 0; len(batch) > 0; i, batch = i+1, batch[together:] {
		answer(batch[:together], cmds[i].(*redis.SliceCmd), err)
	}
}

// readAll returns the MGET of the keys of all look-ups.
func readAll(ctx context.Context, group []*mget) *redis.SliceCmd {
	args := make([]any, 1, 1+len(group)*maxKeys)
	args[0] = "mget"
	for _, m := range group {
		for _, key := range m.keys {
			args = append(args, key)
		}
	}
	return redis.NewSliceCmd(ctx, args...)
}

// answer gives each look-up its part of the reply, or the error: err, or that of the reply.
func answer(group []*mget, cmd *redis.SliceCmd, err error) {
	var values []any
	if err == nil {
		values, err = cmd.Result()
	}
	keys := 0
	for _, m := range group {
		keys += len(m.keys)
	}
	if err == nil && len(values) != keys {
		err = errReplyFormat
	}
	for _, m := range group {
		if m.err = err; err == nil {
			m.values, values = values[:len(m.keys)], values[len(m.keys):]
		}
	}
}

// getSlowly reads key by key and lets the client follow every redirect: a slot that is on its way to another master
// answers for each key by itself, but refuses MGET of keys that are not there. The mark is the last, so that a store
// emptied between two reads shows: its mark is missing, or was made after every session that could have been revoked.
func (s *Store) getSlowly(ctx context.Context, keys []string) ([]any, error) {
	values := make([]any, len(keys))
	entries, mark := keys[:len(keys)-1], keys[len(keys)-1]
	cmds, err := s.cluster.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range entries {
			p.Get(ctx, key)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	for i, cmd := range cmds {
		switch v, err := cmd.(*redis.StringCmd).Result(); {
		case err == nil:
			values[i] = v
		case !errors.Is(err, redis.Nil):
			return nil, err
		}
	}
	switch v, err := s.cluster.Get(ctx, mark).Result(); {
	case err == nil:
		values[len(entries)] = v
	case !errors.Is(err, redis.Nil):
		return nil, err
	}
	return values, nil
}

// roleWatch decides when a look-up also asks the server for its role. The nodes of a Cluster refuse to answer for keys
// that they do not own, but a single master that was demoted behind a fixed address, or a Sentinel client made with
// ReplicaOnly, which the options of the client do not show, would go on answering without the latest revocations.
type roleWatch struct {
	mu   sync.Mutex
	next time.Time
	bad  bool // the last answer was not "master", so every look-up asks
}

const roleInterval = time.Second

func (w *roleWatch) due(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.bad && now.Before(w.next) {
		return false
	}
	w.next = now.Add(roleInterval)
	return true
}

// check reads the reply to INFO. While the role is not known, or another, every look-up asks.
func (w *roleWatch) check(reply *redis.StringCmd) error {
	text, err := reply.Result()
	if err == nil && parseInfo(text)["role"] != "master" {
		err = errNoMaster
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = err != nil
	return err
}
