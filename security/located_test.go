package security

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

func newMemoryList(t testing.TB, now func() time.Time) *blacklist.Memory {
	t.Helper()
	list := must(blacklist.NewMemory(blacklist.WithClock(now), blacklist.WithLogger(slog.New(slog.DiscardHandler))))(t)
	t.Cleanup(func() { _ = list.Close() })
	return list
}

// present verifies the text and looks it up.
func present(t testing.TB, v *Validator, typ TokenType, text string) error {
	t.Helper()
	_, err := v.Verify(t.Context(), typ, text)
	if err != nil && !errors.Is(err, ErrTokenRevoked) {
		t.Fatal(err)
	}
	return err
}

// TestLocatedTokens revokes a token of each kind of private claims that was presented several times,
// so that the blacklist remembers that it has no entry for it.
func TestLocatedTokens(t *testing.T) {
	plain := NewTokenType[NoClaims]("access")
	for _, typ := range []TokenType{plain, accessToken} {
		for name, revoke := range map[string]func(*fixture, AnyToken) error{
			"the token":   func(f *fixture, token AnyToken) error { return f.validator.Revoke(t.Context(), token) },
			"its session": func(f *fixture, token AnyToken) error { return f.validator.RevokeSession(t.Context(), token) },
			"its subject": func(f *fixture, _ AnyToken) error { return second(f.validator.RevokeSubject(t.Context(), "alice")) },
			"everything":  func(f *fixture, _ AnyToken) error { return second(f.validator.RevokeAll(t.Context())) },
		} {
			t.Run(name, func(t *testing.T) {
				f := newFixture(t)
				f.validator = must(NewValidator(f.verifier, newMemoryList(t, f.clock.Now)))(t)
				text := must(f.issuer.IssueTokenPair(t.Context(), "alice", nil, nil))(t).Access.Text()
				for range 4 {
					if err := present(t, f.validator, typ, text); err != nil {
						t.Fatal(err)
					}
				}
				token := f.token(t, text, typ)
				if located := token.verified().places.Load(); located == nil || located.validator != f.validator {
					t.Fatal("the places of a cached token are not known")
				}
				if err := revoke(f, token); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if err := present(t, f.validator, typ, text); err == nil {
						t.Error("a revoked token is accepted")
					}
				}
			})
		}
	}
}

// countedList observes look-ups of what it wraps.
type countedList struct {
	blacklist.Blacklist
	asked atomic.Int64
}

func (l *countedList) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	l.asked.Add(1)
	return l.Blacklist.IsRevoked(ctx, id)
}

func (l *countedList) Unwrap() blacklist.Blacklist { return l.Blacklist }

// TestWrapperSeesEachLookUp: a blacklist that wraps a Locator is asked for each request.
func TestWrapperSeesEachLookUp(t *testing.T) {
	f := newFixture(t)
	list := &countedList{Blacklist: newMemoryList(t, f.clock.Now)}
	v := must(NewValidator(f.verifier, list))(t)
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	for i := range int64(4) {
		if err := present(t, v, accessToken, text); err != nil || list.asked.Load() != i+1 {
			t.Fatalf("request %d: %v, %d look-ups", i+1, err, list.asked.Load())
		}
	}
}

// strictList embeds a Locator and overrides its IsRevoked.
type strictList struct {
	*blacklist.Memory
	refuses atomic.Bool
}

func (l *strictList) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	if l.refuses.Load() {
		return true, nil
	}
	return l.Memory.IsRevoked(ctx, id)
}

// TestOverriddenLookUp: the methods of an embedded Locator do not replace the IsRevoked of the type
// around it.
func TestOverriddenLookUp(t *testing.T) {
	f := newFixture(t)
	list := &strictList{Memory: newMemoryList(t, f.clock.Now)}
	v := must(NewValidator(f.verifier, list))(t)
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	for range 3 {
		if err := present(t, v, accessToken, text); err != nil {
			t.Fatal(err)
		}
	}
	list.refuses.Store(true)
	if present(t, v, accessToken, text) == nil {
		t.Error("a token is accepted that IsRevoked of the blacklist refuses")
	}
}

// namedList is a Locator of a type that == cannot compare.
type namedList struct {
	*blacklist.Memory
	names []string
}

func (l namedList) Locate(id blacklist.Identity) *blacklist.Located {
	located := l.Memory.Locate(id)
	located.Owner = l
	return located
}

// TestBlacklistsThatCannotBeCompared: a Locator of such a type is asked as any other blacklist.
func TestBlacklistsThatCannotBeCompared(t *testing.T) {
	f := newFixture(t)
	v := must(NewValidator(f.verifier, namedList{newMemoryList(t, f.clock.Now), []string{"a"}}))(t)
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	for range 3 {
		if err := present(t, v, accessToken, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Revoke(t.Context(), f.token(t, text, accessToken)); err != nil {
		t.Fatal(err)
	}
	if present(t, v, accessToken, text) == nil {
		t.Error("a revoked token is accepted")
	}
}

// TestValidatorsShareAVerifier: each looks up in its own blacklist.
func TestValidatorsShareAVerifier(t *testing.T) {
	f := newFixture(t)
	first := must(NewValidator(f.verifier, newMemoryList(t, f.clock.Now)))(t)
	second := must(NewValidator(f.verifier, newMemoryList(t, f.clock.Now)))(t)
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	for range 3 {
		for _, v := range []*Validator{first, second} {
			if err := present(t, v, accessToken, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := second.Revoke(t.Context(), f.token(t, text, accessToken)); err != nil {
		t.Fatal(err)
	}
	if present(t, second, accessToken, text) == nil {
		t.Error("the second validator accepts a token that it revoked")
	}
	if err := present(t, first, accessToken, text); err != nil {
		t.Errorf("the first validator, whose blacklist has nothing: %v", err)
	}
}

// waitingLocator is a Locator that does not say that it never waits.
type waitingLocator struct{ blacklist.Blacklist }

func (waitingLocator) Locate(id blacklist.Identity) *blacklist.Located {
	return &blacklist.Located{Identity: id}
}

func (waitingLocator) IsRevokedAt(context.Context, *blacklist.Located) (bool, error) {
	return false, errors.New("a look-up without a deadline")
}

// TestLocatorThatMayWaitHasADeadline: only a blacklist in the process is asked without one.
func TestLocatorThatMayWaitHasADeadline(t *testing.T) {
	f := newFixture(t)
	hidden := struct{ blacklist.Blacklist }{newMemoryList(t, f.clock.Now)} // without InProcess
	v := must(NewValidator(f.verifier, waitingLocator{hidden}))(t)
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	for range 3 {
		if err := present(t, v, accessToken, text); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailedLookUpOfALocatedToken: the error of a closed blacklist is 503, also for a token whose
// absence is remembered.
func TestFailedLookUpOfALocatedToken(t *testing.T) {
	f := newFixture(t)
	list := newMemoryList(t, f.clock.Now)
	v := must(NewValidator(f.verifier, list))(t)
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	for range 3 {
		if err := present(t, v, accessToken, text); err != nil {
			t.Fatal(err)
		}
	}
	_ = list.Close()
	if _, err := v.Verify(t.Context(), accessToken, text); !errors.Is(err, ErrUnavailable) {
		t.Errorf("with a closed blacklist: %v", err)
	}
}
