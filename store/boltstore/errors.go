package boltstore

import (
	"errors"
	"fmt"
	"runtime/debug"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// storeError has a fixed text. The cause is available to errors.Is and errors.As only.
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

// sessionError returns the error of an operation on sessions as callers see it.
func sessionError(err error) error {
	var store *storeError
	switch {
	case errors.Is(err, blacklist.ErrClosed):
		return session.ErrClosed
	case errors.Is(err, session.ErrUnavailable):
		return err
	case errors.As(err, &store):
		return &unavailableSessions{store}
	default:
		return err
	}
}

// unavailableSessions is a storeError as the methods of session.Store return it.
type unavailableSessions struct{ cause *storeError }

func (e *unavailableSessions) Error() string {
	return session.ErrUnavailable.Error() + ": boltstore: " + e.cause.text
}

func (e *unavailableSessions) Unwrap() []error { return []error{session.ErrUnavailable, e.cause} }

const damagedText = "the file is damaged"

var (
	// errDamaged is the error for a file that is not as this package writes it.
	errDamaged = unavailable(damagedText, nil)

	// errEntry concerns one entry. The other entries can still be read and written.
	errEntry = unavailable("an entry is damaged", nil)

	errPanicked = errors.New("bbolt panicked")
)

// callerError returns the error of an operation as callers see it. Errors of this package keep
// their text; any other error becomes the text.
func callerError(text string, err error) error {
	switch {
	case err == nil, errors.Is(err, blacklist.ErrUnavailable), errors.Is(err, blacklist.ErrClosed):
		return err
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return blacklist.ErrClosed
	default:
		return unavailable(text, err)
	}
}

// guarded returns errors for the panics of bbolt on damaged pages, and for memory faults when the
// file was truncated while it was mapped.
func guarded(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			err = unavailable(damagedText, fmt.Errorf("%w: %v", errPanicked, r))
		}
	}()
	return f()
}
