package blacklist_test

import (
	"context"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// row is what a store keeps of a revocation, under its key.
type row struct{ cutOff, until time.Time }

// ownStore is a blacklist of one's own: a table of rows by key. Think of the map as the table of a database, and of the
// mutex as its transaction.
type ownStore struct {
	mu   sync.Mutex
	rows map[blacklist.Key]row
	now  func() time.Time
}

func (s *ownStore) Revoke(ctx context.Context, r blacklist.Revocation) (before bool, err error) {
	if err := r.Validate(); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	now := s.now()
	if !r.Until.IsZero() && !r.Until.After(now) {
		return false, blacklist.ErrInvalid
	}
	key, _ := blacklist.KeyOf(r.Kind, r.Identity) // Validate has seen to it that there is one
	s.mu.Lock()
	defer s.mu.Unlock()
	next := row{cutOff: r.CutOff.Truncate(time.Millisecond), until: r.Until}
	if old, ok := s.rows[key]; ok && old.inForce(now) {
		before = !old.cutOff.Before(next.cutOff)
		if before {
			next.cutOff = old.cutOff // a later write never lowers a cut-off
		}
		if old.until.IsZero() || !next.until.IsZero() && old.until.After(next.until) {
			next.until = old.until // and never shortens an entry
		}
	}
	s.rows[key] = next
	return before, nil
}

func (s *ownStore) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	start := id.SessionStart.Truncate(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	for kind := blacklist.Token; kind <= blacklist.Verifier; kind++ {
		key, ok := blacklist.KeyOf(kind, id)
		if !ok {
			continue // the token has no such id, so that nothing can be revoked by it
		}
		entry, ok := s.rows[key]
		if !ok || !entry.inForce(s.now()) {
			continue
		}
		if kind == blacklist.Token || kind == blacklist.Session || !start.After(entry.cutOff) {
			return true, nil
		}
	}
	return false, nil
}

func (r row) inForce(now time.Time) bool { return r.until.IsZero() || now.Before(r.until) }

// A blacklist of one's own has two methods; blacklisttest.Run tells whether it keeps what they promise.
func Example_ownStore() {
	var list blacklist.Blacklist = &ownStore{rows: map[blacklist.Key]row{}, now: time.Now}
	_, _ = list.IsRevoked(context.Background(), blacklist.Identity{Verifier: "own", ID: "1"})
	// Output:
}
