package sessiontest

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/session"
)

// TestManager tests a [session.Manager] on the store: what each refresh token yields, errors in the
// middle of every operation, and races in every order of their calls. open is that of [TestStore].
//
// The checks run with another blacklist, and again with the store as the blacklist if it is one.
func TestManager(t *testing.T, open func(t *testing.T, clock func() time.Time) session.Store, opts ...Option) {
	t.Helper()
	t.Run("other blacklist", func(t *testing.T) { testManager(t, open, newConfig(opts), false) })
	t.Run("one store", func(t *testing.T) { testManager(t, open, newConfig(opts), true) })
}

func testManager(t *testing.T, open func(t *testing.T, clock func() time.Time) session.Store, cfg config, joint bool) {
	for _, c := range managerChecks {
		t.Run(c.name, func(t *testing.T) {
			if c.moves && cfg.realClock {
				t.Skip("the check moves the clock, and the store has a real one")
			}
			err := c.try(func(clock func() time.Time) session.Store { return open(t, clock) }, cfg, joint)
			if errors.Is(err, errNotJoint) {
				t.Skip(err)
			}
			if err != nil {
				t.Errorf("%s\n%v", c.promise, err)
			}
		})
	}
}

// managerCheck is one promise of the manager and the steps that test it.
type managerCheck struct {
	name    string
	promise string
	moves   bool // needs a clock that the suite moves
	run     func(*managerHarness)
}

// managerHarness is a store with processes that use it.
type managerHarness struct {
	*harness
	joint    bool
	allRaces bool
	apart    blacklist.Blacklist // the blacklist, unless it is the store
	services []*service
	users    int
}

func (c managerCheck) try(open func(clock func() time.Time) session.Store, cfg config, joint bool) error {
	return check{joint: joint, run: func(h *harness) {
		m := &managerHarness{harness: h, joint: joint, allRaces: cfg.allRaces}
		list, err := blacklist.NewMemory(blacklist.WithClock(m.readClock), blacklist.WithLogger(discard))
		h.must("the blacklist", err)
		m.apart = list
		defer func() {
			for _, s := range m.services {
				h.must("Close of the manager", s.manager.Close())
			}
		}()
		c.run(m)
	}}.try(open, cfg)
}

// readClock returns the time of a process whose clock is right.
func (m *managerHarness) readClock() time.Time {
	if m.realClock {
		return time.Now()
	}
	return m.clock.read()
}

// service returns a process.
func (m *managerHarness) service(options ...session.Option) *service {
	return m.serviceAt(0, options...)
}

// serviceAt returns a process whose clock differs by offset.
func (m *managerHarness) serviceAt(offset time.Duration, options ...session.Option) *service {
	list := m.apart
	if m.joint {
		list = m.list
	}
	s, err := newService(m.store, list, m.joint, func() time.Time { return m.readClock().Add(offset) }, options...)
	if err != nil {
		m.fail("the manager: %w", err)
		panic(err) // the options of the suite are valid
	}
	m.services = append(m.services, s)
	return s
}

func (m *managerHarness) owner() session.Subject { return session.Subject{Issuer: issuer, Name: user} }

// logIn begins a session, which must succeed.
func (m *managerHarness) logIn(s *service, login session.Login) security.TokenPair {
	if m.failed() {
		return security.TokenPair{}
	}
	pair, err := s.logIn(m.ctx, login)
	m.must("log-in", err)
	return pair
}

// refresh refreshes, which must succeed.
func (m *managerHarness) refresh(s *service, pair security.TokenPair) security.TokenPair {
	return m.refreshFrom(s, pair, session.Device{})
}

func (m *managerHarness) refreshFrom(s *service, pair security.TokenPair, device session.Device) security.TokenPair {
	if m.failed() {
		return security.TokenPair{}
	}
	next, err := s.refresh(m.ctx, pair.Refresh, device)
	m.must("refresh", err)
	return next
}

// expectError expects that the refresh fails.
func (m *managerHarness) expectError(why string, s *service, pair security.TokenPair, want error) {
	if m.failed() {
		return
	}
	if _, err := s.refreshVerified(m.ctx, pair.Refresh, session.Device{}); !errors.Is(err, want) {
		m.fail("%s: Refresh returned the error %v, want %v", why, err, want)
	}
}

func (m *managerHarness) expectLives(why string, s *service, pair security.TokenPair) {
	if !m.failed() {
		m.must(why, s.checkLives(m.ctx, pair))
	}
}

func (m *managerHarness) expectDead(why string, s *service, pair security.TokenPair) {
	if !m.failed() {
		m.must(why, s.checkDead(m.ctx, pair))
	}
}

func (m *managerHarness) expectSuccessor(why string, got, want security.TokenPair) {
	if !m.failed() {
		m.must(why, sameSuccessor(got, want))
	}
}

// generation returns the generation of the refresh token.
func (m *managerHarness) generation(s *service, pair security.TokenPair) uint32 {
	if m.failed() {
		return 0
	}
	token, err := s.authority.Verifier.Verify(m.ctx, refreshType, pair.Refresh.Text())
	if err != nil {
		m.fail("the refresh token: %w", err)
		return 0
	}
	return token.Generation()
}

// rowOf returns the row of the session.
func (m *managerHarness) rowOf(s *service, pair security.TokenPair) session.Row {
	if m.failed() {
		return session.Row{}
	}
	token, err := s.authority.Verifier.Verify(m.ctx, refreshType, pair.Refresh.Text())
	if err != nil {
		m.fail("the refresh token: %w", err)
		return session.Row{}
	}
	row, found := m.session(session.Subject{Issuer: issuer, Name: s.user}, token.Session())
	if !found {
		m.fail("the session has no row")
	}
	return row
}

// change writes the row of the session with a change.
func (m *managerHarness) change(s *service, pair security.TokenPair, change func(*session.Row)) {
	row := m.rowOf(s, pair)
	if m.failed() {
		return
	}
	change(&row)
	m.put(row)
}

var discard = slog.New(slog.DiscardHandler)

// managerChecks are the promises of the manager.
var managerChecks = []managerCheck{
	{name: "Rotated", promise: "The current refresh token yields the next generation.", run: rotatedCase},
	{name: "Repeated", promise: "The predecessor yields the same successor within the grace.", run: repeatedCase},
	{name: "Unacknowledged", promise: "The predecessor yields the same successor while the client may not have it.", run: unacknowledgedCase},
	{name: "Reused", promise: "An older refresh token ends the session and its access tokens.", run: reusedCase},
	{name: "Ahead", promise: "If the store lost one write, the successor catches up.", run: aheadCase},
	{name: "Over", promise: "A session that is over yields 401.", run: overCase},
	{name: "GraceZero", promise: "Without a grace the predecessor ends the session.", run: graceZero},
	{name: "GraceClock", promise: "The clock of the store measures the grace, whatever the clocks of the processes show.", run: graceClock},
	{name: "Parallel", promise: "A hundred refreshes with one token at once yield one successor, and the session lives.", run: parallel},
	{name: "ParallelGraceZero", promise: "Without a grace one of a hundred refreshes is answered, and the session ends.", run: parallelGraceZero},
	{name: "ThreeTabs", promise: "Three tabs that refresh 0, 1 and 9 seconds apart live for 100 cycles.", moves: true, run: threeTabs},
	{name: "Shadow", promise: "A client that shadows another is reported by its third refresh, and the hook refuses it.", run: shadow},
	{name: "Resent", promise: "A transaction that the store made twice gives its first verdict.", run: resent},
	{name: "ResentLate", promise: "A refresh that the store makes again after later ones is no reuse.", run: resentLate},
	{name: "LostReply", promise: "A refresh whose reply was lost yields the same successor when it is repeated.", run: lostReply},
	{name: "Errors", promise: "An error in the middle of any operation is 503, and the operation can be repeated.", run: errorsInTheMiddle},
	{name: "CutOffs", promise: "A log-in after a cut-off works at once. One that was opened before it fails.", run: cutOffs},
	{name: "Ends", promise: "Each way to end sessions ends those and no other.", run: ends},
	{name: "Lists", promise: "A list has the live sessions, newest first, in pages. Only the subject ends one by its id.", run: lists},
	{name: "Unnumbered", promise: "The first use of a refresh token without a generation makes one session.", run: unnumbered},
	{name: "Load", promise: "A failing look-up of the claims ends no session. A subject that is gone ends it.", run: loadErrors},
	{name: "Limit", promise: "A limit of sessions refuses the next log-in, or ends the oldest session.", run: limits},
	{name: "Races", promise: "Kept sessions work at once and ended ones never again, in every order of the calls of two operations.", run: races},
	{name: "RacesOfClocks", promise: "The same holds for processes whose clocks are apart.", run: racesOfClocks},
	{name: "RacesOfThree", promise: "Kept sessions work at once and ended ones never again, in the orders of the calls of three operations.", run: racesOfThree},
}
