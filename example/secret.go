package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secretSize is the shortest secret of HS256 in bytes (RFC 7518, section 3.2).
const secretSize = 32

// loadSecret returns the signing secret. A text that is not empty is the secret in base64. Otherwise
// the secret is in the file, which the first start creates, so that tokens survive a restart.
func loadSecret(text, file string) ([]byte, error) {
	if text != "" {
		secret, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(secret) < secretSize {
			return nil, fmt.Errorf("JWT_SECRET must be base64 of at least %d random bytes: openssl rand -base64 %d", secretSize, secretSize)
		}
		return secret, nil
	}
	if err := createSecret(file); err != nil {
		return nil, err
	}
	info, err := os.Lstat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s contains the signing secret: it must be a file that only its owner can read (chmod 600)", file)
	}
	secret, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if len(secret) < secretSize {
		return nil, fmt.Errorf("%s has %d bytes instead of at least %d: it is damaged; remove it to create a new secret, which logs everybody out", file, len(secret), secretSize)
	}
	return secret, nil
}

// createSecret creates the file unless it exists. The file appears under its name when it is complete.
// If two processes start at once, one of them creates it and both use it.
func createSecret(file string) error {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	secret := make([]byte, secretSize)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	draft := file + "." + rand.Text()
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(draft)
	_, err = f.Write(secret)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// A link fails if the name is taken. A rename would replace the secret that another process has
	// just created.
	if err := os.Link(draft, file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
