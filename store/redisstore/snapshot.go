package redisstore

import (
	"cmp"
	"context"
	"math"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist/replica"
)

const (
	// scanCount is the number of keys that one SCAN examines.
	scanCount = 1000
	// maxStaleConns is how many connections to a former master a call closes at most.
	maxStaleConns = 100
)

var (
	errNotOneState = &storeError{text: "the servers have changed during a snapshot"}
	errNoStream    = &storeError{text: "the stream of records is missing"}
)

// Snapshot implements replica.Follower. It reads the position first and the entries afterwards, so
// that what is written meanwhile is in a record behind the position. The servers must be the same
// before and after: their roles, replication ids and slots.
func (f *follower) Snapshot(ctx context.Context, apply func(replica.Batch) error) error {
	return f.call(ctx, func(ctx context.Context) error { return f.snapshot(ctx, apply) })
}

func (f *follower) snapshot(ctx context.Context, apply func(replica.Batch) error) error {
	masters, err := f.masters(ctx)
	defer masters.close()
	if err != nil {
		return err
	}
	position, before, err := f.beginning(ctx)
	if err != nil {
		return err
	}
	for _, m := range masters {
		if err := f.scan(ctx, m, apply); err != nil {
			return err
		}
	}
	newest, err := f.store.newestMark(ctx)
	if err != nil {
		return err
	}
	_, after, now, err := f.lastRecord(ctx)
	if err != nil {
		return err
	}
	if before != after {
		return errNotOneState
	}
	if err := f.verify(ctx, masters); err != nil {
		return err
	}
	mark := replica.Entry{CutOff: newest, Until: math.MaxInt64}
	if err := apply(replica.Batch{Entries: []replica.Entry{mark}, Now: now}); err != nil {
		return err
	}
	f.position, f.history = position, before
	return nil
}

// beginning returns the position, which is the last record, and the history to which it belongs. If
// there is no record it writes that of the marks, which begins the stream.
func (f *follower) beginning(ctx context.Context) (recordID, history, error) {
	for range 2 {
		position, found, _, err := f.lastRecord(ctx)
		if err != nil || position != (recordID{}) && found.mark != "" {
			return position, found, err
		}
		newest, err := f.store.newestMark(ctx)
		if err == nil && position == (recordID{}) {
			err = f.store.recordApart(ctx, markRecordText(newest))
		}
		if err != nil {
			return recordID{}, history{}, err
		}
	}
	return recordID{}, history{}, errNoStream
}

// lastRecord returns the id of the last record, which is the zero value if there is none, and the
// history and the time of the master of the stream. Behind a fixed address connections of the pool may
// lead to a former master. Each of them is closed, and the next one is tried.
func (f *follower) lastRecord(ctx context.Context) (id recordID, found history, now time.Time, err error) {
	var last *redis.XMessageSliceCmd
	var state historyQuery
	for range maxStaleConns {
		last = redis.NewXMessageSliceCmd(ctx, "xrevrange", f.store.layout.stream(), "+", "-", "count", 1)
		state = newHistoryQuery(ctx, f.store.layout)
		probe := f.store.newMasterProbe(ctx)
		cmds := append(probe.commands(), state.commands()...)
		err = f.stream.send(ctx, f.store.cfg.writeTimeout, append(cmds, last)...)
		if probe.refused() == nil && !redis.IsReadOnlyError(err) {
			break
		}
		f.stream.reset()
	}
	if err != nil {
		return id, found, now, err
	}
	found, now, err = state.history()
	if err == nil {
		err = errorOf(last)
	}
	if err == nil && len(last.Val()) > 0 {
		id, err = parseRecordID(last.Val()[0].ID)
	}
	if err != nil {
		err = unavailable(err)
	}
	return id, found, now, err
}

// scan passes the entries of a master to apply.
func (f *follower) scan(ctx context.Context, m *master, apply func(replica.Batch) error) error {
	pattern := f.store.layout.entryPattern()
	for cursor := uint64(0); ; {
		page := redis.NewScanCmd(ctx, nil, "scan", cursor, "match", pattern, "count", scanCount)
		now := redis.NewTimeCmd(ctx, "time")
		if err := m.link.send(ctx, f.store.cfg.writeTimeout, page, now); err != nil {
			return err
		}
		if err := cmp.Or(errorOf(page), errorOf(now)); err != nil {
			return unavailable(err)
		}
		var keys []string
		keys, cursor = page.Val()
		entries, err := f.entries(ctx, m, keys)
		if err != nil {
			return err
		}
		if err := apply(replica.Batch{Entries: entries, Now: now.Val()}); err != nil {
			return err
		}
		if cursor == 0 {
			return nil
		}
	}
}

// entries reads the entries with the keys.
func (f *follower) entries(ctx context.Context, m *master, keys []string) ([]replica.Entry, error) {
	values, err := f.values(ctx, m, keys)
	if err != nil {
		return nil, unavailable(err)
	}
	entries := make([]replica.Entry, 0, len(keys))
	for i, key := range keys {
		if values[i] == nil {
			continue // it has expired meanwhile
		}
		value, _ := values[i].(string)
		_, name, _ := strings.Cut(key, "}:")
		letter, name, _ := strings.Cut(name, ":")
		entry, err := parseEntry(letter, name, value)
		if err != nil {
			return nil, unavailable(err)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// values reads the values of the keys: with one MGET, or with one GET each on a Cluster, where all
// keys of a command must belong to one slot.
func (f *follower) values(ctx context.Context, m *master, keys []string) ([]any, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	if f.store.cluster == nil {
		args := make([]any, 1, 1+len(keys))
		args[0] = "mget"
		for _, key := range keys {
			args = append(args, key)
		}
		mget := redis.NewSliceCmd(ctx, args...)
		if err := m.link.send(ctx, f.store.cfg.writeTimeout, mget); err != nil {
			return nil, err
		}
		if err := mget.Err(); err != nil {
			return nil, err
		}
		if len(mget.Val()) != len(keys) {
			return nil, errReplyFormat
		}
		return mget.Val(), nil
	}
	gets := make([]redis.Cmder, len(keys))
	for i, key := range keys {
		gets[i] = redis.NewStringCmd(ctx, "get", key)
	}
	if err := m.link.send(ctx, f.store.cfg.writeTimeout, gets...); err != nil {
		return nil, err
	}
	values := make([]any, len(keys))
	for i, get := range gets {
		if err := errorOf(get); err != nil {
			return nil, err
		}
		if get.Err() == nil {
			values[i] = get.(*redis.StringCmd).Val()
		}
	}
	return values, nil
}
