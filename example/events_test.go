package main

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestStreamEndsWithItsSession opens a stream and logs out elsewhere.
func TestStreamEndsWithItsSession(t *testing.T) {
	onStores(t, func(t *testing.T, a *app) {
		session := a.login("alice", "wonderland")
		other := a.login("alice", "wonderland")
		stream := a.openStream(session.Access)
		if first := stream.next(); first != "event: tick" {
			t.Fatalf("the first line is %q", first)
		}
		a.call("POST", "/logout", other.Refresh, "").want(t, 204, "")
		if line := stream.until("event: "); line != "event: tick" {
			t.Fatalf("the stream ended with another session: %q", line)
		}
		began := time.Now()
		a.call("POST", "/logout", session.Refresh, "").want(t, 204, "")
		if end := stream.until("event: end"); end == "" {
			t.Fatal("the stream ended without an event")
		}
		if data := stream.next(); data != "data: The token has been revoked." {
			t.Errorf("the reason is %q", data)
		}
		if after := time.Since(began); after > 5*time.Second {
			t.Errorf("the stream ended %s after the log-out", after)
		}
	})
}

func TestStreamNeedsAToken(t *testing.T) {
	a := newApp(t)
	a.call("GET", "/events", "", "").want(t, 401, "Bearer")
}

// stream is an open stream of events.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
}

func (a *app) openStream(token string) stream {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.url+"/events", nil)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = w.Body.Close() })
	if kind := w.Header.Get("Content-Type"); w.StatusCode != 200 || kind != "text/event-stream" {
		a.t.Fatalf("status %d, %s", w.StatusCode, kind)
	}
	return stream{a.t, bufio.NewScanner(w.Body)}
}

// next returns the next line that is not empty, or "" at the end.
func (s stream) next() string { return s.until("") }

// until returns the next line that is not empty and begins with the prefix, or "" at the end.
func (s stream) until(prefix string) string {
	for s.lines.Scan() {
		if line := s.lines.Text(); line != "" && strings.HasPrefix(line, prefix) {
			return line
		}
	}
	return ""
}
