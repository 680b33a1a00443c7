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

// TestEmptied: however a store is emptied, nobody who was revoked gets in, nobody at all who was logged in, and whoever
// logs in afterwards does.
func TestEmptied(t *testing.T) {
	for name, empty := range map[string]func(*redistest.Server){
		"FLUSHALL":         func(s *redistest.Server) { s.Do("FLUSHALL") },
		"restarted empty":  func(s *redistest.Server) { s.RestartEmpty() },
		"one mark deleted": nil,
	} {
		t.Run(name, func(t *testing.T) {
			srv := redistest.Start(t)
			c := &clock{}
			s := open(t, srv.Client(t), WithClock(c.now), WithClockSkew(0))
			ids := revokeAll(t, s)
			if empty != nil {
				empty(srv)
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
							t.Errorf("%s: revoked, and not revoked after the store was emptied", id.ID)
						}
					}
				})
			}
			wg.Wait()
			works(t, s)
			if empty != nil && !isRevoked(t, s, user("never revoked, logged in before")) {
				t.Error("a session begun before the store was emptied is accepted")
			}
			later := user("logs in afterwards")
			later.SessionStart = c.now().Add(time.Millisecond)
			c.add(time.Second)
			if isRevoked(t, s, later) {
				t.Error("a session begun after the store was emptied is refused")
			}
			// Another process that starts now finds the marks as they are.
			other := open(t, srv.Client(t))
			for _, id := range ids {
				if !isRevoked(t, other, id) {
					t.Errorf("%s: revoked, and not for another process", id.ID)
				}
			}
		})
	}
}

// revokeAll revokes in every way and returns tokens that are all revoked.
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
			revoke(t, s, blacklist.OfSubject(id.Verifier, id.Subject, time.Now(), inAnHour()))
		case 3:
			id.Verifier = "https://distrusted.example"
			ids[i] = id
		}
	}
	revoke(t, s, blacklist.OfVerifier("https://distrusted.example", time.Now(), time.Time{}))
	for _, id := range ids {
		if !isRevoked(t, s, id) {
			t.Fatalf("%s: not revoked", id.ID)
		}
	}
	return ids
}

// TestRefuse: where the operator wants it an emptied store stays unavailable until he says so.
func TestRefuse(t *testing.T) {
	srv := redistest.Start(t)
	s, err := New(t.Context(), srv.Client(t), WithLogger(discard()), WithMissingMark(Refuse), WithClockSkew(0))
	if err != nil {
		t.Fatal(err)
	}
	unavailable := func() {
		t.Helper()
		for range 2 * defaultFailures {
			mustNotKnow(t, s, user("a"))
		}
		mustFail(t, s.Ping(t.Context()))
		if n := srv.Do("DBSIZE"); n != int64(0) {
			t.Errorf("%v keys in a store that waits for its operator", n)
		}
		if _, err := s.IsRevoked(t.Context(), user("a")); errors.Is(err, errOpen) {
			t.Error("the breaker opened: the server works")
		}
	}
	unavailable() // the first start
	if err := s.MakeMarks(t.Context()); err != nil {
		t.Fatal(err)
	}
	later := user("later")
	later.SessionStart = time.Now().Add(time.Second)
	if !isRevoked(t, s, user("a")) || isRevoked(t, s, later) {
		t.Error("wrong answers after the marks were made")
	}
	revoke(t, s, blacklist.OfToken(later, inAnHour()))
	srv.Do("FLUSHALL")
	unavailable()
	// Another process with the default makes the marks for all.
	if _, err := New(t.Context(), srv.Client(t), WithLogger(discard()), WithClockSkew(2*time.Second)); err != nil {
		t.Fatal(err)
	}
	if !isRevoked(t, s, later) {
		t.Error("revoked, and not revoked after the store was emptied")
	}
}

// TestRevokeMakesMark: a revocation that finds its bucket empty does not land beside a missing mark.
func TestRevokeMakesMark(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	srv.Do("FLUSHALL")
	id := user("a")
	if revoke(t, s, blacklist.OfToken(id, inAnHour())) {
		t.Error("in force before, in an empty store")
	}
	if got := srv.Do("EXISTS", s.layout.mark(s.layout.bucket(id))); got != int64(1) {
		t.Error("the bucket has an entry and no mark")
	}
	if !isRevoked(t, s, id) {
		t.Error("not revoked")
	}
}

// TestMarkKept: whoever finds a mark missing and comes second leaves the first's alone.
func TestMarkKept(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	mark := srv.Do("GET", s.layout.mark(7))
	if err := s.makeMarks(t.Context(), []uint8{6, 7, 8}); err != nil {
		t.Fatal(err)
	}
	if got := srv.Do("GET", s.layout.mark(7)); got != mark {
		t.Errorf("the mark was %v and is %v", mark, got)
	}
}

// TestMarkAhead: a session begun by a clock that runs ahead, within the skew, is refused too after the store was emptied.
func TestMarkAhead(t *testing.T) {
	s, err := New(t.Context(), redistest.Start(t).Client(t), WithLogger(discard()), WithClockSkew(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	ahead, after := user("a"), user("b")
	ahead.SessionStart, after.SessionStart = time.Now().Add(50*time.Second), time.Now().Add(70*time.Second)
	if !isRevoked(t, s, ahead) || isRevoked(t, s, after) {
		t.Error("the mark is not ahead by the skew")
	}
}

// TestForeignValues: what this version did not write is neither yes nor no.
func TestForeignValues(t *testing.T) {
	srv := redistest.Start(t)
	client := srv.Client(t)
	s := open(t, client)
	id := user("a")
	b := s.layout.bucket(id)
	mark := s.layout.mark(b)
	token, _ := s.layout.entry(b, blacklist.Token, id)
	subject, _ := s.layout.entry(b, blacklist.Subject, id)
	good := srv.Do("GET", mark)
	for _, c := range []struct{ key, value string }{
		{mark, ""}, {mark, "1"}, {mark, "1:"}, {mark, "1:x"}, {mark, "2:1"}, {mark, "true"}, {mark, "1:1e3"},
		{token, ""}, {token, "1"}, {token, "*"}, {token, "*:"}, {token, "*:-"}, {token, "*:-:"}, {token, "*:x:n"}, {token, "*:1e400:n"},
		{token, "y:-:n"}, {token, "0"}, {token, "false"},
		{subject, "x:-:n"}, {subject, ":-:n"}, {subject, "9999999999999:soon:n"},
	} {
		srv.Do("SET", c.key, c.value)
		if revoked, err := s.IsRevoked(t.Context(), id); err == nil {
			t.Errorf("%q: IsRevoked = %v", c.value, revoked)
		} else {
			mustFail(t, err)
		}
		if c.key == mark && c.value != "1:" && c.value != "1:x" && c.value != "1:1e3" || c.key == token {
			if before, err := s.Revoke(t.Context(), blacklist.OfToken(id, inAnHour())); err == nil {
				t.Errorf("%q: Revoke = %v", c.value, before)
			}
		}
		srv.Do("DEL", token, subject)
		srv.Do("SET", mark, good)
	}
	srv.Do("HSET", token, "a", "b") // MGET reads a key of another type as absent
	if before, err := s.Revoke(t.Context(), blacklist.OfToken(id, inAnHour())); err == nil {
		t.Errorf("a hash: Revoke = %v", before)
	} else {
		mustFail(t, err)
	}
	srv.Do("DEL", token)

	srv.Do("SET", mark, "2:1")
	if _, err := New(t.Context(), client); err == nil {
		t.Error("New accepts marks of another version")
	} else {
		mustFail(t, err)
	}
	mustFail(t, s.Ping(t.Context()))
	srv.Do("SET", mark, good)
	works(t, s)
}
