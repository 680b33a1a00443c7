package blacklist_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// row is what mapStore keeps of a revocation.
type row struct{ cutOff, until time.Time }

func (r row) inForce(now time.Time) bool { return r.until.IsZero() || now.Before(r.until) }

// mapStore is a custom blacklist. In a database the map would be a table, and the mutex a
// transaction.
type mapStore struct {
	mu   sync.Mutex
	rows map[blacklist.Key]row
	now  func() time.Time
}

func (s *mapStore) Revoke(ctx context.Context, r blacklist.Revocation) (before bool, err error) {
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
	key, _ := blacklist.KeyOf(r.Kind, r.Identity) // there is one: r is valid
	s.mu.Lock()
	defer s.mu.Unlock()
	next := row{cutOff: r.CutOff.Truncate(time.Millisecond), until: r.Until}
	if old, ok := s.rows[key]; ok && old.inForce(now) {
		before = !old.cutOff.Before(next.cutOff)
		if before {
			next.cutOff = old.cutOff // a later write never lowers a cut-off
		}
		if old.until.IsZero() || !next.until.IsZero() && old.until.After(next.until) {
			next.until = old.until // a later write never shortens an entry
		}
	}
	s.rows[key] = next
	return before, nil
}

func (s *mapStore) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	start := id.SessionStart.Truncate(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	for kind := blacklist.Token; kind <= blacklist.Issuer; kind++ {
		key, ok := blacklist.KeyOf(kind, id)
		if !ok {
			continue // the token has no such id
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

// A custom blacklist has two methods. blacklisttest.Run tests that it keeps the contract.
func Example_customStore() {
	var list blacklist.Blacklist = &mapStore{rows: map[blacklist.Key]row{}, now: time.Now}
	ctx := context.Background()
	token := blacklist.Identity{Issuer: "https://issuer.example", ID: "f3a1", SessionStart: time.Now()}
	fmt.Println(list.IsRevoked(ctx, token))
	fmt.Println(list.Revoke(ctx, blacklist.OfToken(token, time.Now().Add(time.Hour))))
	fmt.Println(list.IsRevoked(ctx, token))
	// Output:
	// false <nil>
	// false <nil>
	// true <nil>
}
