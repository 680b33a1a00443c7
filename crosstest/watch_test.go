package crosstest

import (
	"bufio"
	"context"
	"net/http"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security"
)

// endBound is how long a stream may go on after a revocation. Package security asks the blacklist
// once a second; the rest is for a slow machine.
const endBound = 4 * time.Second

// stream is an open stream of events.
type stream struct {
	t      *testing.T
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

// openStream returns the stream of the token, whose first event it has read.
func (c client) openStream(authorization string) *stream {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	c.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", c.url+"/events", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", authorization)
	w, err := c.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { w.Body.Close() })
	s := &stream{c.t, bufio.NewScanner(w.Body), cancel}
	if w.StatusCode != 200 || s.until("event: seen") != "data: alice" {
		c.t.Fatalf("status %d, or another first event", w.StatusCode)
	}
	return s
}

// until returns the line after the first one that is line, or "" if the stream ends before.
func (s *stream) until(line string) string {
	for s.lines.Scan() {
		if s.lines.Text() == line && s.lines.Scan() {
			return s.lines.Text()
		}
	}
	return ""
}

// TestStreamEndsWithItsToken opens streams and ends their tokens, on every router: by the validator of
// the process, by another process through the blacklist, and by time.
func TestStreamEndsWithItsToken(t *testing.T) {
	f := newFixtureWith(t, []security.Option{security.WithLeeway(0)})
	eachRouter(t, func(t *testing.T, r Router) {
		c := f.start(t, r, service.Server{}, Options{})
		for _, tt := range []struct {
			name string
			// lifetime is that of the token, or 0 for the default.
			lifetime time.Duration
			end      func(token security.AnyToken) error
			reason   string
		}{
			{name: "revoked by this process", reason: security.ErrTokenRevoked.Detail(), end: func(token security.AnyToken) error {
				return f.validator.Revoke(t.Context(), token)
			}},
			{name: "revoked by another process", reason: security.ErrTokenRevoked.Detail(), end: func(token security.AnyToken) error {
				_, err := f.validator.Blacklist().Revoke(t.Context(), blacklist.OfToken(token.Identity(), time.Now().Add(time.Hour)))
				return err
			}},
			{name: "expired", lifetime: 2 * time.Second, reason: security.ErrTokenExpired.Detail(), end: func(security.AnyToken) error { return nil }},
		} {
			var options []security.TokenOption
			if tt.lifetime > 0 {
				options = append(options, security.WithLifetime(tt.lifetime))
			}
			issued := f.token(accessType, "alice", options...)
			token, err := f.validator.Verify(t.Context(), accessType, issued.Text())
			if err != nil {
				t.Fatal(err)
			}
			s, other := c.openStream("Bearer "+issued.Text()), c.openStream(f.bearer(accessType, "alice"))
			if err := tt.end(token); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if got := s.until("event: end"); got != "data: "+tt.reason {
				t.Errorf("%s: the stream ended with %q, want %q", tt.name, got, tt.reason)
			}
			if took := time.Since(began); took > tt.lifetime+endBound {
				t.Errorf("%s: the stream went on for %s", tt.name, took)
			}
			rest := 0
			for s.lines.Scan() {
				rest++
			}
			if rest > 1 { // the empty line behind the event
				t.Errorf("%s: %d lines follow the end of the stream", tt.name, rest)
			}
			if got := other.until("event: tick"); got == "" {
				t.Errorf("%s: the stream of another token has ended", tt.name)
			}
			other.cancel()
		}
	})
}

// TestCurlSeesTheEndOfAStream reads a stream with curl, on every router.
func TestCurlSeesTheEndOfAStream(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl on PATH: apt-get install curl")
	}
	f := newFixture(t)
	eachRouter(t, func(t *testing.T, r Router) {
		c := f.start(t, r, service.Server{}, Options{})
		issued := f.token(accessType, "alice")
		token := must(f.validator.Verify(t.Context(), accessType, issued.Text()))(t)
		cmd := exec.CommandContext(t.Context(), curl, "--silent", "--no-buffer", "--max-time", "20", "--header", "Authorization: Bearer "+issued.Text(), c.url+"/events")
		out := must(cmd.StdoutPipe())(t)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s := &stream{t: t, lines: bufio.NewScanner(out)}
		if s.until("event: tick") == "" && !s.lines.Scan() {
			t.Fatal("no event came")
		}
		if err := f.validator.Revoke(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if got, want := s.until("event: end"), "data: "+security.ErrTokenRevoked.Detail(); got != want {
			t.Errorf("curl saw %q at the end, want %q", got, want)
		}
		if err := cmd.Wait(); err != nil || time.Since(began) > endBound {
			t.Errorf("curl ended after %s: %v", time.Since(began), err)
		}
	})
}

// TestStreamsLeaveNothing opens many streams, whose clients go away, on every router. While they are
// open no goroutine stands for the watch of one of them. Afterwards nothing is watched any more.
func TestStreamsLeaveNothing(t *testing.T) {
	const streams = 100
	eachRouter(t, func(t *testing.T, r Router) {
		f := newFixture(t) // its validator watches nothing else
		var closed atomic.Int32
		c := f.start(t, r, service.Server{Closed: func() { closed.Add(1) }}, Options{})
		open := make([]*stream, streams)
		for i := range open {
			open[i] = c.openStream(f.bearer(accessType, "alice"))
		}
		if n := goroutinesIn("propagateCancel"); n > 0 {
			t.Errorf("%d goroutines pass the end of a context on to the watch", n)
		}
		if n := goroutinesIn("watchTable).run("); n != 1 {
			t.Errorf("%d goroutines watch, want 1", n)
		}
		for _, s := range open {
			s.cancel()
		}
		eventually(t, "all streams are closed", func() bool { return closed.Load() == streams })
		eventually(t, "nothing is watched", func() bool { return goroutinesIn("watchTable).run(") == 0 })
	})
}

// goroutinesIn returns the number of goroutines with the function on their stack.
func goroutinesIn(function string) int {
	stacks := make([]byte, 8<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n := 0
	for goroutine := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(goroutine, function) {
			n++
		}
	}
	return n
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after 10 s: %s", what)
		}
	}
}
