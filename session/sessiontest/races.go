package sessiontest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/session"
)

// task is an operation in a race. Every call of the store or the blacklist waits for its turn.
type task struct {
	racer
	service *service
	turn    chan struct{}
	done    bool
	// from and to are the numbers of its first and last turn.
	from, to int
	pair     security.TokenPair
	err      error
}

// racer is what a task does, to the sessions that existed before.
type racer struct {
	name string
	run  func(s *service, pairs []security.TokenPair) (security.TokenPair, error)
	// on is the session that the task uses, by its number, or -1.
	on int
	// ends tells which sessions it ends.
	ends func(i int) bool
	// cuts is set if it ends the sessions of log-ins, too.
	cuts bool
	// offset is the difference of the clock of its process.
	offset time.Duration
}

// schedule makes the tasks take turns in one order. choices are the tasks of the first turns, by
// their number among those that are not done. It returns the choices of all turns, and how many
// there were for each.
func schedule(tasks []*task, pairs []security.TokenPair, choices []int) (taken, options []int) {
	parked := make(chan struct{})
	for _, t := range tasks {
		t.turn, t.done = make(chan struct{}), false
		wait := func(string) error {
			parked <- struct{}{}
			<-t.turn
			return nil
		}
		t.service.probe.setTurns(wait)
		go func() {
			t.pair, t.err = t.run(t.service, pairs)
			t.done = true
			parked <- struct{}{}
		}()
		<-parked // at its first call
	}
	for turn := 0; ; turn++ {
		var ready []*task
		for _, t := range tasks {
			if !t.done {
				ready = append(ready, t)
			}
		}
		if len(ready) == 0 {
			break
		}
		choice := 0
		if turn < len(choices) {
			// With a real clock a task may make fewer calls than before: the search for a cut-off has
			// a step less for some milliseconds.
			choice = min(choices[turn], len(ready)-1)
		}
		taken, options = append(taken, choice), append(options, len(ready))
		t := ready[choice]
		if t.from == 0 {
			t.from = turn + 1
		}
		t.to = turn + 1
		t.turn <- struct{}{}
		<-parked // at its next call, or done
	}
	for _, t := range tasks {
		t.service.probe.setTurns(nil)
	}
	return taken, options
}

// nextChoices returns the choices of the next order, depth first, or nil after the last.
func nextChoices(taken, options []int) []int {
	for i := len(taken) - 1; i >= 0; i-- {
		if taken[i]+1 < options[i] {
			return append(taken[:i:i], taken[i]+1)
		}
	}
	return nil
}

// race runs the racers in every order of their calls, each time with a new subject, and returns the
// number of orders.
func (m *managerHarness) race(racers []racer, options ...session.Option) int {
	tasks := make([]*task, len(racers))
	services := make([]*service, 0, len(racers)+1)
	for i, r := range racers {
		tasks[i] = &task{racer: r, service: m.serviceAt(r.offset, options...)}
		services = append(services, tasks[i].service)
	}
	judge := m.service(options...)
	services = append(services, judge)
	orders := 0
	for choices := []int{}; choices != nil && !m.failed(); orders++ {
		m.nextUser(services...)
		pairs := []security.TokenPair{m.logIn(judge, session.Login{})}
		m.pass(m.now().Add(time.Millisecond)) // the sessions have an order, whatever their ids are
		pairs = append(pairs, m.logIn(judge, session.Login{}))
		if m.failed() {
			return orders
		}
		m.pass(m.now().Add(2 * time.Millisecond)) // a cut-off covers the sessions
		for _, t := range tasks {
			t.from = 0
		}
		taken, options := schedule(tasks, pairs, choices)
		if err := m.judgeRace(judge, tasks, pairs); err != nil {
			m.fail("%s in the order %v: %w", raceName(racers), taken, err)
		}
		choices = nextChoices(taken, options)
	}
	return orders
}

func raceName(racers []racer) string {
	names := make([]string, len(racers))
	for i, r := range racers {
		names[i] = r.name
	}
	return strings.Join(names, ", ")
}

// judgeRace checks what holds after every order:
//
//   - An operation that ends sessions returns nil, unless another one ended the session that it uses.
//   - A session that a task ended is dead: no token of it is accepted, nor those that a refresh
//     yielded meanwhile.
//   - Every other session lives: its tokens and those that a refresh yielded are accepted, and their
//     refresh yields a successor. Its refreshes during the race were answered.
//   - A log-in that was answered lives or is dead as a whole. It lives if it began after all that
//     cuts it off was done, and is dead if something cut it off after it was answered. It fails, with
//     ErrInvalidCredentials, only if something that cuts it off ran meanwhile.
//   - A log-in after the race lives.
func (m *managerHarness) judgeRace(s *service, tasks []*task, pairs []security.TokenPair) error {
	ended := make([]bool, len(pairs))
	for i := range pairs {
		for _, t := range tasks {
			// A task whose session was ended before it ran ends nothing.
			if t.err == nil && t.ends != nil && t.ends(i) {
				ended[i] = true
			}
		}
	}
	for _, t := range tasks {
		switch {
		case t.err == nil:
		case t.on >= 0 && ended[t.on] && refused(t.err):
		case t.on < 0 && t.ends == nil && errors.Is(t.err, security.ErrInvalidCredentials) && overlapped(t, tasks):
		default:
			return fmt.Errorf("%s: %w", t.name, t.err)
		}
	}
	for i, pair := range pairs {
		all := []security.TokenPair{pair}
		for _, t := range tasks {
			if t.on == i && t.ends == nil && t.err == nil {
				all = append(all, t.pair)
			}
		}
		for k, pair := range all {
			if err := m.judgeSession(s, pair, ended[i]); err != nil {
				return fmt.Errorf("session %d, pair %d: %w", i, k, err)
			}
		}
		for _, pair := range all[min(2, len(all)):] {
			if err := sameSuccessor(pair, all[1]); err != nil && !ended[i] {
				return err
			}
		}
	}
	for _, t := range tasks {
		if t.on < 0 && t.ends == nil && t.err == nil {
			if err := m.judgeLogIn(s, t, tasks); err != nil {
				return err
			}
		}
	}
	after, err := s.logIn(m.ctx, session.Login{})
	if err != nil {
		return fmt.Errorf("a log-in after the race: %w", err)
	}
	return s.checkLives(m.ctx, after)
}

func (m *managerHarness) judgeSession(s *service, pair security.TokenPair, ended bool) error {
	if ended {
		return s.checkDead(m.ctx, pair)
	}
	return s.checkLives(m.ctx, pair)
}

func (m *managerHarness) judgeLogIn(s *service, logIn *task, tasks []*task) error {
	mustLive, mustDie := true, false
	for _, t := range tasks {
		if t.cuts {
			mustLive = mustLive && t.to < logIn.from
			mustDie = mustDie || t.from > logIn.to
		}
	}
	lives, dead := s.checkLives(m.ctx, logIn.pair), s.checkDead(m.ctx, logIn.pair)
	switch {
	case lives != nil && dead != nil:
		return fmt.Errorf("a log-in neither lives (%w) nor is dead (%w)", lives, dead)
	case mustLive && lives != nil:
		return fmt.Errorf("a log-in after everything was ended: %w", lives)
	case mustDie && dead != nil:
		return fmt.Errorf("a log-in before everything was ended: %w", dead)
	}
	return nil
}

// overlapped reports whether something that cuts the log-in off ran during it.
func overlapped(logIn *task, tasks []*task) bool {
	for _, t := range tasks {
		if t.cuts && t.from < logIn.to && t.to > logIn.from {
			return true
		}
	}
	return false
}

func (m *managerHarness) racers() map[string]racer {
	access := func(s *service, pair security.TokenPair, f func(security.AnyToken) error) (security.TokenPair, error) {
		token, err := s.access(m.ctx, pair)
		if err != nil {
			return security.TokenPair{}, err
		}
		return security.TokenPair{}, f(token)
	}
	first := func(i int) bool { return i == 0 }
	others := func(i int) bool { return i != 0 }
	all := func(int) bool { return true }
	list := []racer{
		{name: "refresh", on: 0, run: func(s *service, pairs []security.TokenPair) (security.TokenPair, error) {
			return s.refresh(m.ctx, pairs[0].Refresh, session.Device{})
		}},
		{name: "refresh of the other", on: 1, run: func(s *service, pairs []security.TokenPair) (security.TokenPair, error) {
			return s.refresh(m.ctx, pairs[1].Refresh, session.Device{})
		}},
		{name: "log-in", on: -1, run: func(s *service, _ []security.TokenPair) (security.TokenPair, error) {
			return s.logIn(m.ctx, session.Login{})
		}},
		{name: "End", on: 0, ends: first, run: func(s *service, pairs []security.TokenPair) (security.TokenPair, error) {
			return access(s, pairs[0], func(token security.AnyToken) error { return s.manager.End(m.ctx, token) })
		}},
		{name: "EndOthers", on: 0, ends: others, cuts: true, run: func(s *service, pairs []security.TokenPair) (security.TokenPair, error) {
			return access(s, pairs[0], func(token security.AnyToken) error {
				_, err := s.manager.EndOthers(m.ctx, token)
				return err
			})
		}},
		{name: "EndAll", on: -1, ends: all, cuts: true, run: func(s *service, _ []security.TokenPair) (security.TokenPair, error) {
			return security.TokenPair{}, s.manager.EndAll(m.ctx, s.user)
		}},
		{name: "RevokeSubject", on: -1, ends: all, cuts: true, run: func(s *service, _ []security.TokenPair) (security.TokenPair, error) {
			_, err := s.authority.Validator.RevokeSubject(m.ctx, s.user)
			return security.TokenPair{}, err
		}},
	}
	byName := map[string]racer{}
	for _, r := range list {
		byName[r.name] = r
	}
	return byName
}

func races(m *managerHarness) {
	m.raceAll([][]string{
		{"refresh", "refresh"}, {"refresh", "End"}, {"refresh", "EndOthers"}, {"refresh of the other", "EndOthers"}, {"refresh", "EndAll"},
		{"refresh", "RevokeSubject"}, {"End", "End"}, {"End", "EndOthers"}, {"End", "EndAll"}, {"EndAll", "EndAll"}, {"EndAll", "RevokeSubject"},
		{"log-in", "EndAll"}, {"log-in", "EndOthers"}, {"log-in", "RevokeSubject"}, {"log-in", "End"}, {"log-in", "refresh"}, {"log-in", "log-in"},
	})
	m.raceLimit(session.Refuse)
	m.raceLimit(session.EndOldest)
	m.raceEndOthers()
}

// racesOfClocks has operations in processes whose clocks are 1.6 seconds apart.
func racesOfClocks(m *managerHarness) {
	racers := m.racers()
	for _, names := range [][2]string{{"log-in", "EndAll"}, {"log-in", "EndOthers"}, {"refresh", "EndAll"}, {"refresh", "refresh"}} {
		for _, offset := range []time.Duration{-800 * time.Millisecond, 800 * time.Millisecond} {
			one, other := racers[names[0]], racers[names[1]]
			one.offset, other.offset = offset, -offset
			m.race([]racer{one, other})
		}
	}
}

func racesOfThree(m *managerHarness) {
	m.raceAll([][]string{
		{"refresh", "refresh", "refresh"}, {"refresh", "refresh", "End"}, {"refresh", "refresh of the other", "EndOthers"},
	})
	if m.allRaces {
		m.raceAll([][]string{
			{"refresh", "End", "EndOthers"}, {"log-in", "EndOthers", "refresh"}, {"log-in", "EndAll", "refresh"}, {"log-in", "RevokeSubject", "EndOthers"},
		})
	}
}

func (m *managerHarness) raceAll(names [][]string) {
	racers := m.racers()
	for _, group := range names {
		list := make([]racer, len(group))
		for i, name := range group {
			list[i] = racers[name]
		}
		if n := m.race(list); n < 2 && !m.failed() {
			m.fail("%v ran in %d orders", group, n)
		}
	}
}

// raceLimit has two log-ins where one session is allowed.
func (m *managerHarness) raceLimit(full session.WhenFull) {
	tasks := make([]*task, 2)
	for i := range tasks {
		tasks[i] = &task{racer: m.racers()["log-in"], service: m.service(session.WithLimit(1, full))}
	}
	judge := m.service()
	for choices := []int{}; choices != nil && !m.failed(); {
		m.nextUser(tasks[0].service, tasks[1].service, judge)
		taken, options := schedule(tasks, nil, choices)
		live, limited := 0, 0
		for _, t := range tasks {
			switch {
			case errors.Is(t.err, session.ErrLimit):
				limited++
			case t.err != nil:
				m.fail("two log-ins with a limit of one, in the order %v: %w", taken, t.err)
			case judge.checkLives(m.ctx, t.pair) == nil:
				live++
			default:
				m.expectDead("a log-in above the limit", judge, t.pair)
			}
		}
		if live != 1 || (limited == 1) != (full == session.Refuse) {
			m.fail("two log-ins with a limit of one, in the order %v: %d live, %d were refused", taken, live, limited)
		}
		choices = nextChoices(taken, options)
	}
}

// raceEndOthers has two sessions that end each other. One lives on.
func (m *managerHarness) raceEndOthers() {
	tasks := make([]*task, 2)
	for i := range tasks {
		tasks[i] = &task{service: m.service(), racer: racer{on: i, run: func(s *service, pairs []security.TokenPair) (security.TokenPair, error) {
			token, err := s.access(m.ctx, pairs[i])
			if err == nil {
				_, err = s.manager.EndOthers(m.ctx, token)
			}
			return security.TokenPair{}, err
		}}}
	}
	judge := m.service()
	for choices := []int{}; choices != nil && !m.failed(); {
		m.nextUser(tasks[0].service, tasks[1].service, judge)
		pairs := []security.TokenPair{m.logIn(judge, session.Login{})}
		m.pass(m.now().Add(time.Millisecond)) // the sessions have an order, whatever their ids are
		pairs = append(pairs, m.logIn(judge, session.Login{}))
		taken, options := schedule(tasks, pairs, choices)
		live := 0
		for i, t := range tasks {
			lives := judge.checkLives(m.ctx, pairs[i]) == nil
			if lives {
				live++
			} else {
				m.expectDead(fmt.Sprintf("ended by the other session in the order %v", taken), judge, pairs[i])
			}
			if t.err != nil && (lives || !refused(t.err)) {
				m.fail("two sessions that end each other, in the order %v: EndOthers returned %v, the session lives: %t", taken, t.err, lives)
			}
		}
		if live != 1 {
			m.fail("two sessions that end each other, in the order %v: %d live, want 1", taken, live)
		}
		choices = nextChoices(taken, options)
	}
}
