package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
)

const (
	// readLimit is the largest number of records that a read returns.
	readLimit = 1000
	// longestBlock is the longest time that one command waits for a record. A read that may wait
	// longer sends several.
	longestBlock = time.Second
)

// follower implements replica.Follower. It reads on one connection, and each read checks on this
// connection that the answer is complete.
type follower struct {
	store  *Store
	stream *link // to the master of the stream
	ended  context.Context
	end    context.CancelFunc

	// block is the longest time that a command waits, within the ReadTimeout of the client.
	block time.Duration

	position recordID // of the last record that was read
	history  history
	fenced   time.Time // when the last fence was confirmed
}

// history identifies the data of a server. A server with another history has other records.
type history struct {
	replid string // the replication id: another one after a fail-over, a demotion and a restart
	mark   string // the mark of bucket 0: another one after the server was emptied
}

var errNoSnapshot = &storeError{text: "a follower begins with a snapshot"}

// Follow implements replica.Feed. A follower keeps one connection of the client's pool.
func (s *Store) Follow(ctx context.Context) (replica.Follower, error) {
	if s.closed.Load() {
		return nil, blacklist.ErrClosed
	}
	client, err := s.streamMaster(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	f := &follower{store: s, stream: &link{client: s.streamMaster, logger: s.cfg.logger}, block: longestBlock}
	if timeout := client.Options().ReadTimeout; timeout > 0 {
		f.block = min(f.block, timeout/2)
	}
	f.ended, f.end = context.WithCancel(context.Background())
	return f, nil
}

// streamMaster returns the client of the master of the stream.
func (s *Store) streamMaster(ctx context.Context) (*redis.Client, error) {
	if s.cluster == nil {
		return s.single, nil
	}
	return s.cluster.MasterForKey(ctx, s.layout.stream())
}

// Close implements replica.Follower.
func (f *follower) Close() error {
	f.end()
	f.stream.close()
	return nil
}

// call runs a call of the follower, whose context also ends with Close.
func (f *follower) call(ctx context.Context, run func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.ended, cancel)()
	err := blacklist.ErrClosed
	if f.ended.Err() == nil && !f.store.closed.Load() {
		err = run(ctx)
	}
	if f.ended.Err() != nil {
		return blacklist.ErrClosed
	}
	return err
}

// Marks implements replica.Follower. A missing mark means that a server was emptied: it is made if
// the options say so, like in a look-up.
func (f *follower) Marks(ctx context.Context) (notBefore int64, err error) {
	err = f.call(ctx, func(ctx context.Context) (err error) {
		notBefore, err = f.store.newestMark(ctx)
		return err
	})
	return notBefore, err
}

// newestMark returns the newest of all marks.
func (s *Store) newestMark(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	marks, err := s.readMarks(ctx, allBuckets())
	if err == nil && len(marks.missing) > 0 && s.cfg.missing == LogOut {
		if err = s.makeMarks(ctx, marks.missing); err == nil {
			marks, err = s.readMarks(ctx, allBuckets())
		}
	}
	if err == nil && len(marks.missing) > 0 {
		err = errNoMark
	}
	return marks.newest, err
}

// Read implements replica.Follower.
func (f *follower) Read(ctx context.Context, wait time.Duration) (batch replica.Batch, err error) {
	err = f.call(ctx, func(ctx context.Context) error {
		if f.history == (history{}) {
			return errNoSnapshot
		}
		for end := time.Now().Add(wait); ; {
			remaining := time.Until(end)
			batch, err = f.read(ctx, min(remaining, f.block))
			if err != nil || len(batch.Entries) > 0 || remaining <= f.block {
				return err
			}
		}
	})
	if err != nil {
		return replica.Batch{}, err
	}
	return batch, nil
}

// read reads once. The commands after XREAD are executed after the wait. They show that XREAD has
// returned everything: a record before the position is still there, and nothing has changed the
// history. XREAD itself answers without an error after a trim, from an emptied server, and from a
// replica.
func (f *follower) read(ctx context.Context, wait time.Duration) (replica.Batch, error) {
	args := &redis.XReadArgs{Streams: []string{f.store.layout.stream(), f.position.String()}, Count: readLimit, Block: -1}
	if wait >= time.Millisecond {
		args.Block = wait
	}
	xread := newXRead(ctx, args)
	first := redis.NewXMessageSliceCmd(ctx, "xrange", f.store.layout.stream(), "-", "+", "count", 1)
	state := newHistoryQuery(ctx, f.store.layout)
	cmds := append([]redis.Cmder{xread, first}, state.commands()...)
	var fence fence
	if time.Since(f.fenced) >= fenceInterval {
		fence = f.store.newFence(ctx, f.store.layout.stream())
	}
	cmds = append(cmds, fence.commands()...)
	if err := f.stream.send(ctx, max(wait, 0)+f.store.cfg.writeTimeout, cmds...); err != nil {
		return replica.Batch{}, err
	}
	found, now, err := state.history()
	if err := cmp.Or(errorOf(xread), errorOf(first), err); err != nil {
		return replica.Batch{}, f.failed(err)
	}
	switch messages := first.Val(); {
	case found.replid != f.history.replid:
		return replica.Batch{}, gap("the server is another one, or was restarted")
	case found.mark != f.history.mark:
		return replica.Batch{}, gap("the server was emptied")
	case len(messages) == 0:
		return replica.Batch{}, gap("the records are gone")
	default:
		if id, err := parseRecordID(messages[0].ID); err != nil || id.after(f.position) {
			return replica.Batch{}, gap("records were trimmed before they were read")
		}
	}
	if err := fence.refused(); err != nil {
		return replica.Batch{}, unavailable(err)
	}
	batch, err := f.take(xread.Val(), now)
	if fence.replicas > 0 {
		f.fenced = time.Now()
	}
	batch.Unconfirmed = f.store.cfg.fence > 0 && fence.replicas == 0
	return batch, err
}

// failed returns the error of a read with an error reply. The next one uses a new connection.
func (f *follower) failed(err error) error {
	switch {
	case isRedirect(err):
		return gap("the slot of the stream is moved")
	case errors.Is(err, errNoMaster):
		return gap("the server is a replica")
	}
	f.stream.reset()
	return unavailable(err)
}

// take returns the records and moves the position behind them.
func (f *follower) take(streams []redis.XStream, now time.Time) (replica.Batch, error) {
	batch := replica.Batch{Complete: true, Now: now}
	if len(streams) == 0 {
		return batch, nil
	}
	messages, position := streams[0].Messages, f.position
	batch.Entries = make([]replica.Entry, 0, len(messages))
	batch.Complete = len(messages) < readLimit
	for _, m := range messages {
		text, _ := m.Values[recordField].(string)
		entry, err := parseRecordText(text)
		if err != nil {
			// The entry is in a snapshot, if this version reads it.
			return replica.Batch{}, gap("a record has another format")
		}
		if position, err = parseRecordID(m.ID); err != nil {
			return replica.Batch{}, gap("a record has another format")
		}
		entry.Written = position.ms
		batch.Entries = append(batch.Entries, entry)
	}
	f.position = position
	return batch, nil
}

func gap(why string) error { return fmt.Errorf("%w: %s", replica.ErrGap, why) }

// newXRead returns the command of XREAD as a part of a pipeline.
func newXRead(ctx context.Context, a *redis.XReadArgs) *redis.XStreamSliceCmd {
	args := []any{"xread", "count", a.Count}
	if a.Block > 0 {
		args = append(args, "block", a.Block.Milliseconds())
	}
	return redis.NewXStreamSliceCmd(ctx, append(args, "streams", a.Streams[0], a.Streams[1])...)
}

// errorOf returns the error of a command, unless it is that nothing was found.
func errorOf(cmd redis.Cmder) error {
	if err := cmd.Err(); !errors.Is(err, redis.Nil) {
		return err
	}
	return nil
}

// historyQuery asks a server for its history and its time.
type historyQuery struct {
	info *redis.StringCmd
	mark *redis.StringCmd
	time *redis.TimeCmd
}

func newHistoryQuery(ctx context.Context, l *layout) historyQuery {
	return historyQuery{
		info: redis.NewStringCmd(ctx, "info", "replication"),
		mark: redis.NewStringCmd(ctx, "get", l.mark(0)),
		time: redis.NewTimeCmd(ctx, "time"),
	}
}

func (q historyQuery) commands() []redis.Cmder { return []redis.Cmder{q.info, q.mark, q.time} }

// history returns the history of a master. The mark is "" if it is missing.
func (q historyQuery) history() (history, time.Time, error) {
	if err := cmp.Or(errorOf(q.info), errorOf(q.mark), errorOf(q.time)); err != nil {
		return history{}, time.Time{}, err
	}
	state := parseInfo(q.info.Val())
	if state["role"] != "master" {
		return history{}, time.Time{}, errNoMaster
	}
	if state["master_replid"] == "" {
		return history{}, time.Time{}, errReplyFormat
	}
	return history{replid: state["master_replid"], mark: q.mark.Val()}, q.time.Val(), nil
}

// recordID is the id of a record in the stream.
type recordID struct {
	ms  int64 // the time of the server
	seq uint64
}

func parseRecordID(text string) (id recordID, err error) {
	ms, seq, ok := strings.Cut(text, "-")
	if !ok {
		return recordID{}, errReplyFormat
	}
	if id.ms, err = strconv.ParseInt(ms, 10, 64); err == nil {
		id.seq, err = strconv.ParseUint(seq, 10, 64)
	}
	return id, err
}

func (id recordID) String() string {
	return strconv.FormatInt(id.ms, 10) + "-" + strconv.FormatUint(id.seq, 10)
}

func (id recordID) after(other recordID) bool {
	return id.ms > other.ms || id.ms == other.ms && id.seq > other.seq
}
