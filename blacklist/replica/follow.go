package replica

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// silence is how long a snapshot may pass nothing before it is given up.
	silence = 10 * time.Second
	// shortestPause is the shortest pause before a snapshot other than the first.
	shortestPause = 10 * time.Millisecond
	// longestPause is the longest pause after failed snapshots.
	longestPause = 5 * time.Second
	// sweepsPerBatch is the number of shards from which a batch removes expired entries, besides
	// one for each sixteen entries of the batch.
	sweepsPerBatch = 16
	// roomInterval is the shortest time between two snapshots of a copy that was full.
	roomInterval = time.Minute
)

// run copies the store until ctx ends. It is the goroutine of the Replica.
func (r *Replica) run(ctx context.Context) {
	defer close(r.done)
	reason := First
	for failures := 0; ; {
		next, complete := r.follow(ctx, reason)
		if complete {
			reason, failures = next, 0
		} else {
			failures++
		}
		pause := max(shortestPause, time.Duration(rand.Int64N(int64(r.cfg.stagger)+1)))
		if failures > 0 {
			pause += backoff(100*time.Millisecond, longestPause, failures-1)
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// follow reads a snapshot and then the records, until a new snapshot is needed for the returned
// reason. complete is false if the copy did not get as far as answering.
func (r *Replica) follow(ctx context.Context, reason Reason) (next Reason, complete bool) {
	overflows := r.table.overflows.Load()
	began := r.cfg.clock.now()
	follower, err := r.snapshot(ctx)
	if err != nil {
		r.stats.failed(err, true)
		if ctx.Err() == nil {
			r.log.warn("replica: a snapshot of the store failed; it is tried again")
		}
		return reason, false
	}
	defer func() { _ = follower.Close() }()
	r.stats.snapshot(reason, r.cfg.clock.now().since(began))
	r.changed()
	f := following{Replica: r, follower: follower, overflows: overflows, began: began, marksRead: began}
	return f.read(ctx), f.complete
}

// snapshot merges a snapshot into the copy and returns the follower behind it. Entries that the
// snapshot does not contain stay: nothing that was revoked is ever missing meanwhile.
func (r *Replica) snapshot(ctx context.Context) (Follower, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	follower, err := r.feed.Follow(ctx)
	if err != nil {
		return nil, err
	}
	err = follower.Snapshot(ctx, func(b Batch) error {
		watchdog.Reset(silence)
		return r.table.apply(b.Entries, r.endTime(b.Now))
	})
	if err == nil {
		err = ctx.Err() // the watchdog was faster
	}
	if err != nil {
		_ = follower.Close()
		return nil, err
	}
	return follower, nil
}

// endTime returns the time, in milliseconds, by which entries end: the earlier of the feed's and
// that of the process.
func (r *Replica) endTime(feed time.Time) int64 {
	return min(feed.UnixMilli(), r.cfg.clock.now().millis())
}

// following is the time between a snapshot and the next one.
type following struct {
	*Replica
	follower  Follower
	overflows uint64  // before the snapshot
	began     instant // when the snapshot began
	marksRead instant // when the marks were read last
	complete  bool    // a read was complete
}

// read reads records until a new snapshot is needed, for the returned reason, or ctx ends.
func (f *following) read(ctx context.Context) Reason {
	wait, failures := time.Duration(0), 0
	for ctx.Err() == nil {
		complete, entries, err := f.readBatch(ctx, wait)
		switch {
		case errors.Is(err, ErrGap):
			f.stats.failed(err, false)
			f.log.warn("replica: records of the store are missing; a new snapshot follows")
			return Gap
		case err != nil:
			if ctx.Err() != nil {
				return Gap
			}
			f.stats.failed(err, false)
			sleep(ctx, backoff(f.cfg.bound/20, f.cfg.bound/2, failures))
			wait = 0
			failures++
			continue
		case !complete && entries == 0: // no progress: a feed should not do this
			sleep(ctx, f.cfg.bound/20)
			wait = 0
		case !complete:
			wait = 0
		default:
			wait = f.cfg.bound / 4
		}
		failures = 0
		if f.hasRoomAgain() {
			return Room
		}
	}
	return Gap
}

// readBatch reads once and applies what was read. If that was everything, the copy is as old as the
// beginning of the read.
func (f *following) readBatch(ctx context.Context, wait time.Duration) (complete bool, entries int, err error) {
	if err := f.readMarks(ctx); err != nil {
		return false, 0, err
	}
	// Before the read, and so before it has a connection: all that was recorded before this moment
	// is in the batch or was read earlier.
	began := f.cfg.clock.now()
	ctx, cancel := context.WithTimeout(ctx, f.cfg.bound/2)
	defer cancel()
	batch, err := f.follower.Read(ctx, wait)
	if err != nil {
		return false, 0, err
	}
	read := f.cfg.clock.now()
	end := min(batch.Now.UnixMilli(), read.millis())
	if err := f.table.apply(batch.Entries, end); err != nil {
		return false, 0, fmt.Errorf("%w: %w", ErrGap, err) // the position is behind the record
	}
	f.stats.batch(&batch, f.cfg.clock.now().since(read))
	changed := len(batch.Entries) > 0
	if batch.Complete && !batch.Unconfirmed {
		changed = f.advance(&freshness{began: began, overflows: f.overflows, feedTime: batch.Now.UnixMilli(), read: read}) || changed
	}
	f.sweep(end, len(batch.Entries))
	f.logFull()
	if changed {
		f.changed()
	}
	return batch.Complete, len(batch.Entries), nil
}

// readMarks reads all marks if it is time to, for one that was made without a record.
func (f *following) readMarks(ctx context.Context) error {
	now := f.cfg.clock.now()
	if now.since(f.marksRead) < f.cfg.markInterval {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.cfg.bound/2)
	defer cancel()
	newest, err := f.follower.Marks(ctx)
	if err != nil {
		return err
	}
	if newest > f.table.notBefore.Load() {
		f.table.raiseMark(newest)
		f.changed()
	}
	f.marksRead = now
	return nil
}

// advance stores how much of the store the copy contains. It reports whether the copy could not
// answer before.
func (f *following) advance(state *freshness) (fresh bool) {
	old := f.state.Swap(state)
	f.complete = true
	if old == nil {
		close(f.ready)
	}
	f.stale.Reset(f.cfg.bound - f.cfg.clock.now().since(state.began) + time.Millisecond)
	return f.stats.fresh()
}

// becameStale runs when the copy may have become older than the bound.
func (r *Replica) becameStale() {
	if r.closed.Load() || r.state.Load() == nil {
		return
	}
	if age := r.cfg.clock.now().since(r.state.Load().began); age <= r.cfg.bound {
		r.stale.Reset(r.cfg.bound - age + time.Millisecond)
		return
	}
	if r.stats.becameStale() {
		r.log.warn("replica: the copy is older than the bound; look-ups ask the store")
		r.changed()
	}
}

// sweep removes expired entries.
func (f *following) sweep(end int64, applied int) {
	for range sweepsPerBatch + applied/16 {
		if !f.table.entries.SweepSome(end) {
			return
		}
	}
}

func (f *following) logFull() {
	if f.table.overflows.Load() != f.overflows {
		f.log.fail("replica: the copy is full: look-ups of all tokens that are not revoked ask the store; raise WithCapacity")
	}
}

// hasRoomAgain reports whether a copy that was full has room for a snapshot.
func (f *following) hasRoomAgain() bool {
	if f.table.overflows.Load() == f.overflows || f.table.entries.Len() > f.cfg.capacity/8*7 {
		return false
	}
	return f.cfg.clock.now().since(f.began) >= roomInterval
}

// backoff returns the pause after so many earlier failures, half of it at random.
func backoff(first, longest time.Duration, failures int) time.Duration {
	d := min(longest, first<<min(failures, 10))
	return d/2 + time.Duration(rand.Int64N(int64(d/2)+1))
}

// sleep waits for the duration. It returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
