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

// storeFile returns the content of a file with n revoked tokens. Many commits wrote it, so it has
// free pages.
func storeFile(t testing.TB, n int) []byte {
	t.Helper()
	path := newPath(t)
	s := open(t, path)
	for i := range n {
		revoke(t, s, token(fmt.Sprint(i)), time.Now().Add(time.Hour))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return readFile(t, path)
}

// readFile returns the content of a file without the reserve behind the last page in use.
func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pageSize := binary.NativeEndian.Uint32(content[pageHeaderSize+8:])
	pages := func(root uint32) uint64 { return binary.NativeEndian.Uint64(content[root*pageSize+pageHeaderSize+40:]) }
	return content[:max(pages(0), pages(1))*uint64(pageSize)]
}

func verifyBytes(content []byte) error { return verify(bytes.NewReader(content), int64(len(content))) }

func flags(content []byte, page, pageSize int) uint16 {
	return binary.NativeEndian.Uint16(content[page*pageSize+8:])
}

// TestVerifyFindsDamage changes every byte of the page headers, the root pages and the list of free
// pages, and many other bytes. A change that passes is harmless: the file opens, and no revoked
// token is accepted, also after more revocations.
func TestVerifyFindsDamage(t *testing.T) {
	const n, tries = 150, 200
	content := storeFile(t, n)
	if err := verifyBytes(content); err != nil {
		t.Fatal(err)
	}
	pageSize := int(binary.NativeEndian.Uint32(content[pageHeaderSize+8:]))
	found, harmless := 0, 0
	var passed []int // offsets whose change verify accepts; some of these files are opened
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
			case root && at != 10 && at != 11 && (at < 12 || at >= pageHeaderSize): // a root page does not use bytes 10 to 15
				t.Errorf("verify accepts a change of byte %d of root page %d", at, page)
			default:
				harmless++
				if at < pageHeaderSize || flags(content, page, pageSize) == freeListPage || i%5 == 0 {
					passed = append(passed, i)
				}
			}
		}
	}
	t.Logf("%d changes found, %d harmless to bbolt, of which %d are opened", found, harmless, min(tries, len(passed)))
	if found == 0 || harmless == 0 {
		t.Error("verify refuses all changes, or none")
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
			continue // the checksums found it
		}
		for j := range 3 {
			revoke(t, s, token(fmt.Sprint("more", j)), time.Time{})
		}
		for j := range n {
			if isRevoked, err := s.IsRevoked(t.Context(), token(fmt.Sprint(j))); err == nil && !isRevoked {
				t.Fatalf("after a change of byte %d token %d is accepted", i, j)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpenRefusesDamagedRootPage damages each root page in turn. One of them is the last commit,
// and bbolt would silently use the previous one.
func TestOpenRefusesDamagedRootPage(t *testing.T) {
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
			t.Errorf("Open accepts a damaged root page %d", root)
		} else if !errors.Is(err, blacklist.ErrUnavailable) || !strings.Contains(err.Error(), "damaged") {
			t.Error(err)
		}
	}
}

// TestVerifyRefusesRootPagesThatAreNotConsecutive changes the commit number of a root page and its
// checksum: both root pages are valid, but their commits are not consecutive.
func TestVerifyRefusesRootPagesThatAreNotConsecutive(t *testing.T) {
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
			// The older number plus two is the newer number plus one: consecutive again.
			first, second := binary.NativeEndian.Uint64(changed[pageHeaderSize+48:]), binary.NativeEndian.Uint64(changed[pageSize+pageHeaderSize+48:])
			consecutive := first-second == 1 || second-first == 1
			if err := verifyBytes(changed); err == nil && !consecutive {
				t.Errorf("verify accepts the commits %d and %d", first, second)
			}
		}
	}
}

func TestVerifyRefusesTruncatedFiles(t *testing.T) {
	content := storeFile(t, 20)
	pages := binary.NativeEndian.Uint64(content[pageHeaderSize+40:])
	pageSize := int(binary.NativeEndian.Uint32(content[pageHeaderSize+8:]))
	second := binary.NativeEndian.Uint64(content[pageSize+pageHeaderSize+40:])
	whole := int(max(pages, second)) * pageSize
	for size := 0; size < len(content); size += 101 {
		if err := verifyBytes(content[:size]); (err == nil) != (size >= whole) {
			t.Errorf("%d bytes of %d: error %v", size, whole, err)
		}
	}
}

// TestVerifyAcceptsOtherFilesOfBolt reads larger files of bbolt, with large values, with and
// without a list of free pages.
func TestVerifyAcceptsOtherFilesOfBolt(t *testing.T) {
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

// TestTruncatedWhileOpen truncates the file of an open store. Look-ups answer from memory until a
// call has read the file. That call and all later ones return errors, none crashes or waits for
// ever.
func TestTruncatedWhileOpen(t *testing.T) {
	lookUp := func(s *Store) error {
		isRevoked, err := s.IsRevoked(t.Context(), token("1"))
		if isRevoked != (err == nil) {
			t.Errorf("IsRevoked of a revoked token returns %t, %v", isRevoked, err)
		}
		return err
	}
	list := func(s *Store) error {
		_, _, err := s.List(t.Context(), benchSubject(1), "", 1)
		return err
	}
	revokeMore := func(s *Store) error {
		_, err := s.Revoke(t.Context(), blacklist.OfToken(token("x"), time.Time{}))
		return err
	}
	for first, calls := range map[string][]func(*Store) error{
		"list":       {list, lookUp, revokeMore, lookUp},
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
			t.Skip("the file cannot be truncated: ", err)
		}
		if err := lookUp(s); err != nil {
			t.Errorf("%s first, look-up before: %v", first, err)
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

// FuzzVerify reads arbitrary files: verify does not panic, and does not accept a file that is too
// short.
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
			t.Errorf("verify accepts a file of %d bytes", len(content))
		}
	})
}
