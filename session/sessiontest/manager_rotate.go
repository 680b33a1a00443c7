package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/session"
)

func rotatedCase(m *managerHarness) {
	s := m.service(session.WithIdleTimeout(time.Hour))
	first := m.logIn(s, session.Login{Device: session.Device{Name: "phone", UserAgent: "a"}, CSRF: true, ClientID: "client"})
	m.change(s, first, func(r *session.Row) {
		r.Unacknowledged, r.Repeats = true, 2
		r.IdleDeadline = r.IdleDeadline.Add(-time.Minute)
	})
	before := m.rowOf(s, first)
	second := m.refreshFrom(s, first, session.Device{UserAgent: "b"})
	after := m.rowOf(s, second)
	if got := m.generation(s, second); got != 2 || after.Generation != 2 {
		m.fail("the successor has the generation %d, its row %d; want 2", got, after.Generation)
	}
	if !after.IdleDeadline.After(before.IdleDeadline) || after.Unacknowledged || after.Repeats != 0 || after.Nonce == before.Nonce {
		m.fail("a rotation did not move the idle deadline, or left marks: %+v", after)
	}
	if after.Began != before.Began || after.End != before.End || after.CSRF != before.CSRF || after.Device.UserAgent != "b" {
		m.fail("a rotation changed what it must keep, or did not note the device: %+v", after)
	}
	if !second.Refresh.ExpiresAt().Equal(first.Refresh.ExpiresAt()) {
		m.fail("the successor ends at %s, the session at %s", second.Refresh.ExpiresAt(), first.Refresh.ExpiresAt())
	}
	m.expectLives("refreshed", s, second)
}

func repeatedCase(m *managerHarness) {
	s := m.service()
	first := m.logIn(s, session.Login{})
	second := m.refresh(s, first)
	for range 3 {
		again := m.refresh(s, first)
		m.expectSuccessor("repeated", again, second)
		if again.Access.ID() == second.Access.ID() {
			m.fail("a repeat yields the same access token")
		}
		if _, err := s.access(m.ctx, again); err != nil {
			m.fail("the access token of a repeat: %w", err)
		}
	}
	if !m.realClock {
		m.clock.advance(session.DefaultGrace)
		m.expectSuccessor("repeated at the end of the grace", m.refresh(s, first), second)
	}
	m.expectLives("repeated", s, second)
}

// rotatedAgo changes when the store issued the current generation.
func (m *managerHarness) rotatedAgo(s *service, pair security.TokenPair, d time.Duration) {
	now := m.now()
	m.change(s, pair, func(r *session.Row) { r.Rotated = now.Add(-d) })
}

func unacknowledgedCase(m *managerHarness) {
	s := m.service()
	first := m.logIn(s, session.Login{})
	second := m.refresh(s, first)
	m.change(s, first, func(r *session.Row) { r.Unacknowledged = true })
	m.rotatedAgo(s, first, time.Hour)
	for range 2 {
		m.expectSuccessor("repeated after the grace", m.refresh(s, first), second)
	}
	third := m.refresh(s, second)
	m.rotatedAgo(s, first, time.Hour)
	m.expectError("the predecessor after the successor was presented", s, second, security.ErrTokenRevoked)
	m.expectDead("reused", s, third)
}

func reusedCase(m *managerHarness) {
	s := m.service()
	for _, tt := range []struct {
		name    string
		back    int // generations
		elapsed time.Duration
	}{
		{name: "the predecessor after the grace", back: 1, elapsed: session.DefaultGrace + time.Second},
		{name: "two back at once", back: 2},
		{name: "two back after an hour", back: 2, elapsed: time.Hour},
		{name: "five back", back: 5},
	} {
		pairs := []security.TokenPair{m.logIn(s, session.Login{})}
		for i := range tt.back {
			pairs = append(pairs, m.refresh(s, pairs[i]))
		}
		last := pairs[tt.back]
		m.rotatedAgo(s, last, tt.elapsed)
		m.expectError(tt.name, s, pairs[0], security.ErrTokenRevoked)
		for _, pair := range pairs {
			m.expectDead(tt.name, s, pair)
		}
		if row := m.rowOf(s, last); row.Reason != session.Reused || row.Ended.IsZero() || row.Owed || row.Device != (session.Device{}) {
			m.fail("%s: the row has the reason %q, ended %s, owed %t", tt.name, row.Reason, row.Ended, row.Owed)
		}
	}
	if n := s.events.of(slog.LevelWarn, "refresh token reused"); n != 4 {
		m.fail("%d audit events of 4 reuses", n)
	}
}

func aheadCase(m *managerHarness) {
	s := m.service()
	first := m.logIn(s, session.Login{})
	lost := m.rowOf(s, first)
	second := m.refresh(s, first)
	third := m.refresh(s, second)
	m.put(lost)
	m.expectError("two ahead", s, third, security.ErrTokenExpired)
	m.expectLives("two ahead was refused", s, first) // rotates
	m.put(lost)
	caughtUp := m.refresh(s, second)
	if got := m.generation(s, caughtUp); got != 3 {
		m.fail("after the store lost a write the successor of 2 has the generation %d", got)
	}
	if s.events.of(slog.LevelWarn, "the store lost a refresh and caught up") != 1 {
		m.fail("there is no audit event of a store that lost a write")
	}
	m.expectLives("caught up", s, caughtUp)

	lost.IssuedAt = lost.IssuedAt.Add(time.Hour)
	m.put(lost)
	m.expectError("one ahead, issued before the current token", s, second, security.ErrTokenExpired)
}

func overCase(m *managerHarness) {
	s := m.service()
	now := m.now()
	for _, tt := range []struct {
		name   string
		change func(*session.Row)
		want   error
	}{
		{name: "end passed", change: func(r *session.Row) { r.End, r.IdleDeadline = now, now }, want: security.ErrTokenExpired},
		{name: "idle deadline passed", change: func(r *session.Row) { r.IdleDeadline = now }, want: security.ErrTokenExpired},
		{name: "ended", change: func(r *session.Row) { r.Ended, r.Reason = now, session.LoggedOut }, want: security.ErrTokenRevoked},
		{name: "ended for a reuse", change: func(r *session.Row) { r.Ended, r.Reason = now, session.Reused }, want: security.ErrTokenRevoked},
	} {
		first := m.logIn(s, session.Login{})
		second := m.refresh(s, first)
		m.change(s, second, tt.change)
		before := m.rowOf(s, second)
		for _, pair := range []security.TokenPair{first, second} {
			m.expectError(tt.name, s, pair, tt.want)
		}
		m.expectSame(tt.name+": a refresh of a session that is over", m.rowOf(s, second), before)
	}
	gone := m.logIn(s, session.Login{})
	m.must("Forget", m.store.Forget(m.ctx, m.owner()))
	m.expectError("no row", s, gone, security.ErrTokenExpired)

	// An entry that the blacklist lacks is written by the next refresh.
	owing := m.logIn(s, session.Login{})
	m.change(s, owing, func(r *session.Row) { r.Ended, r.Reason, r.Owed = now, session.Reused, true })
	if _, err := s.access(m.ctx, owing); err != nil {
		m.fail("the entry is owed: %w", err)
	}
	m.expectError("owed", s, owing, security.ErrTokenRevoked)
	if m.rowOf(s, owing).Owed {
		m.fail("the row still owes its entry after a refresh")
	}
	m.expectDead("the entry was owed", s, owing)
}

func graceZero(m *managerHarness) {
	s := m.service(session.WithGrace(0))
	first := m.logIn(s, session.Login{})
	second := m.refresh(s, first)
	third := m.refresh(s, second)
	m.expectError("the predecessor without a grace", s, second, security.ErrTokenRevoked)
	m.expectDead("reused", s, third)
}

// graceClock has processes whose clocks are hours apart.
func graceClock(m *managerHarness) {
	right, ahead, behind := m.service(), m.serviceAt(time.Hour), m.serviceAt(-time.Hour)
	for _, order := range [][]*service{{right, ahead}, {behind, right}, {behind, ahead}, {behind, behind}} {
		issuer, other := order[0], order[1]
		first := m.logIn(issuer, session.Login{})
		second := m.refresh(issuer, first)
		m.rotatedAgo(issuer, first, session.DefaultGrace-5*time.Second)
		m.expectSuccessor("repeated within the grace by a clock ahead", m.refresh(other, first), second)
		m.expectSuccessor("repeated within the grace", m.refresh(issuer, first), second)
		m.rotatedAgo(issuer, first, -time.Hour)
		m.expectSuccessor("repeated after the clock of the store was set back", m.refresh(other, first), second)
		m.rotatedAgo(issuer, first, session.DefaultGrace+time.Second)
		m.expectError("after the grace", other, first, security.ErrTokenRevoked)
		m.expectDead("after the grace", other, second)
	}
	// The clock that rotates is ahead.
	first := m.logIn(behind, session.Login{})
	second := m.refresh(ahead, first)
	m.expectSuccessor("repeated by a clock behind", m.refresh(behind, first), second)
	m.rotatedAgo(behind, first, session.DefaultGrace+time.Second)
	m.expectError("after the grace, by a clock behind", behind, first, security.ErrTokenRevoked)
}

// refreshers is how many refreshes are made at once.
const refreshers = 100

// atOnce refreshes with one token at once. It returns the successors.
func (m *managerHarness) atOnce(s *service, pair security.TokenPair) (pairs []security.TokenPair, errs []error) {
	if m.failed() {
		return nil, nil
	}
	verified, err := s.verify(m.ctx, refreshType, pair.Refresh)
	m.must("the refresh token", err)
	var mu sync.Mutex
	m.concurrently(refreshers, func(int) error {
		next, err := s.manager.Refresh(m.ctx, verified, session.Device{})
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs = append(errs, err)
		} else {
			pairs = append(pairs, next)
		}
		return nil
	})
	return pairs, errs
}

func parallel(m *managerHarness) {
	s := m.service()
	pair := m.logIn(s, session.Login{})
	for range 3 {
		pairs, errs := m.atOnce(s, pair)
		if len(errs) > 0 || len(pairs) != refreshers {
			m.fail("%d of %d refreshes at once were answered, first error: %v", len(pairs), refreshers, append(errs, nil)[0])
			return
		}
		for _, next := range pairs {
			m.expectSuccessor("refreshed at once", next, pairs[0])
		}
		pair = pairs[0]
	}
	if got := m.generation(s, pair); got != 4 {
		m.fail("after three rounds the generation is %d, want 4", got)
	}
	m.expectLives("refreshed at once", s, pair)
}

func parallelGraceZero(m *managerHarness) {
	s := m.service(session.WithGrace(0))
	pairs, errs := m.atOnce(s, m.logIn(s, session.Login{}))
	if len(pairs) != 1 {
		m.fail("%d refreshes at once were answered without a grace, want 1", len(pairs))
		return
	}
	for _, err := range errs {
		if !refused(err) {
			m.fail("the other refreshes: got the error %w, want 401", err)
		}
	}
	m.expectDead("refreshed twice without a grace", s, pairs[0])
}

func threeTabs(m *managerHarness) {
	s := m.service()
	pair := m.logIn(s, session.Login{Device: session.Device{UserAgent: "browser"}})
	browser := session.Device{UserAgent: "browser"}
	for range 100 {
		m.clock.advance(15 * time.Minute)
		next := m.refreshFrom(s, pair, browser)
		m.clock.advance(time.Second)
		m.expectSuccessor("the second tab", m.refreshFrom(s, pair, browser), next)
		m.clock.advance(8 * time.Second)
		m.expectSuccessor("the third tab", m.refreshFrom(s, pair, browser), next)
		pair = next
	}
	if row := m.rowOf(s, pair); row.Repeats != 0 {
		m.fail("the tabs of one browser count as %d repeats from another device", row.Repeats)
	}
	m.expectLives("three tabs", s, pair)
}

func shadow(m *managerHarness) {
	client, thief := session.Device{UserAgent: "client"}, session.Device{UserAgent: "thief"}
	errShadow := errors.New("shadowed")
	var runs []int
	refuse := false
	s := m.service(session.WithRepeatHook(func(_ context.Context, r session.Repeat) error {
		if r.First.UserAgent == r.Second.UserAgent {
			return nil
		}
		if runs = append(runs, r.Run); refuse && r.Run >= 3 {
			return errShadow
		}
		return nil
	}))
	const message = "refresh repeated from another device"
	pair := m.logIn(s, session.Login{Device: client})
	for i := 1; i <= 3; i++ {
		if n := s.events.of(slog.LevelWarn, message); n != 0 {
			m.fail("%d warnings before the third repeat", n)
		}
		next := m.refreshFrom(s, pair, client)
		m.refreshFrom(s, pair, thief)
		m.refreshFrom(s, pair, thief) // the same generation counts once
		pair = next
	}
	if n := s.events.of(slog.LevelWarn, message); n != 2 || fmt.Sprint(runs) != "[1 1 2 2 3 3]" {
		m.fail("%d warnings, and the hook saw the runs %v", n, runs)
	}
	refuse = true
	next := m.refreshFrom(s, pair, client)
	if !m.failed() {
		if _, err := s.refresh(m.ctx, pair.Refresh, thief); !refused(err) {
			m.fail("the hook refused a repeat: got the error %w, want 401", err)
		}
	}
	m.expectSuccessor("a repeat of the client", m.refreshFrom(s, pair, client), next)
	after := m.refreshFrom(s, next, client) // nobody repeats this one
	after = m.refreshFrom(s, after, client)
	if row := m.rowOf(s, after); row.Repeats != 0 {
		m.fail("the run is %d after a generation that nobody repeated", row.Repeats)
	}
	m.expectLives("shadowed", s, after)
}
