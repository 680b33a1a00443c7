package boltstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// request is something for the writer to do.
type request struct {
	ctx context.Context
	// prepare returns the change to make. Its error fails only this request, unless bbolt panicked.
	// The writer calls it again if the transaction could not be committed.
	prepare func(b buckets) (change, error)
	// urgent requests go first: revocations, and steps that revoke. The others keep their order.
	urgent bool
	// done receives one result. It is buffered, so the writer never waits for a caller that left.
	done chan error

	// mu is locked while the writer calls prepare. After the caller has left, it is not called.
	mu   sync.Mutex
	left bool
}

// try calls prepare, unless the caller has left.
func (q *request) try(b buckets) (change, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.left {
		return change{}, q.ctx.Err()
	}
	return q.prepare(b)
}

// leave makes the writer not call prepare any more. It waits for a call in progress, so no step
// runs after Update has returned.
func (q *request) leave() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.left = true
	return q.ctx.Err()
}

// everything is the cut-off of a token's or session's entry: it covers every session start.
const everything = math.MaxInt64

// maxBatch is the largest number of requests that share a commit.
const maxBatch = 1024

func (s *Store) newRequest(ctx context.Context, prepare func(b buckets) (change, error)) *request {
	return &request{ctx: ctx, prepare: prepare, done: make(chan error, 1)}
}

// submit hands the request to the writer and returns its result.
func (s *Store) submit(q *request) error {
	if err := s.usable(q.ctx); err != nil {
		return err
	}
	queue := s.requests
	if q.urgent {
		queue = s.urgent
	}
	select {
	case queue <- q:
	case <-s.closing:
		return blacklist.ErrClosed
	case <-q.ctx.Done():
		return q.ctx.Err()
	}
	select {
	case err := <-q.done:
		return err
	case <-q.ctx.Done():
		return q.leave()
	}
}

// Revoke implements blacklist.Blacklist. It returns when the revocation is on the disk. If ctx ends
// earlier, the revocation may still be recorded.
func (s *Store) Revoke(ctx context.Context, r blacklist.Revocation) (bool, error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	rev, err := newRevocation(s.places, r, s.clock.read().wall)
	if err != nil {
		return false, err
	}
	before := false
	q := s.newRequest(ctx, func(b buckets) (change, error) {
		if _, _, err := getEntry(b.entries, rev.key); err != nil {
			return change{}, err
		}
		return change{pages: pagesPerWrite, apply: func() (a added, err error) {
			before, err = put(b, rev, s.clock.read().sure, &a)
			return a, err
		}}, nil
	})
	q.urgent = true
	if err := s.submit(q); err != nil {
		return false, err
	}
	return before, nil
}

// newRevocation validates the revocation and returns its entry.
func newRevocation(places blacklist.PlaceKey, r blacklist.Revocation, now int64) (revocation, error) {
	if err := r.Validate(); err != nil {
		return revocation{}, err
	}
	e := entry{kind: r.Kind, cutOff: everything, until: millis.Until(r.Until)}
	if e.until <= now {
		return revocation{}, fmt.Errorf("%w: Until is not in the future", blacklist.ErrInvalid)
	}
	if r.Kind == blacklist.Subject || r.Kind == blacklist.Issuer {
		e.cutOff = millis.Floor(r.CutOff)
	}
	key, ok := blacklist.KeyOf(r.Kind, r.Identity)
	if !ok {
		return revocation{}, fmt.Errorf("%w: %s", blacklist.ErrInvalid, r.Kind)
	}
	e.place, _ = blacklist.PlaceOf(places, r.Kind, r.Identity)
	return revocation{key, e}, nil
}

// write is the writer. While a commit waits for the disk, the next requests gather and then share
// one commit. A single caller does not wait for others.
func (s *Store) write() {
	var batch []*request
	ended := false
	defer func() {
		if ended {
			close(s.stopped)
			return
		}
		// A step has ended this goroutine with runtime.Goexit.
		answer(batch, errStepEnded)
		go s.write()
	}()
	witness := time.NewTicker(readInterval)
	defer witness.Stop()
	for {
		select {
		case <-s.closing:
			ended = true
			return
		case <-witness.C:
			s.clock.read()
			continue
		case q := <-s.urgent:
			batch = append(batch, q)
		case q := <-s.requests:
			batch = append(batch, q)
		}
		batch = s.gather(batch)
		for len(batch) > 0 {
			n := s.commit(batch)
			batch = batch[n:]
		}
	}
}

var errStepEnded = unavailable("a step ended its goroutine", nil)

// gather adds all requests that wait, the urgent ones in front. Between looks at the queues it lets
// other goroutines run, as long as that brings requests: callers that were answered by the last
// commit then share the next one. It does not wait when nobody calls.
func (s *Store) gather(batch []*request) []*request {
	var urgent, others []*request
	for _, q := range batch {
		if q.urgent {
			urgent = append(urgent, q)
		} else {
			others = append(others, q)
		}
	}
	for range maxYields {
		before := len(urgent) + len(others)
		runtime.Gosched()
		urgent = receive(s.urgent, urgent, maxBatch-len(others))
		others = receive(s.requests, others, maxBatch-len(urgent))
		if len(urgent)+len(others) == before {
			break
		}
	}
	return append(urgent, others...)
}

// maxYields bounds how often the writer lets other goroutines run before a commit.
const maxYields = 4

// receive adds the requests that wait, until there are limit.
func receive(queue chan *request, to []*request, limit int) []*request {
	for len(to) < limit {
		select {
		case q := <-queue:
			to = append(to, q)
		default:
			return to
		}
	}
	return to
}

func answer(batch []*request, err error) {
	for _, q := range batch {
		q.done <- err
	}
}

// commit writes requests of the batch in one transaction, answers them and returns their number. An
// error of one request fails only that one. Any other error fails all, and if it is one of the
// commit, what they write may be in the file.
func (s *Store) commit(batch []*request) int {
	if s.beforeCommit != nil {
		s.beforeCommit()
	}
	if s.stuck.Load() {
		answer(batch, errDamaged)
		return len(batch)
	}
	w := writing{store: s, batch: batch, sweepLimit: sweepPerCommit}
	err := guarded(w.run)
	if errors.Is(err, errPanicked) {
		s.stuck.Store(true)
	}
	if w.announced {
		s.hooks.Call()
	}
	if err != nil {
		answer(batch, callerError("the file cannot be written", err))
		return len(batch)
	}
	for i, err := range w.results {
		batch[i].done <- err
	}
	return len(w.results)
}

// writing is one transaction of the writer.
type writing struct {
	store      *Store
	batch      []*request
	sweepLimit int

	// results are those of the first requests. The others did not fit.
	results []error
	// missing is the number of pages that the first request without a result needs.
	missing int64
	// announced is set if a transaction with revocations got to its commit.
	announced bool
}

// run makes transactions until one was committed or there is nothing to write.
func (w *writing) run() error {
	if err := w.store.reread(); err != nil { // it failed after the commit before
		return err
	}
	space := w.store.space
	// If the file cannot grow, the requests that fit are made.
	space.ensure(2*space.reserve() + basePages + pagesPerWrite*int64(len(w.batch)))
	full := false
	for {
		err := w.update(full)
		switch {
		case err == nil && len(w.results) == 0 && !full:
			full = !space.ensure(w.missing)
		case err == nil:
			return nil
		case !errors.Is(err, bolterrors.ErrMaxSizeReached):
			return err
		case space.extend(minGrowth):
		case !full:
			full = true
		case w.sweepLimit > 0:
			w.sweepLimit /= 8
		default:
			return errFull
		}
	}
}

// errUnchanged rolls a transaction back that would write nothing.
var errUnchanged = errors.New("boltstore: nothing to write")

// update makes one transaction, and brings the copy in memory up to date. If the disk is full, it
// only removes.
func (w *writing) update(full bool) error {
	s := w.store
	err := w.transaction(full)
	if s.afterCommit != nil {
		err = s.afterCommit(err)
	}
	if err == nil {
		s.copied.settle()
		s.copied.sweep(s.clock.read().removable)
		return nil
	}
	if err := s.reread(); err != nil {
		return err
	}
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// reread brings the copy in memory up to date after a commit that failed.
func (s *Store) reread() error {
	if s.copied.unsettled == nil {
		return nil
	}
	bolt, err := s.begin()
	if err != nil {
		return err
	}
	defer func() { _ = bolt.Rollback() }() // it ends a transaction that did not write
	return s.copied.reread(bolt)
}

// transaction makes the transaction. Its revocations are announced before its commit.
func (w *writing) transaction(full bool) error {
	return w.store.db.Update(func(bolt *bbolt.Tx) error {
		w.results, w.missing = w.results[:0], 0
		b, err := bucketsOf(bolt)
		if err != nil {
			return err
		}
		total, removed, err := sweep(b, w.store.clock.read(), w.sweepLimit)
		if err != nil {
			return err
		}
		written := 0
		if full {
			w.results = append(w.results, errFull)
		} else if written, err = w.requests(b, w.store.space.available(bolt.Size()), &total); err != nil {
			return err
		}
		if removed+written == 0 {
			return errUnchanged
		}
		if err := addSessionCounts(bolt, total.sessions); err != nil {
			return err
		}
		if err := addCount(bolt, total.entries); err != nil {
			return err
		}
		w.store.copied.announce(total.revocations)
		w.announced = w.announced || len(total.revocations) > 0
		return nil
	})
}

// requests makes the changes of the requests, until one does not fit into the available pages. It
// returns their number.
func (w *writing) requests(b buckets, available int64, total *added) (written int, err error) {
	available -= basePages
	for _, q := range w.batch {
		c, err := q.try(b)
		if errors.Is(err, errPanicked) {
			return 0, err
		}
		if err != nil {
			w.results = append(w.results, err)
			continue
		}
		if floor := w.store.space.floor(c); available < floor+c.pages {
			w.missing = basePages + floor + c.pages
			return written, nil
		}
		a, err := c.apply()
		if err != nil {
			return 0, err
		}
		available -= c.pages
		total.add(a)
		written++
		w.results = append(w.results, nil)
	}
	return written, nil
}
