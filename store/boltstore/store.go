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
)

// How the store works:
//
// Open verifies the pages of the file (verify.go) and all entries in it (format.go), and starts one
// goroutine, the writer. A look-up is a read transaction: it reads the mark and the entries that
// could cover the token (entries.go). Revoke hands a request to the writer (write.go). The writer
// takes all requests that wait, writes them in one transaction with one fsync, removes some expired
// entries, and answers the requests. Close stops the writer and closes the file.
//
// Every value has a checksum, and a value that does not match it is an error. bbolt panics on
// damaged pages; the panic becomes an error too (errors.go). If bbolt panicked while it held its
// locks, the store is stuck: it does not call bbolt again, because that call would never return.

// Store is a blacklist in a file. It is safe for concurrent use. Its one goroutine ends with Close.
type Store struct {
	db     *bbolt.DB
	places blacklist.PlaceKey // as in the mark
	now    func() time.Time

	requests chan *request
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
)

// start returns a store on the open file, with its writer running.
func start(db *bbolt.DB, places blacklist.PlaceKey, now func() time.Time) *Store {
	s := &Store{
		db:       db,
		places:   places,
		now:      now,
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
	now, start := millis.Floor(s.now()), millis.Floor(id.SessionStart)
	revoked, begun := false, false
	err := guarded(func() error {
		err := s.db.View(func(tx *bbolt.Tx) (err error) {
			begun = true
			revoked, err = lookUp(tx, id, now, start)
			return err
		})
		return callerError("the file cannot be read", err)
	})
	if err == nil {
		return revoked, nil
	}
	if !begun && errors.Is(err, errPanicked) {
		s.stuck.Store(true) // once the transaction has begun, bbolt releases its locks
	}
	return false, err
}

// Ping reports whether look-ups work. It does not write, so it does not notice a full disk.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.IsRevoked(ctx, blacklist.Identity{Issuer: "readiness", ID: "readiness", SessionStart: s.now()})
	return err
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
