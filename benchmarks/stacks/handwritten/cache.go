package handwritten

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/oapi-guard/oapi-guard/benchmarks/api"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
)

// cacheTTL is how long a parsed token stays in the cache.
const cacheTTL = time.Minute

// NewCached returns the handler with a cache of parsed tokens. The cache contains the texts of the
// tokens, has no limit, and accepts a token after the key was removed, for up to a minute. With
// Redis each request asks whether its token was revoked. Without Redis no request does.
func NewCached(c stack.Config) (http.Handler, error) {
	return authenticate(&cachedVerifier{Verifier: golangjwt.New(c), now: time.Now}, api.Handler(NewServer())), nil
}

// cachedVerifier verifies a token once a minute.
type cachedVerifier struct {
	*golangjwt.Verifier
	now   func() time.Time
	cache sync.Map // the text of a token: *cachedClaims
	swept atomic.Int64
}

type cachedClaims struct {
	claims *golangjwt.Claims
	until  time.Time // the end of the TTL or of the token, whichever is first
}

// Verify returns the claims of a valid access token that is not revoked.
func (v *cachedVerifier) Verify(ctx context.Context, text string) (*golangjwt.Claims, error) {
	now := v.now()
	claims := v.find(text, now)
	if claims == nil {
		var err error
		if claims, err = v.Parse(text); err != nil {
			return nil, err
		}
		v.add(text, claims, now)
	}
	if err := v.CheckRevoked(ctx, claims.ID); err != nil {
		return nil, err
	}
	return claims, nil
}

// find returns the claims of a token in the cache that has not expired, or nil.
func (v *cachedVerifier) find(text string, now time.Time) *golangjwt.Claims {
	entry, ok := v.cache.Load(text)
	if !ok {
		return nil
	}
	if cached := entry.(*cachedClaims); now.Before(cached.until) {
		return cached.claims
	}
	return nil
}

// add adds a token, and once a minute removes those whose time is over.
func (v *cachedVerifier) add(text string, claims *golangjwt.Claims, now time.Time) {
	// The copy is there because the text is a part of all headers of its request.
	v.cache.Store(strings.Clone(text), &cachedClaims{claims, end(claims.ExpiresAt, now)})
	swept := v.swept.Load()
	if now.UnixNano()-swept < int64(cacheTTL) || !v.swept.CompareAndSwap(swept, now.UnixNano()) {
		return
	}
	v.cache.Range(func(key, entry any) bool {
		if !now.Before(entry.(*cachedClaims).until) {
			v.cache.Delete(key)
		}
		return true
	})
}

func end(expires *jwt.NumericDate, now time.Time) time.Time {
	until := now.Add(cacheTTL)
	if expires := expires.Add(golangjwt.Leeway); expires.Before(until) {
		return expires
	}
	return until
}
