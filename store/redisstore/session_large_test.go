package redisstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/session"
)

const manySessions = 100_000

// TestSubjectWithManySessions lists, reads, ends and forgets the 100,000 sessions of a subject. It
// logs the longest scripts, by the clock: on a busy machine the server waits for a processor too.
func TestSubjectWithManySessions(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t), WithTimeouts(20*time.Second, 20*time.Second))
	subject := benchSubject(0)
	resetScripts(srv)
	phase := func(name string) {
		t.Logf("%s: the longest script took %d us", name, longestScript(t, srv))
		resetScripts(srv)
	}
	fill(t, s, manySessions, func(int) session.Subject { return subject })
	phase("begin")

	position, seen := "", 0
	for {
		rows, next, err := s.List(t.Context(), subject, position, 100)
		if err != nil {
			t.Fatal(err)
		}
		seen += len(rows)
		if position = next; next == "" {
			break
		}
	}
	if seen != manySessions {
		t.Errorf("the pages have %d rows", seen)
	}
	phase("list")

	err := s.Update(t.Context(), subject, func(tx session.Tx) error {
		rows, err := tx.Live(1000)
		if len(rows) != 1000 {
			t.Errorf("Live returned %d rows", len(rows))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	phase("live")

	begun := time.Now()
	ended, trips := 0, srvCalls(t, srv)
	for ended < manySessions/10 {
		rows, _, err := s.List(t.Context(), subject, "", 100)
		if err != nil || len(rows) == 0 {
			t.Fatal(len(rows), err)
		}
		err = s.Update(t.Context(), subject, func(tx session.Tx) error {
			for _, listed := range rows {
				row, _, err := tx.Session(listed.ID)
				if err != nil {
					return err
				}
				row.Ended = tx.Now()
				if err := tx.Put(row); err != nil {
					return err
				}
				id := blacklist.Identity{Issuer: subject.Issuer, Subject: subject.Name, Session: row.ID}
				if err := tx.(session.BlacklistTx).Revoke(blacklist.OfSession(id, row.KeepUntil())); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ended += len(rows)
	}
	// Of each page: one script of List, four reads (two rows, one page, a row or none) and the commit.
	if trips = srvCalls(t, srv) - trips; trips > 7*manySessions/10/100 {
		t.Errorf("%d scripts ended %d sessions", trips, ended)
	}
	t.Logf("%d sessions ended in %v", ended, time.Since(begun).Round(time.Millisecond))
	phase("end 100 in one step")

	if err := s.Forget(t.Context(), subject); err != nil {
		t.Fatal(err)
	}
	phase("forget")
	if rows, next, err := s.List(t.Context(), subject, "", 100); len(rows) > 0 || next != "" || err != nil {
		t.Errorf("after Forget: %d rows, %q, %v", len(rows), next, err)
	}
}

// srvCalls returns how many scripts the server has run.
func srvCalls(t *testing.T, srv *redistest.Server) (calls int64) {
	t.Helper()
	stats := parseInfo(srv.Do("INFO", "commandstats").(string))
	for _, name := range []string{"cmdstat_evalsha", "cmdstat_eval"} {
		var n int64
		_, _ = fmt.Sscanf(stats[name], "calls=%d,", &n)
		calls += n
	}
	return calls
}

// TestDeadSessionsLeaveTheIndexes: the indexes of a subject that only ever begins sessions do not
// grow for ever, and Live does not read sessions that are long over.
func TestDeadSessionsLeaveTheIndexes(t *testing.T) {
	srv := redistest.Start(t)
	client := srv.Client(t)
	now := &clock{}
	hook := &moved{clock: now.now}
	client.AddHook(hook)
	s := open(t, client, WithTimeouts(20*time.Second, 20*time.Second))
	subject := benchSubject(0)
	keys := s.layout.session(subject)
	for i := range 500 {
		row := benchRow(subject, benchSession(i), now.now())
		row.End, row.IdleDeadline = row.Began.Add(time.Hour), row.Began.Add(10*time.Minute)
		if err := begin(t.Context(), s, row); err != nil {
			t.Fatal(err)
		}
		now.add(time.Minute)
	}
	live, all, rows := srv.Do("ZCARD", keys.keys[2]).(int64), srv.Do("ZCARD", keys.keys[3]).(int64), srv.Do("HLEN", keys.keys[1]).(int64)
	// Live for 10 minutes, kept for an hour and 15 minutes, a few in between.
	if live > 15 || all > 90 || rows > 91 {
		t.Errorf("after 500 sessions, one a minute: %d in the index by beginning, %d in that by deadline, %d rows", live, all, rows)
	}
	now.add(24 * time.Hour)
	if page, _, err := s.List(t.Context(), subject, "", 100); err != nil || len(page) > 0 {
		t.Errorf("%d rows, %v", len(page), err)
	}
	if live := srv.Do("ZCARD", keys.keys[2]); live != int64(0) {
		t.Errorf("%v dead sessions are in the index after List", live)
	}
}

// TestOwedRowsThatAreGone: a row that is owed and was deleted leaves the list of owed rows.
func TestOwedRowsThatAreGone(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	subject := benchSubject(0)
	row := benchRow(subject, "a", time.Now())
	row.Owed = true
	if err := begin(t.Context(), s, row); err != nil {
		t.Fatal(err)
	}
	if rows, err := s.Owed(t.Context(), 10); err != nil || len(rows) != 1 {
		t.Errorf("%d owed rows, %v", len(rows), err)
	}
	if err := s.Forget(t.Context(), subject); err != nil {
		t.Fatal(err)
	}
	if rows, err := s.Owed(t.Context(), 10); err != nil || len(rows) != 0 {
		t.Errorf("after Forget: %d owed rows, %v", len(rows), err)
	}
	if n := srv.Do("SCARD", s.layout.session(subject).owed); n != int64(0) {
		t.Errorf("%v owed rows are listed after they are gone", n)
	}
}
