package boltstore

import (
	"context"
	"errors"
	"fmt"
	"math"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// request is a revocation for the writer.
type request struct {
	key   blacklist.Key
	entry entry
	// done receives one result. It is buffered, so the writer never waits for a caller that left.
	done chan result
}

type result struct {
	before bool
	err    error
}

// everything is the cut-off of a token's or session's entry: it covers every session start.
const everything = math.MaxInt64

// maxBatch is the largest number of revocations that share a commit.
const maxBatch = 1024

// Revoke implements blacklist.Blacklist. It returns when the revocation is on the disk. If ctx ends
// earlier, the revocation may still be recorded.
func (s *Store) Revoke(ctx context.Context, r blacklist.Revocation) (before bool, err error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	q, err := s.newRequest(r, millis.Floor(s.now()))
	if err != nil {
		return false, err
	}
	select {
	case s.requests <- q:
	case <-s.closing:
		return false, blacklist.ErrClosed
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case res := <-q.done:
		return res.before, res.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// newRequest validates the revocation and returns its request.
func (s *Store) newRequest(r blacklist.Revocation, now int64) (*request, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	e := entry{kind: r.Kind, cutOff: everything, until: millis.Until(r.Until)}
	if e.until <= now {
		return nil, fmt.Errorf("%w: Until is not in the future", blacklist.ErrInvalid)
	}
	if r.Kind == blacklist.Subject || r.Kind == blacklist.Issuer {
		e.cutOff = millis.Floor(r.CutOff)
	}
	key, ok := blacklist.KeyOf(r.Kind, r.Identity)
	if !ok {
		return nil, fmt.Errorf("%w: %s", blacklist.ErrInvalid, r.Kind)
	}
	e.place, _ = blacklist.PlaceOf(s.places, r.Kind, r.Identity)
	return &request{key: key, entry: e, done: make(chan result, 1)}, nil
}

// write is the writer. While a commit waits for the disk, the next requests gather and then share
// one commit. A single caller does not wait for others.
func (s *Store) write() {
	defer close(s.stopped)
	for {
		select {
		case <-s.closing:
			return
		case first := <-s.requests:
			batch := s.gather(first)
			for i, res := range s.commit(batch) {
				batch[i].done <- res
			}
		}
	}
}

// gather returns the first request and all that wait behind it. It does not wait for more.
func (s *Store) gather(first *request) []*request {
	batch := []*request{first}
	for len(batch) < maxBatch {
		select {
		case q := <-s.requests:
			batch = append(batch, q)
		default:
			return batch
		}
	}
	return batch
}

// commit writes a batch in one transaction. A damaged entry fails only the request for it; any
// other error fails the whole batch, and then nothing of it is recorded.
func (s *Store) commit(batch []*request) []result {
	if s.beforeCommit != nil {
		s.beforeCommit()
	}
	if s.stuck.Load() {
		return failAll(batch, errDamaged)
	}
	now := millis.Floor(s.now())
	var results []result
	err := guarded(func() error {
		return s.db.Update(func(tx *bbolt.Tx) (err error) {
			results, err = putBatch(tx, batch, now)
			return err
		})
	})
	if errors.Is(err, errPanicked) {
		s.stuck.Store(true)
	}
	if err != nil {
		return failAll(batch, callerError("the file cannot be written", err))
	}
	return results
}

// putBatch puts the batch into the transaction, removes some expired entries, and updates the
// count.
func putBatch(tx *bbolt.Tx, batch []*request, now int64) ([]result, error) {
	results := make([]result, len(batch))
	added := 0
	for i, q := range batch {
		before, isNew, err := put(tx, q, now)
		if err != nil && !errors.Is(err, errEntry) {
			return nil, err
		}
		if isNew {
			added++
		}
		results[i] = result{before, err}
	}
	removed, err := sweep(tx, now)
	if err != nil {
		return nil, err
	}
	return results, addCount(tx, added-removed)
}

func failAll(batch []*request, err error) []result {
	results := make([]result, len(batch))
	for i := range results {
		results[i] = result{err: err}
	}
	return results
}
