package sessiontest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/session"
)

// resent has the store make every transaction twice.
func resent(m *managerHarness) {
	s := m.service(session.WithLimit(2, session.EndOldest))
	s.probe.setResend(true)
	first := m.logIn(s, session.Login{})
	second := m.refresh(s, first)
	if got := m.generation(s, second); got != 2 || m.rowOf(s, first).Generation != 2 {
		m.fail("a rotation that was made twice yields the generation %d, the row has %d; want 2", got, m.rowOf(s, first).Generation)
	}
	m.expectSuccessor("a repeat that was made twice", m.refresh(s, first), second)

	strict := m.service(session.WithGrace(0))
	strict.probe.setResend(true)
	m.nextUser(strict)
	m.expectLives("a rotation that was made twice, without a grace", strict, m.refresh(strict, m.logIn(strict, session.Login{})))

	other := m.logIn(s, session.Login{})
	m.expectLives("a log-in that was made twice counts once", s, second)
	m.endOthers(s, other)
	m.expectLives("the caller of EndOthers", s, other)
	m.expectDead("another session than that of the caller", s, second)

	m.rotatedAgo(s, other, time.Hour)
	m.expectError("a reuse that was noticed twice", s, other, security.ErrTokenRevoked)
	m.expectDead("reused", s, other)

	last := m.logIn(s, session.Login{})
	m.must("EndAll", s.manager.EndAll(m.ctx, user))
	m.expectDead("ended twice", s, last)
}

// resentLate has the store make a transaction again after another tab has refreshed twice.
func resentLate(m *managerHarness) {
	s := m.service()
	first := m.logIn(s, session.Login{})
	verified, err := s.verify(m.ctx, refreshType, first.Refresh)
	if m.must("the refresh token", err); m.failed() {
		return
	}
	var third security.TokenPair
	s.probe.setBetween(func() { third = m.refresh(s, m.refresh(s, first)) })
	if _, err := s.manager.Refresh(m.ctx, verified, session.Device{}); err != nil && !errors.Is(err, security.ErrUnavailable) {
		m.fail("a rotation that was made again after later ones returned the error %v", err)
	}
	m.expectLives("a rotation was made again after later ones", s, third)
}

// endOthers ends the other sessions than that of the pair.
func (m *managerHarness) endOthers(s *service, pair security.TokenPair) {
	if m.failed() {
		return
	}
	token, err := s.access(m.ctx, pair)
	m.must("the access token", err)
	if m.failed() {
		return
	}
	_, err = s.manager.EndOthers(m.ctx, token)
	m.must("EndOthers", err)
}

// lostReply loses the reply of the store after it wrote a rotation.
func lostReply(m *managerHarness) {
	s := m.service()
	for _, late := range []bool{false, true} {
		first := m.logIn(s, session.Login{})
		verified, err := s.verify(m.ctx, refreshType, first.Refresh)
		if m.must("the refresh token", err); m.failed() {
			return
		}
		s.probe.set(nil, onceAt(1, new(atomic.Int32)))
		_, err = s.manager.Refresh(m.ctx, verified, session.Device{})
		if !errors.Is(err, security.ErrUnavailable) {
			m.fail("the reply was lost: Refresh returned the error %v, want ErrUnavailable", err)
		}
		if late {
			m.awaitMark(s, first)
			m.rotatedAgo(s, first, time.Hour)
		}
		second := m.refresh(s, first)
		if got := m.generation(s, second); got != 2 {
			m.fail("after a lost reply the generation is %d, want 2", got)
		}
		m.expectSuccessor("repeated after a lost reply", m.refresh(s, first), second)
		m.expectLives("after a lost reply", s, second)
	}
}

// awaitMark waits until the manager has noted the failed refresh.
func (m *managerHarness) awaitMark(s *service, pair security.TokenPair) {
	for deadline := time.Now().Add(10 * time.Second); !m.failed(); {
		if m.rowOf(s, pair).Unacknowledged {
			return
		}
		if time.Now().After(deadline) {
			m.fail("the failed refresh was not noted")
		}
	}
}

// onceAt returns a function for a probe that fails at call number k.
func onceAt(k int32, calls *atomic.Int32) func(string) error {
	return func(string) error {
		if calls.Add(1) == k {
			return session.ErrUnavailable
		}
		return nil
	}
}

// operation is one operation of a manager on two sessions.
type operation struct {
	name string
	// run performs it for the first of the sessions, whose tokens are verified.
	run func(m *managerHarness, s *service, access, refresh security.AnyToken) (security.TokenPair, error)
	// ends tells which of the two sessions it ends.
	ends [2]bool
}

func operations() []operation {
	none := security.TokenPair{}
	return []operation{
		{name: "refresh", run: func(m *managerHarness, s *service, _, refresh security.AnyToken) (security.TokenPair, error) {
			return s.manager.Refresh(m.ctx, refresh, session.Device{})
		}},
		{name: "log-in", run: func(m *managerHarness, s *service, _, _ security.AnyToken) (security.TokenPair, error) {
			return s.logIn(m.ctx, session.Login{})
		}},
		{name: "End", ends: [2]bool{true, false}, run: func(m *managerHarness, s *service, access, _ security.AnyToken) (security.TokenPair, error) {
			return none, s.manager.End(m.ctx, access)
		}},
		{name: "EndByID", ends: [2]bool{true, false}, run: func(m *managerHarness, s *service, access, _ security.AnyToken) (security.TokenPair, error) {
			return none, s.manager.EndByID(m.ctx, s.user, access.Session())
		}},
		{name: "EndOthers", ends: [2]bool{false, true}, run: func(m *managerHarness, s *service, access, _ security.AnyToken) (security.TokenPair, error) {
			_, err := s.manager.EndOthers(m.ctx, access)
			return none, err
		}},
		{name: "EndAll", ends: [2]bool{true, true}, run: func(m *managerHarness, s *service, _, _ security.AnyToken) (security.TokenPair, error) {
			return none, s.manager.EndAll(m.ctx, s.user)
		}},
		{name: "Forget", ends: [2]bool{true, true}, run: func(m *managerHarness, s *service, _, _ security.AnyToken) (security.TokenPair, error) {
			return none, s.manager.Forget(m.ctx, s.user)
		}},
	}
}

// errorsInTheMiddle fails each call of each operation, once before the call and once after it.
func errorsInTheMiddle(m *managerHarness) {
	s := m.service()
	for _, op := range operations() {
		for _, lost := range []bool{false, true} {
			for k := int32(1); m.failAt(s, op, k, lost); k++ {
				if k > 50 {
					m.fail("%s makes more than 50 calls", op.name)
				}
			}
		}
	}
}

// failAt fails call number k of the operation. It reports false if there is no such call.
func (m *managerHarness) failAt(s *service, op operation, k int32, lost bool) bool {
	if m.failed() {
		return false
	}
	m.nextUser(s)
	pairs := [2]security.TokenPair{m.logIn(s, session.Login{}), m.logIn(s, session.Login{})}
	access, errA := s.access(m.ctx, pairs[0])
	refresh, errR := s.verify(m.ctx, refreshType, pairs[0].Refresh)
	if m.must("the tokens", errors.Join(errA, errR)); m.failed() {
		return false
	}
	if !m.realClock {
		m.clock.advance(time.Second)
	}
	calls := new(atomic.Int32)
	if lost {
		s.probe.set(nil, onceAt(k, calls))
	} else {
		s.probe.set(onceAt(k, calls), nil)
	}
	got, err := op.run(m, s, access, refresh)
	s.probe.set(nil, nil)
	where := fmt.Sprintf("%s, error at call %d, the reply is lost: %t", op.name, k, lost)
	if err != nil && !errors.Is(err, security.ErrUnavailable) {
		m.fail("%s: got the error %v, want ErrUnavailable", where, err)
	}
	if err != nil && got != (security.TokenPair{}) {
		m.fail("%s: got tokens together with an error", where)
	}
	for i, pair := range pairs {
		if err != nil && !op.ends[i] && (i > 0 || op.name != "refresh") {
			m.expectLives(where+": a session that the operation does not end", s, pair)
		}
	}
	if err != nil {
		if got, err = op.run(m, s, access, refresh); err != nil {
			m.fail("%s: repeated, it returned %v", where, err)
		}
	}
	if got.Refresh.Text() != "" {
		m.expectLives(where+": the tokens that it issued", s, got)
	}
	if op.name == "refresh" && m.generation(s, got) != 2 {
		m.fail("%s: the generation is %d, want 2", where, m.generation(s, got))
	}
	for i, pair := range pairs {
		switch {
		case op.ends[i]:
			m.expectDead(where+": a session that it ended", s, pair)
		case i > 0 || op.name != "refresh":
			m.expectLives(where+": a session that it did not end", s, pair)
		}
	}
	return calls.Load() >= k
}

// nextUser has the service log in a subject without sessions.
func (m *managerHarness) nextUser(services ...*service) {
	m.users++
	for _, s := range services {
		s.user = fmt.Sprint(user, m.users)
	}
}

func loadErrors(m *managerHarness) {
	s := m.service()
	first := m.logIn(s, session.Login{})
	for _, tt := range []struct{ load, want error }{
		{load: errors.New("the database of the application is away"), want: security.ErrUnavailable},
		{load: security.ErrAccessDenied, want: security.ErrAccessDenied},
	} {
		s.setLoad(tt.load)
		m.expectError("the look-up fails", s, first, tt.want)
		if _, err := s.logIn(m.ctx, session.Login{}); !errors.Is(err, tt.want) {
			m.fail("the look-up fails: the log-in returned the error %v, want %v", err, tt.want)
		}
	}
	s.setLoad(nil)
	if row := m.rowOf(s, first); row.Generation != 1 || row.Unacknowledged {
		m.fail("a failing look-up changed the row to generation %d", row.Generation)
	}
	second := m.refresh(s, first)
	s.setLoad(session.ErrSubjectGone)
	if _, err := s.logIn(m.ctx, session.Login{}); !errors.Is(err, security.ErrInvalidCredentials) {
		m.fail("the subject is gone: the log-in returned the error %v, want ErrInvalidCredentials", err)
	}
	m.expectError("the subject is gone", s, second, security.ErrTokenRevoked)
	s.setLoad(nil)
	m.expectDead("the subject is gone", s, second)
	if row := m.rowOf(s, second); row.Reason != session.SubjectGone {
		m.fail("the row has the reason %q", row.Reason)
	}
}

func limits(m *managerHarness) {
	s := m.service(session.WithLimit(2, session.Refuse))
	pairs := []security.TokenPair{m.logIn(s, session.Login{}), m.logIn(s, session.Login{})}
	if _, err := s.logIn(m.ctx, session.Login{}); !errors.Is(err, session.ErrLimit) || !errors.Is(err, security.ErrAccessDenied) {
		m.fail("a log-in above the limit returned the error %v, want ErrLimit", err)
	}
	m.endByID(s, pairs[0])
	pairs = append(pairs[1:], m.logIn(s, session.Login{}))
	for _, pair := range pairs {
		m.expectLives("below the limit", s, pair)
	}

	s = m.service(session.WithLimit(3, session.EndOldest))
	m.nextUser(s)
	pairs = nil
	for range 6 {
		if !m.realClock {
			m.clock.advance(time.Second)
		}
		m.pass(m.now().Add(2 * time.Millisecond)) // the sessions do not begin together
		pairs = append(pairs, m.logIn(s, session.Login{}))
	}
	for i, pair := range pairs {
		if i < 3 {
			m.expectDead("above the limit", s, pair)
		} else {
			m.expectLives("within the limit", s, pair)
		}
	}
	m.limitAtOnce(s)
	m.limitOfRevoked(s, m.service(session.WithLimit(3, session.Refuse)))
}

// limitOfRevoked logs in at the limit when the blacklist alone has ended some of the sessions.
func (m *managerHarness) limitOfRevoked(services ...*service) {
	for _, s := range services {
		m.nextUser(s)
		kept := m.logIn(s, session.Login{})
		for range 2 {
			m.pass(m.now().Add(2 * time.Millisecond)) // the sessions do not begin together
			if revoked := m.logIn(s, session.Login{}); !m.failed() {
				token, err := s.access(m.ctx, revoked)
				m.must("the access token", err)
				m.must("RevokeSession", s.authority.Validator.RevokeSession(m.ctx, token))
			}
		}
		for range 2 {
			m.expectLives("a log-in instead of a session that the blacklist has ended", s, m.logIn(s, session.Login{}))
		}
		m.expectLives("the oldest of the sessions that live", s, kept)
		if m.failed() {
			return
		}
		_, err := s.authority.Validator.RevokeSubject(m.ctx, s.user)
		m.must("RevokeSubject", err)
		m.expectDead("cut off", s, kept)
		m.expectLives("a log-in at the limit after a cut-off", s, m.logIn(s, session.Login{}))
	}
}

// limitAtOnce logs in at once, with a limit of 3.
func (m *managerHarness) limitAtOnce(s *service) {
	m.nextUser(s)
	pairs := make([]security.TokenPair, 20)
	m.concurrently(len(pairs), func(i int) (err error) {
		pairs[i], err = s.logIn(m.ctx, session.Login{})
		return err
	})
	if m.failed() {
		return
	}
	live := 0
	for _, pair := range pairs {
		if s.checkLives(m.ctx, pair) == nil {
			live++
		} else {
			m.expectDead("above the limit", s, pair)
		}
	}
	if live != 3 {
		m.fail("%d sessions live after 20 log-ins at once, the limit is 3", live)
	}
}

func (m *managerHarness) endByID(s *service, pair security.TokenPair) {
	if row := m.rowOf(s, pair); !m.failed() {
		m.must("EndByID", s.manager.EndByID(m.ctx, s.user, row.ID))
	}
}

// ends performs each operation that ends sessions among three sessions and another subject's.
func ends(m *managerHarness) {
	for _, op := range slices.DeleteFunc(operations(), func(op operation) bool { return op.ends == [2]bool{} }) {
		s := m.service()
		m.nextUser(s)
		stranger := m.logIn(s, session.Login{})
		m.nextUser(s)
		pairs := []security.TokenPair{m.logIn(s, session.Login{}), m.logIn(s, session.Login{}), m.logIn(s, session.Login{})}
		next := m.refresh(s, pairs[1])
		if !m.realClock {
			m.clock.advance(time.Second)
		}
		if m.failed() {
			return
		}
		access, err := s.access(m.ctx, pairs[0])
		m.must("the access token", err)
		for range 2 { // ending what has ended writes the entries again
			_, err = op.run(m, s, access, nil)
			if op.name == "Forget" && errors.Is(err, session.ErrNotFound) {
				err = nil
			}
			if op.name == "EndByID" && errors.Is(err, session.ErrNotFound) {
				err = nil
			}
			m.must(op.name, err)
		}
		for i, pair := range append(pairs, next) {
			if op.ends[min(i, 1)] {
				m.expectDead(op.name, s, pair)
			} else {
				m.expectLives(op.name, s, pair)
			}
		}
		listed := m.listAll(session.Subject{Issuer: issuer, Name: s.user}, 100)
		want := map[string]int{"End": 2, "EndByID": 2, "EndOthers": 1}[op.name]
		if len(listed) != want {
			m.fail("%s: %d sessions are listed, want %d", op.name, len(listed), want)
		}
		m.expectLives(op.name+": the session of another subject", s, stranger)
		m.expectLives(op.name+": a log-in afterwards", s, m.logIn(s, session.Login{}))
	}
}

// cutOffs logs in around each operation that ends all sessions.
func cutOffs(m *managerHarness) {
	s := m.service()
	for _, tt := range []struct {
		name string
		run  func(pair security.TokenPair) error
		kept bool // the session of the pair lives on
	}{
		{name: "EndAll", run: func(security.TokenPair) error { return s.manager.EndAll(m.ctx, s.user) }},
		{name: "EndOthers", kept: true, run: func(pair security.TokenPair) error {
			m.endOthers(s, pair)
			return nil
		}},
		{name: "RevokeSubject", run: func(security.TokenPair) error {
			_, err := s.authority.Validator.RevokeSubject(m.ctx, s.user)
			return err
		}},
		{name: "RevokeAll", run: func(security.TokenPair) error {
			_, err := s.authority.Validator.RevokeAll(m.ctx)
			return err
		}},
	} {
		m.pass(m.now().Add(2 * time.Millisecond)) // after the cut-off before
		before := m.logIn(s, session.Login{})
		opened, err := s.manager.Open(m.ctx, s.user)
		m.must("Open", err)
		if m.failed() {
			return
		}
		m.pass(m.now().Add(2 * time.Millisecond)) // after the start of the sessions
		m.must(tt.name, tt.run(before))
		after := m.logIn(s, session.Login{}) // in the same millisecond, or nearly
		if _, err := opened.Begin(m.ctx, session.Login{}); !errors.Is(err, security.ErrInvalidCredentials) {
			m.fail("%s during a log-in: Begin returned the error %v, want ErrInvalidCredentials", tt.name, err)
		}
		m.expectLives(tt.name+": a log-in right afterwards", s, after)
		if tt.kept {
			m.expectLives(tt.name+": the caller", s, before)
		} else {
			m.expectDead(tt.name+": a session from before", s, before)
		}
	}
	m.cutOffsAhead(s)
}

// cutOffsAhead logs in after a machine whose clock is ahead made a cut-off.
func (m *managerHarness) cutOffsAhead(s *service) {
	list := m.apart
	if m.joint {
		list = m.list
	}
	m.nextUser(s)
	for _, tt := range []struct {
		ahead time.Duration
		works bool
	}{{ahead: time.Millisecond, works: true}, {ahead: time.Second, works: true}, {ahead: leeway, works: true}, {ahead: leeway + 10*time.Second}} {
		now := m.readClock()
		r := cutOffOf(session.Row{Subject: session.Subject{Issuer: issuer, Name: s.user}, End: now.Add(long)}, now.Add(tt.ahead))
		if _, err := list.Revoke(m.ctx, r); err != nil {
			m.fail("Revoke: %w", err)
		}
		if tt.works {
			m.expectLives(fmt.Sprint("after a cut-off that is ahead by ", tt.ahead), s, m.logIn(s, session.Login{}))
			continue
		}
		if _, err := s.logIn(m.ctx, session.Login{}); !errors.Is(err, security.ErrUnavailable) {
			m.fail("after a cut-off that is ahead by %s: got the error %v, want ErrUnavailable", tt.ahead, err)
		}
	}
}
