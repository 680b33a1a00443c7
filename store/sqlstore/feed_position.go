package sqlstore

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
)

// snapshotPosition is a position on PostgreSQL.
//
// Transactions commit in another order than they get their numbers, so the last record that was read
// is no position. The position is a snapshot of the server: which transactions had ended when the
// records were read. Unread are the records of the others. A transaction that stays open for long is
// one number in the snapshot. It delays no other record.
//
// Records are read in pages, in the order of transaction and id. The position moves to the snapshot
// of the first page when a page is not full. Transactions that end between the pages may have
// records before the page: they are unread in the new position.
type snapshotPosition struct {
	snapshot string // "" before the first page

	// Of the pages since the position moved:
	next   string // the snapshot of the first page
	cursor recordID
	pages  int
}

func (p *snapshotPosition) reset(context.Context, *follower) error {
	*p = snapshotPosition{}
	return nil
}

func (p *snapshotPosition) arguments(limit int) []any {
	return []any{p.snapshot, strconv.FormatUint(p.cursor.xid, 10), p.cursor.id, limit}
}

func (p *snapshotPosition) advance(head *pageHead, last recordID, full bool) (complete bool) {
	p.pages++
	if p.pages == 1 {
		p.next = head.snapshot
	}
	if full {
		p.cursor = last
		return false
	}
	// After several pages, records that were written since the first one may be unread.
	complete = p.pages == 1
	*p = snapshotPosition{snapshot: p.next}
	return complete
}

// rowPosition is a position on SQLite: the last record that was read. It exists as long as no record
// behind it was deleted. A record with its id but another content is that of a restored database.
type rowPosition struct{ last recordID }

func (p *rowPosition) reset(ctx context.Context, f *follower) error {
	err := f.conn.QueryRowContext(ctx, f.s.cfg.render(lastRecord)).Scan(&p.last.id, &p.last.name, &p.last.written)
	if err == sql.ErrNoRows {
		return errNoRecords
	}
	return err
}

func (p *rowPosition) arguments(limit int) []any {
	return []any{p.last.id, p.last.name, p.last.written, limit}
}

func (p *rowPosition) advance(_ *pageHead, last recordID, full bool) (complete bool) {
	if last.id > 0 {
		p.last = last
	}
	return !full
}

// pageRow is a row of a page: a record, or the head, whose kind is -1.
type pageRow struct {
	xid                             string // the identity in the head
	snapshot                        string
	placeKey                        []byte
	kind                            int
	id, place, name, until, written int64
	cutOff                          sql.NullInt64
}

func (r *pageRow) scan(rows *sql.Rows) error {
	return rows.Scan(&r.xid, &r.snapshot, &r.placeKey, &r.kind, &r.id, &r.place, &r.name, &r.cutOff, &r.until, &r.written)
}

func (r *pageRow) head() *pageHead {
	return &pageHead{
		identity: r.xid, snapshot: r.snapshot, placeKey: r.placeKey, intact: r.id == 1, mark: r.cutOff, now: time.UnixMilli(r.written),
	}
}

func (r *pageRow) recordID() (id recordID, err error) {
	id = recordID{id: r.id, name: r.name, written: r.written}
	if r.xid != "" {
		if id.xid, err = strconv.ParseUint(r.xid, 10, 64); err != nil {
			return id, errEntry
		}
	}
	return id, nil
}

func (r *pageRow) entry() replica.Entry {
	return replica.Entry{
		Kind: blacklist.Kind(r.kind), Place: uint64(r.place), Name: uint64(r.name), CutOff: r.cutOff.Int64, Until: r.until,
		Written: r.written,
	}
}
