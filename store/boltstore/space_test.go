//go:build linux

package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// smallDisk mounts a file system of some MiB and returns a path on it. Other programs fill the rest
// of the disk with fillDisk.
func smallDisk(t *testing.T, mebibytes int) (path string) {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mebibytes)); err != nil {
		t.Skip("this test needs to mount a file system: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "blacklist.db")
}

// fillDisk fills the disk with another file.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path + ".other")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// TestFullDiskIsFreedByExpiry fills a disk with sessions and revocations. When they expire, the
// store removes them on the full disk, and writes work again.
func TestFullDiskIsFreedByExpiry(t *testing.T) {
	for _, tt := range []struct {
		name  string
		other bool // another program fills the disk first
	}{
		{name: "by the store", other: false},
		{name: "by another program", other: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := newTestClock()
			path := smallDisk(t, 6)
			s := open(t, path, WithClock(clock.now))
			until := clock.now().Add(time.Hour)
			log := &diskLog{store: s, until: until, began: clock.now()}
			if err := s.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(log.begin(), log.revoke()); err != nil {
				t.Fatal(err)
			}
			if tt.other {
				fillDisk(t, path)
			}
			// Log-ins fail first, then revocations and refreshes.
			begun := log.untilFull(t, log.begin)
			if err := s.Ping(t.Context()); !errors.Is(err, blacklist.ErrUnavailable) {
				t.Errorf("Ping of a disk without room for a session: %v", err)
			}
			if err := log.refresh(); err != nil {
				t.Error("a refresh fails as soon as log-ins do: ", err)
			}
			revoked := log.untilFull(t, log.revoke)
			t.Logf("%d sessions, then %d more revocations until the disk was full", begun, revoked)
			if revoked < 100 {
				t.Errorf("only %d revocations after log-ins fail", revoked)
			}
			log.check(t, true)

			clock.add(time.Hour + 10*time.Minute) // rows stay for a while after their end
			for range 3 {
				_ = log.begin() // may fail, and removes what it can
				clock.add(period)
			}
			attempts := 0
			for log.begin() != nil {
				if attempts++; attempts > 1000 {
					t.Fatal("the disk stays full: ", log.begin())
				}
			}
			log.until = clock.now().Add(time.Hour)
			if err := errors.Join(s.Ping(t.Context()), log.begin(), log.revoke()); err != nil {
				t.Errorf("after %d attempts: %v", attempts, err)
			}
			t.Logf("writes work after %d attempts", attempts)
			again := log.untilFull(t, log.begin)
			if again < begun/4 {
				t.Errorf("room for %d sessions, there were %d", again, begun)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			log.store = open(t, path, WithClock(clock.now)) // checks the file
			if err := log.revoke(); err != nil && !errors.Is(err, blacklist.ErrUnavailable) {
				t.Error(err)
			}
			if err := log.store.Close(); err != nil { // before the file system is unmounted
				t.Fatal(err)
			}
		})
	}
}

// diskLog writes to a store and remembers what it acknowledged.
type diskLog struct {
	store        *Store
	began, until time.Time
	begun, ended int
}

func (l *diskLog) begin() error {
	row := benchRow(benchSubject(l.begun), l.begun)
	row.End, row.IdleDeadline = l.until, l.until
	err := l.store.Update(context.Background(), row.Subject, func(tx session.Tx) error { return tx.Put(row) })
	if err == nil {
		l.begun++
	}
	return err
}

func (l *diskLog) revoke() error {
	_, err := l.store.Revoke(context.Background(), blacklist.OfToken(l.token(l.ended), l.until))
	if err == nil {
		l.ended++
	}
	return err
}

func (l *diskLog) refresh() error { return rotate(context.Background(), l.store, 0) }

func (l *diskLog) token(i int) blacklist.Identity {
	return blacklist.Identity{Issuer: "v", ID: fmt.Sprint(i), Session: "s", Subject: "u", SessionStart: l.began.Add(time.Second)}
}

// untilFull calls the write until it fails, and returns how often it worked.
func (l *diskLog) untilFull(t *testing.T, write func() error) (n int) {
	t.Helper()
	for {
		err := write()
		if errors.Is(err, errFull) {
			return n
		}
		if err != nil {
			t.Fatalf("after %d writes: %v", n, err)
		}
		if n++; n > 100_000 {
			t.Fatal("the disk does not become full")
		}
	}
}

// check looks up everything that was acknowledged.
func (l *diskLog) check(t *testing.T, want bool) {
	t.Helper()
	for i := range l.ended {
		if revoked(t, l.store, l.token(i)) != want {
			t.Fatalf("token %d of %d: revoked = %t", i, l.ended, !want)
		}
	}
	for i := range l.begun {
		if rows, _, err := l.store.List(t.Context(), benchSubject(i), "", 10); err != nil || len(rows) != 1 {
			t.Fatalf("session %d of %d: %d rows, error %v", i, l.begun, len(rows), err)
		}
	}
}
