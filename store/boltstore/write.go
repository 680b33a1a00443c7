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

// request is a revocation on its way to the file.
type request struct {
	key   blacklist.Key
	entry entry
	// done gets one result; it has room, so that the writer never waits for a caller who left.
	done chan result
}

type result struct {
	before bool
	err    error
}

// everything is the cut-off of an entry that covers sessions whenever they began.
const everything = math.MaxInt64

// maxBatch bounds how many revocations share a commit.
const maxBatch = 1024

// Revoke implements blacklist.Blacklist: it returns once the revocation is on the disk. Where ctx ends earlier the revocation may be in
// force all the same.
func (s *Store) Revoke(ctx context.Context, r blacklist.Revocation) (before bool, err error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	if err := r.Validate(); err != nil {
		return false, err
	}
	end := millis.Until(r.Until)
	if end <= millis.Floor(s.now()) {
		return false, fmt.Errorf("%w: its end has come", blacklist.ErrInvalid)
	}
	key, ok := blacklist.KeyOf(r.Kind, r.Identity)
	if !ok {
		return false, fmt.Errorf("%w: %s", blacklist.ErrInvalid, r.Kind)
	}
	cutOff := int64(everything)
	if r.Kind == blacklist.Subject || r.Kind == blacklist.Verifier {
		cutOff = millis.Floor(r.CutOff)
	}
	q := &request{key, entry{cutOff, end}, make(chan result, 1)}
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

// write is the one writer. While a commit waits for the disk the next revocations gather, and then share the next one; so the fsyncs keep
// up with any number of callers, and one alone waits for no company.
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

// gather takes whatever waits, without waiting.
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

// commit writes a batch in one transaction: what has no error of its own is on the disk, or none of it is in force.
func (s *Store) commit(batch []*request) []result {
	if s.beforeCommit != nil {
		s.beforeCommit()
	}
	now := millis.Floor(s.now())
	results := make([]result, len(batch))
	if s.stuck.Load() {
		for i := range results {
			results[i] = result{err: errDamaged}
		}
		return results
	}
	_, err := guarded(func() (struct{}, error) {
		return struct{}{}, s.db.Update(func(tx *bbolt.Tx) error {
			came := 0
			for i, q := range batch {
				before, added, err := put(tx, q, now)
				if err != nil && !errors.Is(err, errEntry) {
					return err
				}
				if added {
					came++
				}
				results[i] = result{before, err}
			}
			went, err := sweep(tx, now)
			if err != nil {
				return err
			}
			return addCount(tx, came, went)
		})
	})
	if errors.Is(err, errPanicked) {
		s.stuck.Store(true)
	}
	if err != nil {
		for i := range results {
			results[i] = result{err: s.outcome("it cannot be written", err)}
		}
	}
	return results
}
