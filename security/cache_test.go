package security

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// TestCacheDecides changes something between two requests with one token. The second request gets
// the right answer, and checks the signature again only where it must.
func TestCacheDecides(t *testing.T) {
	wait := func(d time.Duration) func(testing.TB, *cacheFixture, string) {
		return func(_ testing.TB, f *cacheFixture, _ string) { f.clock.Advance(d) }
	}
	replace := func(_ testing.TB, f *cacheFixture, set *keys.Set) { f.source.change(set, nil) }
	const life = DefaultAccessLifetime + DefaultLeeway - fraction
	for _, tt := range []struct {
		name    string
		options []VerifierOption
		between func(t testing.TB, f *cacheFixture, text string)
		want    error
		checks  int64
	}{
		{name: "nothing changes", between: wait(0), checks: 0},
		{name: "nothing changes, without a cache", options: []VerifierOption{WithoutTokenCache()}, between: wait(0), checks: 1},
		{
			name: "a token too long for the cache comes meanwhile", options: []VerifierOption{WithMaxTokenSize(20 << 10)},
			between: func(t testing.TB, f *cacheFixture, text string) {
				long := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, WithRoles(strings.Repeat("r", maxCachedText))))(t).Text()
				for range 2 {
					if checks, err := f.checked(t, long, accessToken); checks != 1 || err != nil {
						t.Errorf("a long token: %d checks, error %v", checks, err)
					}
				}
			},
			checks: 0,
		},
		{name: "the last millisecond", between: wait(life - time.Millisecond), checks: 0},
		{name: "the token expires", between: wait(life), want: ErrTokenExpired, checks: 1},
		{
			name: "the token expires within the second of the clock of the cache",
			between: func(t testing.TB, f *cacheFixture, text string) {
				f.clock.Advance(life - time.Second/2)
				if checks, err := f.checked(t, text, accessToken); checks != 0 || err != nil {
					t.Errorf("half a second before: %d checks, error %v", checks, err)
				}
				f.clock.Advance(time.Second / 2)
			},
			want: ErrTokenExpired, checks: 0,
		},
		{name: "the clock is set back", between: wait(-DefaultLeeway - fraction - time.Millisecond), want: ErrTokenNotYetValid, checks: 0},
		{
			name: "the token is revoked",
			between: func(t testing.TB, f *cacheFixture, text string) {
				token := must(f.validate(t.Context(), text, accessToken))(t)
				if err := f.validator.Revoke(t.Context(), token); err != nil {
					t.Fatal(err)
				}
			},
			want: ErrTokenRevoked, checks: 0,
		},
		{
			name:    "the blacklist fails",
			between: func(_ testing.TB, f *cacheFixture, _ string) { f.list.Fail(errSecretive, nil) },
			want:    ErrUnavailable, checks: 0,
		},
		{
			name:    "the keys are unavailable",
			between: func(_ testing.TB, f *cacheFixture, _ string) { f.source.change(nil, keys.ErrUnavailable) },
			want:    ErrUnavailable, checks: 0,
		},
		{
			name: "another key of the same id",
			between: func(t testing.TB, f *cacheFixture, _ string) {
				replace(t, f, must(keys.NewSet(f.key(t, []byte(strings.Repeat("x!", 16)))))(t))
			},
			want: ErrInvalidToken, checks: 1,
		},
		{
			name: "another set with the same key",
			between: func(t testing.TB, f *cacheFixture, _ string) {
				replace(t, f, must(keys.NewSet(f.key(t, testSecret)))(t))
			},
			checks: 1,
		},
		{
			name: "another key, then the first set again",
			between: func(t testing.TB, f *cacheFixture, text string) {
				replace(t, f, must(keys.NewSet(f.key(t, []byte(strings.Repeat("x!", 16)))))(t))
				if _, err := f.checked(t, text, accessToken); !errors.Is(err, ErrInvalidToken) {
					t.Errorf("with another key: %v", err)
				}
				replace(t, f, f.set)
			},
			checks: 1,
		},
		{
			name: "presented as a refresh token meanwhile",
			between: func(t testing.TB, f *cacheFixture, text string) {
				for range 2 {
					if checks, err := f.checked(t, text, refreshToken); !errors.Is(err, ErrWrongTokenType) || checks != 1 {
						t.Errorf("as a refresh token: %d checks, error %v", checks, err)
					}
				}
			},
			checks: 0,
		},
		{
			name: "presented with other private claims meanwhile",
			between: func(t testing.TB, f *cacheFixture, text string) {
				if checks, err := f.checked(t, text, NewTokenType[NoClaims]("access")); checks != 1 || err != nil {
					t.Errorf("with other private claims: %d checks, error %v", checks, err)
				}
			},
			checks: 0,
		},
	} {
		// A token is cached the first time, and in the front from the second time on.
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
					t.Fatalf("%d tokens are in the front", f.inFront())
				}
				tt.between(t, f, text)
				if checks, err := f.checked(t, text, accessToken); checks != tt.checks || !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
					t.Errorf("%d checks, error %v; want %d, %v", checks, err, tt.checks, tt.want)
				}
			})
		}
	}
}

// TestCacheKeepsNoRefusals presents each invalid token twice. It is decided anew, and nothing is
// cached.
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
		t.Errorf("%d tokens are cached", n)
	}
}

// TestCacheForgets has tokens that are not presented again. They leave the cache when they expire,
// and after an hour at the latest.
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
			t.Errorf("after another %s: %d tokens are cached, want %d", step.wait, n, step.kept)
		}
	}
}

// TestSumOfIsSHA256 compares the key of the cache with SHA-256 of the standard library, for texts
// around the block size.
func TestSumOfIsSHA256(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 65)
	for n := range len(text) {
		if sumOf(text[:n]) != sha256.Sum256([]byte(text[:n])) {
			t.Errorf("the sum of %d bytes is not SHA-256", n)
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

// TestCachedClaimsCannotBeChanged has handlers that change everything that they can reach through a
// token. The next request finds the claims of the text.
func TestCachedClaimsCannotBeChanged(t *testing.T) {
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
		t.Errorf("requests saw different claims: %v", said)
	}
	if checks := f.checks.Load(); checks > 8 {
		t.Errorf("%d signatures were checked: the token was not cached", checks)
	}
}

// TestIsImmutable checks which types of private claims requests may share.
func TestIsImmutable(t *testing.T) {
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
			t.Errorf("%T: immutable %t, want %t", tt.value, got, tt.want)
		}
	}
}

type flatClaims struct {
	Name string `json:"name"`
}

// TestCachedTokenAllocatesNothing counts the allocations for a cached token: none where its private
// claims can be shared.
func TestCachedTokenAllocatesNothing(t *testing.T) {
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

// TestCacheHoldsNoText searches a cached entry for the text of the token. It also reuses the buffer
// of the request, as some routers do.
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
		t.Errorf("after the buffer was reused, the claims are %+v", c)
	}
	if n := f.kept(t); n != 1 {
		t.Fatalf("%d tokens are cached", n)
	}
	signature := string(first[strings.LastIndexByte(string(first), '.')+1:])
	for _, kept := range f.verifier.cache.table.Load().tokens.(otterTokens).cache.All() {
		texts := reachable(reflect.ValueOf(kept), nil)
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

// reachable collects the strings and bytes that a value reaches, except through a verifier or a key
// set.
func reachable(v reflect.Value, held []string) []string {
	switch v.Kind() {
	case reflect.String:
		return append(held, v.String())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || v.Type() == reflect.TypeFor[*Verifier]() || v.Type() == reflect.TypeFor[*keys.Set]() {
			return held
		}
		return reachable(v.Elem(), held)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
			return append(held, string(v.Bytes()))
		}
		for i := range v.Len() {
			held = reachable(v.Index(i), held)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			held = reachable(v.Field(i), held)
		}
	}
	return held
}

func TestCacheOptions(t *testing.T) {
	f := newFixture(t)
	for name, option := range map[string]VerifierOption{
		"room for no token": WithTokenCache(0, DefaultCacheBytes), "negative": WithTokenCache(-1, DefaultCacheBytes), "few bytes": WithTokenCache(10, minCacheBytes-1),
	} {
		if _, err := NewVerifier(testIssuer, f.verifier.keys, option); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
