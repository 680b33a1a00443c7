package redisstore

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// storeError is an error of the store. Its text is fixed: what go-redis and the network say may name hosts, users and
// keys, so the cause is there for errors.Is and errors.As only.
type storeError struct {
	text  string
	cause error
}

func (e *storeError) Error() string { return blacklist.ErrUnavailable.Error() + ": redis: " + e.text }

func (e *storeError) Unwrap() []error {
	if e.cause == nil {
		return []error{blacklist.ErrUnavailable}
	}
	return []error{blacklist.ErrUnavailable, e.cause}
}

var (
	errOpen     = &storeError{text: "it failed several times in a row, so it is not asked for a moment"}
	errCrowded  = &storeError{text: "too many operations are waiting for it"}
	errNoMark   = &storeError{text: "the store's mark is missing, so it may have been emptied", cause: errMarkMissing}
	errNoMaster = &storeError{text: "the server is a read-only replica"}
)

// unavailable wraps whatever went wrong. It must be called for every error of go-redis.
func unavailable(err error) error {
	var own *storeError
	if errors.As(err, &own) {
		return own
	}
	return &storeError{text: describe(err), cause: err}
}

// describe says in fixed words what kind of failure it was: enough for an operator to know where to look.
func describe(err error) string {
	var timeout interface{ Timeout() bool }
	var op *net.OpError
	switch {
	case errors.Is(err, errMarkFormat), errors.Is(err, errEntryFormat), errors.Is(err, errReplyFormat):
		return "what it holds under this prefix was not written by this version"
	case redis.IsAuthError(err):
		return "user or password refused"
	case redis.IsPermissionError(err):
		return "the user's ACL forbids a command or key that is needed"
	case redis.IsReadOnlyError(err):
		return errNoMaster.text
	case redis.IsLoadingError(err):
		return "it is still loading its data"
	case redis.IsOOMError(err):
		return "it is out of memory"
	case redis.IsNoReplicasError(err):
		return "it has too few replicas to accept a write"
	case redis.IsClusterDownError(err), redis.IsMasterDownError(err), redis.IsTryAgainError(err), isRedirect(err):
		return "the cluster is not whole, or a slot is being moved"
	case redis.IsMaxClientsError(err):
		return "it has too many clients"
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return "what it holds under this prefix was not written by this version"
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "no free connection in the pool"
	case errors.Is(err, redis.ErrClosed):
		return "the client was closed"
	case errors.Is(err, context.Canceled):
		return "the caller gave up"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &op), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "not reachable"
	default:
		return "the command failed"
	}
}

func isRedirect(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	return moved || ask
}

// isPassing reports whether a Cluster that is changing its shape explains the error, so that asking again soon may help.
func isPassing(err error) bool {
	var own *storeError
	var e redis.Error
	if errors.As(err, &own) {
		return false
	}
	if !errors.As(err, &e) {
		return !errors.Is(err, context.Canceled) && !errors.Is(err, redis.ErrClosed)
	}
	return isRedirect(err) || redis.IsTryAgainError(err) || redis.IsClusterDownError(err) ||
		redis.IsMasterDownError(err) || redis.IsLoadingError(err) || redis.IsReadOnlyError(err)
}
