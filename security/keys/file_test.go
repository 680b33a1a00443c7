package keys_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/keyfile"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// newKeyFile makes a key file and returns its path.
func newKeyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := keys.CreateFile(path, keys.ES256); err != nil {
		t.Fatal(err)
	}
	return path
}

// change reads a key file, changes it and writes it.
func change(t *testing.T, path string, edit func(*keyfile.Set)) {
	t.Helper()
	set := must(keyfile.Parse(must(os.ReadFile(path))(t)))(t)
	edit(set)
	if err := keyfile.Replace(path, must(set.Text())(t)); err != nil {
		t.Fatal(err)
	}
}

// rotate takes the next step of a rotation.
func rotate(t *testing.T, path string) keyfile.Plan {
	t.Helper()
	var plan keyfile.Plan
	change(t, path, func(set *keyfile.Set) { plan = must(set.Take(time.Now(), keyfile.Generate))(t) })
	return plan
}

// lines is a log that a test reads while the goroutine of a file writes.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

// TestFileFollowsARotation takes the three steps in the file of a source that runs.
func TestFileFollowsARotation(t *testing.T) {
	path := newKeyFile(t)
	synctest.Test(t, func(t *testing.T) {
		var log lines
		file := must(keys.OpenFile(path, keys.WithFileLogger(slog.New(slog.NewTextHandler(&log, nil)))))(t)
		defer file.Close()
		signing := func() string { return must(file.SigningKey(t.Context()))(t).ID() }
		size := func() int { return must(file.Current(t.Context()))(t).Len() }
		before := signing()
		first := must(file.Current(t.Context()))(t)
		time.Sleep(3 * keys.DefaultReadInterval) // of the bubble
		if must(file.VerificationKeys(t.Context(), keys.Header{}))(t) != first {
			t.Error("another set although the file is the same")
		}
		for _, step := range []struct {
			step   keyfile.Step
			size   int
			before bool
		}{{keyfile.Publish, 2, true}, {keyfile.Sign, 2, false}, {keyfile.Retire, 1, false}} {
			if plan := rotate(t, path); plan.Step != step.step {
				t.Fatalf("took %s, want %s", plan.Step, step.step)
			}
			time.Sleep(keys.DefaultReadInterval + 1)
			synctest.Wait()
			if size() != step.size || (signing() == before) != step.before {
				t.Errorf("after %s: %d keys, the former key signs: %t", step.step, size(), signing() == before)
			}
		}
		if text := log.text(); strings.Count(text, "key file has changed") != 3 || strings.Contains(text, "\"d\"") {
			t.Errorf("the log:\n%s", text)
		}
	})
}

func TestFileKeepsTheLastGoodKeys(t *testing.T) {
	path := newKeyFile(t)
	good := must(os.ReadFile(path))(t)
	var log lines
	file := must(keys.OpenFile(path, keys.WithFileLogger(slog.New(slog.NewTextHandler(&log, nil)))))(t)
	defer file.Close()
	before := must(file.Current(t.Context()))(t)
	for _, tt := range []struct {
		name  string
		spoil func() error
		want  error
	}{
		{name: "half of the file", spoil: func() error { return os.WriteFile(path, good[:len(good)/2], 0o600) }},
		{name: "no file", spoil: func() error { return os.Remove(path) }, want: os.ErrNotExist},
		{name: "a folder", spoil: func() error { return os.Mkdir(path, 0o700) }},
		{name: "public keys alone", spoil: func() error {
			key := must(must(keyfile.Generate("ES256"))(t).JWK())(t)
			public := must(keyfile.NewKey("public", "ES256", key.Public().Key))(t)
			return errors.Join(os.Remove(path), os.WriteFile(path, must((&keyfile.Set{Keys: []keyfile.Key{public}}).Text())(t), 0o600))
		}, want: keys.ErrNoSigningKey},
		{name: "a file for everybody", spoil: func() error { return errors.Join(os.WriteFile(path, good, 0o600), os.Chmod(path, 0o604)) }},
	} {
		if err := tt.spoil(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := file.Reload(); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if must(file.Current(t.Context()))(t) != before {
			t.Errorf("%s: the last good set is gone", tt.name)
		}
		if second, err := keys.OpenFile(path); err == nil {
			second.Close()
			if tt.want != keys.ErrNoSigningKey { // such a file is enough for a verifier
				t.Errorf("%s: opened", tt.name)
			}
		}
		if n := strings.Count(log.text(), "last good keys"); n != 1 {
			t.Errorf("%s: logged %d times", tt.name, n)
		}
		log.mu.Lock()
		log.Reset()
		log.mu.Unlock()
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := file.Reload(); err != nil || must(file.Current(t.Context()))(t) != before {
		t.Errorf("after a repair: %v", err)
	}
}

func TestCreateFileKeepsAFile(t *testing.T) {
	path := newKeyFile(t)
	before := must(os.ReadFile(path))(t)
	if err := keys.CreateFile(path, keys.HS256); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, must(os.ReadFile(path))(t)) {
		t.Error("the file was replaced")
	}
	if mode := must(os.Stat(path))(t).Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %o", mode)
	}
	if rest := must(os.ReadDir(filepath.Dir(path)))(t); len(rest) != 1 {
		t.Errorf("left over: %v", rest)
	}
}

func TestFileRefuses(t *testing.T) {
	path := newKeyFile(t)
	for name, err := range map[string]error{
		"no algorithm":       keys.CreateFile(filepath.Join(t.TempDir(), "x"), "none"),
		"no folder":          keys.CreateFile(filepath.Join(path, "x"), keys.ES256),
		"no file":            second(keys.OpenFile(filepath.Join(t.TempDir(), "x"))),
		"a nil option":       second(keys.OpenFile(path, nil)),
		"a nil logger":       second(keys.OpenFile(path, keys.WithFileLogger(nil))),
		"reads all the time": second(keys.OpenFile(path, keys.WithReadInterval(0))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
