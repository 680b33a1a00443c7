package blacklisttest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// located is a store whose look-ups go through [blacklist.Locator]. It locates each identity once, as
// a caller does that asks for the same token again and again.
type located struct {
	blacklist.Locator
	// eager are looked up before and after each revocation, so that the store remembers of each that
	// it is absent.
	eager []blacklist.Identity

	mu    sync.Mutex
	known map[blacklist.Identity]*blacklist.Located
}

func newLocated(list blacklist.Locator, eager []blacklist.Identity) *located {
	return &located{Locator: list, eager: eager, known: make(map[blacklist.Identity]*blacklist.Located)}
}

// IsRevoked implements blacklist.Blacklist.
func (l *located) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	return l.IsRevokedAt(ctx, l.locate(id))
}

// Revoke implements blacklist.Blacklist.
func (l *located) Revoke(ctx context.Context, r blacklist.Revocation) (bool, error) {
	l.lookUpEager(ctx)
	defer l.lookUpEager(ctx)
	return l.Locator.Revoke(ctx, r)
}

func (l *located) lookUpEager(ctx context.Context) {
	for _, id := range l.eager {
		_, _ = l.IsRevoked(context.WithoutCancel(ctx), id)
	}
}

func (l *located) locate(id blacklist.Identity) *blacklist.Located {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known[id] == nil {
		l.known[id] = l.Locate(id)
	}
	return l.known[id]
}

// asked returns the identities that were looked up.
func (l *located) asked() []blacklist.Identity {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.known))
}

// Unwrap implements blacklist.Wrapper.
func (l *located) Unwrap() blacklist.Blacklist { return l.Locator }
