//go:build !race

// The race detector also checks pointer arithmetic. On damaged pages, that of bbolt then ends the
// process instead of panicking. make test runs this file without the race detector.
package boltstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/session"
)

// TestDamagedFile changes bytes and truncates the file at many offsets: Open, look-ups and reads of
// sessions return an error or the right answer.
func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	original := filepath.Join(dir, "original.db")
	s := open(t, original)
	var names []string
	subjects := make([]session.Subject, 40)
	for i := range subjects {
		subjects[i] = benchSubject(i)
		row := benchRow(subjects[i], i)
		row.Owed = i%3 == 0
		putRows(t, s, row)
		setEpoch(t, s, subjects[i], 7)
	}
	for i := range 200 {
		name := fmt.Sprint("token", i)
		names = append(names, name)
	}
	var group sync.WaitGroup
	for _, name := range names {
		group.Go(func() { revoke(t, s, token(name), time.Now().Add(time.Hour)) })
	}
	group.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content := readFile(t, original)
	var refused, answered, unnoticed int
	try := func(content []byte) {
		// Another file each time: after a panic bbolt keeps the lock.
		path := filepath.Join(dir, fmt.Sprint("damaged", refused+answered+unnoticed))
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
		s, err := Open(path)
		if err != nil {
			refused++
			return
		}
		defer s.Close()
		for _, name := range names[:20] {
			switch isRevoked, err := s.IsRevoked(context.Background(), token(name)); {
			case err != nil:
				refused++
			case isRevoked:
				answered++
			default:
				unnoticed++
			}
		}
		for i, subject := range subjects {
			switch whole, err := isWhole(s, subject, i); {
			case err != nil:
				refused++
			case whole:
				answered++
			default:
				unnoticed++
			}
		}
	}
	for size := 0; size < len(content); size += 4096 {
		if size > 0 { // an empty file is a new one
			try(content[:size])
		}
	}
	for i := 0; i < len(content); i += 211 {
		damaged := append([]byte(nil), content...)
		damaged[i] ^= 0x41
		try(damaged)
	}
	t.Logf("%d errors, %d right answers, %d missed revocations", refused, answered, unnoticed)
	if refused == 0 || answered == 0 {
		t.Error("no change was damage, or every change was")
	}
	if unnoticed > 0 {
		t.Errorf("%d look-ups missed a revocation, a session or an epoch", unnoticed)
	}
}

// isWhole reports whether the store finds the session, lists it, and returns the epoch.
func isWhole(s *Store, subject session.Subject, i int) (whole bool, err error) {
	want := benchRow(subject, i)
	err = s.Update(context.Background(), subject, func(tx session.Tx) error {
		row, found, err := tx.Session(want.ID)
		if err != nil {
			return err
		}
		live, err := tx.Live(10)
		if err != nil {
			return err
		}
		epoch, err := tx.Epoch()
		whole = found && row.Generation == 1 && len(live) == 1 && live[0].ID == want.ID && epoch == 7
		return err
	})
	if err != nil {
		return false, err
	}
	listed, _, err := s.List(context.Background(), subject, "", 10)
	return whole && len(listed) == 1 && listed[0].ID == want.ID, err
}
