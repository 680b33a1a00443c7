package sessiontest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/session"
)

func lists(m *managerHarness) {
	s := m.service()
	phone := m.logIn(s, session.Login{Device: session.Device{Name: "phone"}, ClientID: "app"})
	m.pass(m.now().Add(2 * time.Millisecond))
	laptop := m.logIn(s, session.Login{Device: session.Device{Name: "laptop"}})
	m.pass(m.now().Add(2 * time.Millisecond))
	gone := m.logIn(s, session.Login{Device: session.Device{Name: "gone"}})
	if m.failed() {
		return
	}
	token, err := s.access(m.ctx, phone)
	m.must("the access token", err)
	goneToken, err := s.access(m.ctx, gone)
	m.must("the access token", err)
	// The blacklist ends a session, and the row knows nothing of it.
	m.must("RevokeSession", s.authority.Validator.RevokeSession(m.ctx, goneToken))
	if m.failed() {
		return
	}
	page, err := s.manager.List(m.ctx, token, "")
	var names []string
	for _, info := range page.Sessions {
		names = append(names, fmt.Sprint(info.Device.Name, " ", info.Current, " ", info.ClientID, " ", info.Subject == s.user))
	}
	if err != nil || fmt.Sprintf("%q", names) != `["laptop false  true" "phone true app true"]` {
		m.fail("List returned %q, error %v", names, err)
	}
	if _, err := s.manager.List(m.ctx, token, "no position"); !errors.Is(err, session.ErrPosition) {
		m.fail("List with another text than a position returned the error %v, want ErrPosition", err)
	}
	for _, id := range []string{"", "unknown"} {
		if err := s.manager.EndByID(m.ctx, s.user, id); !errors.Is(err, session.ErrNotFound) {
			m.fail("EndByID of a session that is not there returned the error %v, want ErrNotFound", err)
		}
	}
	if err := s.manager.EndByID(m.ctx, "stranger", m.rowOf(s, laptop).ID); !errors.Is(err, session.ErrNotFound) {
		m.fail("EndByID of another subject's session returned the error %v, want ErrNotFound", err)
	}
	m.expectLives("ended by a stranger", s, laptop)
	m.manyListed(s)
}

// manyListed lists and ends 250 sessions.
func (m *managerHarness) manyListed(s *service) {
	const sessions = 250
	m.nextUser(s)
	caller := m.logIn(s, session.Login{})
	template := m.rowOf(s, caller)
	if m.failed() {
		return
	}
	rows := make([]session.Row, sessions)
	for i := range rows {
		rows[i] = template
		rows[i].ID, rows[i].Began = fmt.Sprint(idMarker, i), template.Began.Add(time.Duration(i-sessions)*time.Second)
	}
	for part := range slices.Chunk(rows, 50) {
		m.put(part...)
	}
	seen := map[string]int{}
	for position, pages := "", 0; ; pages++ {
		page, err := s.manager.ListOf(m.ctx, s.user, position)
		if err != nil || len(page.Sessions) > 100 || pages > 2*sessions {
			m.fail("page %d has %d sessions, error %v", pages, len(page.Sessions), err)
			return
		}
		for _, info := range page.Sessions {
			seen[info.ID]++
		}
		if position = page.Next; position == "" {
			break
		}
	}
	if len(seen) != sessions+1 {
		m.fail("%d sessions are listed, want %d", len(seen), sessions+1)
	}
	m.endOthers(s, caller)
	if left := m.listAll(template.Subject, 100); len(left) != 1 || left[0].ID != template.ID {
		m.fail("%d sessions are left after EndOthers, want that of the caller", len(left))
	}
	for _, row := range rows {
		revoked, err := s.authority.Validator.IsRevoked(m.ctx, identityOf(row))
		if err != nil || !revoked {
			m.fail("a session that EndOthers ended is revoked: %t, error %v", revoked, err)
			return
		}
	}
	m.expectLives("the caller of EndOthers", s, caller)
}

// unnumbered refreshes with tokens that the issuer made without a manager.
func unnumbered(m *managerHarness) {
	strict, s := m.service(), m.service(session.WithUnnumberedTokens())
	issue := func() security.TokenPair {
		pair, err := s.authority.Issuer.IssueTokenPair(m.ctx, s.user, nil, nil)
		m.must("IssueTokenPair", err)
		return pair
	}
	first := issue()
	m.expectError("a token without a generation", strict, first, security.ErrInvalidToken)
	pairs, errs := m.atOnce(s, first)
	if len(errs) > 0 || len(pairs) != refreshers {
		m.fail("%d of %d first uses at once were answered, first error: %v", len(pairs), refreshers, append(errs, nil)[0])
		return
	}
	for _, pair := range pairs {
		m.expectSuccessor("first uses at once", pair, pairs[0])
	}
	if got := m.generation(s, pairs[0]); got != 1 {
		m.fail("the successor of a token without a generation has the generation %d, want 1", got)
	}
	if n := len(m.listAll(m.owner(), 10)); n != 1 {
		m.fail("%d sessions are listed after a first use, want 1", n)
	}
	m.rotatedAgo(s, pairs[0], time.Hour)
	m.expectError("a second use after the grace", s, first, security.ErrTokenRevoked)
	m.expectDead("reused", s, pairs[0])

	// The other sessions may have no row, so the caller gets a new one.
	m.nextUser(s)
	caller, other := m.logIn(s, session.Login{}), issue()
	m.pass(m.now().Add(1100 * time.Millisecond)) // the start of a session without a row is in seconds
	if m.failed() {
		return
	}
	token, err := s.access(m.ctx, caller)
	m.must("the access token", err)
	pair, err := s.manager.EndOthers(m.ctx, token)
	if err != nil || pair == nil {
		m.fail("EndOthers returned no tokens, error %v", err)
		return
	}
	m.expectLives("the new session of the caller", s, *pair)
	m.expectDead("the session of the caller before", s, caller)
	m.expectDead("a session without a row", s, other)
}
