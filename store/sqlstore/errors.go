package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// storeError is an error of the store. Its text is fixed, because errors of drivers may contain
// hosts, users and values. The cause is available to errors.Is and errors.As only.
type storeError struct {
	text  string
	cause error
}

func (e *storeError) Error() string { return "sqlstore: database unavailable: " + e.text }

func (e *storeError) Unwrap() []error {
	errs := []error{blacklist.ErrUnavailable, session.ErrUnavailable}
	if e.cause != nil {
		errs = append(errs, e.cause)
	}
	return errs
}

var (
	errNoMark = &storeError{text: "the mark is missing, so the database may have been emptied: run sqlstore.Migrate, " +
		"which logs everybody out"}
	errOtherMark  = &storeError{text: "the mark was made anew, so the database may have been emptied"}
	errNoSchema   = &storeError{text: "the tables are missing: run sqlstore.Migrate"}
	errOldSchema  = &storeError{text: "the tables are those of an older version: run sqlstore.Migrate"}
	errNewSchema  = &storeError{text: "the tables are those of a newer version: update the program"}
	errEntry      = &storeError{text: "an entry was not written by this version"}
	errStandby    = &storeError{text: "the server is a standby: connect to the primary"}
	errAsync      = &storeError{text: "synchronous_commit is off, so a crash loses revocations: ALTER ROLE ... SET synchronous_commit = on"}
	errNoSync     = &storeError{text: "PRAGMA synchronous is OFF, so a crash loses revocations: set FULL for every connection"}
	errNoTimeout  = &storeError{text: "PRAGMA busy_timeout is below 1000 ms, so that calls fail while another process writes: set 5000 for every connection"}
	errOldServer  = &storeError{text: "the version of the database is too old: PostgreSQL 13 or SQLite 3.35 is needed"}
	errManyTries  = &storeError{text: "other transactions on the same sessions interfered too often"}
	errUsedLater  = &storeError{text: "the transaction is over"}
	errChangedRow = errors.New("sqlstore: a row changed although it was locked")
)

// unavailable returns the storeError of an error. Every error of database/sql goes through it.
func unavailable(err error) error {
	var stored *storeError
	if errors.As(err, &stored) {
		return stored
	}
	return &storeError{text: describe(err), cause: err}
}

// describe returns a fixed text for the kind of failure.
func describe(err error) string {
	state := sqlState(err)
	var timeout interface{ Timeout() bool }
	switch {
	case isBusy(err):
		return "another connection holds the lock of the database"
	case sqliteCode(err) == sqliteReadOnly:
		return "the file of the database cannot be written"
	case sqliteCode(err) == sqliteFull:
		return "the disk is full"
	case sqliteCode(err) == sqliteCorrupt, sqliteCode(err) == sqliteNoFile:
		return "the file is damaged, or not a database"
	case state == "42P01" || state == "3F000":
		return errNoSchema.text
	case state == "42703":
		return "a column is missing: run sqlstore.Migrate"
	case state == "42501":
		return "the user lacks a privilege"
	case state == "25006":
		return "the server is read-only: connect to the primary"
	case state == "53300":
		return "the server has no free connection"
	case state == "53100", state == "53200":
		return "the server is out of disk space or memory"
	case state == "57P03":
		return "the server is starting or stopping"
	case state == "57014":
		return "the server cancelled the statement"
	case strings.HasPrefix(state, "28"):
		return "the server refused the user or password"
	case isConflict(err):
		return errManyTries.text
	case errors.Is(err, context.Canceled):
		return "the caller cancelled the context"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "the database did not answer in time"
	case isConnection(err):
		return "the server is not reachable, or the connection was lost"
	default:
		return "the statement failed"
	}
}

// sqlState returns the SQLSTATE of an error of PostgreSQL, or "". The drivers pgx and pq have the
// method.
func sqlState(err error) string {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState()
	}
	return ""
}

// isConflict reports whether the database has rolled back a transaction because of another one, so
// that running it again may succeed: serialization_failure, deadlock_detected, unique_violation.
func isConflict(err error) bool {
	if errors.Is(err, errConflict) || errors.Is(err, errChangedRow) {
		return true
	}
	switch sqlState(err) {
	case "40001", "40P01", "23505":
		return true
	}
	return false
}

// isConnection reports whether the connection was lost, or none could be made.
func isConnection(err error) bool {
	state := sqlState(err)
	var network net.Error
	// pgx has a method for "conn closed". It returns this error also for what it sent before.
	var closed interface{ SafeToRetry() bool }
	return errors.As(err, &closed) && closed.SafeToRetry() || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &network) ||
		strings.HasPrefix(state, "08") || state == "57P01" || state == "57P02" || state == "57P03"
}

// Result codes of SQLite.
const (
	sqliteBusy     = 5
	sqliteLocked   = 6
	sqliteReadOnly = 8
	sqliteCorrupt  = 11
	sqliteFull     = 13
	sqliteNoFile   = 26
)

// sqliteCode returns the primary result code of an error of SQLite, or 0. The driver of modernc has
// a method for it; other drivers have only the text.
func sqliteCode(err error) int {
	var code interface{ Code() int }
	switch {
	case err == nil || sqlState(err) != "":
		return 0
	case errors.As(err, &code):
		return code.Code() & 0xff
	case strings.Contains(err.Error(), "database is locked"):
		return sqliteBusy
	default:
		return 0
	}
}

// isBusy reports whether SQLite waited in vain for a lock.
func isBusy(err error) bool {
	code := sqliteCode(err)
	return code == sqliteBusy || code == sqliteLocked
}
