// Package feedtest contains the tests that every [replica.Feed] must pass. Use it in the tests of a
// store, with one call:
//
//	func TestFeed(t *testing.T) {
//		feedtest.Run(t, func(t *testing.T) feedtest.Store {
//			server := startServer(t)
//			return feedtest.Store{
//				Feed:     newStore(t, server),
//				Clients:  []blacklist.Blacklist{newStore(t, server), newStore(t, server)},
//				MakeMark: server.makeMark,
//				Gaps:     map[string]func(context.Context) error{"trimmed": server.trim},
//			}
//		})
//	}
//
// Each check tests one promise of the contract on an empty store. It is a subtest, so go test -run
// can select it. The suite waits for real time in a few places, some seconds in all. Run the tests
// of package blacklisttest too, and this suite with -race as well.
package feedtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
)

// Store is an empty store to test.
type Store struct {
	// Feed is followed.
	Feed replica.Feed
	// Clients are other clients of the same store, like those of other processes. They write
	// concurrently. If there is none, Feed writes.
	Clients []blacklist.Blacklist
	// MakeMark makes a mark that is newer than all others. It is nil if the store has no marks.
	MakeMark func(ctx context.Context) error
	// Gaps lose records or exchange the store, each in one way: a trim of records that were not
	// read, an emptied store with new records, a fail-over, a demotion. They return after it is
	// done. The store may lose entries if it makes a mark instead.
	Gaps map[string]func(ctx context.Context) error
	// Limit is the largest number of records that a Read returns, 1,000 if it is 0.
	Limit int
}

// Run runs the suite. open returns an empty store, and registers its cleanup with t.Cleanup. Each
// check calls open at least once.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if err := c.try(t.Context(), func() Store { return open(t) }); err != nil {
				t.Errorf("%s\n%v", c.promise, err)
			}
		})
	}
}

// check is one promise of the contract and the steps that test it.
type check struct {
	name    string
	promise string
	run     func(*harness)
}

// timeout is the longest time that a check takes.
const timeout = 2 * time.Minute

// try runs the check on an empty store and returns the error of the first step that failed.
func (c check) try(ctx context.Context, open func() Store) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	h := &harness{ctx: ctx, open: open, Store: open()}
	if h.Feed == nil {
		return errors.New("open returned no feed")
	}
	h.prepare()
	defer h.closeAll()
	c.run(h)
	return h.failure()
}
