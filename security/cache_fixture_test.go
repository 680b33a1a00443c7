package security

import (
	"context"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/golang-jwt/jwt/v5"

	"github.com/oapi-guard/oapi-guard/internal/payload"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// testSource is a key source whose key set and error can be changed.
type testSource struct {
	mu  sync.Mutex
	set *keys.Set
	err error
}

func (s *testSource) change(set *keys.Set, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.err = set, err
}

func (s *testSource) VerificationKeys(context.Context, keys.Header) (*keys.Set, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set, s.err
}

func (s *testSource) SigningKey(ctx context.Context) (*keys.Key, error) {
	set, err := s.VerificationKeys(ctx, keys.Header{})
	if err != nil {
		return nil, err
	}
	return set.SigningKey(ctx)
}

// cacheFixture is an application that counts how many signatures it checks: none for a cached
// token.
type cacheFixture struct {
	*fixture
	counter
	set    *keys.Set
	source *testSource
}

type counter struct {
	jwt.SigningMethod
	checks atomic.Int64
}

// Verify implements jwt.SigningMethod.
func (c *counter) Verify(text string, signature []byte, key any) error {
	c.checks.Add(1)
	return c.SigningMethod.Verify(text, signature, key)
}

func newCacheFixture(t testing.TB, options ...VerifierOption) *cacheFixture {
	t.Helper()
	f := &cacheFixture{fixture: newFixture(t), counter: counter{SigningMethod: jwt.SigningMethodHS256}}
	f.set = must(keys.NewSet(f.key(t, testSecret)))(t)
	f.source = &testSource{set: f.set}
	f.verifier = must(NewVerifier(testIssuer, f.source, append([]VerifierOption{WithClock(f.clock.Now)}, options...)...))(t)
	f.issuer = must(NewIssuer(f.verifier))(t)
	f.validator = must(NewValidator(f.verifier, f.list))(t)
	return f
}

// key returns a key that counts its checks.
func (f *cacheFixture) key(t testing.TB, secret []byte) *keys.Key {
	key := must(keys.NewHMAC(keys.HS256, secret, keys.WithID("k1")))(t)
	// Package keys exports nothing that could count.
	inside := reflect.ValueOf(key).Elem()
	set := func(field reflect.Value, value any) {
		reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Set(reflect.ValueOf(value))
	}
	set(inside.FieldByName("method"), &f.counter)
	set(inside.FieldByName("keyMaterial").Elem().FieldByName("keySecrets").Elem().FieldByName("macs"), (*sync.Pool)(nil))
	return key
}

// checked returns how many signatures the validation of a token checks, and its error.
func (f *cacheFixture) checked(t testing.TB, text string, typ TokenType) (int64, error) {
	before := f.checks.Load()
	_, err := f.validate(t.Context(), text, typ)
	return f.checks.Load() - before, err
}

// present verifies a valid token. It returns 1 if the token was cached, else 0.
func (f *cacheFixture) present(t testing.TB, text string) int {
	t.Helper()
	before := f.checks.Load()
	if _, err := f.verifier.Verify(t.Context(), accessToken, text); err != nil {
		t.Fatal(err)
	}
	return 1 - int(f.checks.Load()-before)
}

// kept returns how many tokens are cached, and checks the bounds of the cache.
func (f *cacheFixture) kept(t testing.TB) int {
	t.Helper()
	c := f.verifier.cache
	g := c.table.Load()
	if g == nil {
		return 0
	}
	tokens := g.tokens.(otterTokens).cache
	tokens.CleanUp()
	n, weight := tokens.EstimatedSize(), tokens.WeightedSize()
	var bytes uint64
	for _, kept := range tokens.All() {
		bytes += uint64(kept.size)
	}
	if weight > c.bytes || bytes > weight || uint64(n)*uint64(c.least) > weight {
		t.Errorf("%d tokens of %d bytes with a weight of %d, at least %d each; the bound is %d bytes", n, bytes, weight, c.least, c.bytes)
	}
	for i := range g.front {
		if known := g.front[i].Load(); known != nil {
			if !g.tokens.has(known) {
				t.Errorf("slot %d of the front has another entry than the cache", i)
			}
		}
	}
	return n
}

// inFront returns how many tokens are in the front.
func (f *cacheFixture) inFront() (n int) {
	front := &f.verifier.cache.table.Load().front
	for i := range front {
		if front[i].Load() != nil {
			n++
		}
	}
	return n
}

// verify returns the claims of a token that the verifier accepts.
func (v *Verifier) verify(t testing.TB, text string, want TokenType) (*payload.Claims, error) {
	token, err := v.Verify(t.Context(), want, text)
	if err != nil {
		return nil, err
	}
	return token.verified().claims, nil
}
