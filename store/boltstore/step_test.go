package boltstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// commits returns the number of the newest commit.
func commits(t testing.TB, s *Store) (n int) {
	t.Helper()
	if err := s.db.View(func(tx *bbolt.Tx) error {
		n = tx.ID()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestStepsThatOnlyReadDoNotCommit runs steps that write nothing while the writer waits in a
// commit.
func TestStepsThatOnlyReadDoNotCommit(t *testing.T) {
	s := open(t, newPath(t))
	row := benchRow(benchSubject(1), 1)
	putRows(t, s, row)
	before := commits(t, s)
	entered, proceed := make(chan struct{}), make(chan struct{})
	s.beforeCommit = func() { entered <- struct{}{}; <-proceed }
	var group sync.WaitGroup
	group.Go(func() { revoke(t, s, token("a"), time.Time{}) })
	<-entered
	if got, found := getSession(t, s, row.Subject, row.ID); !found || got.ID != row.ID {
		t.Error("the step finds no session")
	}
	failed := errors.New("the step failed")
	if err := s.Update(t.Context(), row.Subject, func(tx session.Tx) error {
		return errors.Join(tx.SetEpoch(7), failed)
	}); !errors.Is(err, failed) {
		t.Errorf("Update returns %v", err)
	}
	if after := commits(t, s); after != before {
		t.Errorf("%d commits for steps that write nothing", after-before)
	}
	proceed <- struct{}{}
	group.Wait()
}

// TestStepThatPanics panics in the first run of a step, and in the run of the writer: the caller
// gets the panic, nothing is written, and the store works.
func TestStepThatPanics(t *testing.T) {
	s := open(t, newPath(t))
	subject := benchSubject(1)
	value := errors.New("the step panicked")
	for _, panics := range []int{1, 2} {
		runs := 0
		got := func() (got any) {
			defer func() { got = recover() }()
			err := s.Update(t.Context(), subject, func(tx session.Tx) error {
				runs++
				if err := errors.Join(tx.SetEpoch(3), tx.Put(benchRow(subject, 1))); err != nil {
					return err
				}
				if runs == panics {
					panic(value)
				}
				return nil
			})
			t.Errorf("Update returns %v", err)
			return nil
		}()
		if got != value || runs != panics {
			t.Errorf("panic in run %d: recovered %v after %d runs", panics, got, runs)
		}
		if _, found := getSession(t, s, subject, benchRow(subject, 1).ID); found {
			t.Error("a step that panicked has written a row")
		}
	}
	putRows(t, s, benchRow(subject, 2))
	revoke(t, s, token("a"), time.Time{})
}

// TestStepThatEndsTheWriter calls runtime.Goexit in the writer, as FailNow of a test does: Update
// returns an error, and the writer goes on.
func TestStepThatEndsTheWriter(t *testing.T) {
	s := open(t, newPath(t))
	subject := benchSubject(1)
	runs := 0
	err := s.Update(t.Context(), subject, func(tx session.Tx) error {
		if runs++; runs == 2 {
			runtime.Goexit()
		}
		return tx.Put(benchRow(subject, 1))
	})
	if !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("Update returns %v", err)
	}
	putRows(t, s, benchRow(subject, 2))
	if _, found := getSession(t, s, subject, benchRow(subject, 1).ID); found {
		t.Error("the step has written a row")
	}
}

// TestFailedStepLeavesTheOthersOfItsCommit has steps that fail and steps that do not share a
// commit.
func TestFailedStepLeavesTheOthersOfItsCommit(t *testing.T) {
	s := open(t, newPath(t))
	entered, proceed := make(chan struct{}), make(chan struct{})
	s.beforeCommit = func() { entered <- struct{}{}; <-proceed }
	failed := errors.New("the step failed")
	const callers = 20
	var group sync.WaitGroup
	group.Go(func() { revoke(t, s, token("first"), time.Time{}) })
	<-entered
	for i := range callers {
		group.Go(func() {
			subject, runs := benchSubject(i), 0
			err := s.Update(t.Context(), subject, func(tx session.Tx) error {
				if err := errors.Join(tx.SetEpoch(3), tx.Put(benchRow(subject, i))); err != nil {
					return err
				}
				if runs++; runs == 2 && i%2 == 1 {
					return failed
				}
				return nil
			})
			if i%2 == 1 && err != failed || i%2 == 0 && err != nil {
				t.Errorf("step %d: %v", i, err)
			}
		})
	}
	proceed <- struct{}{}
	finished := make(chan struct{})
	go func() { group.Wait(); close(finished) }()
	for done := false; !done; {
		select {
		case <-entered:
			proceed <- struct{}{}
		case <-finished:
			done = true
		}
	}
	for i := range callers {
		if _, found := getSession(t, s, benchSubject(i), benchRow(benchSubject(i), i).ID); found != (i%2 == 0) {
			t.Errorf("step %d: its row is found: %t", i, found)
		}
	}
}

// TestRevocationsGoFirst gathers the requests of both queues: those that revoke go first, and the
// others keep their order.
func TestRevocationsGoFirst(t *testing.T) {
	const n = 6
	s := &Store{urgent: make(chan *request, n), requests: make(chan *request, n)}
	first := &request{}
	ordinary, urgent := []*request{first}, []*request(nil)
	for range n {
		u, o := &request{urgent: true}, &request{}
		s.requests <- o
		s.urgent <- u
		urgent, ordinary = append(urgent, u), append(ordinary, o)
	}
	if got := s.gather([]*request{first}); !slices.Equal(got, append(urgent, ordinary...)) {
		t.Error("the requests have another order")
	}
}

// TestQueueOfEachCall holds the writer, and receives what the calls hand to it.
func TestQueueOfEachCall(t *testing.T) {
	s := open(t, newPath(t))
	entered, proceed := make(chan struct{}), make(chan struct{})
	s.beforeCommit = func() { entered <- struct{}{}; <-proceed }
	var group sync.WaitGroup
	group.Go(func() { revoke(t, s, token("first"), time.Time{}) })
	<-entered
	row := benchRow(benchSubject(1), 1)
	update := func(step func(tx session.Tx) error) func() error {
		return func() error { return s.Update(context.Background(), row.Subject, step) }
	}
	for _, tt := range []struct {
		name   string
		call   func() error
		urgent bool
	}{
		{name: "a refresh", call: update(func(tx session.Tx) error { return tx.Put(row) }), urgent: false},
		{name: "a log-out", call: update(func(tx session.Tx) error {
			return errors.Join(tx.Put(row), tx.(session.BlacklistTx).Revoke(endOf(row)))
		}), urgent: true},
		{name: "Revoke", call: func() error {
			_, err := s.Revoke(context.Background(), endOf(row))
			return err
		}, urgent: true},
		{name: "Forget", call: func() error { return s.Forget(context.Background(), row.Subject) }, urgent: false},
	} {
		group.Go(func() {
			if err := tt.call(); err != nil {
				t.Error(err)
			}
		})
		var q *request
		urgent := false
		select {
		case q = <-s.urgent:
			urgent = true
		case q = <-s.requests:
		}
		if urgent != tt.urgent {
			t.Errorf("%s: urgent = %t, want %t", tt.name, urgent, tt.urgent)
		}
		q.done <- nil
	}
	proceed <- struct{}{}
	group.Wait()
}

// TestStepsOfOneCommitSeeEachOther counts with steps that share commits.
func TestStepsOfOneCommitSeeEachOther(t *testing.T) {
	s := open(t, newPath(t))
	row := benchRow(benchSubject(1), 1)
	putRows(t, s, row)
	before := commits(t, s)
	const callers = 50
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			if err := rotate(t.Context(), s, 1); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got, _ := getSession(t, s, row.Subject, row.ID); got.Generation != 1+callers {
		t.Errorf("generation %d after %d rotations", got.Generation, callers)
	}
	if n := commits(t, s) - before; n > callers/2 {
		t.Errorf("%d commits for %d rotations", n, callers)
	}
}

func TestPutRefusesRowsThatTheStoreCannotFind(t *testing.T) {
	s := open(t, newPath(t))
	other := benchRow(benchSubject(2), 1)
	for _, tt := range []struct {
		name string
		row  session.Row
	}{
		{name: "of another subject", row: other},
		{name: "without an id", row: session.Row{Subject: benchSubject(1)}},
		{name: "with an id too long for bbolt", row: session.Row{Subject: benchSubject(1), ID: strings.Repeat("x", bbolt.MaxKeySize)}},
		{name: "with a text that is not UTF-8", row: session.Row{Subject: benchSubject(1), ID: "a", ClientID: "\xff"}},
	} {
		if err := s.Update(t.Context(), benchSubject(1), func(tx session.Tx) error { return tx.Put(tt.row) }); err == nil {
			t.Errorf("a row %s: no error", tt.name)
		}
	}
	if err := s.Update(t.Context(), benchSubject(1), nil); err == nil {
		t.Error("a nil step: no error")
	}
}

// TestSessionErrors checks the errors of a store that is closed, and their texts.
func TestSessionErrors(t *testing.T) {
	err := sessionError(errRow)
	if !errors.Is(err, session.ErrUnavailable) || !errors.Is(err, blacklist.ErrUnavailable) || !strings.HasPrefix(err.Error(), session.ErrUnavailable.Error()) {
		t.Errorf("%v", err)
	}
	if again := sessionError(fmt.Errorf("wrapped: %w", err)); !strings.HasPrefix(again.Error(), "wrapped") {
		t.Errorf("an error of a session is wrapped again: %v", again)
	}
	s := open(t, newPath(t))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, blacklist.ErrClosed) {
		t.Errorf("Ping of a closed store: %v", err)
	}
}

// TestNoStepRunsAfterUpdateHasReturned cancels the context while a request waits for its commit,
// and while its step runs in the writer.
func TestNoStepRunsAfterUpdateHasReturned(t *testing.T) {
	s := open(t, newPath(t))
	entered, proceed := make(chan struct{}), make(chan struct{})
	s.beforeCommit = func() { entered <- struct{}{}; <-proceed }
	row := benchRow(benchSubject(1), 1)
	for _, tt := range []struct {
		name   string
		during bool // the context ends while the step runs in the writer
		runs   int
	}{
		{name: "waiting", during: false, runs: 1},
		{name: "running", during: true, runs: 2},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		runs, returned := 0, make(chan error, 1)
		go func() {
			returned <- s.Update(ctx, row.Subject, func(tx session.Tx) error {
				if runs++; runs == 2 && tt.during {
					cancel()
					runtime.Gosched() // the caller may leave, and must not
					if len(returned) > 0 {
						t.Errorf("%s: Update returned while its step runs", tt.name)
					}
				}
				return tx.Put(row)
			})
		}()
		<-entered
		if !tt.during {
			cancel()
			if err := <-returned; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: Update returns %v", tt.name, err)
			}
		}
		proceed <- struct{}{}
		if tt.during {
			if err := <-returned; err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("%s: Update returns %v", tt.name, err)
			}
		}
		// The next commit begins after the one above has ended.
		var group sync.WaitGroup
		group.Go(func() { revoke(t, s, token(tt.name), time.Time{}) })
		<-entered
		proceed <- struct{}{}
		group.Wait()
		if runs != tt.runs {
			t.Errorf("%s: the step ran %d times, want %d", tt.name, runs, tt.runs)
		}
	}
}
