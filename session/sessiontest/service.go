package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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

// leeway is that of the verifiers of the suite.
const leeway = 2 * time.Second

// patience bounds a call of a store, also one that waits for its turn in a race.
const patience = 30 * time.Second

// user is the subject of the checks of the manager.
const user = idMarker + "user"

// service is a process of an application that keeps sessions.
type service struct {
	manager   *session.Manager
	authority *security.Authority
	probe     *probe
	events    *events
	user      string // the subject that logs in

	mu   sync.Mutex
	load error // what the look-up of the claims returns
}

// setLoad sets what the look-up of the claims returns.
func (s *service) setLoad(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load = err
}

// newService returns a process whose clock differs by offset. With joint the store is also the
// blacklist.
func newService(
	store session.Store, list blacklist.Blacklist, joint bool, clock func() time.Time, options ...session.Option,
) (*service, error) {
	s := &service{probe: &probe{store: store, list: list}, user: user, events: &events{}}
	key, err := keys.NewHMAC(keys.HS256, []byte("a key of the tests, and of nothing else"))
	if err != nil {
		return nil, err
	}
	set, err := keys.NewSet(key)
	if err != nil {
		return nil, err
	}
	probed := &probedBoth{&probedStore{s.probe}, &probedList{s.probe}}
	useStore, useList := session.Store(probed), blacklist.Blacklist(probed)
	if !joint {
		useStore, useList = probed.probedStore, probed.probedList
	}
	s.authority, err = security.New(issuer, set, useList, security.WithClock(clock), security.WithLeeway(leeway),
		security.WithLogger(slog.New(s.events)), security.WithLookupTimeout(patience), security.WithRevocationTimeout(patience))
	if err != nil {
		return nil, err
	}
	s.manager, err = session.New(s.authority, useStore, func(context.Context, session.Info) (session.Grant, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return session.Grant{AccessOptions: []security.TokenOption{security.WithRoles("user")}}, s.load
	}, append([]session.Option{session.WithTimeout(patience)}, options...)...)
	return s, err
}

func (s *service) logIn(ctx context.Context, login session.Login) (security.TokenPair, error) {
	attempt, err := s.manager.Open(ctx, s.user)
	if err != nil {
		return security.TokenPair{}, err
	}
	return attempt.Begin(ctx, login)
}

// verify decides over a token as the guard of an operation does.
func (s *service) verify(ctx context.Context, typ security.TokenType, token security.IssuedToken) (security.AnyToken, error) {
	return s.authority.Validator.Verify(ctx, typ, token.Text())
}

// refresh sends the refresh token to the guarded operation.
func (s *service) refresh(ctx context.Context, token security.IssuedToken, device session.Device) (security.TokenPair, error) {
	verified, err := s.verify(ctx, refreshType, token)
	if err != nil {
		return security.TokenPair{}, err
	}
	return s.manager.Refresh(ctx, verified, device)
}

// refreshVerified refreshes with a token that the guard let pass before.
func (s *service) refreshVerified(ctx context.Context, token security.IssuedToken, device session.Device) (security.TokenPair, error) {
	verified, err := s.authority.Verifier.Verify(ctx, refreshType, token.Text())
	if err != nil {
		return security.TokenPair{}, err
	}
	return s.manager.Refresh(ctx, verified, device)
}

// access returns the verified access token.
func (s *service) access(ctx context.Context, pair security.TokenPair) (security.AnyToken, error) {
	return s.verify(ctx, accessType, pair.Access)
}

// refused reports whether the error is the refusal of a token: 401.
func refused(err error) bool {
	return errors.Is(err, security.ErrTokenRevoked) || errors.Is(err, security.ErrTokenExpired)
}

// checkLives returns an error unless the tokens are accepted and the refresh token yields its
// successor.
func (s *service) checkLives(ctx context.Context, pair security.TokenPair) error {
	if _, err := s.access(ctx, pair); err != nil {
		return fmt.Errorf("the access token of a session that lives: %w", err)
	}
	next, err := s.refresh(ctx, pair.Refresh, session.Device{})
	if err != nil {
		return fmt.Errorf("the refresh token of a session that lives: %w", err)
	}
	for _, issued := range []struct {
		typ   security.TokenType
		token security.IssuedToken
	}{{accessType, next.Access}, {refreshType, next.Refresh}} {
		if _, err := s.verify(ctx, issued.typ, issued.token); err != nil {
			return fmt.Errorf("the refreshed %s token of a session that lives: %w", issued.typ.Name(), err)
		}
	}
	return nil
}

// checkDead returns an error unless both tokens are refused, also by a refresh whose token was let
// pass before the end.
func (s *service) checkDead(ctx context.Context, pair security.TokenPair) error {
	if _, err := s.access(ctx, pair); !refused(err) {
		return fmt.Errorf("the access token of a session that ended: got the error %w, want 401", err)
	}
	if _, err := s.verify(ctx, refreshType, pair.Refresh); !refused(err) {
		return fmt.Errorf("the refresh token of a session that ended: got the error %w, want 401", err)
	}
	next, err := s.refreshVerified(ctx, pair.Refresh, session.Device{})
	if err == nil {
		// The session was cut off without its row. Its successor is dead, too.
		if _, err := s.access(ctx, next); !refused(err) {
			return fmt.Errorf("the refreshed access token of a session that ended: got the error %w, want 401", err)
		}
		if _, err := s.verify(ctx, refreshType, next.Refresh); !refused(err) {
			return fmt.Errorf("the refreshed refresh token of a session that ended: got the error %w, want 401", err)
		}
		return nil
	}
	if !refused(err) {
		return fmt.Errorf("a refresh of a session that ended: got the error %w, want 401", err)
	}
	return nil
}

// sameSuccessor returns an error unless both refresh tokens are the same.
func sameSuccessor(a, b security.TokenPair) error {
	if a.Refresh.ID() != b.Refresh.ID() || !a.Refresh.ExpiresAt().Equal(b.Refresh.ExpiresAt()) || a.Refresh.Text() != b.Refresh.Text() {
		return errors.New("one generation has two successors")
	}
	return nil
}

// events counts the records of a log.
type events struct {
	mu    sync.Mutex
	count map[string]int
}

func (e *events) Enabled(context.Context, slog.Level) bool { return true }

func (e *events) Handle(_ context.Context, record slog.Record) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count == nil {
		e.count = map[string]int{}
	}
	e.count[record.Level.String()+" "+record.Message]++
	return nil
}

func (e *events) WithAttrs([]slog.Attr) slog.Handler { return e }

func (e *events) WithGroup(string) slog.Handler { return e }

func (e *events) of(level slog.Level, message string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count[level.String()+" "+message]
}
