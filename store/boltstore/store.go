package boltstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/hooks"
	"github.com/oapi-guard/oapi-guard/session"
)

// How the store works:
//
// Open verifies the pages of the file (verify.go) and all entries in it (format.go), copies the
// entries to memory (copy.go), and starts one goroutine, the writer. A look-up reads the copy only.
// Revoke hands a request to the writer (write.go). The writer takes all requests that wait, writes
// them in one transaction with one fsync, removes some of what has expired (sweep.go), brings the
// copy up to date, and answers the requests. Close stops the writer and closes the file.
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
	copied *copied
	clock  *clock
	space  *space
	hooks  hooks.List

	urgent, requests chan *request
	// closing is closed when Close begins, stopped when the writer has ended.
	closing, stopped chan struct{}
	closeOnce        sync.Once
	closeErr         error

	stuck atomic.Bool

	// beforeCommit lets a test hold a write, and afterCommit change the result of a transaction. Both
	// are nil otherwise.
	beforeCommit func()
	afterCommit  func(error) error
}

var (
	_ blacklist.Blacklist = (*Store)(nil)
	_ blacklist.InProcess = (*Store)(nil)
	_ blacklist.Locator   = (*Store)(nil)
	_ blacklist.Pinger    = (*Store)(nil)
	_ session.Store       = (*Store)(nil)
)

// start returns a store on the open file, with its writer running.
func start(db *bbolt.DB, room *space, places blacklist.PlaceKey, c *copied, now func() time.Time) *Store {
	s := &Store{
		db:       db,
		places:   places,
		copied:   c,
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

// IsRevoked implements blacklist.Blacklist. It answers from memory and never waits. An error is
// blacklist.ErrClosed, the error of ctx, or wraps blacklist.ErrUnavailable: after bbolt found damage
// that it cannot go on after.
func (s *Store) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	return s.isRevoked(ctx, &id, nil)
}

// Locate implements blacklist.Locator.
func (s *Store) Locate(id blacklist.Identity) *blacklist.Located {
	return s.copied.places.Locate(s, id)
}

// IsRevokedAt implements blacklist.Locator.
func (s *Store) IsRevokedAt(ctx context.Context, located *blacklist.Located) (bool, error) {
	return s.isRevoked(ctx, &located.Identity, located)
}

func (s *Store) isRevoked(ctx context.Context, id *blacklist.Identity, located *blacklist.Located) (bool, error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	if s.stuck.Load() {
		return false, errDamaged
	}
	return s.copied.covers(id, located, s.clock), nil
}

// InProcess says that look-ups do not wait.
func (s *Store) InProcess() {}

// OnChange registers f. It is called after each commit with revocations, before Revoke or Update
// returns, and also if the commit failed. After a call, a look-up sees what changed.
//
// f must return at once: writes wait for it. It must not call methods of the Store; it sends to a
// channel, for example. stop ends the calls; one may still run when it returns.
func (s *Store) OnChange(f func()) (stop func()) { return s.hooks.Add(f) }

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
