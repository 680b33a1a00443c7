package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// storeFile returns the content of a file with n tokens revoked, written in many commits, so that there are free pages.
func storeFile(t testing.TB, n int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blacklist.db")
	s := open(t, path)
	for i := range n {
		revoke(t, s, token(fmt.Sprint(i)), time.Now().Add(time.Hour))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func verifyBytes(content []byte) error { return verify(bytes.NewReader(content), int64(len(content))) }

func flags(content []byte, page, pageSize int) uint16 {
	return binary.NativeEndian.Uint16(content[page*pageSize+8:])
}

// TestVerifyFindsDamage changes every byte of every page header, of both root pages and of the list of free pages, and many others.
// What passes is harmless: bbolt opens the file, nothing that was revoked passes, also after more was revoked.
func TestVerifyFindsDamage(t *testing.T) {
	const n, tries = 150, 200
	content := storeFile(t, n)
	if err := verifyBytes(content); err != nil {
		t.Fatal(err)
	}
	pageSize := int(binary.NativeEndian.Uint32(content[pageHeaderSize+8:]))
	found, harmless := 0, 0
	var passed []int // a root page, a header or a list of free pages that passes verify is opened as well
	for i := range content {
		page, at := i/pageSize, i%pageSize
		root := page < 2 && at < pageHeaderSize+metaSize
		if header := at < pageHeaderSize || flags(content, page, pageSize) == freeListPage && at < 512; !root && !header && i%37 != 0 {
			continue
		}
		for _, bit := range []byte{0x01, 0x80} {
			content[i] ^= bit
			err := verifyBytes(content)
			content[i] ^= bit
			switch {
			case err != nil:
				found++
			case root && at != 10 && at != 11 && (at < 12 || at >= pageHeaderSize): // what a root page has no use for
				t.Errorf("byte %d of root page %d was changed, and the file passes", at, page)
			default:
				harmless++
				if at < pageHeaderSize || flags(content, page, pageSize) == freeListPage || i%5 == 0 {
					passed = append(passed, i)
				}
			}
		}
	}
	t.Logf("%d changes found, %d of no consequence to bbolt, of which %d are tried", found, harmless, min(tries, len(passed)))
	if found == 0 || harmless == 0 {
		t.Error("all of it is damage, or none")
	}
	path := filepath.Join(t.TempDir(), "changed.db")
	for i := 0; i < len(passed); i += 1 + len(passed)/tries {
		i := passed[i]
		changed := bytes.Clone(content)
		changed[i] ^= 0x01
		if verifyBytes(changed) != nil {
			continue
		}
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			continue // found by the checksums
		}
		for j := range 3 {
			revoke(t, s, token(fmt.Sprint("more", j)), time.Time{})
		}
		for j := range n {
			if is, err := s.IsRevoked(t.Context(), token(fmt.Sprint(j))); err == nil && !is {
				t.Fatalf("byte %d was changed: token %d passes", i, j)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNewestCommitLost damages the root page of the last commit: bbolt would go on with the one before.
func TestNewestCommitLost(t *testing.T) {
	content := storeFile(t, 3)
	pageSize := int(binary.NativeEndian.Uint32(content[pageHeaderSize+8:]))
	path := filepath.Join(t.TempDir(), "changed.db")
	for root := range 2 {
		changed := bytes.Clone(content)
		changed[root*pageSize+pageHeaderSize+40]++
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err == nil {
			_ = s.Close()
			t.Errorf("root page %d is damaged, and the file is opened", root)
		} else if !errors.Is(err, blacklist.ErrUnavailable) || !strings.Contains(err.Error(), "damaged") {
			t.Error(err)
		}
	}
}

// TestRootsOfOneLine puts an older root page in the place of the newest one: both are whole, but not of consecutive commits.
func TestRootsOfOneLine(t *testing.T) {
	content := storeFile(t, 4)
	pageSize := int(binary.NativeEndian.Uint32(content[pageHeaderSize+8:]))
	for root := range 2 {
		for _, by := range []uint64{2, math.MaxUint64 - 1} { // two more, two less
			changed := bytes.Clone(content)
			meta := changed[root*pageSize+pageHeaderSize:][:metaSize]
			binary.NativeEndian.PutUint64(meta[48:], binary.NativeEndian.Uint64(meta[48:])+by)
			sum := fnv.New64a()
			_, _ = sum.Write(meta[:metaSize-8])
			binary.NativeEndian.PutUint64(meta[metaSize-8:], sum.Sum64())
			// Two more than the older one is one more than the newer one: that is a line again.
			first, second := binary.NativeEndian.Uint64(changed[pageHeaderSize+48:]), binary.NativeEndian.Uint64(changed[pageSize+pageHeaderSize+48:])
			line := first-second == 1 || second-first == 1
			if err := verifyBytes(changed); err == nil && !line {
				t.Errorf("commits %d and %d pass", first, second)
			}
		}
	}
}

func TestVerifyCutOff(t *testing.T) {
	content := storeFile(t, 20)
	pages := binary.NativeEndian.Uint64(content[pageHeaderSize+40:])
	pageSize := int(binary.NativeEndian.Uint32(content[pageHeaderSize+8:]))
	second := binary.NativeEndian.Uint64(content[pageSize+pageHeaderSize+40:])
	whole := int(max(pages, second)) * pageSize
	for size := 0; size < len(content); size += 101 {
		if err := verifyBytes(content[:size]); (err == nil) != (size >= whole) {
			t.Errorf("%d bytes of %d: %v", size, whole, err)
		}
	}
}

// TestVerifyOtherFiles reads what bbolt writes in other ways: without a list of free pages, after large values, and much of it.
func TestVerifyOtherFiles(t *testing.T) {
	for _, noList := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "other.db")
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: noList, NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		for round := range 20 {
			if err := db.Update(func(tx *bbolt.Tx) error {
				for _, name := range [][]byte{metaBucket, entryBucket, expiryBucket} {
					b, err := tx.CreateBucketIfNotExists(name)
					if err != nil {
						return err
					}
					for i := range 500 {
						key := fmt.Appendf(nil, "%d-%d", i*7919%500, round)
						if err := b.Put(key, make([]byte, i%50*200)); err != nil {
							return err
						}
						if err := b.Delete(fmt.Appendf(nil, "%d-%d", i, round-2)); err != nil {
							return err
						}
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifyBytes(content); err != nil {
			t.Errorf("without a list of free pages = %t: %v", noList, err)
		}
	}
}

// TestCutOffWhileOpen cuts the file off under the store: errors, no crash, and nothing that waits for ever.
func TestCutOffWhileOpen(t *testing.T) {
	lookUp := func(s *Store) error {
		is, err := s.IsRevoked(t.Context(), token("1"))
		if is {
			t.Error("true beside an error")
		}
		return err
	}
	revokeMore := func(s *Store) error {
		_, err := s.Revoke(t.Context(), blacklist.OfToken(token("x"), time.Time{}))
		return err
	}
	for first, calls := range map[string][]func(*Store) error{
		"look-up":    {lookUp, revokeMore, lookUp, revokeMore},
		"revocation": {revokeMore, revokeMore, lookUp},
	} {
		path := filepath.Join(t.TempDir(), "blacklist.db")
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			revoke(t, s, token(fmt.Sprint(i)), time.Time{})
		}
		if err := os.Truncate(path, 0); err != nil {
			t.Skip("the file cannot be cut off: ", err)
		}
		for i, call := range calls {
			if err := call(s); !errors.Is(err, blacklist.ErrUnavailable) {
				t.Errorf("%s first, call %d: %v", first, i, err)
			}
		}
		for range 2 {
			if err := s.Close(); !s.stuck.Load() || !errors.Is(err, blacklist.ErrUnavailable) {
				t.Errorf("%s first, Close: stuck = %t, %v", first, s.stuck.Load(), err)
			}
		}
		if err := lookUp(s); !errors.Is(err, blacklist.ErrClosed) {
			t.Errorf("%s first, after Close: %v", first, err)
		}
	}
}

// FuzzVerify reads any file without a panic, and without taking more memory than the file is large.
func FuzzVerify(f *testing.F) {
	content := storeFile(f, 5)
	f.Add(content)
	f.Add(content[:len(content)/2])
	for _, i := range []int{9, 20, 4096 + 40, 3*4096 + 10, 4*4096 + 12, 5*4096 + 20} {
		changed := bytes.Clone(content)
		changed[i] ^= 0xff
		f.Add(changed)
	}
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, content []byte) {
		err := verifyBytes(content)
		if err == nil && len(content) < 4*512 {
			t.Errorf("%d bytes pass", len(content))
		}
	})
}
