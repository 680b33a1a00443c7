package main

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/pgtest"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// TestCopiesSeeOtherProcesses logs out at one service. The other one, which looks up in its copy,
// refuses the token, and ends the stream that it serves.
func TestCopiesSeeOtherProcesses(t *testing.T) {
	redis, postgres := redistest.Start(t), pgtest.Shared(t)
	for name, text := range map[string]string{
		"redis":    "redis://" + redis.Addr(),
		"postgres": postgres.DSN(pgtest.User, postgres.NewDatabase(t)),
		"sqlite":   "sqlite:" + filepath.Join(t.TempDir(), "store.db"),
	} {
		t.Run(name, func(t *testing.T) {
			one, two := newAppOn(t, copiedStore(t, text), nil), newAppOn(t, copiedStore(t, text), nil)
			session := one.login("alice", "wonderland")
			two.works(session)
			stream := two.openStream(session.Access)
			if first := stream.next(); first != "event: tick" {
				t.Fatalf("the first line is %q", first)
			}
			one.call("POST", "/logout", session.Refresh, "").want(t, 204, "")
			one.over(session) // at once where it was revoked
			began := time.Now()
			if end := stream.until("event: end"); end == "" {
				t.Error("the stream ended without an event")
			}
			two.over(session)
			if after := time.Since(began); after > 5*time.Second {
				t.Errorf("the stream ended %s after the log-out", after)
			}
		})
	}
}

// copiedStore opens a store as the program does with REPLICA=2s.
func copiedStore(t *testing.T, text string) *store {
	t.Helper()
	s := openTestStore(t, text)
	if err := openReplica(s, "2s", slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReplicaNeedsASharedStore(t *testing.T) {
	for _, text := range []string{"memory:"} {
		if err := openReplica(openTestStore(t, text), "2s", slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s has a copy", text)
		}
	}
	for _, bound := range []string{"2", "1ms", "-2s", "soon"} {
		if err := openReplica(openTestStore(t, "redis://"+redistest.Start(t).Addr()), bound, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("a bound of %q", bound)
		}
	}
}
