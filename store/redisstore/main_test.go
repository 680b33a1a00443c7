package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/session"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	// The client of a Cluster waits 200 ms after it has loaded the slots again, even if it was
	// closed meanwhile. goleak waits longer than that.
	goleak.VerifyTestMain(m)
}

// quiet drops the messages of go-redis about servers that the tests kill.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// open returns a store whose marks are an hour old, so that sessions that begin now are not
// refused.
func open(t testing.TB, client redis.UniversalClient, opts ...Option) *Store {
	t.Helper()
	past := append([]Option{WithLogger(discard())}, opts...)
	past = append(past, WithMissingMark(LogOut), WithClock(func() time.Time { return time.Now().Add(-time.Hour) }))
	if _, err := New(t.Context(), client, past...); err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), client, append([]Option{WithLogger(discard())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// user returns the identity of a token; tokens with the same name are the same token.
func user(name string) blacklist.Identity {
	return blacklist.Identity{
		Issuer: "https://issuer.example", ID: "jti-" + name, Session: "sid-" + name, Subject: "sub-" + name,
		SessionStart: time.Now().Add(-time.Minute),
	}
}

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

func revoke(t testing.TB, s *Store, r blacklist.Revocation) (before bool) {
	t.Helper()
	before, err := s.Revoke(t.Context(), r)
	if err != nil {
		t.Fatalf("Revoke: %v", err)
	}
	return before
}

func isRevoked(t testing.TB, s *Store, id blacklist.Identity) bool {
	t.Helper()
	revoked, err := s.IsRevoked(t.Context(), id)
	if err != nil {
		t.Fatalf("IsRevoked: %v", err)
	}
	return revoked
}

const password = "a-password-that-no-error-may-contain"

// mustBeUnavailable checks an error of the store: it wraps blacklist.ErrUnavailable, and its text
// contains nothing that a client or a log must not see.
func mustBeUnavailable(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, blacklist.ErrUnavailable) || !errors.Is(err, session.ErrUnavailable) {
		t.Fatalf("error %v, want one that wraps blacklist.ErrUnavailable and session.ErrUnavailable", err)
	}
	for _, secret := range []string{"127.0.0.1", "redis://", password, "jti-", "sub-", "sid-", "issuer.example", "{"} {
		if strings.Contains(err.Error(), secret) || strings.Contains(fmt.Sprintf("%+v", err), secret) {
			t.Errorf("the error contains %q: %v", secret, err)
		}
	}
}

// mustFailInTime checks that a look-up and a revocation return errors within their deadlines.
func mustFailInTime(t testing.TB, s *Store, id blacklist.Identity) {
	t.Helper()
	begun := time.Now()
	revoked, err := s.IsRevoked(t.Context(), id)
	if revoked || err == nil {
		t.Fatalf("IsRevoked = %v, %v; want an error", revoked, err)
	}
	mustBeUnavailable(t, err)
	if took := time.Since(begun); took > s.cfg.lookupTimeout+slack {
		t.Errorf("the look-up took %v, its deadline is %v", took, s.cfg.lookupTimeout)
	}
	begun = time.Now()
	before, err := s.Revoke(t.Context(), blacklist.OfToken(id, inAnHour()))
	if before || err == nil {
		t.Fatalf("Revoke = %v, %v; want an error", before, err)
	}
	mustBeUnavailable(t, err)
	if took := time.Since(begun); took > s.cfg.writeTimeout+slack {
		t.Errorf("the revocation took %v, its deadline is %v", took, s.cfg.writeTimeout)
	}
	for name, err := range sessionErrors(t, s) {
		if err == nil {
			t.Fatalf("%s without an error", name)
		}
		mustBeUnavailable(t, err)
	}
}

// sessionErrors calls all methods of a store of sessions and returns their errors. Each has its
// deadline.
func sessionErrors(t testing.TB, s *Store) map[string]error {
	t.Helper()
	subject, errs := benchSubject(-1), make(map[string]error)
	for _, tt := range []struct {
		name string
		call func() error
	}{
		{name: "Update that writes", call: func() error { return begin(t.Context(), s, benchRow(subject, "sid-x", time.Now())) }},
		{name: "Update that reads", call: func() error {
			return s.Update(t.Context(), subject, func(tx session.Tx) error { _, _, err := tx.Session("sid-x"); return err })
		}},
		{name: "List", call: func() error { _, _, err := s.List(t.Context(), subject, "", 10); return err }},
		{name: "Owed", call: func() error { _, err := s.Owed(t.Context(), 10); return err }},
		{name: "Forget", call: func() error { return s.Forget(t.Context(), subject) }},
	} {
		begun := time.Now()
		errs[tt.name] = tt.call()
		if took := time.Since(begun); took > s.cfg.writeTimeout+slack {
			t.Errorf("%s took %v, the deadline is %v", tt.name, took, s.cfg.writeTimeout)
		}
	}
	return errs
}

// slack is how much longer than its deadline a call may take on a busy machine.
const slack = 500 * time.Millisecond

// replicasWait is how long a revocation waits for replicas where the test is not about that. It is
// less than the client's ReadTimeout of 3 s. A replica that is told its master once more connects
// again within a second.
const replicasWait = 2500 * time.Millisecond

// waitUntilWorks waits until look-ups, revocations and Ping succeed again, without a restart.
func waitUntilWorks(t testing.TB, s *Store) {
	t.Helper()
	redistest.Eventually(t, "the store works again", func() error {
		_, err := s.IsRevoked(t.Context(), user("anybody"))
		if err == nil {
			_, err = s.Revoke(t.Context(), blacklist.OfToken(user("somebody"), inAnHour()))
		}
		if err == nil {
			err = s.Ping(t.Context())
		}
		for _, e := range sessionErrors(t, s) {
			err = errors.Join(err, e)
		}
		return err
	})
}

// clock is a clock that tests move.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}
