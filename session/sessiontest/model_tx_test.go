package sessiontest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// modelTx is a transaction on a copy.
type modelTx struct {
	model    *model
	name     session.Subject
	live     *modelSubject
	version  int
	epoch    uint64
	rows     map[string]session.Row
	now      time.Time
	setEpoch *uint64
	puts     []session.Row
	revoked  []blacklist.Revocation
}

func (t *modelTx) Now() time.Time { return t.now }

// current returns the rows that the transaction reads.
func (t *modelTx) current() (map[string]session.Row, uint64) {
	yield()
	if t.model.is("reads without a snapshot") {
		t.model.mu.Lock()
		defer t.model.mu.Unlock()
		return maps.Clone(t.live.rows), t.live.epoch
	}
	return t.rows, t.epoch
}

func (t *modelTx) Epoch() (uint64, error) {
	_, epoch := t.current()
	if t.model.is("the epoch starts at 1") {
		return max(epoch, 1), nil
	}
	return epoch, nil
}

func (t *modelTx) SetEpoch(epoch uint64) error {
	t.setEpoch = &epoch
	return nil
}

func (t *modelTx) Session(id string) (session.Row, bool, error) {
	rows, _ := t.current()
	row, found := rows[t.model.id(id)]
	if t.model.is("Session hides what has ended") && !t.model.isLive(row, t.now) {
		return session.Row{}, false, nil
	}
	return row, found, nil
}

func (t *modelTx) Live(limit int) ([]session.Row, error) {
	all, _ := t.current()
	rows := slices.SortedFunc(maps.Values(all), func(a, b session.Row) int {
		order := cmp.Or(a.Began.Compare(b.Began), strings.Compare(a.ID, b.ID))
		switch t.model.fault {
		case "Live is newest first":
			return -order
		case "Live is by the last refresh":
			return cmp.Or(a.LastSeen.Compare(b.LastSeen), order)
		case "Live is to the second":
			return cmp.Or(a.Began.Truncate(time.Second).Compare(b.Began.Truncate(time.Second)), strings.Compare(b.ID, a.ID))
		}
		return order
	})
	if t.model.is("Live applies the limit first") {
		rows = rows[:min(limit, len(rows))]
	}
	rows = slices.DeleteFunc(rows, func(row session.Row) bool { return !t.model.isLive(row, t.now) })
	return rows[:min(limit, len(rows))], nil
}

func (t *modelTx) Put(row session.Row) error {
	if t.model.is("one buffer for all") {
		t.model.mu.Lock()
		defer t.model.mu.Unlock()
		t.model.shared = append(t.model.shared, row)
	}
	t.puts = append(t.puts, row)
	return nil
}
