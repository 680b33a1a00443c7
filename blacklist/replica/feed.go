package replica

import (
	"context"
	"errors"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// ErrGap is the error of [Follower.Read] and [Follower.Marks] if records may be missing between the
// position and the present. The follower is of no use then. Only the snapshot of a new one helps.
var ErrGap = errors.New("replica: records are missing: a new snapshot is needed")

// Feed is a store that tells which revocations it records. A [Replica] copies it. Package feedtest
// has the tests that every Feed must pass. Implementations are safe for concurrent use.
//
// # What a store records
//
// Every revocation that returned without an error has a record, also one whose entry was there
// before. The same holds for every mark that was made. The record is visible to every Read that
// begins after the revocation returned, and so is the entry to every Snapshot that begins then. If
// the store writes the entry and the record in two steps, the entry comes first. Otherwise a
// snapshot misses the entry while its position is already past the record.
//
// All processes that write to the store write records. A process of an older version that writes
// entries only breaks the promise of every Replica.
//
// # Marks
//
// A mark refuses all sessions that began at or before a time. A store makes one when it is new or
// was emptied. A Replica applies the newest of all marks to all sessions. This is safe: it refuses
// at least what each mark refuses. It refuses more only after a store was emptied in part.
type Feed interface {
	// Blacklist is the store. Its Revoke is the only way to write, and its IsRevoked answers what
	// the copy does not know.
	blacklist.Blacklist

	// PlaceKey returns the key of the places of all entries and records. It does not change.
	PlaceKey() blacklist.PlaceKey

	// Name returns the first eight bytes, big-endian, of the digest with which the store names the
	// entry of the kind: the [blacklist.Key], or an HMAC over it. It reports false where
	// [blacklist.KeyOf] does. It is called if the place of a token is in the copy, and for each
	// revocation.
	Name(kind blacklist.Kind, id blacklist.Identity) (name uint64, ok bool)

	// Follow begins to follow the store. The first call of the Follower is Snapshot. An error means
	// that the store did not answer; the Replica calls Follow again later.
	Follow(ctx context.Context) (Follower, error)
}

// Follower reads what a [Feed] records. It has a position: the place among the records up to which
// everything was returned. One goroutine uses a Follower, except for Close.
type Follower interface {
	// Snapshot sets the position to the end of the records, and then passes all entries and all
	// marks to apply, in batches of any size and order. It passes at least what was recorded before
	// the position was read. Entries that ended more than five minutes ago may be left out. Now is
	// set in each batch; Complete has no meaning. An error of apply ends the snapshot and is
	// returned. The batch belongs to the Follower again when apply returns.
	//
	// Snapshot returns an error, which need not be ErrGap, if the entries do not fit the position:
	// the store was exchanged or emptied meanwhile (fail-over, resharding, another timeline), or a
	// mark is missing. The Replica then closes the follower and takes a new one.
	//
	// Snapshot may take as long as it needs, but the Replica ends its context if it passes nothing
	// for ten seconds. A batch without entries is a sign of life.
	Snapshot(ctx context.Context, apply func(Batch) error) error

	// Read returns the records after the position, and moves the position behind them. It begins
	// with the connection: nothing that was fetched before the call is returned, so a Read that
	// is Complete returns all that was recorded before the call. It waits at most the given time
	// for the first record, and not at all if wait is 0. A record that arrives ends the wait; nothing
	// else should, because the Replica reads again at once.
	// The batch belongs to the Follower again with the next call.
	//
	// A record may be returned again, also by another Read, and in another order: the Replica
	// merges. Two records of one entry contain what Revoke got, or the entry that resulted.
	//
	// Read returns ErrGap if it cannot know that it returns every record: the position was
	// trimmed, the store was emptied, restored or exchanged, its identity changed (replication id,
	// slots, system identifier, timeline), or the server is not a master. It checks this with each
	// call, on the connection of the call, and after the records were read. It never returns an
	// incomplete answer without an error.
	//
	// After any other error, that of ctx included, the position is where it was, and Read may be
	// called again. It makes a new connection itself.
	Read(ctx context.Context, wait time.Duration) (Batch, error)

	// Marks reads all marks and returns the newest, in milliseconds since 1970, or math.MinInt64
	// from a store without marks. A missing mark is an error, after which Marks may be called
	// again. It is called once in a while, for a mark that was made without a record.
	Marks(ctx context.Context) (notBefore int64, err error)

	// Close releases the connection, and ends calls that run. Later calls return
	// [blacklist.ErrClosed]. It may be called twice. It does not close the store.
	Close() error
}

// Batch is what a read returned.
type Batch struct {
	Entries []Entry
	// Complete is set if Read returned everything: fewer records than its limit. Otherwise the
	// Replica reads again at once, and the read does not count for its age.
	Complete bool
	// Unconfirmed is set if Read does not know yet whether it reached the server that revocations go
	// to. The entries count, and the read does not count for the age of the copy.
	Unconfirmed bool
	// Now is the time of the store, read after the entries. The copy keeps an entry until five
	// minutes after its end by this time. A store in the process uses its clock.
	Now time.Time
}

// Entry is a revocation or a mark, as the store keeps it. Times are milliseconds since 1970.
type Entry struct {
	// Kind is the kind of the revocation, or 0 for a mark.
	Kind blacklist.Kind
	// Place is that of [blacklist.PlaceOf], and Name that of [Feed.Name]. A mark has none.
	Place, Name uint64
	// CutOff is the cut-off: sessions that began at or before it are revoked. It is math.MaxInt64
	// for a token and a session, which have none.
	CutOff int64
	// Until is the end: the entry is in force while the time is before it. It is math.MaxInt64 for
	// an entry that never ends, and for a mark.
	Until int64
	// Written is when the record was written, by the time of the store, or 0 if that is unknown and
	// in a snapshot. It is for statistics.
	Written int64
}
