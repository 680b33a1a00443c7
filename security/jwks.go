package security

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
)

// JWKSHandler serves the public halves of the key set as a JWK set (RFC 7517, section 5), for others who verify its tokens.
// Symmetric keys are left out: a set of only such keys is an error. The answer may be cached for maxAge, from a second to a day;
// a new key should be in the set that long before it signs.
func JWKSHandler(keys *KeySet, maxAge time.Duration) (http.Handler, error) {
	if keys == nil {
		return nil, errors.New("security: JWKSHandler needs a key set")
	}
	if maxAge < time.Second || maxAge > 24*time.Hour {
		return nil, errors.New("security: a JWK set may be cached for a second to a day")
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range keys.keys {
		if jwk := (jose.JSONWebKey{Key: key.verify, KeyID: key.id, Algorithm: string(key.algorithm), Use: "sig"}); jwk.IsPublic() {
			set.Keys = append(set.Keys, jwk)
		}
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("security: the key set has only symmetric keys, which nobody else may have")
	}
	body, err := json.Marshal(set)
	if err != nil {
		return nil, errors.New("security: the key set cannot be written")
	}
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	cache := fmt.Sprintf("public, max-age=%d", int(maxAge/time.Second))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			header.Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		header.Set("Cache-Control", cache)
		header.Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		header.Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(body) // the client may have gone
	}), nil
}
