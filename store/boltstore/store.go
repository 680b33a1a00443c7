package boltstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
	"github.com/oapi-guard/oapi-guard/session"
)

// How the store works:
//
// Open verifies the pages of the file (verify.go) and all entries in it (format.go), and starts one
// goroutine, the writer. A look-up is a read transaction: it reads the mark and the entries that
// could cover the token (entries.go). Revoke hands a request to the writer (write.go). The writer
// takes all requests that wait, writes them in one transaction with one fsync, removes some of what
// has expired (sweep.go), and answers the requests. Close stops the writer and closes the file.
//
// A step of Update runs on a snapshot first. If it writes, it is a request for the writer, which
// runs it again in its transaction (tx.go). A request first prepares its change, without writing,
// and then applies it (change.go). Revocations go first in the queue: a log-out must not wait
// behind refreshes. The writer makes sure that the disk has room for the transaction (space.go).
//
// Every value has a checksum, and a value that does not match it is an error. bbolt panics on
// damaged pages; the panic becomes an error too (errors.go). If bbolt panicked while it held its
// locks, the store is stuck: it does not call bbolt again, because that call would never return.

// Store is a blacklist and a store of sessions in a file. It is safe for concurrent use. Its one
// goroutine ends with Close.
type Store struct {
	db     *bbolt.DB
	places blacklist.PlaceKey // as in the mark
	clock  *clock
	space  *space

	urgent, requests chan *request
	// closing is closed when Close begins, stopped when the writer has ended.
	closing, stopped chan struct{}
	closeOnce        sync.Once
	closeErr         error

	stuck atomic.Bool

	// beforeCommit lets a test hold a write; nil otherwise.
	beforeCommit func()
}

var (
	_ blacklist.Blacklist = (*Store)(nil)
	_ blacklist.Pinger    = (*Store)(nil)
	_ session.Store       = (*Store)(nil)
)

// start returns a store on the open file, with its writer running.
func start(db *bbolt.DB, room *space, places blacklist.PlaceKey, now func() time.Time) *Store {
	s := &Store{
		db:       db,
		places:   places,
		clock:    newClock(now),
		space:    room,
		urgent:   make(chan *request),
		requests: make(chan *request),
		closing:  make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	go s.write()
	return s
}

// IsRevoked implements blacklist.Blacklist. An error is blacklist.ErrClosed, the error of ctx, or
// wraps blacklist.ErrUnavailable.
func (s *Store) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	if s.stuck.Load() {
		return false, errDamaged
	}
	bolt, err := s.begin()
	if err != nil {
		return false, callerError("the file cannot be read", err)
	}
	defer func() { _ = bolt.Rollback() }() // it ends a transaction that did not write
	now, start := s.clock.read().sure, millis.Floor(id.SessionStart)
	revoked := false
	err = guarded(func() (err error) {
		revoked, err = lookUp(bolt, id, now, start)
		return err
	})
	if err != nil {
		return false, callerError("the file cannot be read", err)
	}
	return revoked, nil
}

// begin begins a transaction that does not write. If bbolt panics, it keeps its locks, and the
// store is stuck. Once the transaction has begun, its end releases them.
func (s *Store) begin() (bolt *bbolt.Tx, err error) {
	err = guarded(func() (err error) {
		bolt, err = s.db.Begin(false)
		return err
	})
	if errors.Is(err, errPanicked) {
		s.stuck.Store(true)
	}
	return bolt, err
}

// Ping reports whether look-ups and writes work. It commits a transaction, which waits for the disk
// and shares the commit of other writes. It returns an error as soon as the disk is too full for
// another session.
func (s *Store) Ping(ctx context.Context) error {
	start := time.UnixMilli(s.clock.read().wall)
	if _, err := s.IsRevoked(ctx, blacklist.Identity{Issuer: "readiness", ID: "readiness", SessionStart: start}); err != nil {
		return err
	}
	return s.submit(s.newRequest(ctx, func(buckets) (change, error) {
		return change{grows: true, pages: pagesPerWrite, apply: func() (added, error) { return added{}, nil }}, nil
	}))
}

// Close waits for the write that is in progress and closes the file. Revocations that the writer
// has not taken, and all later calls, return blacklist.ErrClosed. A second Close returns the result
// of the first.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		<-s.stopped
		if s.stuck.Load() {
			s.closeErr = unavailable("the file is damaged, and stays locked until the process ends", nil)
			return
		}
		if err := s.db.Close(); err != nil {
			s.closeErr = unavailable("the file cannot be closed", err)
		}
	})
	return s.closeErr
}

// usable returns the error of a store that is closed or of a context that is done.
func (s *Store) usable(ctx context.Context) error {
	select {
	case <-s.closing:
		return blacklist.ErrClosed
	default:
		return ctx.Err()
	}
}
