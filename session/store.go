package session

import (
	"context"
	"errors"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Store keeps the sessions of subjects. [Memory] is one. Packages boltstore, redisstore and sqlstore
// have others, which are blacklists too. A store of the application implements this interface and
// runs the tests of package sessiontest. Implementations are safe for concurrent use.
//
// A store keeps rows and makes transactions. The rules of sessions are in this package, once, and no
// store knows them.
//
// After an error of any method the caller does not know whether the call had an effect. An error
// wraps [ErrUnavailable], or is [ErrFull] or [ErrClosed], the error of ctx, or the error of the step.
// Its text contains no id and nothing of a row.
type Store interface {
	// Update runs the step in a transaction on the sessions of one subject. If the step returns an
	// error, the transaction has no effect and Update returns that error. If Update returns nil, all
	// writes of the step are in force, and every transaction and every List that begins afterwards
	// sees them.
	//
	// The transactions of one subject have the effect of running one after the other. The store may
	// run the step several times, and only the writes of the last run count. So a step has no effects
	// besides those of its Tx, and begins anew in each run. A store whose connection was lost may also
	// run it again after its writes were made: a step recognizes them.
	Update(ctx context.Context, subject Subject, step func(Tx) error) error

	// List returns the rows of the subject for which Row.IsLive, newest first: by Began, then by ID,
	// both descending. It returns at most limit rows, and the position of the next page, or "" if
	// there is none; a page may have fewer rows. The position "" is that of the first page. Rows that
	// begin or end meanwhile may be missing or present; all others are returned exactly once.
	List(ctx context.Context, subject Subject, position string, limit int) (rows []Row, next string, err error)

	// Owed returns at most limit rows with Owed set, of any subjects.
	Owed(ctx context.Context, limit int) ([]Row, error)

	// Forget deletes all rows of the subject. The epoch stays.
	Forget(ctx context.Context, subject Subject) error
}

// Tx is a transaction on the sessions of one subject. A step reads first and writes afterwards: what
// it reads after a write is not specified. A Tx is used by one goroutine, and not after the step has
// returned.
type Tx interface {
	// Now returns the time of the store, the same for all processes that share it, in milliseconds.
	// It is read in the transaction: it is not before any time that an earlier transaction on the
	// same rows has read, unless the clock of the store was set back.
	Now() time.Time
	// Epoch returns the epoch of the subject, 0 at first.
	Epoch() (uint64, error)
	// SetEpoch sets it. The store keeps it for an hour longer than the last row of the subject.
	SetEpoch(epoch uint64) error
	// Session returns the row with the id, whether it has ended or not.
	Session(id string) (Row, bool, error)
	// Live returns at most limit rows of the subject for which Row.IsLive, the one that began first
	// at the head.
	Live(limit int) ([]Row, error)
	// Put writes a row of the subject, in place of one with the same id. The store deletes it some
	// time after Row.KeepUntil.
	Put(row Row) error
}

// BlacklistTx is the Tx of a store that is also the blacklist. The revocation and the rows are
// written together or not at all. A store that answers look-ups from memory may find the revocation
// while they are being written; no call finds the rows before look-ups find the revocation.
type BlacklistTx interface {
	Tx
	// Revoke records a revocation of the subject, or of one of its sessions, as
	// blacklist.Blacklist does.
	Revoke(r blacklist.Revocation) error
}

// Subject is the owner of sessions.
type Subject struct {
	// Issuer is the issuer of the tokens, the exact claim iss (RFC 7519, section 4.1.1).
	Issuer string
	// Name is the claim sub (RFC 7519, section 4.1.2).
	Name string
}

var (
	// ErrUnavailable is the error of a store that could not answer or write.
	ErrUnavailable = errors.New("session: store unavailable")
	// ErrFull is the error of a bounded store without room for another session.
	ErrFull = errors.New("session: store full")
	// ErrPosition is the error of List for a position that is not one of a page.
	ErrPosition = errors.New("session: not the position of a page")
	// ErrClosed is the error of a closed store.
	ErrClosed = errors.New("session: closed")
)
