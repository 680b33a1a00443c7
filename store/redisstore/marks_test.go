package redisstore

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// TestEmptiedStoreRefusesOlderSessions: after a store was emptied in any way, no revoked token is
// accepted and no session that began before. Sessions that begin afterwards are accepted.
func TestEmptiedStoreRefusesOlderSessions(t *testing.T) {
	for _, tt := range []struct {
		name  string
		empty func(*redistest.Server) // nil: the marks of the revoked tokens are deleted
	}{
		{name: "FLUSHALL", empty: func(s *redistest.Server) { s.Do("FLUSHALL") }},
		{name: "restart without data", empty: func(s *redistest.Server) { s.RestartEmpty() }},
		{name: "marks deleted", empty: nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := redistest.Start(t)
			c := &clock{}
			s := open(t, srv.Client(t), WithClock(c.now), WithClockSkew(0))
			ids := revokeAll(t, s)
			if tt.empty != nil {
				tt.empty(srv)
			} else {
				for _, id := range ids {
					b := s.layout.bucket(id)
					srv.Do("DEL", s.layout.mark(b))
				}
			}
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for _, id := range ids {
						if revoked, err := s.IsRevoked(t.Context(), id); err == nil && !revoked {
							t.Errorf("%s: a revoked token is accepted after the store was emptied", id.ID)
						}
					}
				})
			}
			wg.Wait()
			waitUntilWorks(t, s)
			if tt.empty != nil && !isRevoked(t, s, user("never revoked")) {
				t.Error("a session that began before the store was emptied is accepted")
			}
			later := user("begins afterwards")
			later.SessionStart = c.now().Add(time.Millisecond)
			c.add(time.Second)
			if isRevoked(t, s, later) {
				t.Error("a session that began after the store was emptied is refused")
			}
			// A process that starts now finds the new marks.
			other := open(t, srv.Client(t))
			for _, id := range ids {
				if !isRevoked(t, other, id) {
					t.Errorf("%s: another process accepts a revoked token", id.ID)
				}
			}
		})
	}
}

// revokeAll revokes tokens with every kind of revocation and returns them.
func revokeAll(t *testing.T, s *Store) []blacklist.Identity {
	t.Helper()
	var ids []blacklist.Identity
	for i := range 40 {
		id := user(fmt.Sprint(i))
		ids = append(ids, id)
		switch i % 4 {
		case 0:
			revoke(t, s, blacklist.OfToken(id, inAnHour()))
		case 1:
			revoke(t, s, blacklist.OfSession(id, inAnHour()))
		case 2:
			revoke(t, s, blacklist.OfSubject(id.Issuer, id.Subject, time.Now(), inAnHour()))
		case 3:
			id.Issuer = "https://distrusted.example"
			ids[i] = id
		}
	}
	revoke(t, s, blacklist.OfIssuer("https://distrusted.example", time.Now(), time.Time{}))
	for _, id := range ids {
		if !isRevoked(t, s, id) {
			t.Fatalf("%s is not revoked", id.ID)
		}
	}
	return ids
}

// TestRefuseWaitsForMakeMarks: with WithMissingMark(Refuse) a new or emptied store is unavailable
// until MakeMarks is called.
func TestRefuseWaitsForMakeMarks(t *testing.T) {
	srv := redistest.Start(t)
	s, err := New(t.Context(), srv.Client(t), WithLogger(discard()), WithMissingMark(Refuse), WithClockSkew(0))
	if err != nil {
		t.Fatal(err)
	}
	unavailable := func() {
		t.Helper()
		for range 2 * defaultFailures {
			mustFailInTime(t, s, user("a"))
		}
		mustBeUnavailable(t, s.Ping(t.Context()))
		if n := srv.Do("DBSIZE"); n != int64(0) {
			t.Errorf("%v keys are in a store without marks", n)
		}
		if _, err := s.IsRevoked(t.Context(), user("a")); errors.Is(err, errBreakerOpen) {
			t.Error("the breaker opened although the server works")
		}
	}
	unavailable() // the first start
	if err := s.MakeMarks(t.Context()); err != nil {
		t.Fatal(err)
	}
	later := user("later")
	later.SessionStart = time.Now().Add(time.Second)
	if !isRevoked(t, s, user("a")) || isRevoked(t, s, later) {
		t.Error("wrong answers after MakeMarks")
	}
	revoke(t, s, blacklist.OfToken(later, inAnHour()))
	srv.Do("FLUSHALL")
	unavailable()
	// Another process with the default makes the marks for all.
	if _, err := New(t.Context(), srv.Client(t), WithLogger(discard()), WithClockSkew(2*time.Second)); err != nil {
		t.Fatal(err)
	}
	if !isRevoked(t, s, later) {
		t.Error("a revoked token is accepted after the store was emptied")
	}
}

// TestRevokeMakesMissingMark: a revocation in an emptied bucket writes the mark together with the
// entry.
func TestRevokeMakesMissingMark(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	srv.Do("FLUSHALL")
	id := user("a")
	if revoke(t, s, blacklist.OfToken(id, inAnHour())) {
		t.Error("Revoke reports true in an empty store")
	}
	if got := srv.Do("EXISTS", s.layout.mark(s.layout.bucket(id))); got != int64(1) {
		t.Error("the bucket has an entry but no mark")
	}
	if !isRevoked(t, s, id) {
		t.Error("the token is not revoked")
	}
}

// TestMakeMarksKeepsExistingMarks: a mark that another process made meanwhile is not replaced.
func TestMakeMarksKeepsExistingMarks(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	mark := srv.Do("GET", s.layout.mark(7))
	if err := s.makeMarks(t.Context(), []uint8{6, 7, 8}); err != nil {
		t.Fatal(err)
	}
	if got := srv.Do("GET", s.layout.mark(7)); got != mark {
		t.Errorf("the mark was %v and is now %v", mark, got)
	}
}

// TestMarkRefusesSessionsUpToItsMillisecond looks up sessions that began around a mark. New makes
// the mark in one case, a revocation in an emptied store in the other.
func TestMarkRefusesSessionsUpToItsMillisecond(t *testing.T) {
	srv := redistest.Start(t)
	now := time.Now().Truncate(time.Millisecond).Add(300 * time.Microsecond)
	for _, skew := range []time.Duration{0, time.Minute} {
		prefix := WithPrefix(fmt.Sprint("skew", skew.Milliseconds()))
		s, err := New(t.Context(), srv.Client(t), WithLogger(discard()), prefix, WithClockSkew(skew),
			WithClock(func() time.Time { return now }))
		if err != nil {
			t.Fatal(err)
		}
		mark := now.Add(skew).Truncate(time.Millisecond)
		check := func(madeBy string) {
			t.Helper()
			for _, tt := range []struct {
				name  string
				start time.Time
				want  bool
			}{
				{name: "unknown start", start: time.Time{}, want: true},
				{name: "an hour before the mark", start: mark.Add(-time.Hour), want: true},
				{name: "the millisecond before the mark", start: mark.Add(-1), want: true},
				{name: "the first nanosecond of the mark's millisecond", start: mark, want: true},
				{name: "the last nanosecond of the mark's millisecond", start: mark.Add(time.Millisecond - 1), want: true},
				{name: "the millisecond after the mark", start: mark.Add(time.Millisecond), want: false},
				{name: "an hour after the mark", start: mark.Add(time.Hour), want: false},
			} {
				id := user("never revoked")
				id.SessionStart = tt.start
				if got := isRevoked(t, s, id); got != tt.want {
					t.Errorf("mark made by %s, skew %v, session begun in %s: revoked = %v, want %v",
						madeBy, skew, tt.name, got, tt.want)
				}
			}
		}
		check("New")
		srv.Do("FLUSHALL")
		another := user("never revoked") // the same bucket
		another.ID, another.Session = "another token", "another session"
		revoke(t, s, blacklist.OfToken(another, inAnHour()))
		check("Revoke")
	}
}

// TestValuesOfAnotherFormatAreErrors: a value that this version did not write is an error, never an
// answer.
func TestValuesOfAnotherFormatAreErrors(t *testing.T) {
	srv := redistest.Start(t)
	client := srv.Client(t)
	s := open(t, client)
	id := user("a")
	b := s.layout.bucket(id)
	mark := s.layout.mark(b)
	token, _ := s.layout.entry(b, blacklist.Token, id)
	subject, _ := s.layout.entry(b, blacklist.Subject, id)
	good, head := srv.Do("GET", mark), s.layout.markHead
	for _, tt := range []struct {
		name        string
		key         string
		values      []string
		revokeFails bool // Revoke of the token fails too
	}{
		{name: "a mark of another version", key: mark, values: []string{"", "1", "3:1", "2:1", "true"}, revokeFails: true},
		{name: "a mark without a time", key: mark, values: []string{head, head + "x", head + "1e3"}},
		{name: "an entry without all parts", key: token, values: []string{"", "1", "*", "*:", "*:-", "*:-:", "*:-:n", "*:-:0123456789_:", "0", "false"}, revokeFails: true},
		{name: "an entry with another end", key: token, values: []string{"*:x:0123456789_:n", "*:1e400:0123456789_:n"}, revokeFails: true},
		{name: "a token's entry with a cut-off", key: token, values: []string{"y:-:0123456789_:n"}, revokeFails: true},
		{name: "a subject's entry with another cut-off", key: subject, values: []string{"x:-:0123456789_:n", ":-:0123456789_:n"}},
		{name: "a subject's entry with another end", key: subject, values: []string{"9999999999999:soon:0123456789_:n"}},
	} {
		for _, value := range tt.values {
			srv.Do("SET", tt.key, value)
			if revoked, err := s.IsRevoked(t.Context(), id); err == nil {
				t.Errorf("%s, %q: IsRevoked = %v without an error", tt.name, value, revoked)
			} else {
				mustBeUnavailable(t, err)
			}
			if tt.revokeFails {
				if before, err := s.Revoke(t.Context(), blacklist.OfToken(id, inAnHour())); err == nil {
					t.Errorf("%s, %q: Revoke = %v without an error", tt.name, value, before)
				}
			}
			srv.Do("DEL", token, subject)
			srv.Do("SET", mark, good)
		}
	}
	srv.Do("HSET", token, "a", "b") // for MGET a key of another type is absent
	if before, err := s.Revoke(t.Context(), blacklist.OfToken(id, inAnHour())); err == nil {
		t.Errorf("an entry that is a hash: Revoke = %v without an error", before)
	} else {
		mustBeUnavailable(t, err)
	}
	srv.Do("DEL", token)

	srv.Do("SET", mark, "3:1")
	if _, err := New(t.Context(), client); err == nil {
		t.Error("New accepts marks of another version")
	} else {
		mustBeUnavailable(t, err)
	}
	mustBeUnavailable(t, s.Ping(t.Context()))
	srv.Do("SET", mark, good)
	waitUntilWorks(t, s)
}
