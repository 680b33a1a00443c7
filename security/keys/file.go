package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/keyfile"
)

// DefaultReadInterval is how often a [File] reads its file.
const DefaultReadInterval = 2 * time.Second

// File is the key set of a file: a JWK set with private or symmetric keys (RFC 7517). It reads the
// file again while the application runs, so that "oapi-guard keys rotate" replaces the keys of a
// running service. The first key that can sign signs, and all keys verify.
//
// A file that cannot be read or used later changes nothing: the last good set stays in use, and the
// log has the error. The same holds for a file without a key that can sign, if the last good set had
// one.
type File struct {
	path     string
	interval time.Duration
	logger   *slog.Logger

	set     Rotation
	reading sync.Mutex // protects text and failed
	text    []byte
	failed  string // the last error that was logged

	stop    context.CancelFunc
	stopped chan struct{}
}

var (
	_ SigningSource = (*File)(nil)
	_ CurrentSet    = (*File)(nil)
)

// FileOption changes a [File].
type FileOption func(*File) error

// WithReadInterval sets how often the file is read, 2 seconds by default and at least 10
// milliseconds. A file is small, and a text that has not changed costs nothing else.
func WithReadInterval(d time.Duration) FileOption {
	return func(f *File) error {
		if d < 10*time.Millisecond {
			return errors.New("keys: the interval between two reads is at least 10ms")
		}
		f.interval = d
		return nil
	}
}

// WithFileLogger sets the logger for changes of the file and for errors. The default logs nothing.
// It logs ids of keys, never key material.
func WithFileLogger(logger *slog.Logger) FileOption {
	return func(f *File) error {
		if logger == nil {
			return errors.New("keys: WithFileLogger needs a logger")
		}
		f.logger = logger
		return nil
	}
}

// CreateFile makes a key file with a new key for the algorithm, with mode 0600, unless there is a file
// with the name. If several processes start at once, one of them makes the file and all use it.
func CreateFile(path string, algorithm Algorithm) error {
	key, err := keyfile.Generate(string(algorithm))
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	set := &keyfile.Set{}
	if err := set.Add(key, time.Now().UTC().Truncate(time.Second)); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	text, err := set.Text()
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := keyfile.Create(path, text); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keys: the key file: %w", err)
	}
	return nil
}

// OpenFile reads a key file and starts a goroutine that reads it again. Close ends it. Make the file
// with "oapi-guard keys new" or with [CreateFile]. A file that every user of the machine can read or
// write is an error.
func OpenFile(path string, options ...FileOption) (*File, error) {
	f := &File{path: path, interval: DefaultReadInterval, logger: slog.New(slog.DiscardHandler), stopped: make(chan struct{})}
	for _, option := range options {
		if option == nil {
			return nil, errNilOption
		}
		if err := option(f); err != nil {
			return nil, err
		}
	}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	go f.follow(ctx)
	return f, nil
}

// Close ends the goroutine. The keys stay in use.
func (f *File) Close() error {
	if f.stop == nil {
		return nil
	}
	f.stop()
	<-f.stopped
	return nil
}

// follow reads the file until ctx ends.
func (f *File) follow(ctx context.Context) {
	defer close(f.stopped)
	ticker := time.NewTicker(f.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = f.Reload() // which logs the error
		}
	}
}

// Reload reads the file at once, without waiting for the interval. On an error the last good set
// stays in use.
func (f *File) Reload() error {
	f.reading.Lock()
	defer f.reading.Unlock()
	err := f.reload()
	switch {
	case err == nil:
		f.failed = ""
	case err.Error() != f.failed: // once, and not with each read
		f.failed = err.Error()
		f.logger.Error("keys: the key file cannot be used, and the last good keys stay in use", "error", err)
	}
	return err
}

func (f *File) reload() error {
	text, err := keyfile.Read(f.path)
	if err != nil {
		return fmt.Errorf("keys: the key file: %w", err)
	}
	if bytes.Equal(text, f.text) {
		return nil
	}
	all, err := ParseJWKS(text)
	if err != nil {
		return fmt.Errorf("%w, in the key file %s", err, f.path)
	}
	set, err := NewSet(all...)
	if err != nil {
		return fmt.Errorf("%w, in the key file %s", err, f.path)
	}
	former := f.set.set.Load()
	if former != nil && former.signing != nil && set.signing == nil {
		return fmt.Errorf("%w, in the key file %s", ErrNoSigningKey, f.path)
	}
	if err := f.set.Replace(set); err != nil {
		return err
	}
	f.text = text
	if former != nil {
		f.logger.Info("keys: the key file has changed", "before", former.String(), "now", set.String())
	}
	return nil
}

// VerificationKeys returns the set of this moment.
func (f *File) VerificationKeys(ctx context.Context, _ Header) (*Set, error) {
	return f.set.Current(ctx)
}

// Current returns the set of this moment.
func (f *File) Current(ctx context.Context) (*Set, error) { return f.set.Current(ctx) }

// SigningKey returns the key that signs at this moment, or [ErrNoSigningKey].
func (f *File) SigningKey(ctx context.Context) (*Key, error) { return f.set.SigningKey(ctx) }

// String returns the keys by algorithm and id.
func (f *File) String() string { return f.set.set.Load().String() }

// Format prints as String does, for every verb.
func (f *File) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(f.String())) }
