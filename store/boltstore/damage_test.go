//go:build !race

// With the race detector the compiler checks pointer arithmetic too, and bbolt's on damaged pages then ends the process instead of
// panicking. make test runs this file without it.
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

// TestDamagedFile flips bytes and cuts the file off at many places: opening it and looking up is an error or the right answer.
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
	content, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	var refused, answered, unnoticed int
	try := func(content []byte) {
		// A file of its own each time: where bbolt panics it keeps the lock.
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
			switch is, err := s.IsRevoked(context.Background(), token(name)); {
			case err != nil:
				refused++
			case is:
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
	t.Logf("%d refused, %d answered rightly, %d answers without an entry that was damaged away", refused, answered, unnoticed)
	if refused == 0 || answered == 0 {
		t.Error("the damage was none, or all of it was fatal")
	}
	if unnoticed > 0 {
		t.Errorf("%d answers miss a revocation", unnoticed)
	}
}
