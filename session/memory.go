package session

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Memory is a [Store] in the memory of the process, for tests and for services of one process that
// may lose their sessions: everybody logs in again after a restart. It is bounded, see
// [WithCapacity], and starts no goroutine: writes remove some expired rows.
type Memory struct {
	now      func() time.Time
	capacity int

	mu       sync.Mutex
	subjects map[Subject]*memorySubject
	rows     int
	owed     map[memoryKey]struct{}
	// expiry has the keys of the rows and, with the id "", of the subjects, to remove what has expired.
	expiry []memoryKey
	closed bool
}

type memorySubject struct {
	epoch uint64
	// epochUntil is how long the epoch stays without a row.
	epochUntil time.Time
	rows       map[string]Row
}

// added returns how many of the rows are new. s may be nil.
func (s *memorySubject) added(puts []Row) int {
	ids := map[string]struct{}{}
	for _, row := range puts {
		found := false
		if s != nil {
			_, found = s.rows[row.ID]
		}
		if !found {
			ids[row.ID] = struct{}{}
		}
	}
	return len(ids)
}

// keepEpoch keeps the epoch for an hour after t at least.
func (s *memorySubject) keepEpoch(t time.Time) {
	if until := t.Add(epochHour); until.After(s.epochUntil) {
		s.epochUntil = until
	}
}

type memoryKey struct {
	subject Subject
	id      string
}

var _ Store = (*Memory)(nil)

// DefaultCapacity is how many sessions a Memory keeps.
const DefaultCapacity = 1_000_000

// MemoryOption changes a Memory.
type MemoryOption func(*Memory) error

// WithCapacity sets how many sessions the store keeps, 1,000,000 by default. A session more is
// [ErrFull]. A session without a device takes about 700 bytes.
func WithCapacity(sessions int) MemoryOption {
	return func(m *Memory) error {
		m.capacity = sessions
		if sessions < 1 {
			return errors.New("session: the capacity is at least 1")
		}
		return nil
	}
}

// WithMemoryClock sets the clock, time.Now by default. It is for tests.
func WithMemoryClock(now func() time.Time) MemoryOption {
	return func(m *Memory) error {
		m.now = now
		if now == nil {
			return errors.New("session: WithMemoryClock needs a clock")
		}
		return nil
	}
}

// NewMemory returns an empty Memory.
func NewMemory(options ...MemoryOption) (*Memory, error) {
	m := &Memory{now: time.Now, capacity: DefaultCapacity, subjects: map[Subject]*memorySubject{}, owed: map[memoryKey]struct{}{}}
	for _, option := range options {
		if option == nil {
			return nil, errNilOption
		}
		if err := option(m); err != nil {
			return nil, err
		}
	}
	return m, nil
}

var errNilOption = errors.New("session: a nil option")

// Close makes every later call return [ErrClosed].
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// Update implements [Store].
func (m *Memory) Update(ctx context.Context, subject Subject, step func(Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return err
	}
	tx := &memoryTx{subject: m.subjects[subject], now: at(m.now().UnixMilli())}
	if err := step(tx); err != nil {
		return err
	}
	return m.commit(subject, tx)
}

func (m *Memory) usable(ctx context.Context) error {
	if m.closed {
		return ErrClosed
	}
	return ctx.Err()
}

// commit makes the writes of the transaction.
func (m *Memory) commit(subject Subject, tx *memoryTx) error {
	if len(tx.puts) == 0 && tx.epoch == nil {
		return nil
	}
	m.sweep(tx.now)
	s := m.subjects[subject]
	if added := s.added(tx.puts); added > 0 && m.rows+added > m.capacity {
		return ErrFull
	}
	if s == nil {
		s = &memorySubject{rows: map[string]Row{}}
		m.subjects[subject] = s
		m.expiry = append(m.expiry, memoryKey{subject, ""}) // for an epoch without rows
	}
	if tx.epoch != nil {
		s.epoch = *tx.epoch
		s.keepEpoch(tx.now)
	}
	for _, row := range tx.puts {
		m.put(s, row)
	}
	return nil
}

const epochHour = time.Hour

func (m *Memory) put(s *memorySubject, row Row) {
	key := memoryKey{row.Subject, row.ID}
	if _, found := s.rows[row.ID]; !found {
		m.rows++
		m.expiry = append(m.expiry, key)
	}
	s.rows[row.ID] = row
	s.keepEpoch(row.KeepUntil())
	if row.Owed {
		m.owed[key] = struct{}{}
	} else {
		delete(m.owed, key)
	}
}

// sweepStep is how many rows a write examines.
const sweepStep = 4

// sweep examines the rows at the head of the list, removes those that have expired and puts the
// others at the end.
func (m *Memory) sweep(now time.Time) {
	for range min(sweepStep, len(m.expiry)) {
		key := m.expiry[0]
		m.expiry = m.expiry[1:]
		s := m.subjects[key.subject]
		if s == nil {
			continue
		}
		row, found := s.rows[key.id]
		switch {
		case found && now.Before(row.KeepUntil()), key.id == "" && (len(s.rows) > 0 || now.Before(s.epochUntil)):
			m.expiry = append(m.expiry, key)
		case found:
			m.remove(s, key)
		case key.id == "":
			delete(m.subjects, key.subject)
		}
	}
}

func (m *Memory) remove(s *memorySubject, key memoryKey) {
	delete(s.rows, key.id)
	delete(m.owed, key)
	m.rows--
}

// List implements [Store].
func (m *Memory) List(ctx context.Context, subject Subject, position string, limit int) ([]Row, string, error) {
	began, id, err := ParsePosition(position)
	if err != nil {
		return nil, "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return nil, "", err
	}
	var rows []Row
	if s := m.subjects[subject]; s != nil {
		now := at(m.now().UnixMilli())
		for _, row := range s.rows {
			if row.IsLive(now) && (position == "" || compareRows(row, Row{Began: began, ID: id}) < 0) {
				rows = append(rows, row)
			}
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return -compareRows(a, b) })
	if len(rows) <= limit {
		return rows, "", nil
	}
	rows = rows[:limit]
	return rows, PositionAfter(rows[limit-1]), nil
}

// compareRows orders rows by their beginning.
func compareRows(a, b Row) int {
	return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.ID, b.ID))
}

// PositionAfter returns the position of the page that follows the row, for stores that keep no
// other.
func PositionAfter(row Row) string {
	return strconv.FormatInt(row.Began.UnixMilli(), 10) + "." + row.ID
}

// ParsePosition returns the beginning and the id of the row before the page. It is an error for a
// text that PositionAfter does not return.
func ParsePosition(position string) (began time.Time, id string, err error) {
	if position == "" {
		return time.Time{}, "", nil
	}
	text, id, found := strings.Cut(position, ".")
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !found || id == "" {
		return time.Time{}, "", ErrPosition
	}
	return at(ms), id, nil
}

// Owed implements [Store].
func (m *Memory) Owed(ctx context.Context, limit int) ([]Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return nil, err
	}
	var rows []Row
	for key := range m.owed {
		if len(rows) == limit {
			break
		}
		rows = append(rows, m.subjects[key.subject].rows[key.id])
	}
	return rows, nil
}

// Forget implements [Store].
func (m *Memory) Forget(ctx context.Context, subject Subject) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return err
	}
	s := m.subjects[subject]
	if s == nil {
		return nil
	}
	for id := range s.rows {
		m.remove(s, memoryKey{subject, id})
	}
	return nil
}

// memoryTx is a transaction of a Memory, which holds its lock.
type memoryTx struct {
	subject *memorySubject
	now     time.Time
	epoch   *uint64
	puts    []Row
}

func (t *memoryTx) Now() time.Time { return t.now }

func (t *memoryTx) Epoch() (uint64, error) {
	if t.subject == nil {
		return 0, nil
	}
	return t.subject.epoch, nil
}

func (t *memoryTx) SetEpoch(epoch uint64) error {
	t.epoch = &epoch
	return nil
}

func (t *memoryTx) Session(id string) (Row, bool, error) {
	if t.subject == nil {
		return Row{}, false, nil
	}
	row, found := t.subject.rows[id]
	return row, found, nil
}

func (t *memoryTx) Live(limit int) ([]Row, error) {
	if t.subject == nil {
		return nil, nil
	}
	var rows []Row
	for _, row := range t.subject.rows {
		if row.IsLive(t.now) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, compareRows)
	return rows[:min(limit, len(rows))], nil
}

func (t *memoryTx) Put(row Row) error {
	t.puts = append(t.puts, row)
	return nil
}
