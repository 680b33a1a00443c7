package sessiontest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// Rotations is a run of many clients that refresh while faults happen: a server is killed, paused or
// cut off. Each client repeats a request with the same refresh token until it is answered. The
// clients log out and log in again in between.
//
// Make one with [NewRotations] for a manager of this process, or set the functions for a service of
// another process, such as one that is killed. The functions get and return the text of refresh
// tokens. An error that is security.ErrTokenRevoked or security.ErrTokenExpired is the answer
// 401. Any other error is none, and the client repeats the request.
type Rotations struct {
	LogIn   func(ctx context.Context, subject string) (refresh string, err error)
	Refresh func(ctx context.Context, refresh string) (next string, err error)
	End     func(ctx context.Context, refresh string) error

	// Clients is how many clients there are, 64 by default. Total is how many refreshes they make
	// together, 10,000 by default.
	Clients, Total int
	// Fault makes the faults. It runs beside the clients, and the run ends after it has returned. nil
	// makes none.
	Fault func(p *Progress)
	// Timeout bounds the run, 5 minutes by default.
	Timeout time.Duration
}

// RotationsReport is the result of a run. The last three are 0 for a store that keeps its promises.
type RotationsReport struct {
	// Refreshes is how many refreshes were answered, Repeats how many requests were repeated because
	// they were not answered, LogIns and Endings how many log-ins and log-outs were answered.
	Refreshes, Repeats, LogIns, Endings int
	// LostSessions is how many sessions ended although no refresh token was reused.
	LostSessions int
	// Forks is how many generations had two different successors.
	Forks int
	// LostEndings is how many sessions lived on after an answered log-out.
	LostEndings int
}

// Progress tells a fault how far the run is.
type Progress struct {
	ctx      context.Context
	mu       sync.Mutex
	changed  *sync.Cond
	answered int
	over     bool
}

// Context is done when the run is over.
func (p *Progress) Context() context.Context { return p.ctx }

// Await waits until n refreshes were answered. It reports false if the run is over before.
func (p *Progress) Await(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.answered < n && !p.over {
		p.changed.Wait()
	}
	return p.answered >= n
}

func (p *Progress) add() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered++
	p.changed.Broadcast()
}

func (p *Progress) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.changed.Broadcast()
}

// NewRotations returns a run on a manager of this process, with the store and its blacklist. If the
// store is the blacklist, list is nil.
func NewRotations(t *testing.T, store session.Store, list blacklist.Blacklist, options ...session.Option) *Rotations {
	t.Helper()
	joint := list == nil
	if joint {
		var ok bool
		if list, ok = store.(blacklist.Blacklist); !ok {
			t.Fatal("the store is not a blacklist")
		}
	}
	s, err := newService(store, list, joint, time.Now, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.manager.Close() })
	return rotationsOf(s)
}

func rotationsOf(s *service) *Rotations {
	return &Rotations{
		LogIn: func(ctx context.Context, subject string) (string, error) {
			attempt, err := s.manager.Open(ctx, subject)
			if err != nil {
				return "", err
			}
			pair, err := attempt.Begin(ctx, session.Login{})
			return pair.Refresh.Text(), err
		},
		Refresh: func(ctx context.Context, refresh string) (string, error) {
			token, err := s.authority.Validator.Verify(ctx, refreshType, refresh)
			if err != nil {
				return "", err
			}
			pair, err := s.manager.Refresh(ctx, token, session.Device{})
			return pair.Refresh.Text(), err
		},
		End: func(ctx context.Context, refresh string) error {
			token, err := s.authority.Validator.Verify(ctx, refreshType, refresh)
			if err != nil {
				return err
			}
			return s.manager.End(ctx, token)
		},
	}
}

// Run makes the run. It fails the test if a promise was broken.
func (r *Rotations) Run(t *testing.T) RotationsReport {
	t.Helper()
	report, err := r.run()
	if err != nil {
		t.Error(err)
	}
	t.Logf("%+v", report)
	if report.LostSessions > 0 || report.Forks > 0 || report.LostEndings > 0 {
		t.Errorf("%d sessions ended without a reuse, %d generations have two successors, %d answered log-outs were lost; want 0",
			report.LostSessions, report.Forks, report.LostEndings)
	}
	return report
}

// rotationsRun is the state of a run.
type rotationsRun struct {
	*Rotations
	ctx      context.Context
	progress *Progress
	total    int

	mu         sync.Mutex
	report     RotationsReport
	successors map[string]string // the claims of the successor of each refresh token
	ended      []string          // refresh tokens of answered log-outs
}

var errRunTimeout = errors.New("the run took too long: requests were not answered")

func (r *Rotations) run() (RotationsReport, error) {
	timeout, clients, total := r.Timeout, r.Clients, r.Total
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	if clients == 0 {
		clients = 64
	}
	if total == 0 {
		total = 10_000
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	run := &rotationsRun{Rotations: r, ctx: ctx, progress: &Progress{ctx: ctx}, total: total, successors: map[string]string{}}
	run.progress.changed = sync.NewCond(&run.progress.mu)
	var faults sync.WaitGroup
	if r.Fault != nil {
		faults.Go(func() { r.Fault(run.progress) })
	}
	err := concurrently(clients, run.client)
	run.progress.stop()
	faults.Wait()
	if err == nil {
		err = run.checkEndings()
	}
	return run.report, err
}

// more reports whether the clients go on.
func (r *rotationsRun) more() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.Refreshes < r.total
}

func (r *rotationsRun) count(f func(report *RotationsReport)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.report)
}

// client logs in, refreshes some times, logs out, and so on.
func (r *rotationsRun) client(number int) error {
	random := rand.New(rand.NewPCG(uint64(number), 1))
	subject := fmt.Sprint("client ", number/4) // four clients of one subject
	for r.more() {
		var token string
		err := r.repeat(func() (err error) {
			token, err = r.LogIn(r.ctx, subject)
			return err
		})
		if err != nil {
			return fmt.Errorf("a log-in: %w", err)
		}
		r.count(func(report *RotationsReport) { report.LogIns++ })
		if token, err = r.refreshes(token, 10+random.IntN(60), random); err != nil {
			return err
		}
		if token != "" {
			err = r.end(token)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refreshes refreshes some times. It returns "" if the session was lost.
func (r *rotationsRun) refreshes(token string, times int, random *rand.Rand) (string, error) {
	for range times {
		if !r.more() {
			break
		}
		var next string
		err := r.repeat(func() (err error) {
			next, err = r.Refresh(r.ctx, token)
			return err
		})
		if refused(err) {
			r.count(func(report *RotationsReport) { report.LostSessions++ })
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("a refresh: %w", err)
		}
		if err := r.note(token, next); err != nil {
			return "", err
		}
		r.count(func(report *RotationsReport) { report.Refreshes++ })
		r.progress.add()
		if random.IntN(8) == 0 { // another tab
			if again, err := r.Refresh(r.ctx, token); err == nil {
				if err := r.note(token, again); err != nil {
					return "", err
				}
			}
		}
		token = next
	}
	return token, nil
}

// end logs out. The session is over also if the answer is 401: the repetition of a log-out finds its
// token revoked.
func (r *rotationsRun) end(token string) error {
	err := r.repeat(func() error { return r.End(r.ctx, token) })
	if err != nil && !refused(err) {
		return fmt.Errorf("a log-out: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Endings++
	r.ended = append(r.ended, token)
	return nil
}

// repeat makes the request until it is answered.
func (r *rotationsRun) repeat(request func() error) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := request()
		if err == nil || refused(err) {
			return err
		}
		r.count(func(report *RotationsReport) { report.Repeats++ })
		select {
		case <-r.ctx.Done():
			return errors.Join(errRunTimeout, err)
		case <-time.After(pause):
		}
	}
}

// checkEndings refreshes with the tokens of all answered log-outs.
func (r *rotationsRun) checkEndings() error {
	for _, token := range r.ended {
		err := r.repeat(func() error {
			_, err := r.Refresh(r.ctx, token)
			return err
		})
		switch {
		case err == nil:
			r.report.LostEndings++
		case !refused(err):
			return fmt.Errorf("a refresh after a log-out: %w", err)
		}
	}
	return nil
}

// rotationClaims are the claims that tell two successors apart.
type rotationClaims struct {
	ID       string  `json:"jti"`
	Session  string  `json:"sid"`
	IssuedAt float64 `json:"iat"`
	Expires  float64 `json:"exp"`
}

// note records the successor of a refresh token.
func (r *rotationsRun) note(token, next string) error {
	before, err := claimsOf(token)
	if err != nil {
		return err
	}
	after, err := claimsOf(next)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprint(after)
	known, found := r.successors[before.ID]
	r.successors[before.ID] = text
	if found && known != text || after.generation() != before.generation()+1 {
		r.report.Forks++
	}
	return nil
}

// generation returns the generation in the id, whose layout is that of package session.
func (c rotationClaims) generation() int {
	n, err := strconv.Atoi(strings.TrimPrefix(c.ID, c.Session+"."))
	if err != nil {
		return -1
	}
	return n
}

func claimsOf(token string) (claims rotationClaims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims, errors.New("a refresh token is not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		return claims, errors.New("the payload of a refresh token cannot be read")
	}
	return claims, nil
}
