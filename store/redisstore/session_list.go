package redisstore

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/session"
)

// maxPage is the largest number of rows that a script reads.
const maxPage = 100

// List implements session.Store.
func (s *Store) List(ctx context.Context, subject session.Subject, position string, limit int) ([]session.Row, string, error) {
	began, id, err := session.ParsePosition(position)
	if err != nil {
		return nil, "", err
	}
	limit = max(limit, 1)
	keys := s.layout.session(subject)
	if err := s.begin(ctx); err != nil {
		return nil, "", sessionError(err)
	}
	defer s.end()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	var rows []session.Row
	var next string
	err = s.withBreaker(ctx, keys.bucket, func() (err error) {
		rows, next, err = s.list(ctx, keys, began, id, limit)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return rows, next, nil
}

// list reads pages until it has found so many live rows.
func (s *Store) list(ctx context.Context, keys sessionKeys, began time.Time, id string, limit int) (rows []session.Row, next string, err error) {
	for len(rows) < limit {
		reply, err := s.readSessions(ctx, keys.bucket, pageOp(keys, true, began, id, min(limit-len(rows), maxPage)))
		if err != nil {
			return nil, "", err
		}
		page, err := parsePage(reply.values)
		if err != nil {
			return nil, "", unavailable(err)
		}
		live, err := page.live(reply.now)
		if err != nil {
			return nil, "", unavailable(err)
		}
		if len(live) < len(page.rows) {
			s.prune(ctx, keys)
		}
		if rows = append(rows, live...); !page.more {
			return rows, "", nil
		}
		began, id = page.last()
	}
	return rows, session.PositionAfter(session.Row{Began: began, ID: id}), nil
}

// pageOp returns the script that reads the n rows after the one with the beginning and the id, or
// the first ones if the id is "".
func pageOp(keys sessionKeys, newest bool, began time.Time, id string, n int) *scriptOp {
	order, start := "old", ""
	if newest {
		order = "new"
	}
	if id != "" {
		start = formatTime(began)
	}
	return &scriptOp{script: pageScript, keys: keys.keys[:3], args: []any{order, start, id, n}}
}

// rowPage is what pageScript returns.
type rowPage struct {
	more bool
	rows []indexedRow
}

// indexedRow is a row of the index by beginning. The value is nil if the row is gone.
type indexedRow struct {
	id    string
	began time.Time
	value any
}

func parsePage(values []any) (rowPage, error) {
	if len(values)%3 != 1 {
		return rowPage{}, errReplyFormat
	}
	more, ok := values[0].(int64)
	if !ok {
		return rowPage{}, errReplyFormat
	}
	page := rowPage{more: more == 1, rows: make([]indexedRow, 0, len(values)/3)}
	for values = values[1:]; len(values) > 0; values = values[3:] {
		id, ok1 := values[0].(string)
		score, ok2 := values[1].(string)
		began, err := strconv.ParseFloat(score, 64)
		if !ok1 || !ok2 || err != nil {
			return rowPage{}, errReplyFormat
		}
		page.rows = append(page.rows, indexedRow{id, time.UnixMilli(int64(began)).UTC(), values[2]})
	}
	return page, nil
}

// live returns the rows that are live at a time of the store.
func (p rowPage) live(now time.Time) ([]session.Row, error) {
	rows := make([]session.Row, 0, len(p.rows))
	for _, found := range p.rows {
		if found.value == nil {
			continue
		}
		row, err := parseRow(found.value)
		if err != nil {
			return nil, err
		}
		if row.IsLive(now) {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// last returns the position of the last row.
func (p rowPage) last() (began time.Time, id string) {
	row := p.rows[len(p.rows)-1]
	return row.began, row.id
}

// pruneStep is how many rows are examined after a read that has found one which is over.
const pruneStep = 100

// prune examines rows that are over. An error has no effect on the answer of the caller, and the
// next commit prunes too.
func (s *Store) prune(ctx context.Context, keys sessionKeys) {
	_ = s.read(ctx, []op{&scriptOp{script: pruneScript, keys: keys.keys, args: []any{pruneStep}}})
}

// Owed implements session.Store. It asks all buckets.
func (s *Store) Owed(ctx context.Context, limit int) ([]session.Row, error) {
	if err := s.begin(ctx); err != nil {
		return nil, sessionError(err)
	}
	defer s.end()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	members, err := s.owedMembers(ctx, min(max(limit, 0), maxPage)) // a negative count has another meaning
	if err != nil {
		return nil, err
	}
	var rows []session.Row
	for len(members) > 0 && len(rows) < limit {
		n := min(len(members), limit-len(rows), maxPage)
		found, err := s.owedRows(ctx, members[:n])
		if err != nil {
			return nil, err
		}
		rows, members = append(rows, found...), members[n:]
	}
	return rows, nil
}

// owedMember names an owed row.
type owedMember struct {
	bucket     uint8
	digest, id string
}

// owedMembers returns at most limit members of each bucket.
func (s *Store) owedMembers(ctx context.Context, limit int) ([]owedMember, error) {
	ops := make([]*scriptOp, buckets)
	for b := range ops {
		ops[b] = &scriptOp{script: owedScript, keys: []string{s.layout.mark(uint8(b)), s.layout.owed(uint8(b))}, args: []any{limit}}
	}
	if err := s.read(ctx, toOps(ops)); err != nil {
		return nil, err
	}
	var members []owedMember
	for b, o := range ops {
		reply, _ := o.reply.([]any)
		if len(reply) != 2 {
			return nil, unavailable(errReplyFormat)
		}
		if _, err := s.checkMark(reply[0]); s.runAgain(err) { // the bucket was emptied
			if err := s.remake(ctx, uint8(b)); err != nil {
				return nil, err
			}
		} else if err != nil {
			return nil, err
		}
		texts, _ := reply[1].([]any)
		for _, text := range texts {
			member, _ := text.(string)
			digest, id, found := strings.Cut(member, ":")
			if !found {
				return nil, unavailable(errRowFormat)
			}
			members = append(members, owedMember{uint8(b), digest, id})
		}
	}
	return members, nil
}

// owedRows returns the rows of the members, without those that are no longer owed.
func (s *Store) owedRows(ctx context.Context, members []owedMember) ([]session.Row, error) {
	ops := make([]*scriptOp, len(members))
	for i, m := range members {
		ops[i] = &scriptOp{script: readScript, keys: []string{s.layout.mark(m.bucket), s.layout.rows(m.bucket, m.digest)}, args: []any{m.id}}
	}
	if err := s.read(ctx, toOps(ops)); err != nil {
		return nil, err
	}
	var rows []session.Row
	for i, o := range ops {
		reply, _ := o.reply.([]any)
		if len(reply) != 5 {
			return nil, unavailable(errReplyFormat)
		}
		if reply[4] == nil {
			s.forgetOwed(ctx, members[i])
			continue
		}
		row, err := parseRow(reply[4])
		if err != nil {
			return nil, unavailable(err)
		}
		if row.Owed {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// forgetOwed removes a member whose row is gone.
func (s *Store) forgetOwed(ctx context.Context, m owedMember) {
	_ = s.read(ctx, []op{&scriptOp{
		script: paidScript,
		keys:   []string{s.layout.mark(m.bucket), s.layout.owed(m.bucket), s.layout.rows(m.bucket, m.digest)},
		args:   []any{m.digest + ":" + m.id, m.id},
	}})
}
