package security

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"github.com/oapi-guard/oapi-guard/internal/payload"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// verify returns the claims of a token that the verifier accepts.
func (v *Verifier) verify(t testing.TB, text string, want TokenType) (*payload.Claims, error) {
	token, err := v.Verify(t.Context(), want, text)
	if err != nil {
		return nil, err
	}
	return token.verified().claims, nil
}

// testSource is a source whose set and error can be changed.
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

// cacheFixture is an application that counts the signatures that it checks: none for a cached token.
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

// key returns a key whose checks are counted.
func (f *cacheFixture) key(t testing.TB, secret []byte) *keys.Key {
	key := must(keys.NewHMAC(keys.HS256, secret, keys.WithID("k1")))(t)
	// Package keys has no place for a counter, and no test of it needs one.
	inside := reflect.ValueOf(key).Elem()
	set := func(field reflect.Value, value any) {
		reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Set(reflect.ValueOf(value))
	}
	set(inside.FieldByName("method"), &f.counter)
	set(inside.FieldByName("keyMaterial").Elem().FieldByName("keySecrets").Elem().FieldByName("macs"), (*sync.Pool)(nil))
	return key
}

// checked returns how many signatures a request checks, and what becomes of it.
func (f *cacheFixture) checked(t testing.TB, text string, typ TokenType) (int64, error) {
	before := f.checks.Load()
	_, err := f.validate(t.Context(), text, typ)
	return f.checks.Load() - before, err
}

// TestCacheDecides changes the world between two requests with one token: what the second one is answered, and whether its signature was
// checked again.
func TestCacheDecides(t *testing.T) {
	wait := func(d time.Duration) func(testing.TB, *cacheFixture, string) {
		return func(_ testing.TB, f *cacheFixture, _ string) { f.clock.Advance(d) }
	}
	replace := func(_ testing.TB, f *cacheFixture, set *keys.Set) { f.source.change(set, nil) }
	const life = DefaultAccessLifetime + DefaultLeeway
	for _, tt := range []struct {
		name    string
		options []VerifierOption
		between func(t testing.TB, f *cacheFixture, text string)
		want    error
		checks  int64
	}{
		{"nothing", nil, wait(0), nil, 0},
		{"nothing, without a cache", []VerifierOption{WithoutTokenCache()}, wait(0), nil, 1},
		{"nothing, longer than what is kept", []VerifierOption{WithMaxTokenSize(20 << 10)}, func(t testing.TB, f *cacheFixture, text string) {
			long := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, WithRoles(strings.Repeat("r", maxCachedText))))(t).Text()
			for range 2 {
				if checks, err := f.checked(t, long, accessToken); checks != 1 || err != nil {
					t.Errorf("a long token: %d checks, error %v", checks, err)
				}
			}
		}, nil, 0},
		{"the last moment", nil, wait(life - time.Millisecond), nil, 0},
		{"it expires", nil, wait(life), ErrTokenExpired, 1},
		{"it expires within the second of the cache's clock", nil, func(t testing.TB, f *cacheFixture, text string) {
			f.clock.Advance(life - time.Second/2)
			if checks, err := f.checked(t, text, accessToken); checks != 0 || err != nil {
				t.Errorf("half a second before: %d checks, error %v", checks, err)
			}
			f.clock.Advance(time.Second / 2)
		}, ErrTokenExpired, 0},
		{"the clock is put back", nil, wait(-DefaultLeeway - time.Millisecond), ErrTokenNotYetValid, 0},
		{"it is revoked", nil, func(t testing.TB, f *cacheFixture, text string) {
			token := must(f.validate(t.Context(), text, accessToken))(t)
			if err := f.validator.Revoke(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}, ErrTokenRevoked, 0},
		{"the blacklist fails", nil, func(_ testing.TB, f *cacheFixture, _ string) { f.list.Fail(errSecretive, nil) }, ErrUnavailable, 0},
		{"the keys cannot be known", nil, func(_ testing.TB, f *cacheFixture, _ string) { f.source.change(nil, keys.ErrUnavailable) }, ErrUnavailable, 0},
		{"another key of the same id", nil, func(t testing.TB, f *cacheFixture, _ string) {
			replace(t, f, must(keys.NewSet(f.key(t, []byte(strings.Repeat("x", 32)))))(t))
		}, ErrInvalidToken, 1},
		{"another set with the same key", nil, func(t testing.TB, f *cacheFixture, _ string) {
			replace(t, f, must(keys.NewSet(f.key(t, testSecret)))(t))
		}, nil, 1},
		{"another key, and the first set again", nil, func(t testing.TB, f *cacheFixture, text string) {
			replace(t, f, must(keys.NewSet(f.key(t, []byte(strings.Repeat("x", 32)))))(t))
			if _, err := f.checked(t, text, accessToken); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("with another key: %v", err)
			}
			replace(t, f, f.set)
		}, nil, 1},
		{"wanted as a refresh token meanwhile", nil, func(t testing.TB, f *cacheFixture, text string) {
			for range 2 {
				if checks, err := f.checked(t, text, refreshToken); !errors.Is(err, ErrWrongTokenType) || checks != 1 {
					t.Errorf("as a refresh token: %d checks, error %v", checks, err)
				}
			}
		}, nil, 0},
		{"wanted with other private claims meanwhile", nil, func(t testing.TB, f *cacheFixture, text string) {
			if checks, err := f.checked(t, text, NewTokenType[NoClaims]("access")); checks != 1 || err != nil {
				t.Errorf("with other private claims: %d checks, error %v", checks, err)
			}
		}, nil, 0},
	} {
		// What was presented once is kept, and from the second time on also in front.
		for times := 1; times <= 2; times++ {
			t.Run(fmt.Sprintf("%s/presented %d times", tt.name, times), func(t *testing.T) {
				f := newCacheFixture(t, tt.options...)
				text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
				if checks, err := f.checked(t, text, accessToken); checks != 1 || err != nil {
					t.Fatalf("the first request: %d checks, error %v", checks, err)
				}
				for range times - 1 {
					if _, err := f.checked(t, text, accessToken); err != nil {
						t.Fatal(err)
					}
				}
				if f.verifier.cache != nil && f.inFront() != times-1 {
					t.Fatalf("%d tokens are in front", f.inFront())
				}
				tt.between(t, f, text)
				if checks, err := f.checked(t, text, accessToken); checks != tt.checks || !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
					t.Errorf("%d checks, error %v; want %d, %v", checks, err, tt.checks, tt.want)
				}
			})
		}
	}
}

// TestCacheKeepsNoRefusals sends what is refused twice: it is looked at anew, and nothing is kept of it.
func TestCacheKeepsNoRefusals(t *testing.T) {
	f := newCacheFixture(t)
	good := compactHS256(goodHeader, payloadWith())
	for name, text := range map[string]string{
		"a bad signature":    good[:len(good)-4] + "AAAA",
		"expired":            compactHS256(goodHeader, payloadWith("exp", "1699999900", "iat", "1699990000")),
		"not yet valid":      compactHS256(goodHeader, payloadWith("nbf", "1700000600")),
		"another type":       compactHS256(`{"alg":"HS256","kid":"k1","typ":"rt+jwt"}`, payloadWith()),
		"another audience":   compactHS256(goodHeader, payloadWith("aud", `"x"`)),
		"bad private claims": compactHS256(goodHeader, payloadWith("name", "7")),
	} {
		for range 2 {
			if checks, err := f.checked(t, text, accessToken); checks != 1 || err == nil {
				t.Errorf("%s: %d checks, error %v", name, checks, err)
			}
		}
	}
	if n := f.kept(t); n != 0 {
		t.Errorf("%d tokens are kept", n)
	}
}

// kept returns how many tokens are kept, and checks the bounds.
func (f *cacheFixture) kept(t testing.TB) int {
	t.Helper()
	c := f.verifier.cache
	g := c.table.Load()
	if g == nil {
		return 0
	}
	g.tokens.CleanUp()
	n, weight := g.tokens.EstimatedSize(), g.tokens.WeightedSize()
	var bytes uint64
	for _, kept := range g.tokens.All() {
		bytes += uint64(kept.size)
	}
	if weight > c.bytes || bytes > weight || uint64(n)*uint64(c.least) > weight {
		t.Errorf("%d tokens of %d bytes that count for %d, at least %d each, where %d bytes are the bound", n, bytes, weight, c.least, c.bytes)
	}
	for i := range g.front {
		if known := g.front[i].Load(); known != nil {
			if e, ok := g.tokens.GetEntryQuietly(known.sum); !ok || e.Value != known {
				t.Errorf("the token in slot %d of the front is not the one that is kept", i)
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

// TestCacheForgets has tokens that nobody presents any more: they leave when they expire, and after an hour at the latest.
func TestCacheForgets(t *testing.T) {
	f := newCacheFixture(t, WithNeverExpiring())
	for _, options := range [][]TokenOption{nil, {WithLifetime(24 * time.Hour)}, {WithoutExpiry()}} {
		f.present(t, must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, options...))(t).Text())
	}
	for _, step := range []struct {
		wait time.Duration
		kept int
	}{{0, 4}, {14 * time.Minute, 4}, {2 * time.Minute, 3}, {43 * time.Minute, 3}, {2 * time.Minute, 1}} {
		f.clock.Advance(step.wait)
		f.present(t, must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, WithLifetime(10*time.Second)))(t).Text())
		if n := f.kept(t); n != step.kept {
			t.Errorf("after another %s: %d tokens are kept, want %d", step.wait, n, step.kept)
		}
	}
}

// present presents a good token and returns 1 where it was kept.
func (f *cacheFixture) present(t testing.TB, text string) int {
	t.Helper()
	before := f.checks.Load()
	if _, err := f.verifier.Verify(t.Context(), accessToken, text); err != nil {
		t.Fatal(err)
	}
	return 1 - int(f.checks.Load()-before)
}

// TestSumOf checks the key of the cache against the standard library's SHA-256, of texts around the size of the pieces.
func TestSumOf(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 65)
	for n := range len(text) {
		if sumOf(text[:n]) != sha256.Sum256([]byte(text[:n])) {
			t.Errorf("another sum of %d bytes", n)
		}
	}
}

// looseClaims can be changed through a copy.
type looseClaims struct {
	List    []string          `json:"list"`
	Object  map[string]string `json:"object"`
	Pointer *string           `json:"pointer"`
	Any     any               `json:"any"`
	Raw     jsontext.Value    `json:"raw"`
}

// TestCacheShares has handlers that change whatever they get at: the next request with the token finds what its text says.
func TestCacheShares(t *testing.T) {
	f := newCacheFixture(t, WithPublicNamespace("https://claims.example/"))
	typ := NewTokenType[looseClaims]("access")
	name := "Alice"
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", looseClaims{[]string{"a"}, map[string]string{"k": "v"}, &name, map[string]any{"x": []any{"y"}}, jsontext.Value(`[1]`)},
		WithRoles("USER"), WithScopes("read"), WithPublicClaims(map[string]any{"user": map[string]any{"name": "Alice"}})))(t).Text()
	var mu sync.Mutex
	said := map[string]int{}
	handle := func(token Token[looseClaims]) {
		c, public := token.Claims(), token.PublicClaims()
		mu.Lock()
		said[fmt.Sprint(c.List, c.Object, *c.Pointer, c.Any, c.Raw, token.Roles(), token.Scopes(), token.Audience(), public)]++
		mu.Unlock()
		c.List[0], c.Object["k"], *c.Pointer = "changed", "changed", "changed"
		c.Any.(map[string]any)["x"].([]any)[0] = "changed"
		c.Raw[1] = '2'
		token.Roles()[0], token.Scopes()[0], token.Audience()[0] = "ADMIN", "write", "changed"
		public["user"].(map[string]any)["name"] = "changed"
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				token, err := f.validate(t.Context(), text, typ)
				if err != nil {
					t.Error(err)
					return
				}
				handle(token.(Token[looseClaims]))
			}
		})
	}
	group.Wait()
	if len(said) != 1 {
		t.Errorf("the token says %v", said)
	}
	if checks := f.checks.Load(); checks > 8 {
		t.Errorf("%d signatures were checked; the test is about tokens that are kept", checks)
	}
}

// TestImmutable has the types whose values requests may share.
func TestImmutable(t *testing.T) {
	type named struct {
		ID   [16]byte
		When struct{ time.Time }
		Name string
		N    []int
	}
	for _, tt := range []struct {
		value any
		want  bool
	}{
		{NoClaims{}, true}, {"", true}, {7, true}, {1.5, true}, {true, true}, {[2]string{}, true}, {time.Time{}, true},
		{struct {
			ID   [16]byte
			When struct{ time.Time }
		}{}, true},
		{named{}, false}, {[]int{}, false}, {map[string]int{}, false}, {new(int), false}, {[1][]int{}, false}, {struct{ V any }{}, false},
		{struct{ hidden *int }{}, false}, {func() {}, false}, {make(chan int), false}, {unsafe.Pointer(nil), false}, {struct{ L *time.Location }{}, false},
	} {
		if got := isImmutable(reflect.TypeOf(tt.value)); got != tt.want {
			t.Errorf("%T: %t", tt.value, got)
		}
	}
}

type flatClaims struct {
	Name string `json:"name"`
}

// TestCacheAllocates counts what a request with a token that is kept allocates: nothing where its private claims can be
// shared.
func TestCacheAllocates(t *testing.T) {
	f := newFixture(t)
	f.validator = must(NewValidator(f.verifier, f.list.Blacklist))(t)
	flat := NewTokenType[flatClaims]("access")
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", flatClaims{"Alice"}, WithRoles("USER")))(t).Text()
	verify := func(typ TokenType) float64 {
		return testing.AllocsPerRun(100, func() {
			if _, err := f.verifier.Verify(t.Context(), typ, text); err != nil {
				t.Fatal(err)
			}
		})
	}
	if n := verify(flat); n != 0 {
		t.Errorf("claims that can be shared: %v allocations", n)
	}
}

// TestCacheHoldsNoText looks for the text of a token in what is kept of it, and has a router that uses its buffers again.
func TestCacheHoldsNoText(t *testing.T) {
	f := newCacheFixture(t)
	issue := func(subject string) []byte {
		text := must(f.issuer.IssueAccessToken(t.Context(), subject, userClaims{Name: subject}, WithRoles("USER"), WithScopes("read")))(t).Text()
		return []byte(text)
	}
	first := issue("alice")
	buffer := slices.Clone(first)
	text := unsafe.String(&buffer[0], len(buffer))
	if _, err := f.verifier.Verify(t.Context(), accessToken, text); err != nil {
		t.Fatal(err)
	}
	copy(buffer, issue("mallory"))
	if c := must(f.verifier.verify(t, string(first), accessToken))(t); c.Subject != "alice" || c.Issuer != testIssuer || !slices.Equal(c.Roles, []string{"USER"}) {
		t.Errorf("after the buffer was used again, the token says %+v", c)
	}
	if n := f.kept(t); n != 1 {
		t.Fatalf("%d tokens are kept", n)
	}
	signature := string(first[strings.LastIndexByte(string(first), '.')+1:])
	for _, kept := range f.verifier.cache.table.Load().tokens.All() {
		texts := heldBy(reflect.ValueOf(kept), nil)
		if !slices.Contains(texts, "alice") {
			t.Errorf("the search does not find the subject in %q", texts)
		}
		for _, held := range texts {
			if strings.Contains(held, signature) {
				t.Errorf("the cache holds the signature in %q", held)
			}
		}
	}
}

// heldBy collects the strings and bytes that a value reaches, not through its verifier.
func heldBy(v reflect.Value, held []string) []string {
	switch v.Kind() {
	case reflect.String:
		return append(held, v.String())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || v.Type() == reflect.TypeFor[*Verifier]() || v.Type() == reflect.TypeFor[*keys.Set]() {
			return held
		}
		return heldBy(v.Elem(), held)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
			return append(held, string(v.Bytes()))
		}
		for i := range v.Len() {
			held = heldBy(v.Index(i), held)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			held = heldBy(v.Field(i), held)
		}
	}
	return held
}

func TestCacheOptions(t *testing.T) {
	f := newFixture(t)
	for name, option := range map[string]VerifierOption{
		"no token": WithTokenCache(0, DefaultCacheBytes), "negative": WithTokenCache(-1, DefaultCacheBytes), "few bytes": WithTokenCache(10, minCacheBytes-1),
	} {
		if _, err := NewVerifier(testIssuer, f.verifier.keys, option); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
