package boltstore

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// TestRevocationsSurviveReopening closes and opens a file that contains a revocation of each kind.
func TestRevocationsSurviveReopening(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	until := time.Now().Add(time.Hour)
	start := token("").SessionStart
	for _, r := range []blacklist.Revocation{
		blacklist.OfToken(token("a"), until),
		blacklist.OfSession(token("b"), time.Time{}),
		blacklist.OfSubject("v", "uc", start, until),
		blacklist.OfIssuer("w", start, until),
	} {
		if before, err := s.Revoke(t.Context(), r); before || err != nil {
			t.Fatalf("Revoke of a %s = %v, %v", r.Kind, before, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, WithExistingFile())
	for _, tt := range []struct {
		name string
		id   blacklist.Identity
		want bool
	}{
		{name: "a revoked token", id: token("a"), want: true},
		{name: "a revoked session", id: token("b"), want: true},
		{
			name: "a session of the subject at the cut-off",
			id:   blacklist.Identity{Issuer: "v", ID: "c", Subject: "uc", SessionStart: start},
			want: true,
		},
		{
			name: "a session of the issuer at the cut-off",
			id:   blacklist.Identity{Issuer: "w", ID: "d", SessionStart: start},
			want: true,
		},
		{name: "a token that was never revoked", id: token("e"), want: false},
	} {
		if got := revoked(t, s, tt.id); got != tt.want {
			t.Errorf("%s: revoked = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestNewFileHasMode0600(t *testing.T) {
	path := newPath(t)
	open(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %o, want 600", mode)
	}
}

// TestMarkRefusesSessionsUpToItsMillisecond looks up sessions that began around the creation of the
// file, before and after the file was opened again.
func TestMarkRefusesSessionsUpToItsMillisecond(t *testing.T) {
	created := time.UnixMilli(1_900_000_000_000).Add(300 * time.Microsecond)
	whole := created.Truncate(time.Millisecond)
	path := newPath(t)
	s := open(t, path, WithClock(func() time.Time { return created }))
	check := func(when string) {
		t.Helper()
		for _, tt := range []struct {
			name  string
			start time.Time
			want  bool
		}{
			{name: "unknown start", start: time.Time{}, want: true},
			{name: "an hour before the mark", start: whole.Add(-time.Hour), want: true},
			{name: "the millisecond before the mark", start: whole.Add(-1), want: true},
			{name: "the first nanosecond of the mark's millisecond", start: whole, want: true},
			{name: "the last nanosecond of the mark's millisecond", start: whole.Add(time.Millisecond - 1), want: true},
			{name: "the millisecond after the mark", start: whole.Add(time.Millisecond), want: false},
			{name: "an hour after the mark", start: whole.Add(time.Hour), want: false},
		} {
			id := blacklist.Identity{Issuer: "v", ID: "a", Session: "s", Subject: "u", SessionStart: tt.start}
			if got := revoked(t, s, id); got != tt.want {
				t.Errorf("%s, session begun in %s: revoked = %v, want %v", when, tt.name, got, tt.want)
			}
		}
	}
	check("new file")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	later := created.Add(2 * time.Hour) // reopening must not write another mark
	s = open(t, path, WithClock(func() time.Time { return later }))
	check("reopened file")
}

// TestDeletedFileRefusesOlderSessions deletes the file: no revoked token is accepted again.
func TestDeletedFileRefusesOlderSessions(t *testing.T) {
	path := newPath(t)
	now := time.Now()
	s := open(t, path)
	stolen := blacklist.Identity{Issuer: "v", ID: "stolen", SessionStart: now.Add(time.Second)}
	revoke(t, s, stolen, time.Time{})
	if err := errors.Join(s.Close(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	recreated := now.Add(2 * time.Second)
	s = open(t, path, WithClock(func() time.Time { return recreated }))
	if !revoked(t, s, stolen) {
		t.Error("a revoked token is accepted after the file was deleted")
	}
	later := stolen
	later.SessionStart = recreated.Add(time.Millisecond)
	if revoked(t, s, later) {
		t.Error("a session that began after the file was created again is refused")
	}
}

// writeFile writes a file with exactly this mode, whatever the umask is.
func writeFile(t *testing.T, mode os.FileMode, content string) string {
	t.Helper()
	path := newPath(t)
	if err := errors.Join(os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenRefusesFilesThatOthersCanWrite(t *testing.T) {
	for _, tt := range []struct {
		name    string
		mode    os.FileMode
		refused bool
	}{
		{name: "owner only", mode: 0o600, refused: false},
		{name: "others read", mode: 0o644, refused: false},
		{name: "group writes", mode: 0o620, refused: true},
		{name: "group reads and writes", mode: 0o660, refused: true},
		{name: "others write", mode: 0o602, refused: true},
		{name: "everybody writes", mode: 0o666, refused: true},
	} {
		s, err := Open(writeFile(t, tt.mode, ""))
		if err == nil {
			_ = s.Close()
		}
		if (err != nil) != tt.refused || err != nil && !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%s (mode %o): error %v, want one = %v that names chmod 600", tt.name, tt.mode, err, tt.refused)
		}
	}
}

func TestOpenRefusesUnusablePaths(t *testing.T) {
	dir := t.TempDir()
	opened := filepath.Join(dir, "opened.db")
	open(t, opened)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(opened, link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name        string
		path        string
		options     []Option
		unavailable bool // the error wraps blacklist.ErrUnavailable
		text        string
	}{
		{name: "empty path", path: "", text: "path"},
		{name: "nil option", path: newPath(t), options: []Option{nil}, text: "option"},
		{name: "nil clock", path: newPath(t), options: []Option{WithClock(nil)}, text: "clock"},
		{name: "missing file that must exist", path: newPath(t), options: []Option{WithExistingFile()}, text: "no such file"},
		{name: "missing directory", path: filepath.Join(dir, "none", "x.db"), text: "no such file"},
		{name: "directory", path: dir, text: "regular"},
		{name: "symbolic link", path: link, text: "regular"},
		{name: "file that is open already", path: opened, unavailable: true, text: "another process"},
		{name: "text file", path: writeFile(t, 0o600, strings.Repeat("no file of bbolt ", 2000)), unavailable: true, text: "damaged"},
		{name: "one byte", path: writeFile(t, 0o600, "x"), unavailable: true, text: "damaged"},
	} {
		checkRefused(t, tt.name, tt.path, tt.options, tt.unavailable, tt.text)
	}
}

// checkRefused expects Open to fail with an error that contains the text.
func checkRefused(t *testing.T, name, path string, options []Option, unavailable bool, text string) {
	t.Helper()
	s, err := Open(path, options...)
	if err == nil {
		_ = s.Close()
		t.Errorf("%s: no error", name)
		return
	}
	if errors.Is(err, blacklist.ErrUnavailable) != unavailable || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: error %v, want one that contains %q and wraps ErrUnavailable = %v", name, err, text, unavailable)
	}
}

// TestOpenRefusesChangedContent changes a file of this package in a transaction of bbolt, so that
// all pages are valid.
func TestOpenRefusesChangedContent(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*bbolt.Tx) error
		text   string
	}{
		{
			name:   "the mark is deleted",
			change: func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(markKey) },
			text:   "mark is missing",
		},
		{
			name:   "the bucket meta is deleted",
			change: func(tx *bbolt.Tx) error { return tx.DeleteBucket(metaBucket) },
			text:   "damaged",
		},
		{
			name:   "the bucket entries is deleted",
			change: func(tx *bbolt.Tx) error { return tx.DeleteBucket(entryBucket) },
			text:   "damaged",
		},
		{
			name:   "the bucket expiry is deleted",
			change: func(tx *bbolt.Tx) error { return tx.DeleteBucket(expiryBucket) },
			text:   "damaged",
		},
		{
			name: "the mark has a later version",
			change: func(tx *bbolt.Tx) error {
				mark := binary.BigEndian.AppendUint64([]byte{version + 1}, 0)
				return tx.Bucket(metaBucket).Put(markKey, seal(markKey, mark))
			},
			text: "another format version",
		},
		{
			name: "the mark has version 1",
			change: func(tx *bbolt.Tx) error {
				mark := binary.BigEndian.AppendUint64([]byte{1}, 0)
				return tx.Bucket(metaBucket).Put(markKey, seal(markKey, mark))
			},
			text: "delete the file",
		},
		{
			name: "the mark has another place key and the old checksum",
			change: func(tx *bbolt.Tx) error {
				mark := append([]byte(nil), tx.Bucket(metaBucket).Get(markKey)...)
				mark[markSize-checksumSize-1]++
				return tx.Bucket(metaBucket).Put(markKey, mark)
			},
			text: "mark is damaged",
		},
		{
			name: "an entry has no kind",
			change: func(tx *bbolt.Tx) error {
				key, _ := tx.Bucket(entryBucket).Cursor().First()
				return putEntry(tx.Bucket(entryBucket), blacklist.Key(key), entry{cutOff: everything, until: 1})
			},
			text: "damaged",
		},
		{
			name: "an entry has an unknown kind",
			change: func(tx *bbolt.Tx) error {
				key, _ := tx.Bucket(entryBucket).Cursor().First()
				e := entry{kind: blacklist.Issuer + 1, cutOff: everything, until: 1}
				return putEntry(tx.Bucket(entryBucket), blacklist.Key(key), e)
			},
			text: "damaged",
		},
		{
			name: "the mark is zero",
			change: func(tx *bbolt.Tx) error {
				return tx.Bucket(metaBucket).Put(markKey, make([]byte, markSize))
			},
			text: "version",
		},
		{
			name: "the mark is empty",
			change: func(tx *bbolt.Tx) error {
				return tx.Bucket(metaBucket).Put(markKey, nil)
			},
			text: "mark is missing",
		},
		{
			name: "the mark has another time and the old checksum",
			change: func(tx *bbolt.Tx) error {
				mark := append([]byte(nil), tx.Bucket(metaBucket).Get(markKey)...)
				mark[5]++
				return tx.Bucket(metaBucket).Put(markKey, mark)
			},
			text: "mark is damaged",
		},
		{
			name: "an entry is deleted",
			change: func(tx *bbolt.Tx) error {
				key, _ := tx.Bucket(entryBucket).Cursor().First()
				return tx.Bucket(entryBucket).Delete(key)
			},
			text: "damaged",
		},
	} {
		path := newPath(t)
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		revoke(t, s, token("a"), time.Time{})
		if err := errors.Join(s.db.Update(tt.change), s.Close()); err != nil {
			t.Fatal(err)
		}
		checkRefused(t, tt.name, path, nil, true, tt.text)
	}
}
