package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/session"
)

var (
	accessType  = security.NewTokenType[security.NoClaims]("access")
	refreshType = security.NewTokenType[security.NoClaims]("refresh")
)

// service is an application that keeps sessions, with a clock.
type service struct {
	*session.Manager
	authority *security.Authority
	store     *session.Memory
	now       time.Time
}

func newService(t *testing.T, options ...session.Option) *service {
	t.Helper()
	s := &service{now: time.Date(2030, 1, 1, 12, 0, 0, 123e6, time.UTC)}
	clock := func() time.Time { return s.now }
	key := must(keys.NewHMAC(keys.HS256, []byte("0123456789abcdef0123456789abcdef")))
	list := must(blacklist.NewMemory(blacklist.WithClock(clock)))
	s.authority = must(security.New("https://issuer.example", must(keys.NewSet(key)), list, security.WithClock(clock), security.WithClockSkew(time.Second)))
	s.store = must(session.NewMemory(session.WithMemoryClock(clock)))
	load := func(context.Context, session.Info) (session.Grant, error) {
		return session.Grant{AccessOptions: []security.TokenOption{security.WithRoles("user")}}, nil
	}
	s.Manager = must(session.New(s.authority, s.store, load, options...))
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// verify decides over a token as a guarded operation does.
func (s *service) verify(t *testing.T, typ security.TokenType, token security.IssuedToken) (security.AnyToken, error) {
	t.Helper()
	return s.authority.Validator.Verify(t.Context(), typ, token.Text())
}

func (s *service) logIn(t *testing.T, login session.Login) security.TokenPair {
	t.Helper()
	attempt, err := s.Open(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := attempt.Begin(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func (s *service) refresh(t *testing.T, pair security.TokenPair, device session.Device) (security.TokenPair, error) {
	t.Helper()
	token, err := s.verify(t, refreshType, pair.Refresh)
	if err != nil {
		return security.TokenPair{}, err
	}
	return s.Refresh(t.Context(), token, device)
}

func TestRefreshYieldsTheNextGeneration(t *testing.T) {
	s := newService(t)
	first := s.logIn(t, session.Login{Device: session.Device{Name: "phone"}, ClientID: "app", CSRF: true})
	access := must(s.verify(t, accessType, first.Access))
	if !access.Fresh() || !access.HasRole("user") || access.ClientID() != "app" || access.CSRF() == "" {
		t.Errorf("access token of the log-in: fresh %t, roles %v, client %q, csrf %q", access.Fresh(), access.Roles(), access.ClientID(), access.CSRF())
	}
	s.now = s.now.Add(time.Minute)
	second := must(s.refresh(t, first, session.Device{}))
	for generation, pair := range []security.TokenPair{first, second} {
		token := must(s.verify(t, refreshType, pair.Refresh))
		if int(token.Generation()) != generation+1 || token.Session() != access.Session() || token.CSRF() != access.CSRF() {
			t.Errorf("generation %d: is %d of session %q with csrf %q", generation+1, token.Generation(), token.Session(), token.CSRF())
		}
		if !token.ExpiresAt().Equal(first.Refresh.ExpiresAt()) {
			t.Errorf("generation %d ends at %s, the session at %s", generation+1, token.ExpiresAt(), first.Refresh.ExpiresAt())
		}
	}
	if token := must(s.verify(t, accessType, second.Access)); token.Fresh() || !token.HasRole("user") {
		t.Error("the access token of a refresh is fresh or has no role")
	}
}

func TestPredecessorIsRepeatedWithinTheGrace(t *testing.T) {
	s := newService(t)
	first := s.logIn(t, session.Login{})
	second := must(s.refresh(t, first, session.Device{}))
	s.now = s.now.Add(30 * time.Second)
	again := must(s.refresh(t, first, session.Device{}))
	if again.Refresh.ID() != second.Refresh.ID() || !again.Refresh.ExpiresAt().Equal(second.Refresh.ExpiresAt()) || again.Refresh.Text() != second.Refresh.Text() {
		t.Error("the repeated refresh token is not the same one")
	}
	s.now = s.now.Add(time.Second)
	if _, err := s.refresh(t, first, session.Device{}); !errors.Is(err, security.ErrTokenRevoked) {
		t.Errorf("after the grace: %v", err)
	}
	for name, err := range map[string]error{
		"access token": second2(s.verify(t, accessType, second.Access)), "refresh token": second2(s.verify(t, refreshType, second.Refresh)),
	} {
		if !errors.Is(err, security.ErrTokenRevoked) {
			t.Errorf("%s of a session that ended for a reuse: %v", name, err)
		}
	}
}

func second2[T any](_ T, err error) error { return err }

func TestEndOthersKeepsTheCaller(t *testing.T) {
	s := newService(t)
	phone, laptop := s.logIn(t, session.Login{Device: session.Device{Name: "phone"}}), s.logIn(t, session.Login{Device: session.Device{Name: "laptop"}})
	caller := must(s.verify(t, accessType, phone.Access))
	page := must(s.List(t.Context(), caller, ""))
	if len(page.Sessions) != 2 {
		t.Fatalf("%d sessions are listed, want 2", len(page.Sessions))
	}
	for _, listed := range page.Sessions {
		if listed.Current != (listed.Device.Name == "phone") {
			t.Errorf("session of %q: current %t", listed.Device.Name, listed.Current)
		}
	}
	attempt := must(s.Open(t.Context(), "alice"))
	if _, err := s.EndOthers(t.Context(), caller); err != nil {
		t.Fatal(err)
	}
	if _, err := s.refresh(t, phone, session.Device{}); err != nil {
		t.Errorf("the session of the caller: %v", err)
	}
	if _, err := s.verify(t, accessType, laptop.Access); !errors.Is(err, security.ErrTokenRevoked) {
		t.Errorf("the other session: %v", err)
	}
	if _, err := attempt.Begin(t.Context(), session.Login{}); !errors.Is(err, security.ErrInvalidCredentials) {
		t.Errorf("a log-in that was opened before: %v", err)
	}
	if page := must(s.List(t.Context(), caller, "")); len(page.Sessions) != 1 {
		t.Errorf("%d sessions are listed, want 1", len(page.Sessions))
	}
}

func TestLogInAfterEndAllIsAccepted(t *testing.T) {
	s := newService(t)
	before := s.logIn(t, session.Login{})
	opened := must(s.Open(t.Context(), "alice"))
	if err := s.EndAll(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Begin(t.Context(), session.Login{}); !errors.Is(err, security.ErrInvalidCredentials) {
		t.Errorf("a log-in that was opened before: %v", err)
	}
	after := s.logIn(t, session.Login{}) // in the same millisecond
	if _, err := s.verify(t, accessType, after.Access); err != nil {
		t.Errorf("a log-in right after the cut-off: %v", err)
	}
	if _, err := s.refresh(t, after, session.Device{}); err != nil {
		t.Errorf("its refresh: %v", err)
	}
	if _, err := s.verify(t, accessType, before.Access); !errors.Is(err, security.ErrTokenRevoked) {
		t.Errorf("a session from before: %v", err)
	}
}

// TestLongSessionTakesOneEntryOfTheBlacklist refreshes for thirty days, every quarter of an hour.
func TestLongSessionTakesOneEntryOfTheBlacklist(t *testing.T) {
	s := newService(t)
	pair := s.logIn(t, session.Login{})
	refreshes := 0
	for end := s.now.Add(30*24*time.Hour - time.Hour); s.now.Before(end); refreshes++ {
		s.now = s.now.Add(15 * time.Minute)
		pair = must(s.refresh(t, pair, session.Device{}))
	}
	if err := s.End(t.Context(), must(s.verify(t, refreshType, pair.Refresh))); err != nil {
		t.Fatal(err)
	}
	list, _ := blacklist.As[*blacklist.Memory](s.authority.Validator.Blacklist())
	if entries := list.Len(); entries != 1 || refreshes != 2876 {
		t.Errorf("%d entries after %d refreshes, want 1 after 2876", entries, refreshes)
	}
}

// TestDevicesOfRevokedSessionsGo: a session that the blacklist alone has ended loses its device with
// the next list.
func TestDevicesOfRevokedSessionsGo(t *testing.T) {
	s := newService(t)
	gone := s.logIn(t, session.Login{Device: session.Device{Name: "phone"}})
	if _, err := s.authority.Validator.RevokeSubject(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(2 * time.Second)
	s.logIn(t, session.Login{Device: session.Device{Name: "laptop"}})
	if page := must(s.ListOf(t.Context(), "alice", "")); len(page.Sessions) != 1 || page.Sessions[0].Device.Name != "laptop" {
		t.Errorf("listed: %+v", page.Sessions)
	}
	owner := session.Subject{Issuer: "https://issuer.example", Name: "alice"}
	err := s.store.Update(t.Context(), owner, func(tx session.Tx) error {
		row, found, err := tx.Session(gone.Access.Session())
		if !found || row.Ended.IsZero() || row.Device != (session.Device{}) {
			t.Errorf("the row of the revoked session: found %t, ended %s, device %+v", found, row.Ended, row.Device)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNilObserverIsRefused(t *testing.T) {
	s := newService(t)
	load := func(context.Context, session.Info) (session.Grant, error) { return session.Grant{}, nil }
	if _, err := session.New(s.authority, s.store, load, session.WithObserver(nil)); err == nil {
		t.Error("no error for a nil observer")
	}
}

func TestZeroManagerIsRefused(t *testing.T) {
	s := newService(t)
	token := must(s.verify(t, accessType, s.logIn(t, session.Login{}).Access))
	var zero session.Manager
	ctx := t.Context()
	for name, err := range map[string]error{
		"Open": second2(zero.Open(ctx, "alice")), "Refresh": second2(zero.Refresh(ctx, token, session.Device{})), "End": zero.End(ctx, token),
		"EndByID": zero.EndByID(ctx, "alice", "id"), "EndAll": zero.EndAll(ctx, "alice"), "EndOthers": second2(zero.EndOthers(ctx, token)),
		"Forget": zero.Forget(ctx, "alice"), "List": second2(zero.List(ctx, token, "")), "ListOf": second2(zero.ListOf(ctx, "alice", "")), "Ready": zero.Ready(ctx),
	} {
		if err == nil {
			t.Errorf("%s of the zero manager returns nil", name)
		}
	}
	if err := zero.Close(); err != nil {
		t.Error(err)
	}
}
