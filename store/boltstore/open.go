package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// lockTimeout is how long Open waits for another process to close the file.
const lockTimeout = time.Second

// Open opens the file, or creates it in an existing directory. The error wraps
// blacklist.ErrUnavailable if another process has the file open, or if the file is damaged or has
// another format version. Version 1 was never released, so Open does not convert it: its error says
// that the file has to be deleted.
func Open(path string, options ...Option) (*Store, error) {
	c, err := newConfig(options)
	if err != nil {
		return nil, err
	}
	if err := checkPath(path, c.existing); err != nil {
		return nil, err
	}
	if err := verifyFile(path); err != nil {
		return nil, err
	}
	db, file, err := openFile(path, false)
	if err != nil {
		return nil, err
	}
	m, err := prepare(db, path, c.now)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	var room *space
	if err := guarded(func() (err error) { room, err = newSpace(db, file); return err }); err != nil {
		return nil, errors.Join(callerError(path+" cannot be read", err), db.Close())
	}
	entries, err := load(db, m)
	if err != nil {
		return nil, errors.Join(callerError(path+" cannot be read", err), db.Close())
	}
	return start(db, room, m.places, entries, c.now), nil
}

// checkPath refuses symbolic links and files that other users can write.
func checkPath(path string, existing bool) error {
	if path == "" {
		return errors.New("boltstore: Open needs the path of a file")
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !existing:
		return nil
	case err != nil:
		return fmt.Errorf("boltstore: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("boltstore: %s is not a regular file", path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("boltstore: the group or others can write %s and so remove revocations: chmod 600", path)
	}
	return nil
}

// verifyFile checks the pages before bbolt writes to the file. The lock of bbolt keeps other
// processes from writing meanwhile. An empty file is a new one.
func verifyFile(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	db, _, err := openFile(path, true)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return errors.Join(fmt.Errorf("boltstore: %w", err), db.Close())
	}
	if info, err = file.Stat(); err == nil {
		err = verify(file, info.Size())
	}
	if err != nil {
		err = unavailable(path+" is damaged or cannot be read", err)
	}
	return errors.Join(err, file.Close(), db.Close())
}

// openFile also returns the file of the database, which closes with it.
func openFile(path string, readOnly bool) (db *bbolt.DB, file *os.File, err error) {
	// The list of free pages stays in the file (no NoFreelistSync). Without it bbolt finds the free
	// pages in a separate goroutine, and a panic there on a damaged page cannot be recovered.
	options := &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, ReadOnly: readOnly}
	options.OpenFile = func(name string, flag int, mode fs.FileMode) (_ *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	err = guarded(func() error {
		db, err = bbolt.Open(path, 0o600, options)
		switch {
		case errors.Is(err, bolterrors.ErrTimeout):
			return unavailable(path+" is open in another process", err)
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			return fmt.Errorf("boltstore: %w", err)
		case err != nil:
			return unavailable(path+" is damaged or no file of bbolt", err)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return db, file, nil
}

// prepare checks the content of the file, writes the mark to a new one, and adds the buckets of the
// sessions to one without them. It returns the mark.
func prepare(db *bbolt.DB, path string, now func() time.Time) (m mark, err error) {
	var found content
	err = guarded(func() error {
		return db.View(func(tx *bbolt.Tx) (err error) {
			m, found, err = checkContent(tx, path)
			return err
		})
	})
	if err != nil || found == all {
		return m, err
	}
	missing := createSessions
	if found == nothing {
		m = newMark(millis.Floor(now()))
		missing = func(tx *bbolt.Tx) error { return create(tx, m) }
	}
	err = guarded(func() error { return db.Update(missing) })
	if err != nil {
		return mark{}, unavailable(path+" cannot be written", err)
	}
	return m, syncDir(filepath.Dir(path))
}

// content is what a file contains.
type content int

const (
	nothing       content = iota // a new file
	blacklistOnly                // the mark and entries, and no bucket of the sessions
	all
)

// checkContent checks the buckets, the mark, all entries and all sessions.
func checkContent(tx *bbolt.Tx, path string) (m mark, found content, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return mark{}, nothing, err
	}
	if info.Size() < tx.Size() {
		return mark{}, nothing, unavailable(path+" is truncated", nil)
	}
	meta, entries, expiry := tx.Bucket(metaBucket), tx.Bucket(entryBucket), tx.Bucket(expiryBucket)
	switch {
	case meta == nil && entries == nil:
		return mark{}, nothing, nil
	case meta == nil || entries == nil || expiry == nil:
		return mark{}, nothing, unavailable(path+" is no blacklist, or a damaged one", nil)
	}
	if m, err = readMark(tx); err != nil {
		return mark{}, nothing, err
	}
	if err := checkEntries(tx); err != nil {
		return mark{}, nothing, err
	}
	sessions, err := hasSessions(tx)
	if err != nil || !sessions {
		return m, blacklistOnly, err
	}
	return m, all, checkSessions(tx)
}

// syncDir makes the name of a new file durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("boltstore: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
