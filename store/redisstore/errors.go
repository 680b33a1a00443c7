package redisstore

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// storeError is an error of the store. Its text is fixed, because errors of go-redis and the
// network may contain hosts, users and keys. The cause is available to errors.Is and errors.As
// only.
type storeError struct {
	text  string
	cause error
}

func (e *storeError) Error() string { return blacklist.ErrUnavailable.Error() + ": redis: " + e.text }

func (e *storeError) Unwrap() []error {
	if e.cause == nil {
		return []error{blacklist.ErrUnavailable, session.ErrUnavailable}
	}
	return []error{blacklist.ErrUnavailable, session.ErrUnavailable, e.cause}
}

var (
	errBreakerOpen = &storeError{text: "look-ups failed several times in a row and are refused for a moment"}
	errTooMany     = &storeError{text: "too many operations are in flight"}
	errNoMark      = &storeError{text: "a mark is missing, so the store may have been emptied, or has another prefix",
		cause: errMarkMissing}
	errNoMaster     = &storeError{text: "the server is a read-only replica"}
	errOtherSubject = &storeError{text: "the row has no id, or the row or the revocation is not one of the subject of the transaction"}
)

// unavailable returns the storeError of an error. Every error of go-redis goes through it.
func unavailable(err error) error {
	var stored *storeError
	if errors.As(err, &stored) {
		return stored
	}
	return &storeError{text: describe(err), cause: err}
}

// describe returns a fixed text for the kind of failure.
func describe(err error) string {
	var timeout interface{ Timeout() bool }
	var op *net.OpError
	switch {
	case errors.Is(err, errMarkFormat), errors.Is(err, errEntryFormat), errors.Is(err, errReplyFormat),
		errors.Is(err, errRowFormat), errors.Is(err, session.ErrUnavailable):
		return wrongFormat
	case errors.Is(err, errVersion1):
		return "the store has format version 1, which this version does not read: " +
			"delete the keys under the prefix, which logs everybody out, or set another prefix"
	case errors.Is(err, errOtherKey):
		return "the marks were made with another HMAC key or prefix: set those of the other processes, " +
			"or another prefix for another blacklist"
	case redis.IsAuthError(err):
		return "the server refused the user or password"
	case redis.IsPermissionError(err), isPermissionErrorOfScript(err):
		return "the user's ACL forbids a required command or key"
	case redis.IsReadOnlyError(err):
		return errNoMaster.text
	case redis.IsLoadingError(err):
		return "the server is still loading its data"
	case redis.IsOOMError(err):
		return "the server is out of memory"
	case redis.IsNoReplicasError(err):
		return "the server has too few replicas to accept a write"
	case redis.IsClusterDownError(err), redis.IsMasterDownError(err), redis.IsTryAgainError(err), isRedirect(err):
		return "the Cluster is incomplete, or a slot is being moved"
	case redis.IsMaxClientsError(err):
		return "the server has too many clients"
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return wrongFormat
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "the pool has no free connection"
	case errors.Is(err, redis.ErrClosed):
		return "the client was closed"
	case errors.Is(err, context.Canceled):
		return "the caller cancelled the context"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "the server did not answer in time"
	case errors.As(err, &op), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server is not reachable"
	default:
		return "the command failed"
	}
}

const wrongFormat = "a value under the prefix was not written by this version"

// isPermissionErrorOfScript reports whether the user may not run a command of a script. Redis 6.2 and
// 7.0 give the error the code of another kind.
func isPermissionErrorOfScript(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) &&
		(strings.Contains(reply.Error(), "ACL failure in script") || strings.Contains(reply.Error(), "user executing the script can't"))
}

func isRedirect(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	return moved || ask
}

// isTransient reports whether a change of the Cluster may have caused the error, so that a retry
// may succeed.
func isTransient(err error) bool {
	var stored *storeError
	var reply redis.Error
	if errors.As(err, &stored) {
		return false
	}
	if !errors.As(err, &reply) {
		return !errors.Is(err, context.Canceled) && !errors.Is(err, redis.ErrClosed)
	}
	return isRedirect(err) || redis.IsTryAgainError(err) || redis.IsClusterDownError(err) ||
		redis.IsMasterDownError(err) || redis.IsLoadingError(err) || redis.IsReadOnlyError(err)
}
