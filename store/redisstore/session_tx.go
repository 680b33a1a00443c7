package redisstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
	"github.com/oapi-guard/oapi-guard/session"
)

// sessionTx is one run of the step of a transaction. It reads from the server, keeps the writes, and
// remembers what it has read. The commit compares that with what the server has then.
type sessionTx struct {
	store *Store
	ctx   context.Context
	keys  sessionKeys
	sub   session.Subject

	// err is the first error of a read. The run has failed, whatever the step returns.
	err error

	// What the first read found; the later ones must find the same version.
	begun  bool
	now    time.Time
	mark   string
	record subjectRecord

	values    map[string]any // the rows that were fetched, nil for an absent row
	used      []string       // the ids that the step has read
	usesEpoch bool           // the step has read the epoch
	usesAll   bool           // the step has read the rows of the subject
	last      session.Row    // the row that the step has read last
	prefetch  []string       // the ids that the first read fetches too

	epoch   string // the new epoch, or ""
	puts    []putRow
	entries []*revokeOp
}

// putRow is a row to write.
type putRow struct {
	row   session.Row
	value storedRow
}

var _ session.BlacklistTx = (*sessionTx)(nil)

// errChanged ends a run that has read two states.
var errChanged = errors.New("the sessions of the subject were changed meanwhile")

// fail records an error of a read.
func (t *sessionTx) fail(err error) error {
	t.err = cmp.Or(t.err, err)
	return t.err
}

// begin reads the time, the mark and the record, unless a read has done so.
func (t *sessionTx) begin(ids ...string) error {
	if t.err != nil || t.begun && len(ids) == 0 {
		return t.err
	}
	if !t.begun {
		ids = append(ids, t.prefetch...)
	}
	op := &scriptOp{script: readScript, keys: t.keys.keys[:2]}
	for _, id := range ids {
		op.args = append(op.args, id)
	}
	values, err := t.read(op)
	if err != nil {
		return err
	}
	if len(values) != len(ids) {
		return t.fail(unavailable(errReplyFormat))
	}
	for i, id := range ids {
		t.values[id] = values[i]
	}
	return nil
}

// read runs a script that returns the time, the mark and the record first. It returns the other
// values.
func (t *sessionTx) read(op *scriptOp) ([]any, error) {
	reply, err := t.store.readSessions(t.ctx, t.keys.bucket, op)
	if err != nil {
		return nil, t.fail(err)
	}
	switch {
	case !t.begun:
		t.begun, t.now, t.mark, t.record = true, reply.now, reply.mark, reply.record
	case reply.mark != t.mark || reply.record != t.record:
		return nil, t.fail(errChanged)
	}
	return reply.values, nil
}

// Now implements session.Tx.
func (t *sessionTx) Now() time.Time {
	if err := t.begin(); err != nil && !t.begun {
		// The run has failed. A time that is not far from the right one spares the step a surprise.
		return time.UnixMilli(t.store.cfg.now().UnixMilli()).UTC()
	}
	return t.now
}

// Epoch implements session.Tx.
func (t *sessionTx) Epoch() (uint64, error) {
	if err := t.begin(); err != nil {
		return 0, err
	}
	t.usesEpoch = true
	epoch, err := strconv.ParseUint(t.record.epoch, 10, 64)
	if err != nil {
		return 0, t.fail(unavailable(errRowFormat))
	}
	return epoch, nil
}

// SetEpoch implements session.Tx.
func (t *sessionTx) SetEpoch(epoch uint64) error {
	t.epoch = strconv.FormatUint(epoch, 10)
	return nil
}

// readAhead is the number of rows that are fetched when a step reads one row after the other.
const readAhead = 100

// Session implements session.Tx. A step that reads many rows reads them in the order of List: after
// the second one the next rows are fetched together.
func (t *sessionTx) Session(id string) (session.Row, bool, error) {
	if id == "" { // the field of the record
		return session.Row{}, false, t.begin()
	}
	if t.err == nil && len(t.used) >= 2 && t.last.ID != "" {
		if _, fetched := t.values[id]; !fetched {
			_, _ = t.page(true, t.last.Began, t.last.ID, readAhead)
		}
	}
	if _, fetched := t.values[id]; !fetched {
		if err := t.begin(id); err != nil {
			return session.Row{}, false, err
		}
	}
	if t.err != nil {
		return session.Row{}, false, t.err
	}
	if !slices.Contains(t.used, id) {
		t.used = append(t.used, id)
	}
	value := t.values[id]
	if value == nil {
		return session.Row{}, false, nil
	}
	row, err := parseRow(value)
	if err != nil {
		return session.Row{}, false, t.fail(unavailable(err))
	}
	t.last = row
	return row, true, nil
}

// page fetches rows and returns them.
func (t *sessionTx) page(newest bool, began time.Time, id string, n int) (rowPage, error) {
	values, err := t.read(pageOp(t.keys, newest, began, id, n))
	if err != nil {
		return rowPage{}, err
	}
	page, err := parsePage(values)
	if err != nil {
		return rowPage{}, t.fail(unavailable(err))
	}
	for _, found := range page.rows {
		t.values[found.id] = found.value
	}
	return page, nil
}

// Live implements session.Tx.
func (t *sessionTx) Live(limit int) ([]session.Row, error) {
	if t.err != nil {
		return nil, t.err
	}
	t.usesAll = true
	var live []session.Row
	var began time.Time
	var id string
	for len(live) < limit {
		page, err := t.page(false, began, id, min(limit, maxPage))
		if err != nil {
			return nil, err
		}
		rows, err := page.live(t.now)
		if err != nil {
			return nil, t.fail(unavailable(err))
		}
		if len(rows) < len(page.rows) {
			t.store.prune(t.ctx, t.keys)
		}
		live = append(live, rows[:min(len(rows), limit-len(live))]...)
		if !page.more {
			break
		}
		began, id = page.last()
	}
	return live, nil
}

// Put implements session.Tx.
func (t *sessionTx) Put(row session.Row) error {
	if row.Subject != t.sub || row.ID == "" {
		return errOtherSubject
	}
	value, err := storeRow(row)
	if err != nil {
		return err
	}
	t.puts = slices.DeleteFunc(t.puts, func(p putRow) bool { return p.row.ID == row.ID })
	t.puts = append(t.puts, putRow{row, value})
	return nil
}

// Revoke implements session.BlacklistTx.
func (t *sessionTx) Revoke(r blacklist.Revocation) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if r.Identity.Issuer != t.sub.Issuer || r.Identity.Subject != t.sub.Name || r.Kind == blacklist.Issuer ||
		t.store.layout.bucket(r.Identity) != t.keys.bucket { // the last without a subject
		return errOtherSubject
	}
	now := t.store.cfg.now()
	if millis.Until(r.Until) <= floor(now) {
		return errUntilPast
	}
	t.entries = append(t.entries, t.store.revokeOps(r, now)...)
	return nil
}

// writes reports whether the step has written something.
func (t *sessionTx) writes() bool { return t.epoch != "" || len(t.puts) > 0 || len(t.entries) > 0 }

// commit makes the writes. It returns errChanged if something that was read has changed.
func (t *sessionTx) commit() error {
	if err := t.begin(); err != nil { // the step has read nothing
		return err
	}
	commit := t.commitOp()
	if err := t.store.write(t.ctx, []op{commit}); err != nil {
		return err
	}
	code, err := commit.code()
	if err != nil {
		return unavailable(err)
	}
	if err := codeError(code); err != nil || t.store.recordsInScript() {
		return err
	}
	texts := make([]string, len(t.entries))
	for i, e := range t.entries {
		texts[i] = recordText(e)
	}
	return t.store.recordApart(t.ctx, texts...)
}

// commitOp returns the script that makes the writes.
func (t *sessionTx) commitOp() *scriptOp {
	keys := append(slices.Clone(t.keys.keys), t.keys.owed)
	args := make([]any, 0, 16+2*len(t.used)+6*len(t.puts)+5*len(t.entries))
	args = append(args, t.mark, unless(!t.usesEpoch, t.record.epoch), unless(!t.usesAll, t.record.version), t.record.life,
		t.epoch, t.keys.digest, recordStaysArg)
	if t.store.recordsInScript() {
		args = append(args, t.store.cfg.feedLength)
	} else {
		args = append(args, "")
	}
	args = append(args, len(t.used))
	for _, id := range t.used {
		value, _ := t.values[id].(string)
		args = append(args, id, value)
	}
	args = append(args, len(t.puts))
	for _, p := range t.puts {
		live := p.row.IsLive(t.now)
		args = append(args, p.row.ID, string(p.value), unless(!live, formatTime(p.row.Began)), deadline(p.row, live),
			formatTime(keepUntil(p.row)), unless(!p.row.Owed, "1"))
	}
	for _, e := range t.entries {
		keys = append(keys, e.keys[1])
		args = append(args, e.args[:5]...)
	}
	if t.store.recordsInScript() {
		keys = append(keys, t.store.layout.stream())
	}
	return &scriptOp{script: commitScript, keys: keys, args: args}
}

// unless returns "" if the condition holds, else the text.
func unless(condition bool, text string) string {
	if condition {
		return ""
	}
	return text
}
