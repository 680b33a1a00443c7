package redisstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// IsRevoked implements blacklist.Blacklist. Every error wraps blacklist.ErrUnavailable or is
// blacklist.ErrClosed.
func (s *Store) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	defer s.end()
	bucket := s.layout.bucket(id)
	var revoked bool
	err := s.withBreaker(ctx, bucket, func() (err error) {
		revoked, err = s.lookupInTime(ctx, bucket, id)
		return err
	})
	return revoked, err
}

// withBreaker runs a call that reads, unless the breaker of the bucket refuses it.
func (s *Store) withBreaker(ctx context.Context, bucket uint8, call func() error) (err error) {
	b := &s.breakers[int(bucket)%len(s.breakers)]
	allowed, probe := b.allow(s.cfg.now())
	if !allowed {
		return errBreakerOpen
	}
	result := abandoned // if a hook of the client panics
	defer func() {
		opened, closed := b.done(result, probe, s.cfg.now())
		switch {
		case opened:
			s.cfg.logger.Error("redisstore: look-ups failed several times in a row", "error", err, "pause", s.cfg.coolDown)
		case closed:
			s.cfg.logger.Info("redisstore: look-ups work again")
		}
	}()
	err = call()
	result = outcomeOf(ctx, err)
	return err
}

// outcomeOf returns what the error of a look-up tells the breaker about the store.
func outcomeOf(ctx context.Context, err error) breakerOutcome {
	switch {
	case err == nil:
		return answered
	case errors.Is(err, errMarkMissing), errors.Is(err, errMarkFormat), errors.Is(err, errVersion1),
		errors.Is(err, errOtherKey), errors.Is(err, errEntryFormat), errors.Is(err, errRowFormat):
		return answered // the server works, its content is wrong
	case errors.Is(ctx.Err(), context.Canceled), errors.As(err, new(sharedError)):
		return abandoned
	default:
		return failed
	}
}

// lookupInTime is lookup with the timeout of the store, unless ctx ends sooner. The deadline of the
// validator usually does.
func (s *Store) lookupInTime(ctx context.Context, bucket uint8, id blacklist.Identity) (bool, error) {
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > s.cfg.lookupTimeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.cfg.lookupTimeout)
		defer cancel()
	}
	return s.lookup(ctx, bucket, id)
}

// lookup reads the bucket. It makes a missing mark if the options say so.
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

// readBucket reads the keys, of which the last is the mark, and answers.
func (s *Store) readBucket(ctx context.Context, keys []string, start int64) (bool, error) {
	values, err := s.get(ctx, keys)
	if err != nil {
		return false, unavailable(err)
	}
	if len(values) != len(keys) {
		return false, unavailable(errReplyFormat)
	}
	entries, mark := values[:len(values)-1], values[len(values)-1]
	refused, err := s.markRefuses(mark, start)
	if refused || err != nil {
		return refused, err
	}
	return anyCovers(entries, floor(s.cfg.now()), start)
}

// markRefuses reports whether the mark refuses a session that began at start.
func (s *Store) markRefuses(value any, start int64) (bool, error) {
	if value == nil {
		return false, errNoMark
	}
	mark, ok := value.(string)
	if !ok {
		return false, unavailable(errMarkFormat)
	}
	notBefore, err := s.layout.parseMark(mark)
	if err != nil {
		return false, unavailable(err)
	}
	return start <= notBefore, nil
}

// anyCovers reports whether one of the entries is in force and covers a session that began at
// start. An entry that cannot be read is an error, unless another one covers the session.
func anyCovers(entries []any, now, start int64) (bool, error) {
	var unreadable error
	for _, value := range entries {
		if value == nil {
			continue
		}
		entry, ok := value.(string)
		if !ok {
			unreadable = errEntryFormat
			continue
		}
		covered, err := covers(entry, now, start)
		if covered {
			return true, nil
		}
		if err != nil {
			unreadable = err
		}
	}
	if unreadable != nil {
		return false, unavailable(unreadable)
	}
	return false, nil
}

// get reads the keys in one MGET on one master, in a batch with other look-ups.
func (s *Store) get(ctx context.Context, keys []string) ([]any, error) {
	if s.cluster == nil {
		return s.batches.get(ctx, s.single, keys)
	}
	// Not ClusterClient.MGet: depending on how the server describes MGET it may split the command.
	node, err := s.cluster.MasterForKey(ctx, keys[0])
	if err != nil {
		return nil, err
	}
	values, err := s.batches.get(ctx, node, keys)
	if err == nil || !isTransient(err) || ctx.Err() != nil {
		return values, err
	}
	s.cluster.ReloadState(ctx)
	if s.cfg.fence > 0 {
		return nil, err // the keys may come from several masters, and a fence is for one
	}
	return s.getEach(ctx, keys)
}

// send answers the queries: with one MGET on a single server, with a pipeline of one MGET per query
// on a node of a Cluster, where all keys of a command must belong to one slot. A single server is
// asked whether it is a master. Once a second send also asks for the state of the server.
func (s *Store) send(ctx context.Context, node *redis.Client, queries []*query) {
	perCommand := len(queries)
	fence := s.newFence(ctx, firstKey(queries))
	if s.cluster != nil {
		perCommand = 1
	}
	probe := s.newMasterProbe(ctx)
	cmds := probe.commands()
	first := len(cmds)
	for group := range slices.Chunk(queries, perCommand) {
		cmds = append(cmds, newMGet(ctx, group))
	}
	cmds = append(cmds, fence.commands()...)
	watch := s.watches.of(node)
	asks := watch.due(s.cfg.now())
	var state stateQuery
	if asks {
		state = newStateQuery(ctx)
		for _, cmd := range state {
			cmds = append(cmds, cmd)
		}
	}
	var err error
	if len(cmds) == 1 {
		err = node.Process(ctx, cmds[0]) // faster than a pipeline of one
	} else {
		_, err = node.Pipelined(ctx, func(p redis.Pipeliner) error { return p.BatchProcess(ctx, cmds...) })
	}
	// An error reply concerns its command only. Any other error, of the connection or a hook,
	// concerns all commands.
	var reply redis.Error
	if errors.As(err, &reply) {
		err = nil
	}
	err = cmp.Or(err, probe.refused(), fence.refused())
	if asks {
		err = cmp.Or(err, watch.answer(state, s.cluster != nil))
	}
	for i := first; len(queries) > 0; i, queries = i+1, queries[perCommand:] {
		distribute(queries[:perCommand], cmds[i].(*redis.SliceCmd), err)
	}
}

// firstKey returns a key of the queries, or "" if they have none.
func firstKey(queries []*query) string {
	for _, q := range queries {
		if len(q.keys) > 0 {
			return q.keys[0]
		}
	}
	return ""
}

// newMGet returns one MGET for the keys of all queries.
func newMGet(ctx context.Context, queries []*query) *redis.SliceCmd {
	args := make([]any, 1, 1+len(queries)*maxKeys)
	args[0] = "mget"
	for _, q := range queries {
		for _, key := range q.keys {
			args = append(args, key)
		}
	}
	return redis.NewSliceCmd(ctx, args...)
}

// distribute gives each query its values of the reply, or an error: err if it is set, else that of
// the reply.
func distribute(queries []*query, cmd *redis.SliceCmd, err error) {
	var values []any
	if err == nil {
		values, err = cmd.Result()
	}
	keys := 0
	for _, q := range queries {
		keys += len(q.keys)
	}
	if err == nil && len(values) != keys {
		err = errReplyFormat
	}
	for _, q := range queries {
		if q.err = err; err == nil {
			q.values, values = values[:len(q.keys)], values[len(q.keys):]
		}
	}
}

// getEach reads key by key, and the client follows every redirect. While a slot moves to another
// master, each key can be read, but MGET of absent keys is refused. The mark is read last. So if
// the store is emptied between two reads, its mark is missing, or is later than every revoked
// session.
func (s *Store) getEach(ctx context.Context, keys []string) ([]any, error) {
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
