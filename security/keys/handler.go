package keys

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
)

// JWKSHandler serves the public halves of the keys as a JWK set (RFC 7517, section 5), for services
// that verify the tokens. It leaves symmetric keys out; a set with no other key is an error. The
// response may be cached for maxAge, from a second to a day. Publish a new key that long before it
// signs.
func JWKSHandler(source CurrentSet, maxAge time.Duration) (http.Handler, error) {
	if isNil(source) {
		return nil, errors.New("keys: JWKSHandler needs keys")
	}
	if maxAge < time.Second || maxAge > 24*time.Hour {
		return nil, errors.New("keys: a JWK set may be cached for a second to a day")
	}
	h := &jwksHandler{source: source, cacheControl: fmt.Sprintf("public, max-age=%d", int(maxAge/time.Second))}
	_, err := h.current(context.Background())
	return h, err
}

type jwksHandler struct {
	source       CurrentSet
	cacheControl string
	last         atomic.Pointer[published]
}

// published is a key set in the form in which it is served.
type published struct {
	set  *Set
	body []byte
	etag string
}

// current returns the response to serve. It makes a new one when the keys have changed.
func (h *jwksHandler) current(ctx context.Context) (*published, error) {
	set, err := h.source.Current(ctx)
	if err != nil {
		return nil, err
	}
	if set.Len() == 0 {
		return nil, ErrUnavailable
	}
	if last := h.last.Load(); last != nil && last.set == set {
		return last, nil
	}
	var public gojose.JSONWebKeySet
	for _, key := range set.keys {
		if jwk := (gojose.JSONWebKey{Key: key.verify, KeyID: key.id, Algorithm: string(key.algorithm), Use: "sig"}); jwk.IsPublic() {
			public.Keys = append(public.Keys, jwk)
		}
	}
	if len(public.Keys) == 0 {
		return nil, errors.New("keys: all keys are symmetric, which must not be published")
	}
	body, err := json.Marshal(public)
	if err != nil {
		return nil, errors.New("keys: the key set cannot be written")
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
	p, err := h.current(r.Context())
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
	_, _ = w.Write(p.body) // the client may be gone
}
