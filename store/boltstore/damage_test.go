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
)

// TestDamagedFile changes bytes and truncates the file at many offsets: Open and look-ups return an
// error or the right answer.
func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	original := filepath.Join(dir, "original.db")
	s := open(t, original)
	var names []string
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
		t.Errorf("%d look-ups missed a revocation", unnoticed)
	}
}
