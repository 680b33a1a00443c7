package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// secretSize is the shortest secret of HS256 in bytes (RFC 7518, section 3.2).
const secretSize = 32

// signingKeys are the keys of the tokens, and what is closed at the end.
type signingKeys struct {
	keys.SigningSource
	io.Closer
}

// loadKeys returns the keys. A text that is not empty is a secret in base64. Otherwise the keys are in
// a key file of the data directory, which the first start creates. The service reads it again while it
// runs, so that "oapi-guard keys rotate" logs nobody out.
func loadKeys(text, dataDir string, logger *slog.Logger) (*signingKeys, error) {
	if text != "" {
		secret, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(secret) < secretSize {
			return nil, fmt.Errorf("JWT_SECRET must be base64 of at least %d random bytes: openssl rand -base64 %d", secretSize, secretSize)
		}
		set, err := secretKeys(secret)
		return &signingKeys{set, io.NopCloser(nil)}, err
	}
	path, former := filepath.Join(dataDir, "keys.json"), filepath.Join(dataDir, "signing.key")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(former); err == nil {
			return nil, fmt.Errorf("the signing key is in a key file now; take it over, and nobody is logged out: "+
				"go run ./cmd/oapi-guard keys import %s --secret raw --file %s", former, path)
		}
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, err
	}
	if err := keys.CreateFile(path, keys.HS256); err != nil {
		return nil, err
	}
	file, err := keys.OpenFile(path, keys.WithFileLogger(logger))
	if err != nil {
		return nil, err
	}
	return &signingKeys{file, file}, nil
}

// secretKeys returns the key set of a secret.
func secretKeys(secret []byte) (*keys.Set, error) {
	key, err := keys.NewHMAC(keys.HS256, secret)
	if err != nil {
		return nil, err
	}
	return keys.NewSet(key)
}
