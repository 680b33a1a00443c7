package handwritten

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
)

// TestCache checks that a token in the cache is accepted for a minute and not longer than it is
// valid, and that old tokens leave the cache.
func TestCache(t *testing.T) {
	now := time.Now()
	config := stack.Config{Issuer: "issuer", Audience: "audience", Algorithm: "HS256", Key: []byte("a secret of 32 bytes for HS256..")}
	other := config
	other.Key = []byte("another key, with which no token is valid")
	for _, tt := range []struct {
		name     string
		lifetime time.Duration
		accepted time.Duration
	}{
		{"a long token", time.Hour, cacheTTL},
		{"a short token", 20 * time.Second, 20*time.Second + golangjwt.Leeway},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := now
			v := &cachedVerifier{Verifier: golangjwt.New(config), now: func() time.Time { return clock }}
			text := sign(t, config, now.Add(tt.lifetime))
			if _, err := v.Verify(t.Context(), text); err != nil {
				t.Fatal(err)
			}
			// From now on only the cache accepts the token.
			v.Verifier = golangjwt.New(other)
			for _, at := range []struct {
				after    time.Duration
				accepted bool
			}{{0, true}, {tt.accepted - 2*time.Second, true}, {tt.accepted + time.Second, false}} {
				clock = now.Add(at.after)
				if _, err := v.Verify(t.Context(), text); (err == nil) != at.accepted {
					t.Errorf("after %v: %v", at.after, err)
				}
			}
			v.Verifier = golangjwt.New(config)
			clock = now.Add(2 * cacheTTL)
			if _, err := v.Verify(t.Context(), sign(t, config, now.Add(2*time.Hour))); err != nil {
				t.Fatal(err)
			}
			entries := 0
			v.cache.Range(func(any, any) bool { entries++; return true })
			if entries != 1 {
				t.Errorf("%d tokens in the cache, want the new one", entries)
			}
		})
	}
}

func sign(t *testing.T, c stack.Config, expires time.Time) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, golangjwt.Claims{RegisteredClaims: jwt.RegisteredClaims{
		Issuer: c.Issuer, Audience: jwt.ClaimStrings{c.Audience}, ExpiresAt: jwt.NewNumericDate(expires),
	}})
	token.Header["typ"] = "at+jwt"
	text, err := token.SignedString(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
