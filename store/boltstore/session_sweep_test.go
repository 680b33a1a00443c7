package boltstore

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/session"
)

// keysOf returns the numbers of keys in the buckets of the sessions.
func keysOf(t testing.TB, s *Store) (counts sessionCounts, expiry int) {
	t.Helper()
	if err := s.db.View(func(tx *bbolt.Tx) error {
		for name, n := range map[*[]byte]*uint64{
			&rowBucket: &counts.rows, &indexBucket: &counts.open, &owedBucket: &counts.owed, &epochBucket: &counts.epochs,
		} {
			*n = uint64(tx.Bucket(*name).Stats().KeyN)
		}
		expiry = tx.Bucket(sessionExpiryBucket).Stats().KeyN
		return checkSessions(tx)
	}); err != nil {
		t.Fatal(err)
	}
	return counts, expiry
}

func setEpoch(t testing.TB, s *Store, subject session.Subject, epoch uint64) {
	t.Helper()
	if err := s.Update(t.Context(), subject, func(tx session.Tx) error { return tx.SetEpoch(epoch) }); err != nil {
		t.Fatal(err)
	}
}

func getEpochOf(t testing.TB, s *Store, subject session.Subject) (epoch uint64) {
	t.Helper()
	if err := s.Update(t.Context(), subject, func(tx session.Tx) (err error) {
		epoch, err = tx.Epoch()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return epoch
}

// TestWritesRemoveExpiredSessions lets rows and epochs expire: each write removes a bounded number
// of them, and those that must stay stay.
func TestWritesRemoveExpiredSessions(t *testing.T) {
	clock := newTestClock()
	s := open(t, newPath(t), WithClock(clock.now))
	const n = 3 * sweepPerCommit
	begun := clock.now()
	row := func(i int, end time.Duration) session.Row {
		row := benchRow(benchSubject(i), i)
		row.End = begun.Add(end).Truncate(time.Millisecond)
		row.IdleDeadline = row.End
		return row
	}
	for i := range n {
		r := row(i, time.Minute)
		switch i % 3 {
		case 1:
			r.Ended = begun
		case 2:
			r.Ended, r.Owed = begun, true
		}
		putRows(t, s, r)
		if i%4 == 0 {
			setEpoch(t, s, r.Subject, uint64(i)+1)
		}
	}
	prolonged, idle := row(n, time.Minute), row(n+1, 10*time.Hour)
	idle.IdleDeadline = begun.Add(time.Minute)
	putRows(t, s, prolonged)
	prolonged.End = idle.End
	putRows(t, s, prolonged, row(n, 10*time.Hour)) // the second replaces the first
	putRows(t, s, idle)
	setEpoch(t, s, idle.Subject, 5)

	if counts, expiry := keysOf(t, s); uint64(expiry) != counts.rows+counts.epochs {
		t.Errorf("%d keys in the expiry for %+v", expiry, counts)
	}

	clock.add(11*time.Minute + time.Second) // past KeepUntil of the short ones
	believe(t, s, clock)
	last, _ := keysOf(t, s)
	for {
		setEpoch(t, s, idle.Subject, 5)
		counts, _ := keysOf(t, s)
		if last.rows-counts.rows > sweepPerCommit {
			t.Fatalf("one write removed %d rows", last.rows-counts.rows)
		}
		if counts == last {
			break
		}
		last = counts
	}
	if want := (sessionCounts{rows: 2, open: 2, epochs: n/4 + 1}); last != want {
		t.Errorf("left %+v, want %+v", last, want)
	}

	clock.add(35 * time.Minute) // more than an hour after the epochs were set
	believe(t, s, clock)
	for range n / sweepPerCommit {
		putRows(t, s, prolonged)
	}
	if got := getEpochOf(t, s, benchSubject(0)); got != 1 {
		t.Errorf("the epoch is %d within the hour after the last row", got)
	}

	clock.add(time.Hour)
	believe(t, s, clock)
	for range n / sweepPerCommit {
		putRows(t, s, row(n+1, 10*time.Hour))
	}
	counts, expiry := keysOf(t, s)
	if want := (sessionCounts{rows: 2, open: 2, epochs: 1}); counts != want || expiry != 3 {
		t.Errorf("left %+v and %d keys in the expiry, want %+v and 3", counts, expiry, want)
	}
	if got := getEpochOf(t, s, idle.Subject); got != 5 {
		t.Errorf("the epoch of a subject with a row is %d, want 5", got)
	}
}

// TestSweepKeepsRowsInForce gives a row in force a second key in the expiry, with an end that has
// passed: sweeping removes the key and keeps the row.
func TestSweepKeepsRowsInForce(t *testing.T) {
	clock := newTestClock()
	s := open(t, newPath(t), WithClock(clock.now))
	subject := benchSubject(1)
	row := benchRow(subject, 1)
	putRows(t, s, row)
	setEpoch(t, s, subject, 3)
	prefix := subjectKeyOf(subject)
	key := rowKeyOf(subject, prefix, row.ID)
	passed := clock.now().Add(-time.Hour).UnixMilli()
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(sessionExpiryBucket)
		return errors.Join(putSealedKey(b, sessionExpiryKey(passed, rowExpiry, key[:])),
			putSealedKey(b, sessionExpiryKey(passed, epochExpiry, prefix[:])))
	}); err != nil {
		t.Fatal(err)
	}
	believe(t, s, clock)
	revoke(t, s, token("another"), time.Time{}) // sweeps
	if _, expiry := keysOf(t, s); expiry != 2 {
		t.Errorf("%d keys in the expiry, want 2", expiry)
	}
	if _, found := getSession(t, s, subject, row.ID); !found || getEpochOf(t, s, subject) != 3 {
		t.Error("sweeping removed a row or an epoch in force")
	}
}

// TestForgetRemovesManyRows forgets a subject with more rows than one commit removes.
func TestForgetRemovesManyRows(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	subject, other := benchSubject(1), benchRow(benchSubject(2), 0)
	for _, n := range []int{forgetPerCommit - 1, forgetPerCommit, 2*forgetPerCommit + 5} {
		rows := make([]session.Row, n)
		for i := range rows {
			rows[i] = benchRow(subject, i)
			if i%2 == 1 {
				rows[i].Ended, rows[i].Owed = time.Now(), i%4 == 1
			}
		}
		putRows(t, s, rows...)
		putRows(t, s, other)
		setEpoch(t, s, subject, 4)
		if err := s.Forget(t.Context(), subject); err != nil {
			t.Fatal(err)
		}
		counts, expiry := keysOf(t, s)
		if want := (sessionCounts{rows: 1, open: 1, epochs: 1}); counts != want || expiry != 2 {
			t.Errorf("%d rows: left %+v and %d keys in the expiry, want %+v and 2", n, counts, expiry, want)
		}
		if got := getEpochOf(t, s, subject); got != 4 {
			t.Errorf("the epoch is %d after Forget, want 4", got)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

// TestListPassesOverManySessionsThatAreOver lists the newest of more sessions than a page examines;
// all others have passed their idle deadline.
func TestListPassesOverManySessionsThatAreOver(t *testing.T) {
	clock := newTestClock()
	s := open(t, newPath(t), WithClock(clock.now))
	subject := benchSubject(1)
	oldest := benchRow(subject, 0)
	oldest.Began = oldest.Began.Add(-time.Hour)
	rows := []session.Row{oldest}
	for i := range maxExamined + 10 {
		row := benchRow(subject, i+1)
		row.IdleDeadline = clock.now().Add(time.Minute)
		rows = append(rows, row)
	}
	newest := benchRow(subject, len(rows))
	newest.Began = newest.Began.Add(time.Hour)
	putRows(t, s, append(rows, newest)...)
	clock.add(time.Minute)
	var ids []string
	pages := 0
	for position := ""; ; pages++ {
		page, next, err := s.List(t.Context(), subject, position, 100)
		if err != nil || pages > 3 {
			t.Fatal(pages, err)
		}
		for _, row := range page {
			ids = append(ids, row.ID)
		}
		if position = next; next == "" {
			break
		}
	}
	if pages != 1 || len(ids) != 2 || ids[0] != newest.ID || ids[1] != oldest.ID {
		t.Errorf("the sessions %v on %d pages, want 2 on 2 pages", ids, pages+1)
	}
}

// TestOwedReturnsOthersThanThoseThatStay calls Owed with a small limit: in time it returns all
// rows.
func TestOwedReturnsOthersThanThoseThatStay(t *testing.T) {
	s := open(t, newPath(t))
	const n = 8
	for i := range n {
		row := benchRow(benchSubject(i), i)
		row.Ended, row.Owed = time.Now(), true
		putRows(t, s, row)
	}
	seen := map[string]bool{}
	for range 10_000 {
		rows, err := s.Owed(t.Context(), 2)
		if err != nil || len(rows) != 2 {
			t.Fatal(len(rows), err)
		}
		for _, row := range rows {
			seen[row.ID] = true
		}
		if len(seen) == n {
			return
		}
	}
	t.Errorf("only %d of %d rows are returned", len(seen), n)
}

// TestRotationsDoNotGrowTheFile rotates each session many times.
func TestRotationsDoNotGrowTheFile(t *testing.T) {
	const n, rounds = 1000, 20
	s := filledWithSessions(t, n)
	each := bytesInUse(t, s) / n
	size := func() int64 {
		info, err := os.Stat(s.db.Path())
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	round := func() {
		for i := 0; i < n; i += 50 {
			errs := make(chan error, 50)
			for j := range 50 {
				go func() { errs <- rotate(t.Context(), s, i+j) }()
			}
			for range 50 {
				if err := <-errs; err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	round()
	before := size()
	for range rounds {
		round()
	}
	after := bytesInUse(t, s) / n
	t.Logf("%d bytes a session, %d after %d rotations; the file has %d bytes, before %d", each, after, rounds+1, size(), before)
	if after > each*3/2 || size() > before*3/2 {
		t.Error("rotations need space")
	}
	if counts, _ := keysOf(t, s); counts != (sessionCounts{rows: n, open: n}) {
		t.Error(fmt.Sprint(counts))
	}
}
