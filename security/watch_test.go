package security_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// switchedList is a blacklist that can be away, that is not in the process, and that counts look-ups.
type switchedList struct {
	list    blacklist.Blacklist
	away    atomic.Bool
	lookups atomic.Int64
	changed func()
	// silence is how long a look-up waits for an error while the blacklist is away.
	silence time.Duration
}

func (l *switchedList) Revoke(ctx context.Context, r blacklist.Revocation) (bool, error) {
	return l.list.Revoke(ctx, r)
}

func (l *switchedList) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	l.lookups.Add(1)
	if l.away.Load() {
		select {
		case <-ctx.Done():
		case <-time.After(l.silence):
		}
		return false, blacklist.ErrUnavailable
	}
	return l.list.IsRevoked(ctx, id)
}

func (l *switchedList) OnChange(changed func()) (stop func()) {
	l.changed = changed
	return func() { l.changed = nil }
}

func watching(t *testing.T) (*security.Authority, *switchedList, security.AnyToken) {
	t.Helper()
	list := &switchedList{list: sectest.Must(blacklist.NewMemory())(t)}
	key := sectest.Must(keys.NewHMAC(keys.HS256, []byte("0123456789abcdef0123456789abcdef")))(t)
	a := sectest.Must(security.New("https://issuer.example", sectest.Must(keys.NewSet(key))(t), list))(t)
	issued := sectest.Must(a.Issuer.IssueAccessToken(t.Context(), "alice", nil))(t)
	token := sectest.Must(a.Verifier.Verify(t.Context(), security.NewTokenType[security.NoClaims]("access"), issued.Text()))(t)
	return a, list, token
}

// bubble runs a test on a clock of its own. It fails if a goroutine is left.
func bubble(t *testing.T, test func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		test(t)
		time.Sleep(time.Second) // a goroutine that watches ends
	})
}

// within returns how long after now the context ended, and its cause.
func within(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	<-ctx.Done()
	return time.Since(began), context.Cause(ctx)
}

func TestWatchEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, a *security.Authority, list *switchedList, token security.AnyToken)
		want error
		from time.Duration
		to   time.Duration
	}{
		{"token expires", func(*testing.T, *security.Authority, *switchedList, security.AnyToken) {}, security.ErrTokenExpired, 15*time.Minute + 29*time.Second, 15*time.Minute + 32*time.Second},
		{"revoked here", func(t *testing.T, a *security.Authority, _ *switchedList, token security.AnyToken) {
			if err := a.Validator.RevokeSession(t.Context(), token); err != nil {
				t.Error(err)
			}
		}, security.ErrTokenRevoked, 0, 50 * time.Millisecond},
		{"revoked elsewhere", func(t *testing.T, a *security.Authority, list *switchedList, token security.AnyToken) {
			if _, err := list.list.Revoke(t.Context(), a.Validator.SessionRevocation(token.Subject(), token.Session())); err != nil {
				t.Error(err)
			}
		}, security.ErrTokenRevoked, 0, 1100 * time.Millisecond},
		{"revoked elsewhere, and the blacklist says so", func(t *testing.T, a *security.Authority, list *switchedList, token security.AnyToken) {
			if _, err := list.list.Revoke(t.Context(), a.Validator.SubjectRevocation(token.Subject())); err != nil {
				t.Error(err)
			}
			list.changed()
		}, security.ErrTokenRevoked, 0, 50 * time.Millisecond},
		{"blacklist away", func(_ *testing.T, _ *security.Authority, list *switchedList, _ security.AnyToken) {
			list.away.Store(true)
		}, security.ErrUnavailable, 1500 * time.Millisecond, 3200 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, list, token := watching(t)
				ctx, stop := a.Validator.Watch(t.Context(), token)
				defer stop()
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				tt.do(t, a, list, token)
				after, cause := within(ctx)
				if !errors.Is(cause, tt.want) || after < tt.from || after > tt.to {
					t.Errorf("ended after %s with %v, want %v between %s and %s", after, cause, tt.want, tt.from, tt.to)
				}
			})
		})
	}
}

func TestWatchFindsARevocationFromBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, list, token := watching(t)
		if _, err := list.list.Revoke(t.Context(), a.Validator.SessionRevocation(token.Subject(), token.Session())); err != nil {
			t.Fatal(err)
		}
		ctx, stop := a.Validator.Watch(t.Context(), token)
		defer stop()
		if after, cause := within(ctx); !errors.Is(cause, security.ErrTokenRevoked) || after > 10*time.Millisecond {
			t.Errorf("ended after %s with %v", after, cause)
		}
	})
}

func TestWatchSurvivesAShortOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, list, token := watching(t)
		ctx, stop := a.Validator.Watch(t.Context(), token)
		defer stop()
		for range 5 {
			time.Sleep(5 * time.Second)
			list.away.Store(true)
			time.Sleep(900 * time.Millisecond)
			list.away.Store(false)
		}
		if err := context.Cause(ctx); err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestWatchEndsAllInAnOutage: a blacklist that does not answer does not delay the end of many contexts.
func TestWatchEndsAllInAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, list, token := watching(t)
		var all []context.Context
		for range 10_000 {
			ctx, stop := a.Validator.Watch(t.Context(), token)
			defer stop()
			all = append(all, ctx)
		}
		time.Sleep(time.Second)
		list.silence = time.Hour
		list.away.Store(true)
		began := time.Now()
		for _, ctx := range all {
			<-ctx.Done()
		}
		if after, cause := time.Since(began), context.Cause(all[0]); !errors.Is(cause, security.ErrUnavailable) || after > 5*time.Second {
			t.Errorf("all ended after %s with %v", after, cause)
		}
	})
}

// TestWatchLeavesNothing: after the work is done nothing runs and nothing is asked.
func TestWatchLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, list, token := watching(t)
		parent, cancel := context.WithCancel(t.Context())
		_, stop := a.Validator.Watch(t.Context(), token)
		_, stopToo := a.Validator.Watch(parent, token)
		time.Sleep(time.Second)
		stop()
		cancel()
		time.Sleep(time.Second)
		asked := list.lookups.Load()
		time.Sleep(time.Minute)
		if list.lookups.Load() != asked {
			t.Error("the blacklist is asked for tokens that nobody watches")
		}
		stopToo()
		ctx, stopAgain := a.Validator.Watch(t.Context(), token) // the goroutine begins anew
		defer stopAgain()
		list.away.Store(true)
		if _, cause := within(ctx); !errors.Is(cause, security.ErrUnavailable) {
			t.Errorf("ended with %v", cause)
		}
	})
}

func TestWatchRefusesWhatIsNoToken(t *testing.T) {
	a, _, _ := watching(t)
	ctx, stop := a.Validator.Watch(t.Context(), security.Token[security.NoClaims]{})
	defer stop()
	if context.Cause(ctx) == nil {
		t.Error("the zero token is watched")
	}
}

func TestWatchTakesNoGoroutineForEachContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, _, token := watching(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		before := runtime.NumGoroutine()
		for range 10_000 {
			_, stop := a.Validator.Watch(ctx, token)
			defer stop()
		}
		synctest.Wait() // the look-ups of the round have ended
		if more := runtime.NumGoroutine() - before; more > 1 {
			t.Errorf("%d goroutines for 10,000 contexts", more)
		}
	})
}

func BenchmarkWatch(b *testing.B) {
	list := sectest.Must(blacklist.NewMemory())(b)
	key := sectest.Must(keys.NewHMAC(keys.HS256, []byte("0123456789abcdef0123456789abcdef")))(b)
	a := sectest.Must(security.New("https://issuer.example", sectest.Must(keys.NewSet(key))(b), list))(b)
	issued := sectest.Must(a.Issuer.IssueAccessToken(b.Context(), "alice", nil))(b)
	token := sectest.Must(a.Verifier.Verify(b.Context(), security.NewTokenType[security.NoClaims]("access"), issued.Text()))(b)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		_, stop := a.Validator.Watch(ctx, token)
		stop()
	}
}
