package sessiontest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/session"
)

// model is a simple implementation of the contract, which runs steps on a copy and again after a
// conflict. A fault breaks it in one way.
type model struct {
	now   func() time.Time
	fault string

	mu       sync.Mutex
	subjects map[string]*modelSubject
	owed     map[string]session.Row
	shared   []session.Row // the fault "one buffer for all"
	closed   bool
}

type modelSubject struct {
	name       session.Subject
	version    int
	epoch      uint64
	epochUntil time.Time
	rows       map[string]session.Row
	index      map[string]session.Row // what List reads
	wasLive    map[string]bool        // the fault "live by the first put"
}

func newModel(now func() time.Time, fault string) *model {
	return &model{now: now, fault: fault, subjects: map[string]*modelSubject{}, owed: map[string]session.Row{}}
}

func (m *model) is(fault string) bool { return m.fault == fault }

// yield lets other goroutines run, so that faults of concurrency are found.
func yield() {
	for range 3 {
		runtime.Gosched()
	}
}

func (m *model) key(s session.Subject) string {
	key := fmt.Sprintf("%q", []string{s.Issuer, s.Name})
	switch m.fault {
	case "one key space for all issuers":
		key = s.Name
	case "subjects joined without a separator":
		key = s.Issuer + s.Name
	case "subjects joined with a colon":
		key = s.Issuer + ":" + s.Name
	case "subjects joined with NUL":
		key = s.Issuer + "\x00" + s.Name
	case "subjects in lower case":
		key = strings.ToLower(key)
	case "subjects trimmed":
		key = s.Issuer + "|" + strings.TrimSpace(s.Name)
	case "subjects truncated":
		key = key[:min(len(key), 512)]
	}
	return key
}

func (m *model) id(id string) string {
	switch m.fault {
	case "ids in lower case":
		return strings.ToLower(id)
	case "ids trimmed":
		return strings.TrimSpace(id)
	case "ids up to a dot":
		id, _, _ = strings.Cut(id, ".")
	case "ids up to NUL":
		id, _, _ = strings.Cut(id, "\x00")
	}
	return id
}

func (m *model) subject(s session.Subject) *modelSubject {
	key := m.key(s)
	if m.subjects[key] == nil {
		m.subjects[key] = &modelSubject{
			name: s, rows: map[string]session.Row{}, index: map[string]session.Row{}, wasLive: map[string]bool{},
		}
	}
	return m.subjects[key]
}

// usable returns the error of a call that must do nothing.
func (m *model) usable(ctx context.Context) error {
	if m.closed && !m.is("works after Close") {
		if m.is("another error after Close") {
			return session.ErrUnavailable
		}
		return session.ErrClosed
	}
	switch {
	case m.is("ignores the context"):
		return nil
	case ctx.Err() != nil && m.is("unavailable when the context is done"):
		return session.ErrUnavailable
	}
	return ctx.Err()
}

var errConflict = errors.New("conflict")

func (m *model) Update(ctx context.Context, s session.Subject, step func(session.Tx) error) error {
	var kept []session.Row
	early := m.read(time.Time{})
	for {
		tx, err := m.begin(ctx, s)
		if err != nil {
			return err
		}
		if m.is("Now before the transaction") {
			tx.now = early
		}
		if m.is("keeps the writes of all runs") {
			tx.puts = kept
		}
		err = step(tx)
		if err != nil {
			return m.stepFailed(tx, err)
		}
		if m.is("writes later") {
			go func() { _ = m.commit(context.Background(), tx) }()
			return nil
		}
		if err = m.commit(ctx, tx); !errors.Is(err, errConflict) {
			return err
		}
		kept = tx.puts
	}
}

func (m *model) stepFailed(tx *modelTx, err error) error {
	switch m.fault {
	case "no rollback":
		_ = m.commit(context.Background(), tx)
	case "no rollback of the epoch":
		tx.puts = nil
		_ = m.commit(context.Background(), tx)
	case "another error for the step's":
		return session.ErrUnavailable
	case "no error for the step's":
		return nil
	case "ids in errors":
		return fmt.Errorf("%s: %w", tx.name, err)
	}
	return err
}

// read returns the time of the store, which is not before last.
func (m *model) read(last time.Time) time.Time {
	switch now := m.now().UTC(); m.fault {
	case "Now in nanoseconds":
		return now
	case "Now in seconds":
		return now.Truncate(time.Second)
	case "Now is cached":
		return cmp.Or(last, now.Truncate(time.Millisecond))
	default:
		return now.Truncate(time.Millisecond)
	}
}

func (m *model) begin(ctx context.Context, name session.Subject) (*modelTx, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		if m.is("ids in errors") {
			err = fmt.Errorf("subject %s: %w", name.Name, err)
		}
		return nil, err
	}
	s := m.subject(name)
	tx := &modelTx{model: m, name: name, live: s, version: s.version, epoch: s.epoch, rows: maps.Clone(s.rows), now: m.read(time.Time{})}
	if m.is("Now is cached") {
		tx.now = m.read(m.cachedNow())
	}
	return tx, nil
}

func (m *model) cachedNow() time.Time {
	cached := m.subject(session.Subject{Issuer: "cached now"})
	if cached.epochUntil.IsZero() {
		cached.epochUntil = m.read(time.Time{})
	}
	return cached.epochUntil
}

func (m *model) conflict(tx *modelTx) bool {
	switch {
	case m.is("does not notice conflicts"), m.is("no rollback"), m.is("writes later"):
		return false
	case m.is("notices conflicts of rows that it writes only"):
		for _, row := range tx.puts {
			if tx.rows[row.ID] != tx.live.rows[row.ID] {
				return true
			}
		}
		return false
	default:
		return tx.version != tx.live.version
	}
}

func (m *model) commit(ctx context.Context, tx *modelTx) error {
	yield()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conflict(tx) {
		return errConflict
	}
	if err := ctx.Err(); err != nil && !m.is("ignores the context") {
		switch m.fault {
		case "nil when the context ended":
			return nil
		case "half when the context ended":
			tx.puts = nil
		default:
			return err
		}
	}
	if len(tx.puts) == 0 && tx.setEpoch == nil {
		return nil
	}
	if m.is("one buffer for all") {
		tx.puts, m.shared = m.shared, nil
	}
	if m.is("at most 900 rows") && len(tx.live.rows) > 900 {
		return nil
	}
	m.sweep(tx.now)
	m.apply(tx)
	return nil
}

func (m *model) apply(tx *modelTx) {
	s := tx.live
	m.subjects[m.key(tx.name)] = s
	if s.version++; m.is("the epoch makes no conflict") && len(tx.puts) == 0 {
		s.version--
	}
	if tx.setEpoch != nil && (!m.is("the epoch is set once") || s.epoch == 0) {
		s.epoch = *tx.setEpoch
		if m.is("the epoch is a float64") {
			s.epoch = uint64(float64(s.epoch))
		}
		s.keepEpoch(tx.now)
		if m.is("SetEpoch shortens the life of the epoch") {
			s.epochUntil = tx.now.Add(time.Hour)
		}
	}
	for i, row := range tx.puts {
		switch {
		case m.is("loses the second row") && i == 1, m.is("keeps the first row") && s.rows[row.ID].ID != "":
			continue
		case m.is("writes row by row"):
			m.mu.Unlock()
			yield()
			m.mu.Lock()
		}
		m.put(s, row)
	}
}

func (s *modelSubject) keepEpoch(t time.Time) {
	if until := t.Add(time.Hour); until.After(s.epochUntil) {
		s.epochUntil = until
	}
}

func (m *model) put(s *modelSubject, row session.Row) {
	row = m.damaged(row)
	id := m.id(row.ID)
	if _, found := s.wasLive[id]; !found {
		s.wasLive[id] = row.IsLive(m.now())
	}
	s.rows[id] = row
	if len(s.index)%2 == 0 || !m.is("List is late") {
		s.index[id] = row
	}
	if m.is("a row shortens the life of the epoch") {
		s.epochUntil = time.Time{}
	}
	s.keepEpoch(row.KeepUntil())
	key := m.key(row.Subject) + "|" + id
	switch {
	case row.Owed && !m.is("nothing is owed"):
		m.owed[key] = row
	case !m.is("owed for ever"):
		delete(m.owed, key)
	}
}

// sweep removes what has expired.
func (m *model) sweep(now time.Time) {
	examined := 0
	for _, s := range m.subjects {
		if examined++; examined > 300 {
			return
		}
		for id, row := range s.rows {
			until := row.KeepUntil()
			switch {
			case m.is("deletes rows at their end"):
				until = row.End
			case m.is("deletes rows at their deadline"):
				until = row.IdleDeadline
			case m.is("deletes ended rows") && !row.Ended.IsZero():
				until = now
			}
			if !now.Before(until) {
				delete(s.rows, id)
				delete(s.index, id)
				delete(m.owed, m.key(row.Subject)+"|"+id)
			}
		}
		if m.is("the epoch goes with the last row") && len(s.rows) == 0 || len(s.rows) == 0 && !now.Before(s.epochUntil) {
			s.epoch = 0
		}
	}
}

func (m *model) isLive(row session.Row, now time.Time) bool {
	deadline := row.End
	if row.IdleDeadline.Before(deadline) {
		deadline = row.IdleDeadline
	}
	switch m.fault {
	case "ended rows are live":
		return now.Before(deadline)
	case "idle rows are live":
		return row.Ended.IsZero() && now.Before(row.End)
	case "rows after their end are live":
		return row.Ended.IsZero() && now.Before(row.IdleDeadline)
	case "rows live too long":
		return row.Ended.IsZero() && !now.After(deadline)
	case "rows live too short":
		return row.Ended.IsZero() && now.Add(time.Second).Before(deadline)
	case "nothing expires":
		return row.Ended.IsZero()
	}
	return row.IsLive(now)
}

func (m *model) List(ctx context.Context, subject session.Subject, position string, limit int) ([]session.Row, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return nil, "", err
	}
	began, id, offset, err := m.parse(position)
	if err != nil {
		return nil, "", err
	}
	s, now := m.subject(subject), m.read(time.Time{})
	var rows []session.Row
	for key, row := range s.index {
		if m.is("live by the first put") && !s.wasLive[key] {
			continue
		}
		if m.isLive(row, now) && (position == "" || m.isAfter(row, began, id)) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b session.Row) int {
		order := cmp.Or(b.Began.Compare(a.Began), strings.Compare(b.ID, a.ID))
		switch m.fault {
		case "List is oldest first":
			return -order
		case "List breaks ties the other way":
			return cmp.Or(b.Began.Compare(a.Began), strings.Compare(a.ID, b.ID))
		case "List is by the last refresh":
			return cmp.Or(b.LastSeen.Compare(a.LastSeen), order)
		}
		return order
	})
	rows = rows[min(offset, len(rows)):]
	if len(rows) <= limit || m.is("List ignores the limit") {
		return rows, "", nil
	}
	if rows = rows[:limit]; m.is("List has one page") {
		return rows, "", nil
	}
	if m.is("List counts rows") {
		return rows, strconv.Itoa(offset + limit), nil
	}
	return rows, session.PositionAfter(rows[limit-1]), nil
}

func (m *model) parse(position string) (began time.Time, id string, offset int, err error) {
	if m.is("List counts rows") && position != "" {
		if offset, err = strconv.Atoi(position); err != nil || offset < 0 {
			err = session.ErrPosition
		}
		return time.Time{}, "", offset, err
	}
	began, id, err = session.ParsePosition(position)
	switch {
	case err != nil && m.is("any position"):
		err = nil
	case err != nil && m.is("a position without a sentinel"):
		err = errors.New("bad position")
	case err != nil && m.is("the position in errors"):
		err = fmt.Errorf("%w: %s", session.ErrPosition, position)
	}
	return began, id, 0, err
}

func (m *model) isAfter(row session.Row, began time.Time, id string) bool {
	switch m.fault {
	case "List skips what began together":
		return row.Began.Before(began)
	case "List repeats what began together":
		return !row.Began.After(began)
	case "List counts rows":
		return true
	}
	return row.Began.Before(began) || row.Began.Equal(began) && row.ID < id
}

func (m *model) Owed(ctx context.Context, limit int) ([]session.Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return nil, err
	}
	rows := slices.Collect(maps.Values(m.owed))
	if m.is("Owed ignores the limit") {
		return rows, nil
	}
	return rows[:min(limit, len(rows))], nil
}

func (m *model) Forget(ctx context.Context, subject session.Subject) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return err
	}
	s := m.subject(subject)
	s.version++
	if m.is("Forget writes the epoch back") {
		epoch := s.epoch
		m.mu.Unlock()
		for range 20 {
			yield()
		}
		m.mu.Lock()
		s.epoch = epoch
	}
	if m.is("Forget forgets the epoch") {
		s.epoch = 0
	}
	left := 0
	for id, row := range s.rows {
		if left++; m.is("Forget deletes some rows") && left > 100 || m.is("Forget deletes live rows") && !m.isLive(row, m.now()) {
			continue
		}
		delete(s.rows, id)
		if !m.is("Forget leaves the index") {
			delete(s.index, id)
		}
		if !m.is("Forget leaves what is owed") {
			delete(m.owed, m.key(subject)+"|"+id)
		}
	}
	if m.is("Forget deletes by prefix") {
		for _, other := range m.subjects {
			if strings.HasPrefix(other.name.Name, subject.Name) {
				clear(other.rows)
				clear(other.index)
			}
		}
	}
	return nil
}

func (m *model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed && m.is("a second Close fails") {
		return session.ErrClosed
	}
	m.closed = true
	return nil
}
