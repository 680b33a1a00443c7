package fakefeed

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
)

// Fault is a fault of the feed.
type Fault string

// The faults that package feedtest must find.
const (
	NoRecords              Fault = "no records"
	NoRecordIfBefore       Fault = "no record of an entry that was there before"
	RecordBeforeEntry      Fault = "the record comes before the entry"
	LosesConcurrentRecords Fault = "some records are lost"
	MarksWithoutRecord     Fault = "marks have no record"
	AnotherPlaceKey        Fault = "another place key than that of the entries"
	NamesWithoutAbsentIDs  Fault = "absent ids have names"
	LittleEndianNames      Fault = "names are little-endian"
	PositionAfterEntries   Fault = "the position is read after the entries"
	SnapshotWithoutMarks   Fault = "snapshots contain no marks"
	SnapshotWithoutCutOffs Fault = "snapshots contain no cut-offs"
	FirstBatchOnly         Fault = "snapshots end after the first batch"
	ApplyErrorIgnored      Fault = "the error of apply is ignored"
	AlwaysComplete         Fault = "every read is complete"
	NeverComplete          Fault = "no read is complete"
	NeverConfirmed         Fault = "no read is confirmed"
	PositionMovesOnError   Fault = "a failed read moves the position"
	WaitsForever           Fault = "a read waits longer than it should"
	NeverWaits             Fault = "a read does not wait"
	WakesLate              Fault = "a record does not end the wait"
	IgnoresContext         Fault = "a read ignores its context"
	TrimUnnoticed          Fault = "trimmed records are not a gap"
	ExchangeUnnoticed      Fault = "another store is not a gap"
	CloseTwiceFails        Fault = "a second Close fails"
	ReadsAfterClose        Fault = "a closed follower reads"
	CloseDoesNotWake       Fault = "Close does not end a read"
	NoTime                 Fault = "batches have no time"
	OneFollower            Fault = "followers share a position"
	MarksForgotten         Fault = "Marks does not return the newest"
	MarksFail              Fault = "Marks returns an error"
	Prefetches             Fault = "a read returns what was there before the call"
)

// follower implements replica.Follower.
type follower struct {
	s          *Store
	position   int
	identity   int
	closed     chan struct{}
	closeOnce  sync.Once
	prefetched *replica.Batch
}

// Follow implements replica.Feed.
func (s *Store) Follow(ctx context.Context) (replica.Follower, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &follower{s: s, closed: make(chan struct{})}, s.noFollow
}

func (f *follower) usable(ctx context.Context) error {
	select {
	case <-f.closed:
		if f.s.Fault != ReadsAfterClose {
			return blacklist.ErrClosed
		}
	default:
	}
	if f.s.Fault == IgnoresContext {
		ctx = context.Background()
	}
	return f.s.usable(ctx)
}

// end returns the position behind the last record. The caller holds mu.
func (s *Store) end() int { return s.trimmed + len(s.records) }

// Snapshot implements replica.Follower.
func (f *follower) Snapshot(ctx context.Context, apply func(replica.Batch) error) error {
	if err := f.usable(ctx); err != nil {
		return err
	}
	f.s.Snapshots.Add(1)
	f.mark()
	identity := f.identity
	for n, batch := range slices.Collect(slices.Chunk(f.keys(), max(1, f.s.Limit))) {
		if n > 0 && f.s.Fault == FirstBatchOnly {
			break
		}
		if err := f.usable(ctx); err != nil {
			return err
		}
		if err := apply(f.s.batchOf(batch)); err != nil && f.s.Fault != ApplyErrorIgnored {
			return err
		}
		if f.s.InSnapshot != nil {
			f.s.InSnapshot()
		}
	}
	if f.s.Fault != SnapshotWithoutMarks {
		if err := apply(replica.Batch{Entries: f.s.markEntries(), Now: f.s.time()}); err != nil && f.s.Fault != ApplyErrorIgnored {
			return err
		}
	}
	if f.s.Fault == PositionAfterEntries {
		time.Sleep(2 * time.Millisecond)
		f.mark()
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if identity != f.s.identity && f.s.Fault != ExchangeUnnoticed {
		return errors.New("the store was exchanged during the snapshot")
	}
	return nil
}

// mark sets the position to the end of the records.
func (f *follower) mark() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.position, f.identity = f.s.end(), f.s.identity
}

func (f *follower) keys() []blacklist.Key {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	keys := make([]blacklist.Key, 0, len(f.s.entries))
	for key := range f.s.entries {
		keys = append(keys, key)
	}
	return keys
}

func (s *Store) time() time.Time {
	if s.Fault == NoTime {
		return time.Time{}
	}
	if s.FeedClock != nil {
		return s.FeedClock()
	}
	return s.Clock()
}

func (s *Store) batchOf(keys []blacklist.Key) replica.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := replica.Batch{Now: s.time()}
	for _, key := range keys {
		e, ok := s.entries[key]
		if ok && (s.Fault != SnapshotWithoutCutOffs || e.Kind < blacklist.Subject) {
			b.Entries = append(b.Entries, e)
		}
	}
	return b
}

func (s *Store) markEntries() (list []replica.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, mark := range s.marks {
		list = append(list, replica.Entry{CutOff: mark, Until: math.MaxInt64})
	}
	return list
}

// Read implements replica.Follower.
func (f *follower) Read(ctx context.Context, wait time.Duration) (replica.Batch, error) {
	f.s.Reads.Add(1)
	if f.s.InRead != nil {
		f.s.InRead(ctx, wait)
	}
	if f.s.Fault == WaitsForever {
		wait += 20 * time.Second
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for first := true; ; first = false {
		if err := f.usable(ctx); err != nil {
			if f.s.Fault == PositionMovesOnError {
				f.mark()
			}
			return replica.Batch{}, err
		}
		if f.s.silent.Load() {
			f.pause(ctx, nil, nil)
			continue
		}
		batch, recorded, err := f.readOnce()
		if err != nil {
			return replica.Batch{}, err
		}
		if len(batch.Entries) > 0 || wait == 0 || f.s.Fault == NeverWaits {
			return batch, nil
		}
		if first && f.s.Fault == WakesLate {
			recorded = nil
		}
		if f.pause(ctx, recorded, timer.C) {
			if f.s.silent.Load() {
				continue
			}
			batch.Now = f.s.time()
			return batch, nil
		}
	}
}

// pause waits for a record, the end of the wait, of the context or of the follower. It reports
// whether the wait ended.
func (f *follower) pause(ctx context.Context, recorded <-chan struct{}, expired <-chan time.Time) bool {
	closed, done := f.closed, ctx.Done()
	if f.s.Fault == CloseDoesNotWake || f.s.Fault == ReadsAfterClose {
		closed = nil
	}
	if f.s.Fault == IgnoresContext {
		done = nil
	}
	select {
	case <-expired:
		return true
	case <-recorded:
	case <-closed:
	case <-done:
	}
	return false
}

// readOnce returns the records after the position, and a channel that is closed with the next one.
func (f *follower) readOnce() (replica.Batch, <-chan struct{}, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.s.Fault == OneFollower {
		f.position = max(f.position, f.s.shared)
	}
	if f.identity != f.s.identity {
		if f.s.Fault != ExchangeUnnoticed {
			return replica.Batch{}, nil, replica.ErrGap
		}
		f.position = min(f.position, f.s.end())
	}
	if f.position < f.s.trimmed {
		if f.s.Fault != TrimUnnoticed {
			return replica.Batch{}, nil, replica.ErrGap
		}
		f.position = f.s.trimmed
	}
	rest := f.s.records[f.position-f.s.trimmed:]
	complete := len(rest) < f.s.Limit
	rest = rest[:min(len(rest), f.s.Limit)]
	f.position += len(rest)
	if f.s.Fault == OneFollower {
		f.s.shared = f.position
	}
	batch := replica.Batch{
		Entries: slices.Clone(rest), Now: f.s.time(),
		Complete:    (complete || f.s.Fault == AlwaysComplete) && f.s.Fault != NeverComplete,
		Unconfirmed: f.s.Unconfirmed.Load() || f.s.Fault == NeverConfirmed,
	}
	if f.s.Fault == Prefetches {
		previous := f.prefetched
		f.prefetched = &batch
		batch = replica.Batch{Complete: true, Now: f.s.time()}
		if previous != nil {
			batch = *previous
		}
	}
	return batch, f.s.recorded, nil
}

// Marks implements replica.Follower.
func (f *follower) Marks(ctx context.Context) (int64, error) {
	if err := f.usable(ctx); err != nil {
		return 0, err
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.identity != f.s.identity {
		return 0, replica.ErrGap
	}
	if f.s.Fault == MarksFail {
		return 0, errors.New("a mark is missing")
	}
	if f.s.Fault == MarksForgotten {
		return f.s.marks[0], nil
	}
	return slices.Max(f.s.marks), nil
}

// Close implements replica.Follower.
func (f *follower) Close() error {
	again := true
	f.closeOnce.Do(func() { close(f.closed); again = false })
	if again && f.s.Fault == CloseTwiceFails {
		return blacklist.ErrClosed
	}
	return nil
}
