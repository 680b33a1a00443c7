package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// Store is a blacklist in a file. One goroutine writes; Close ends it.
type Store struct {
	db  *bbolt.DB
	now func() time.Time

	requests chan *request
	// closing is closed when Close begins, and stopped when the writer has ended.
	closing, stopped chan struct{}
	closeOnce        sync.Once
	closeErr         error

	// stuck says that bbolt panicked where it holds its locks: whoever called it again would wait for ever.
	stuck atomic.Bool

	// beforeCommit lets a test hold a write; nil otherwise.
	beforeCommit func()
}

var (
	_ blacklist.Blacklist = (*Store)(nil)
	_ blacklist.Pinger    = (*Store)(nil)
)

// lockTimeout is how long Open waits for another process to let go of the file.
const lockTimeout = time.Second

type config struct {
	now      func() time.Time
	existing bool
}

// Option configures [Open].
type Option func(*config) error

// WithClock sets the clock, time.Now by default. For tests.
func WithClock(now func() time.Time) Option {
	return func(c *config) error {
		if now == nil {
			return errors.New("boltstore: WithClock needs a clock")
		}
		c.now = now
		return nil
	}
}

// WithExistingFile makes a missing file an error. The default makes one, which logs out everybody whose session is older.
func WithExistingFile() Option {
	return func(c *config) error { c.existing = true; return nil }
}

// Open opens the file, or makes it in a folder that is there. A file that another process has open, that is damaged, or that is not
// of this version is an error that wraps blacklist.ErrUnavailable.
func Open(path string, options ...Option) (*Store, error) {
	c := config{now: time.Now}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("boltstore: a nil option")
		}
		if err := option(&c); err != nil {
			return nil, err
		}
	}
	if err := checkPath(path, c.existing); err != nil {
		return nil, err
	}
	if err := verifyFile(path); err != nil {
		return nil, err
	}
	db, err := openFile(path, false)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, now: c.now, requests: make(chan *request), closing: make(chan struct{}), stopped: make(chan struct{})}
	if err := s.prepare(path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	go s.write()
	return s, nil
}

// checkPath refuses what would be followed or shared by mistake.
func checkPath(path string, existing bool) error {
	if path == "" {
		return errors.New("boltstore: Open needs the path of a file")
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !existing:
		return nil
	case err != nil:
		return fmt.Errorf("boltstore: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("boltstore: %s is not a regular file", path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("boltstore: %s can be written by others, who could take revocations back; chmod 600", path)
	}
	return nil
}

// verifyFile reads the file before bbolt writes to it, while the lock keeps other processes from writing. An empty file is a new one.
func verifyFile(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	db, err := openFile(path, true)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return errors.Join(fmt.Errorf("boltstore: %w", err), db.Close())
	}
	if info, err = file.Stat(); err == nil {
		err = verify(file, info.Size())
	}
	if err != nil {
		err = unavailable(path+" is damaged or cannot be read", err)
	}
	return errors.Join(err, file.Close(), db.Close())
}

func openFile(path string, readOnly bool) (*bbolt.DB, error) {
	return guarded(func() (*bbolt.DB, error) {
		// The list of free pages stays in the file: to find it again bbolt walks the pages in a goroutine of its own, whose panic on a
		// damaged one nobody could catch.
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, ReadOnly: readOnly})
		switch {
		case errors.Is(err, bolterrors.ErrTimeout):
			return nil, unavailable(path+" is open in another process", err)
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("boltstore: %w", err)
		case err != nil:
			return nil, unavailable(path+" is damaged or no file of bbolt", err)
		}
		return db, nil
	})
}

// prepare checks the file and makes what a new one needs.
func (s *Store) prepare(path string) error {
	fresh := false
	_, err := guarded(func() (struct{}, error) {
		return struct{}{}, s.db.View(func(tx *bbolt.Tx) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			if info.Size() < tx.Size() {
				return unavailable(path+" is cut off", nil)
			}
			if tx.Bucket(metaBucket) == nil && tx.Bucket(entryBucket) == nil {
				fresh = true
				return nil
			}
			if tx.Bucket(metaBucket) == nil || tx.Bucket(entryBucket) == nil || tx.Bucket(expiryBucket) == nil {
				return unavailable(path+" is no blacklist, or a damaged one", nil)
			}
			if _, err = readMark(tx); err != nil {
				return err
			}
			return checkAll(tx)
		})
	})
	if err != nil || !fresh {
		return err
	}
	_, err = guarded(func() (struct{}, error) {
		return struct{}{}, s.db.Update(func(tx *bbolt.Tx) error { return create(tx, millis.Floor(s.now())) })
	})
	if err != nil {
		return unavailable(path+" cannot be written", err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes the name of a new file durable.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("boltstore: %w", err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// IsRevoked implements blacklist.Blacklist. Every error but blacklist.ErrClosed and that of ctx wraps blacklist.ErrUnavailable.
func (s *Store) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	if s.stuck.Load() {
		return false, errDamaged
	}
	now, start := millis.Floor(s.now()), millis.Floor(id.SessionStart)
	inside := false
	revoked, err := guarded(func() (revoked bool, err error) {
		err = s.db.View(func(tx *bbolt.Tx) error {
			inside = true
			revoked, err = lookUp(tx, id, now, start)
			return err
		})
		return revoked && err == nil, s.outcome("it cannot be read", err)
	})
	if !inside && errors.Is(err, errPanicked) {
		s.stuck.Store(true) // once inside, bbolt lets go of its locks
	}
	return revoked, err
}

// Ping reports whether the file can be read.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.IsRevoked(ctx, blacklist.Identity{Verifier: "readiness", ID: "readiness", SessionStart: s.now()})
	return err
}

// Close writes what was handed over, and closes the file. Later calls of all methods return blacklist.ErrClosed, or the result of
// the first Close.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		<-s.stopped
		if s.stuck.Load() {
			s.closeErr = unavailable("the file was found damaged, and stays locked until the process ends", nil)
			return
		}
		if err := s.db.Close(); err != nil {
			s.closeErr = unavailable("it cannot be closed", err)
		}
	})
	return s.closeErr
}

func (s *Store) usable(ctx context.Context) error {
	select {
	case <-s.closing:
		return blacklist.ErrClosed
	default:
		return ctx.Err()
	}
}

// outcome is the error of an operation as callers see it.
func (s *Store) outcome(what string, err error) error {
	switch {
	case err == nil, errors.Is(err, blacklist.ErrUnavailable), errors.Is(err, blacklist.ErrClosed):
		return err
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return blacklist.ErrClosed
	default:
		return unavailable(what, err)
	}
}

// storeError has a fixed text; the cause is there for errors.Is and errors.As.
type storeError struct {
	text  string
	cause error
}

func unavailable(text string, cause error) error { return &storeError{text, cause} }

func (e *storeError) Error() string {
	return blacklist.ErrUnavailable.Error() + ": boltstore: " + e.text
}

func (e *storeError) Unwrap() []error {
	if e.cause == nil {
		return []error{blacklist.ErrUnavailable}
	}
	return []error{blacklist.ErrUnavailable, e.cause}
}

var errPanicked = errors.New("bbolt panicked")

// guarded turns the panics of bbolt on damaged pages, and faults on a file that was cut off under it, into errors.
func guarded[T any](f func() (T, error)) (result T, err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			var none T
			result, err = none, unavailable("the file is damaged", fmt.Errorf("%w: %v", errPanicked, r))
		}
	}()
	return f()
}
