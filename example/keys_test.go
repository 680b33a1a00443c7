package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/keyfile"
	"github.com/oapi-guard/oapi-guard/internal/operator"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

func TestLoadKeys(t *testing.T) {
	dir, logger := filepath.Join(t.TempDir(), "data"), slog.New(slog.DiscardHandler)
	load := func(text string) string {
		t.Helper()
		set, err := loadKeys(text, dir, logger)
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		key, err := set.SigningKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return key.ID()
	}
	if first := load(""); first != load("") {
		t.Error("the second start has another key")
	}
	if load(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x!"), 20))) == load("") {
		t.Error("JWT_SECRET is not the key")
	}
	for _, text := range []string{"!!!", base64.StdEncoding.EncodeToString(make([]byte, 31))} {
		if _, err := loadKeys(text, dir, logger); err == nil {
			t.Errorf("%q is a secret", text)
		}
	}
}

// TestFormerSigningKey takes over the key of an earlier version with the command that the error names.
func TestFormerSigningKey(t *testing.T) {
	dir, secret := t.TempDir(), bytes.Repeat([]byte("k!"), 16)
	if err := os.WriteFile(filepath.Join(dir, "signing.key"), secret, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadKeys("", dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "keys import") {
		t.Fatalf("%v", err)
	}
	file := &operator.KeyFile{Path: filepath.Join(dir, "keys.json"), Set: &keyfile.Set{}}
	if _, err := file.Import(secret, operator.ImportOptions{Secret: "raw"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := file.Save(); err != nil {
		t.Fatal(err)
	}
	set, err := loadKeys("", dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	key, err := set.SigningKey(t.Context())
	if before, _ := testKeys(t).SigningKey(t.Context()); err != nil || key.ID() != before.ID() {
		t.Errorf("the key has another id: %v", err)
	}
}

// TestRotationLogsNobodyOut runs the program and takes the three steps of a rotation in its key file.
func TestRotationLogsNobodyOut(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, "DATA_DIR="+dir)
	path := filepath.Join(dir, "keys.json")
	before := p.login("alice", "wonderland")
	kid := func(p pair) string { return header(t, p.Access)["kid"].(string) }
	first := kid(before)
	step := func(want keyfile.Step, early bool) {
		t.Helper()
		file, err := operator.OpenKeyFile(path)
		if err != nil {
			t.Fatal(err)
		}
		taken, _, err := file.Rotate(time.Now(), early)
		if err != nil || taken.Step != string(want) {
			t.Fatalf("took %q, want %q: %v", taken.Step, want, err)
		}
		if err := file.Save(); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]pair{"before": before}
	works := func(when string) {
		t.Helper()
		for name, session := range all {
			p.works(session)
			refreshed := p.call("POST", "/refresh", session.Refresh, "").pair(t)
			p.works(refreshed)
			all[name] = refreshed
		}
		all[when] = p.login("admin", "rabbit-hole")
	}

	step(keyfile.Publish, false)
	works("with the new key published")
	step(keyfile.Sign, true) // the test does not wait for clients of a JWK set, because there are none
	redistest.Eventually(t, "a token of the new key", func() error {
		if kid(p.login("admin", "rabbit-hole")) == first {
			return errors.New("the former key signs")
		}
		return nil
	})
	p.works(before)
	works("with the new key")
	works("after all have refreshed once more")
	for name, session := range all {
		if kid(session) == first {
			t.Errorf("the session %s has a token of the former key after a refresh", name)
		}
	}
	if file, err := operator.OpenKeyFile(path); err != nil {
		t.Fatal(err)
	} else if _, _, err := file.Rotate(time.Now(), false); !errors.Is(err, operator.ErrTooEarly) {
		t.Errorf("the former key leaves while its tokens are valid: %v", err)
	}
	step(keyfile.Retire, true) // every session has been refreshed since
	redistest.Eventually(t, "the former key to leave", func() error {
		if p.call("GET", "/protected", before.Access, "").status == 200 {
			return errors.New("the former key verifies")
		}
		return nil
	})
	works("with the new key alone")
	p.stop()
}
