package sqlstore

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
)

const (
	// pageSize is the largest number of records of a read, and of entries of a batch of a snapshot.
	pageSize = 1000
	// pollInterval is the time between two looks for records while a read waits.
	pollInterval = 25 * time.Millisecond
)

var _ replica.Feed = (*Store)(nil)

var (
	errGap = fmt.Errorf("sqlstore: records were deleted, or the database was emptied, restored, exchanged or demoted: %w",
		replica.ErrGap)
	errOtherPlaces = &storeError{text: "the key of the places was made anew: start the process again"}
	errNoRecords   = &storeError{text: "the records were emptied, or are those of another server: run sqlstore.Migrate"}
	errExchanged   = &storeError{text: "the database was exchanged during a snapshot"}
	errOneConn     = &storeError{text: "a follower keeps a connection, so SetMaxOpenConns must be at least 2"}
)

// PlaceKey implements replica.Feed. The key stays when the tables are emptied. If the tables are
// made anew it is another one, and Follow is an error until the process starts again.
func (s *Store) PlaceKey() blacklist.PlaceKey { return s.placeKey }

// Name implements replica.Feed: the first eight bytes of the [blacklist.Key].
func (s *Store) Name(kind blacklist.Kind, id blacklist.Identity) (name uint64, ok bool) {
	key, ok := blacklist.KeyOf(kind, id)
	return nameOf(key), ok
}

// nameOf returns the name of an entry in records.
func nameOf(key blacklist.Key) uint64 { return binary.BigEndian.Uint64(key[:]) }

// Follow implements replica.Feed. The Follower keeps one connection. While a Read waits it looks for
// records every 25 ms.
func (s *Store) Follow(ctx context.Context) (replica.Follower, error) {
	if s.db.Stats().MaxOpenConnections == 1 {
		return nil, errOneConn
	}
	f := &follower{s: s}
	f.closed, f.end = context.WithCancel(context.Background())
	if s.cfg.dialect == PostgreSQL {
		f.position = &snapshotPosition{}
	} else {
		f.position = &rowPosition{}
	}
	err := f.call(ctx, func(context.Context) error { return nil })
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// follower is a replica.Follower on one connection.
type follower struct {
	s      *Store
	closed context.Context // ends with Close
	end    context.CancelFunc

	mu   sync.Mutex // of the running call
	conn *sql.Conn  // nil after an error
	page *sql.Stmt  // on conn

	position position
	identity string // of the records, as Snapshot found it
	entries  []replica.Entry
}

// position is where a follower is among the records.
type position interface {
	// reset prepares the position for a snapshot.
	reset(ctx context.Context, f *follower) error
	// arguments returns those of the statement that reads a page of at most limit records.
	arguments(limit int) []any
	// advance moves the position behind a page. It reports whether all records were returned that
	// existed when the page was read.
	advance(head *pageHead, last recordID, full bool) (complete bool)
}

// pageHead is what a page contains besides records.
type pageHead struct {
	identity string // "standby" on one
	snapshot string // of the statement, on PostgreSQL
	// intact is set if no record behind the position was deleted.
	intact   bool
	placeKey []byte        // nil if the mark is missing
	mark     sql.NullInt64 // its time
	now      time.Time
}

// recordID is the place of a record in the order of its page.
type recordID struct {
	xid           uint64 // on PostgreSQL
	id            int64
	name, written int64
}

func (r recordID) after(other recordID) bool {
	return r.xid > other.xid || r.xid == other.xid && r.id > other.id
}

// Snapshot implements replica.Follower.
func (f *follower) Snapshot(ctx context.Context, apply func(replica.Batch) error) error {
	var failed error // the error of apply
	err := f.call(ctx, func(ctx context.Context) error {
		if err := f.position.reset(ctx, f); err != nil {
			return err
		}
		head, _, _, err := f.readPage(ctx, 0)
		if err != nil {
			return err
		}
		if err := f.checkFirst(head); err != nil {
			return err
		}
		f.identity = head.identity
		f.position.advance(head, recordID{}, false)
		mark := replica.Entry{CutOff: head.mark.Int64, Until: math.MaxInt64}
		if failed = apply(replica.Batch{Entries: []replica.Entry{mark}, Now: head.now}); failed != nil {
			return failed
		}
		if err := f.scan(ctx, func(b replica.Batch) error { failed = apply(b); return failed }); err != nil {
			return err
		}
		if head, _, _, err = f.readPage(ctx, 0); err != nil {
			return err
		}
		if f.check(head) != nil {
			return errExchanged
		}
		return nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// checkFirst checks the database when a snapshot begins.
func (f *follower) checkFirst(head *pageHead) error {
	switch {
	case head.identity == standby:
		return errStandby
	case head.placeKey == nil:
		return errNoMark
	case string(head.placeKey) != string(f.s.placeKey[:]):
		return errOtherPlaces
	case !head.intact:
		return errNoRecords
	}
	return nil
}

// check checks that the database is that of the snapshot, and that no record was missed.
func (f *follower) check(head *pageHead) error {
	if head.identity != f.identity || !head.intact || string(head.placeKey) != string(f.s.placeKey[:]) {
		return errGap
	}
	return nil
}

// scan passes all entries to apply, in pages by key.
func (f *follower) scan(ctx context.Context, apply func(replica.Batch) error) error {
	after := []byte{0} // before all keys; the mark has no key
	for {
		n, err := f.scanPage(ctx, &after)
		if err != nil {
			return err
		}
		now := f.s.cfg.now()
		if f.s.cfg.dialect == PostgreSQL {
			var clock int64
			if err := f.conn.QueryRowContext(ctx, f.s.cfg.render(selectClock)).Scan(&clock); err != nil {
				return err
			}
			now = time.UnixMilli(clock)
		}
		if err := apply(replica.Batch{Entries: f.entries, Now: now}); err != nil || n < pageSize {
			return err
		}
	}
}

// scanPage reads the entries behind the key, and moves it.
func (f *follower) scanPage(ctx context.Context, after *[]byte) (n int, err error) {
	rows, err := f.conn.QueryContext(ctx, f.s.cfg.render(scanEntries), *after, pageSize)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	f.entries = f.entries[:0]
	for ; rows.Next(); n++ {
		var key []byte
		var kind uint8
		var place, cutOff, until int64
		if err := rows.Scan(&key, &kind, &place, &cutOff, &until); err != nil {
			return 0, err
		}
		*after = key
		if len(key) != len(blacklist.Key{}) {
			return 0, errEntry
		}
		f.entries = append(f.entries, replica.Entry{
			Kind: blacklist.Kind(kind), Place: uint64(place), Name: nameOf(blacklist.Key(key)), CutOff: cutOff, Until: until,
		})
	}
	return n, rows.Err()
}

// Read implements replica.Follower.
func (f *follower) Read(ctx context.Context, wait time.Duration) (b replica.Batch, err error) {
	err = f.call(ctx, func(ctx context.Context) error {
		b, err = f.read(ctx, wait)
		return err
	})
	if err != nil {
		return replica.Batch{}, err
	}
	return b, nil
}

func (f *follower) read(ctx context.Context, wait time.Duration) (b replica.Batch, err error) {
	end := time.Now().Add(wait)
	changes, err := f.changes(ctx)
	if err != nil {
		return replica.Batch{}, err
	}
	for {
		head, last, n, err := f.readPage(ctx, pageSize)
		if err != nil {
			return replica.Batch{}, err
		}
		if err := f.check(head); err != nil {
			return replica.Batch{}, err
		}
		complete := f.position.advance(head, last, n == pageSize)
		b = replica.Batch{Entries: f.entries, Complete: complete, Now: head.now}
		if n > 0 {
			return b, nil
		}
		if !complete {
			continue // the end of several pages: what was written meanwhile is read now
		}
		if changes, err = f.await(ctx, changes, end); err != nil || changes < 0 {
			return b, err
		}
	}
}

// await returns when records may have been written, or with -1 when the time is over.
func (f *follower) await(ctx context.Context, before int64, end time.Time) (changes int64, err error) {
	for {
		left := time.Until(end)
		if left <= 0 {
			return -1, nil
		}
		timer := time.NewTimer(min(left, pollInterval))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, ctx.Err()
		}
		changes, err = f.changes(ctx)
		if err != nil || changes != before || f.s.cfg.dialect == PostgreSQL {
			return changes, err
		}
	}
}

// changes returns a number that changes when another connection has written to SQLite, and 0 on
// PostgreSQL.
func (f *follower) changes(ctx context.Context) (n int64, err error) {
	if f.s.cfg.dialect == SQLite {
		err = f.conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&n)
	}
	return n, err
}

// Marks implements replica.Follower. There is one mark.
func (f *follower) Marks(ctx context.Context) (notBefore int64, err error) {
	err = f.call(ctx, func(ctx context.Context) error {
		head, _, _, err := f.readPage(ctx, 0)
		switch {
		case err != nil:
			return err
		case head.identity == standby:
			return errStandby
		case !head.mark.Valid:
			return errNoMark
		}
		notBefore = head.mark.Int64
		return nil
	})
	return notBefore, err
}

// readPage reads the records behind the position into entries. One statement reads them and the
// head, so that both are of one moment.
func (f *follower) readPage(ctx context.Context, limit int) (head *pageHead, last recordID, n int, err error) {
	rows, err := f.page.QueryContext(ctx, f.position.arguments(limit)...)
	if err != nil {
		return nil, last, 0, err
	}
	defer func() { _ = rows.Close() }()
	f.entries = f.entries[:0]
	for rows.Next() {
		var row pageRow
		if err := row.scan(rows); err != nil {
			return nil, last, 0, err
		}
		if row.kind < 0 {
			head = row.head()
			continue
		}
		record, err := row.recordID()
		if err != nil {
			return nil, last, 0, err
		}
		if n++; n == 1 || record.after(last) {
			last = record
		}
		f.entries = append(f.entries, row.entry())
	}
	if err := rows.Err(); err != nil {
		return nil, last, 0, err
	}
	if head == nil {
		return nil, last, 0, errEntry
	}
	if f.s.cfg.dialect == SQLite {
		head.now = f.s.cfg.now()
	}
	return head, last, n, nil
}

// Close implements replica.Follower.
func (f *follower) Close() error {
	f.end()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disconnect()
	return nil
}

// call runs a call on the connection, which it makes if there is none. After an error the next call
// makes a new one.
func (f *follower) call(caller context.Context, do func(context.Context) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed.Err() != nil {
		return blacklist.ErrClosed
	}
	if err := f.s.usable(caller, blacklist.ErrClosed); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(caller)
	defer cancel()
	defer context.AfterFunc(f.closed, cancel)()
	err := f.connect(ctx)
	if err == nil {
		err = do(ctx)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errGap):
		return err
	}
	f.disconnect()
	switch {
	case f.closed.Err() != nil:
		return blacklist.ErrClosed
	case caller.Err() != nil:
		return caller.Err()
	default:
		return f.s.callError(err, blacklist.ErrClosed)
	}
}

// connect takes a connection of the pool and prepares the statement of pages.
func (f *follower) connect(ctx context.Context) error {
	if f.conn != nil {
		return nil
	}
	conn, err := f.s.db.Conn(ctx)
	if err != nil {
		return err
	}
	f.conn = conn
	text := pageSQLite
	if f.s.cfg.dialect == PostgreSQL {
		if text, err = pagePostgreSQL(ctx, conn); err != nil {
			return err
		}
	}
	f.page, err = conn.PrepareContext(ctx, f.s.cfg.render(text))
	return err
}

func (f *follower) disconnect() {
	if f.page != nil {
		_ = f.page.Close()
	}
	if f.conn != nil {
		_ = f.conn.Close()
	}
	f.page, f.conn = nil, nil
}
