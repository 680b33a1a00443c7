package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// FileKeeper is a [Keeper] that keeps tokens in a file. Several processes can share it. Only the user
// can read the file (mode 0600), and it is replaced atomically. A file that others can read is
// refused with [ErrFileAccess]. The lock is that of the operating system on a second file, the name of
// the first with ".lock" behind it, so that it ends with its process. Some network file systems have no
// such locks.
type FileKeeper struct{ path string }

var _ Keeper = (*FileKeeper)(nil)

// NewFileKeeper returns a keeper that keeps tokens in the file. It makes the folder, for the user alone,
// if there is none. The file need not exist. The error is [ErrFileAccess] if others can read it.
func NewFileKeeper(path string) (*FileKeeper, error) {
	if path == "" {
		return nil, errors.New("client: NewFileKeeper needs the path of a file")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	k := &FileKeeper{path}
	if _, err := k.read(); err != nil {
		return nil, err
	}
	lock, err := k.openLock()
	if err != nil {
		return nil, err
	}
	return k, lock.Close()
}

// maxFile bounds the file of the tokens, in bytes.
const maxFile = 1 << 20

// Load implements [Keeper].
func (k *FileKeeper) Load(context.Context) ([]byte, error) { return k.read() }

func (k *FileKeeper) read() ([]byte, error) {
	if info, err := os.Lstat(k.path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrFileAccess, k.path)
	}
	file, err := os.Open(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %04o; say chmod 600, and log in again, because others may have read the tokens", ErrFileAccess, k.path, mode)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("client: %s is longer than %d bytes", k.path, maxFile)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Save implements [Keeper].
func (k *FileKeeper) Save(_ context.Context, data []byte) error {
	if data == nil {
		if err := os.Remove(k.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	// The lock is held, so that the name of the temporary file is free, but for one that a process left
	// that was killed.
	temporary := k.path + ".tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeSynced(temporary, data); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, k.path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return syncFolder(filepath.Dir(k.path))
}

func writeSynced(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncFolder makes the new name of a file last: a refresh token that comes back after a power failure
// would end the session. Windows has no such call.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func (k *FileKeeper) openLock() (*os.File, error) {
	return os.OpenFile(k.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
}

// The pauses between attempts to lock.
const (
	minLockPause = time.Millisecond
	maxLockPause = 50 * time.Millisecond
)

// Lock implements [Keeper].
func (k *FileKeeper) Lock(ctx context.Context) (func(), error) {
	file, err := k.openLock()
	if err != nil {
		return nil, err
	}
	for pause := minLockPause; ; pause = min(2*pause, maxLockPause) {
		locked, err := tryLock(file)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("client: locking %s: %w", file.Name(), err), file.Close())
		}
		if locked {
			return sync.OnceFunc(func() { _ = file.Close() }), nil // which releases the lock
		}
		if err := wait(ctx, pause); err != nil {
			return nil, errors.Join(fmt.Errorf("client: waiting for the lock of the tokens: %w", err), file.Close())
		}
	}
}

// wait waits for the duration, at most as long as ctx.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
