// Package fakefeed is a store in memory that implements replica.Feed, for tests. It can be silent,
// unavailable, trimmed and emptied, and a fault breaks its feed in one way.
package fakefeed

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// Store is the fake. The fields are set before it is used.
type Store struct {
	Clock func() time.Time
	// FeedClock is the clock of the batches, or nil for Clock.
	FeedClock func() time.Time
	// Fault breaks the feed; see the constants.
	Fault Fault
	// Limit is the largest number of records that a Read returns, and of entries in a batch of a
	// snapshot.
	Limit int
	// InName, if set, is called by Name, and InSnapshot after each batch of a snapshot.
	InName, InSnapshot func()
	// InLookup, if set, is called by IsRevoked, and InRead by Read.
	InLookup func(ctx context.Context)
	InRead   func(ctx context.Context, wait time.Duration)

	mu       sync.Mutex
	entries  map[blacklist.Key]replica.Entry
	marks    []int64
	records  []replica.Entry
	trimmed  int           // records that are no longer there
	identity int           // changes when the store is emptied or exchanged
	recorded chan struct{} // closed with the next record
	shared   int           // the position of OneFollower
	down     error
	noFollow error
	silent   atomic.Bool

	// Unconfirmed makes the batches of reads unconfirmed.
	Unconfirmed atomic.Bool

	Lookups, Reads, Snapshots atomic.Int64
}

// New returns an empty store with one mark, a year before now.
func New(clock func() time.Time) *Store {
	s := &Store{Clock: clock, Limit: 100, entries: make(map[blacklist.Key]replica.Entry), recorded: make(chan struct{})}
	s.marks = []int64{clock().AddDate(-1, 0, 0).UnixMilli()}
	return s
}

// SetDown makes every call return the error, or work again if it is nil.
func (s *Store) SetDown(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

// SetFollowError makes Follow return the error.
func (s *Store) SetFollowError(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noFollow = err
}

// SetSilent makes Read wait until its context ends.
func (s *Store) SetSilent(silent bool) { s.silent.Store(silent) }

// Trim removes all records, so that no position before the next one is good.
func (s *Store) Trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trimmed += len(s.records)
	s.records = nil
	s.append(replica.Entry{Kind: 0, CutOff: s.marks[0], Until: math.MaxInt64})
}

// Empty removes all entries and makes a new mark at the time of the clock, like FLUSHALL.
func (s *Store) Empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries, s.records, s.trimmed = make(map[blacklist.Key]replica.Entry), nil, 0
	s.marks = []int64{s.Clock().UnixMilli()}
	s.identity++
	s.append(replica.Entry{Kind: 0, CutOff: s.marks[0], Until: math.MaxInt64})
}

// Exchange changes the identity of the store, like a fail-over.
func (s *Store) Exchange() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity++
}

// MakeMark adds a mark at the time of the clock.
func (s *Store) MakeMark() { s.makeMark(true) }

// MakeMarkSilently adds a mark and no record.
func (s *Store) MakeMarkSilently() { s.makeMark(false) }

func (s *Store) makeMark(record bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mark := s.Clock().UnixMilli()
	s.marks = append(s.marks, mark)
	if record && s.Fault != MarksWithoutRecord {
		s.append(replica.Entry{Kind: 0, CutOff: mark, Until: math.MaxInt64})
	}
}

// Append adds a record without an entry.
func (s *Store) Append(e replica.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.append(e)
}

func (s *Store) append(e replica.Entry) {
	e.Written = s.Clock().UnixMilli()
	s.records = append(s.records, e)
	close(s.recorded)
	s.recorded = make(chan struct{})
}

// usable returns the error of the context or of a store that is down.
func (s *Store) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// Revoke implements blacklist.Blacklist.
func (s *Store) Revoke(ctx context.Context, r blacklist.Revocation) (bool, error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	if err := r.Validate(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, until := s.Clock().UnixMilli(), millis.Until(r.Until)
	if until <= now {
		return false, fmt.Errorf("%w: Until is not in the future", blacklist.ErrInvalid)
	}
	key, _ := blacklist.KeyOf(r.Kind, r.Identity)
	place, _ := blacklist.PlaceOf(placeKey, r.Kind, r.Identity)
	e := replica.Entry{Kind: r.Kind, Place: place, Name: binary.BigEndian.Uint64(key[:]), CutOff: math.MaxInt64, Until: until}
	if r.Kind == blacklist.Subject || r.Kind == blacklist.Issuer {
		e.CutOff = millis.Floor(r.CutOff)
	}
	before := false
	old, exists := s.entries[key]
	if exists && old.Until > now {
		before = old.CutOff >= e.CutOff
		e.CutOff, e.Until = max(e.CutOff, old.CutOff), max(e.Until, old.Until)
	}
	s.record(key, e, before)
	return before, nil
}

func (s *Store) record(key blacklist.Key, e replica.Entry, before bool) {
	switch {
	case s.Fault == NoRecordIfBefore && before, s.Fault == NoRecords:
		s.entries[key] = e
	case s.Fault == RecordBeforeEntry:
		s.append(e)
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
		s.mu.Lock()
		s.entries[key] = e
	case s.Fault == LosesConcurrentRecords && len(s.records)%10 == 9:
		s.entries[key] = e
		s.append(replica.Entry{Kind: 0, CutOff: s.marks[0], Until: math.MaxInt64})
	default:
		s.entries[key] = e
		s.append(e)
	}
}

// IsRevoked implements blacklist.Blacklist.
func (s *Store) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	s.Lookups.Add(1)
	if s.InLookup != nil {
		s.InLookup(ctx)
	}
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, start := s.Clock().UnixMilli(), millis.Floor(id.SessionStart)
	for _, mark := range s.marks {
		if start <= mark {
			return true, nil
		}
	}
	for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
		if key, ok := blacklist.KeyOf(kind, id); ok {
			if e, ok := s.entries[key]; ok && e.Until > now && start <= e.CutOff {
				return true, nil
			}
		}
	}
	return false, nil
}

// PlaceKey implements replica.Feed.
func (s *Store) PlaceKey() blacklist.PlaceKey {
	if s.Fault == AnotherPlaceKey {
		return blacklist.PlaceKey{7}
	}
	return placeKey
}

var placeKey = blacklist.PlaceKey{1, 2, 3}

// Name implements replica.Feed.
func (s *Store) Name(kind blacklist.Kind, id blacklist.Identity) (uint64, bool) {
	if s.InName != nil {
		s.InName()
	}
	key, ok := blacklist.KeyOf(kind, id)
	name := binary.BigEndian.Uint64(key[:])
	switch s.Fault {
	case NamesWithoutAbsentIDs:
		ok = true
	case LittleEndianNames:
		name = binary.LittleEndian.Uint64(key[:])
	}
	return name, ok
}

// PutRaw adds an entry that no revocation made.
func (s *Store) PutRaw(e replica.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var key blacklist.Key
	binary.BigEndian.PutUint64(key[:], e.Name)
	binary.BigEndian.PutUint64(key[8:], e.Place)
	s.entries[key] = e
}

// PutToken adds the entry of a token with an end that may be past by the clock of the store.
func (s *Store) PutToken(id blacklist.Identity, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, _ := blacklist.KeyOf(blacklist.Token, id)
	place, _ := blacklist.PlaceOf(placeKey, blacklist.Token, id)
	s.entries[key] = replica.Entry{
		Kind: blacklist.Token, Place: place, Name: binary.BigEndian.Uint64(key[:]), CutOff: math.MaxInt64, Until: until.UnixMilli(),
	}
}
