package keyfile

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

var encoding = base64.RawURLEncoding

// maxSize bounds the size of a key file.
const maxSize = 1 << 20

// Read returns the text of a file with keys. A file that every user of the machine can read or write is
// an error.
func Read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s contains private keys, and every user of the machine can read or write it: chmod 600 %[1]s", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxSize)
	}
	return text, nil
}

// Create writes a new file with mode 0600. It appears under its name when it is complete. The error is
// fs.ErrExist if there is a file with the name.
func Create(path string, text []byte) error {
	draft, err := write(path, text, nil)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft) }()
	// A link fails if the name is taken. A rename would replace the file of another process.
	if err := os.Link(draft, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s: %w", path, fs.ErrExist)
		}
		return err
	}
	return syncFolder(path)
}

// Replace replaces a file in one step: a reader finds the former text or the new one. The new file has
// the owner of the former one, and no permission that the former one did not have. A symbolic link
// stays, and its file is replaced.
func Replace(path string, text []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	former, err := os.Stat(path)
	if err != nil {
		return err
	}
	draft, err := write(path, text, former)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft) }() // after the rename there is none
	if err := os.Rename(draft, path); err != nil {
		return err
	}
	return syncFolder(path)
}

// write writes the text to a new file in the folder of the path, and returns its name.
func write(path string, text []byte, former fs.FileInfo) (draft string, err error) {
	draft = filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text())
	file, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	if former != nil {
		err = copyOwner(file, former)
	}
	if err == nil {
		_, err = file.Write(text)
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		_ = os.Remove(draft)
		return "", err
	}
	return draft, nil
}

// syncFolder makes the name of the file last through a crash of the machine.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" { // which cannot sync a folder
		return nil
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
