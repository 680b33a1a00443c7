//go:build ignore

package security

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
)

// JWKSHandler serves the public halves of the keys as a JWK set (RFC 7517, section 5), for others who verify their tokens. Symmetric
// keys are left out: only such keys are an error. The answer may be cached for maxAge, from a second to a day; a new key should be
// in the set that long before it signs.
func JWKSHandler(keys KeySource, maxAge time.Duration) (http.Handler, error) {
	if hasNoKeys(keys) {
		return nil, errors.New("security: JWKSHandler needs keys")
	}
	if maxAge < time.Second || maxAge > 24*time.Hour {
		return nil, errors.New("security: a JWK set may be cached for a second to a day")
	}
	h := &jwksHandler{keys: keys, cacheControl: fmt.Sprintf("public, max-age=%d", int(maxAge/time.Second))}
	_, err := h.current()
	return h, err
}

type jwksHandler struct {
	keys         KeySource
	cacheControl string
	last         atomic.Pointer[published]
}

// published is a key set as it is served.
type published struct {
	set  *KeySet
	body []byte
	etag string
}

// current returns what to serve, made anew when the keys have changed.
func (h *jwksHandler) current() (*published, error) {
	set, err := h.keys.current()
	if err != nil {
		return nil, err
	}
	if last := h.last.Load(); last != nil && last.set == set {
		return last, nil
	}
	var public jose.JSONWebKeySet
	for _, key := range set.keys {
		if jwk := (jose.JSONWebKey{Key: key.verify, KeyID: key.id, Algorithm: string(key.algorithm), Use: "sig"}); jwk.IsPublic() {
			public.Keys = append(public.Keys, jwk)
		}
	}
	if len(public.Keys) == 0 {
		return nil, errors.New("security: there are only symmetric keys, which nobody else may have")
	}
	body, err := json.Marshal(public)
	if err != nil {
		return nil, errors.New("security: the key set cannot be written")
	}
	sum := sha256.Sum256(body)
	p := &published{set, body, `"` + hex.EncodeToString(sum[:16]) + `"`}
	h.last.Store(p)
	return p, nil
}

func (h *jwksHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	p, err := h.current()
	if err != nil {
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return
	}
	header.Set("Cache-Control", h.cacheControl)
	header.Set("ETag", p.etag)
	if r.Header.Get("If-None-Match") == p.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(p.body) // the client may have gone
}
