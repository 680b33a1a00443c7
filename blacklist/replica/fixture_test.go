package replica_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/blacklist/replica/internal/fakefeed"
)

// fixture is a Replica of a fake store, in a bubble of testing/synctest: time passes only while all
// goroutines wait. The clocks of the Replica can be moved.
type fixture struct {
	*testing.T
	store *fakefeed.Store
	r     *replica.Replica
	log   *lockedBuffer

	wallStep      atomic.Int64 // added to the wall clock
	monotonicStep atomic.Int64 // added to the monotonic clock

	located map[blacklist.Identity]*blacklist.Located // the tokens that r was asked about
}

const bound = replica.DefaultBound

// inBubble runs test with a Replica whose first snapshot is complete. prepare may change the store
// before that.
func inBubble(t *testing.T, prepare func(*fakefeed.Store), test func(*fixture), opts ...replica.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, prepare, opts...)
		if err := f.r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(f)
	})
}

func newFixture(t *testing.T, prepare func(*fakefeed.Store), opts ...replica.Option) *fixture {
	t.Helper()
	f := &fixture{T: t, store: fakefeed.New(time.Now), log: new(lockedBuffer)}
	if prepare != nil {
		prepare(f.store)
	}
	f.r = f.another(opts...)
	return f
}

// another returns another Replica of the store, with the clocks of the fixture.
func (f *fixture) another(opts ...replica.Option) *replica.Replica {
	f.Helper()
	begun := time.Now()
	opts = append([]replica.Option{
		replica.WithClock(func() time.Time { return time.Now().Add(time.Duration(f.wallStep.Load())) }),
		replica.WithMonotonic(func() time.Duration { return time.Since(begun) + time.Duration(f.monotonicStep.Load()) }),
		replica.WithLogger(slog.New(slog.NewTextHandler(f.log, nil))),
		replica.WithSnapshotStagger(0),
	}, opts...)
	r, err := replica.New(f.store, opts...)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = r.Close() })
	return r
}

// lockedBuffer is a buffer for the log.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func token(name string) blacklist.Identity {
	return blacklist.Identity{Issuer: "https://issuer.example", ID: "t-" + name, Session: "s-" + name, Subject: "u-" + name, SessionStart: time.Now()}
}

func numbered(i int) blacklist.Identity { return token(fmt.Sprint(i)) }

// revokeElsewhere revokes the token for an hour, as another process.
func (f *fixture) revokeElsewhere(id blacklist.Identity) {
	f.Helper()
	if _, err := f.store.Revoke(f.Context(), blacklist.OfToken(id, time.Now().Add(time.Hour))); err != nil {
		f.Fatal(err)
	}
}

// wait lets the Replica read what there is.
func (f *fixture) wait() { synctest.Wait() }

// lookUps returns both kinds of look-up of the token, by their names.
func (f *fixture) lookUps(id blacklist.Identity) map[string]func() (bool, error) {
	if f.located == nil {
		f.located = make(map[blacklist.Identity]*blacklist.Located)
	}
	if f.located[id] == nil {
		f.located[id] = f.r.Locate(id)
	}
	return map[string]func() (bool, error){
		"IsRevoked":   func() (bool, error) { return f.r.IsRevoked(f.Context(), id) },
		"IsRevokedAt": func() (bool, error) { return f.r.IsRevokedAt(f.Context(), f.located[id]) },
	}
}

// expect looks up the token in both ways and expects the answer. asks says whether the store has to
// be asked.
func (f *fixture) expect(why string, id blacklist.Identity, revoked, asks bool) {
	f.Helper()
	for name, lookUp := range f.lookUps(id) {
		f.expectAnswer(why+": "+name, lookUp, revoked, asks)
	}
}

func (f *fixture) expectAnswer(why string, lookUp func() (bool, error), revoked, asks bool) {
	f.Helper()
	before := f.r.Stats().Asked
	if got, err := lookUp(); err != nil || got != revoked {
		f.Errorf("%s: revoked = %t, %v; want %t", why, got, err, revoked)
	}
	if asked := f.r.Stats().Asked - before; asks != (asked == 1) {
		f.Errorf("%s: the store was asked %d times; want %t", why, asked, asks)
	}
}

func (f *fixture) expectUnavailable(why string, id blacklist.Identity) {
	f.Helper()
	revoked, err := f.r.IsRevoked(f.Context(), id)
	expectUnavailable(f.T, why, revoked, err)
}
