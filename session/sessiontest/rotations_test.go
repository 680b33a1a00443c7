package sessiontest

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// unreliable returns a run on Memory whose calls fail before or after they have an effect.
func unreliable(t *testing.T, options ...session.Option) (*Rotations, *service) {
	t.Helper()
	store, err := session.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	list, err := blacklist.NewMemory(blacklist.WithLogger(discard))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newService(store, list, false, time.Now, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.manager.Close() })
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(1, 2))
	fail := func(string) error {
		mu.Lock()
		defer mu.Unlock()
		if random.IntN(20) == 0 {
			return session.ErrUnavailable
		}
		return nil
	}
	s.probe.set(fail, fail)
	return rotationsOf(s), s
}

// TestRotationsWithErrors fails one of ten calls, half of them after they had their effect, and all
// calls for a while.
func TestRotationsWithErrors(t *testing.T) {
	t.Parallel()
	run, s := unreliable(t)
	run.Total = 3000
	down := false
	var mu sync.Mutex
	before, after := s.probe.functions()
	s.probe.set(func(call string) error {
		mu.Lock()
		defer mu.Unlock()
		if down {
			return session.ErrUnavailable
		}
		return before(call)
	}, after)
	set := func(value bool) {
		mu.Lock()
		defer mu.Unlock()
		down = value
	}
	run.Fault = func(p *Progress) {
		for i := 1; p.Await(i * 300); i++ {
			set(true)
			select {
			case <-time.After(20 * time.Millisecond): // how long the store is away
			case <-p.Context().Done():
			}
			set(false)
		}
	}
	report := run.Run(t)
	if report.Refreshes < run.Total || report.Repeats == 0 || report.Endings == 0 {
		t.Errorf("the run made too little: %+v", report)
	}
}

// TestRotationsFindFaults runs on services that break their promises.
func TestRotationsFindFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		breakIt func(r *Rotations)
		found   func(report RotationsReport) int
	}{
		{
			name: "log-outs that do nothing",
			breakIt: func(r *Rotations) {
				r.End = func(context.Context, string) error { return nil }
			},
			found: func(report RotationsReport) int { return report.LostEndings },
		},
		{
			name: "a generation that is skipped",
			breakIt: func(r *Rotations) {
				refresh := r.Refresh
				r.Refresh = func(ctx context.Context, token string) (string, error) {
					next, err := refresh(ctx, token)
					if err != nil {
						return "", err
					}
					return refresh(ctx, next)
				}
			},
			found: func(report RotationsReport) int { return report.Forks },
		},
		{
			name: "a repetition that is a reuse",
			breakIt: func(r *Rotations) {
				var mu sync.Mutex
				used, end, refresh := map[string]bool{}, r.End, r.Refresh
				r.Refresh = func(ctx context.Context, token string) (string, error) {
					mu.Lock()
					again := used[token]
					used[token] = true
					mu.Unlock()
					if again {
						_ = end(ctx, token)
					}
					return refresh(ctx, token)
				}
			},
			found: func(report RotationsReport) int { return report.LostSessions },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			run, _ := unreliable(t)
			run.Clients, run.Total = 8, 400
			tt.breakIt(run)
			report, err := run.run()
			if err != nil || tt.found(report) == 0 {
				t.Errorf("the run did not find the fault: %+v, error %v", report, err)
			}
		})
	}
}

// TestRotationsFindALostGrace shows that the second tab of a client is a reuse without a grace.
func TestRotationsFindALostGrace(t *testing.T) {
	t.Parallel()
	run, _ := unreliable(t, session.WithGrace(0))
	run.Clients, run.Total = 8, 1000
	report, err := run.run()
	if err != nil || report.LostSessions == 0 {
		t.Errorf("without a grace no session was lost: %+v, error %v", report, err)
	}
}
