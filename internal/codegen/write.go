package codegen

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// WriteFiles writes the generated files into a folder, which it creates if necessary. If it returns an
// error, the old files are unchanged. It does not overwrite a file that was not generated. It follows
// a symbolic link and replaces the target.
//
// Each file is replaced atomically. A process that is killed between two files leaves the new
// GuardFile and the old APIFile, so that the guards are never older than the code that they guard.
func WriteFiles(dir string, files map[string][]byte) error {
	return writer{rename: os.Rename}.write(dir, files)
}

// writer writes files. Tests replace rename to make a step fail.
type writer struct {
	rename func(from, to string) error
}

// file is a generated file that is not yet in its place.
type file struct {
	path, temporary string
	old             []byte
	existed         bool
}

func (w writer) write(dir string, contents map[string][]byte) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var files []*file
	defer func() {
		for _, f := range files {
			if f.temporary != "" {
				_ = os.Remove(f.temporary)
			}
		}
	}()
	for _, name := range []string{GuardFile, ClientFile, APIFile} {
		content, ok := contents[name]
		if !ok {
			continue
		}
		f, err := prepare(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if f.existed && bytes.Equal(f.old, content) {
			continue
		}
		if f.temporary, err = writeTemporary(f.path, content); err != nil {
			return err
		}
		files = append(files, f)
	}
	for i, f := range files {
		if err := w.rename(f.temporary, f.path); err != nil {
			return errors.Join(err, w.restore(files[:i]))
		}
		f.temporary = ""
	}
	return nil
}

// restore writes the old files again, and removes those that did not exist.
func (w writer) restore(files []*file) error {
	var errs []error
	for _, f := range files {
		if !f.existed {
			errs = append(errs, os.Remove(f.path))
			continue
		}
		temporary, err := writeTemporary(f.path, f.old)
		if err == nil {
			if err = w.rename(temporary, f.path); err != nil {
				_ = os.Remove(temporary)
			}
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the old files could not be put back: %w", err)
	}
	return nil
}

var generatedHeader = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// prepare reads the file that will be replaced. It returns an error if that is not a generated file.
func prepare(path string) (*file, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	} else if _, lerr := os.Lstat(path); lerr == nil {
		return nil, err // a dangling link
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &file{path: path}, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: in the way of a generated file; move it, or choose another output folder", path)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(old)) > 0 && !generatedHeader.Match(old) {
		return nil, fmt.Errorf("%s: not a generated file (no line \"// Code generated ... DO NOT EDIT.\"); move it, or choose another output folder", path)
	}
	return &file{path: path, old: old, existed: true}, nil
}

// writeTemporary writes a file next to the one that it will replace. Its name begins with a dot, so
// that Go tools ignore it.
func writeTemporary(path string, content []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return f.Name(), err
}
