package security

import (
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// flooded is an application whose cache has room for 500 tokens. 100 tokens are in use.
type flooded struct {
	*cacheFixture
	hot  []string
	next int
}

const floodedRoom, floodedHot = 500, 100

func newFlooded(t *testing.T) *flooded {
	t.Helper()
	f := &flooded{cacheFixture: newCacheFixture(t, WithTokenCache(floodedRoom, DefaultCacheBytes))}
	for i := range floodedHot {
		f.hot = append(f.hot, uniqueToken(fmt.Sprint("hot", i)))
	}
	if f.use(t); f.use(t) != floodedHot {
		t.Fatal("the tokens in use are not cached")
	}
	f.use(t)
	return f
}

func uniqueToken(id string) string { return compactHS256(goodHeader, payloadWith("jti", `"`+id+`"`)) }

// use presents each of the tokens in use once. It returns how many were cached.
func (f *flooded) use(t *testing.T) (found int) {
	for range f.hot {
		found += f.useNext(t)
	}
	return found
}

func (f *flooded) useNext(t *testing.T) int {
	f.next++
	return f.present(t, f.hot[f.next%len(f.hot)])
}

// fifo is a cache that evicts the oldest token, for comparison.
type fifo struct {
	kept  map[string]bool
	order []string
}

func (c *fifo) present(text string) (found int) {
	if c.kept[text] {
		return 1
	}
	if len(c.order) == floodedRoom {
		delete(c.kept, c.order[0])
		c.order = c.order[1:]
	}
	c.kept[text] = true
	c.order = append(c.order, text)
	return 0
}

// TestCacheFloodOfValidTokens presents forty times as many valid tokens as there is room for. Each
// comes once. After every ten of them comes one of the tokens in use, so that more than a thousand
// tokens come before the same one is used again.
func TestCacheFloodOfValidTokens(t *testing.T) {
	f := newFlooded(t)
	plain := &fifo{kept: map[string]bool{}}
	found, plainFound, used := 0, 0, 0
	for i := range 40 * floodedRoom {
		text := uniqueToken(fmt.Sprint(i))
		f.present(t, text)
		plain.present(text)
		if i%10 == 0 {
			used++
			found += f.useNext(t)
			plainFound += plain.present(f.hot[f.next%len(f.hot)])
		}
		if i%1000 == 0 {
			f.kept(t)
		}
	}
	if n := f.kept(t); n > floodedRoom {
		t.Errorf("%d tokens are cached", n)
	}
	t.Logf("%d requests with tokens in use during the flood: %d found in the cache, %d found in one that evicts the oldest", used, found, plainFound)
	if found*10 < used*9 {
		t.Errorf("%d requests with tokens in use during the flood: only %d found in the cache", used, found)
	}
	if plainFound*10 > used {
		t.Errorf("a cache that evicts the oldest finds %d of %d: the flood is too small to show anything", plainFound, used)
	}
	if found := f.use(t); found < 9*floodedHot/10 {
		t.Errorf("after the flood %d of %d tokens in use are cached", found, floodedHot)
	}
}

// TestCacheRecovers floods a cache while its tokens are not in use: with tokens that come once, and
// with tokens that come again and again. Afterwards the tokens in use are soon cached again.
func TestCacheRecovers(t *testing.T) {
	for _, tt := range []struct{ times, rounds int }{{1, 1}, {4, 20}} {
		f := newFlooded(t)
		for i := range 20 * floodedRoom {
			text := uniqueToken(fmt.Sprint(i))
			for range tt.times {
				f.present(t, text)
			}
		}
		rounds := 1
		for f.use(t) < 9*floodedHot/10 && rounds <= tt.rounds {
			rounds++
		}
		t.Logf("a flood of tokens that are seen %d times: cached again in round %d", tt.times, rounds)
		if rounds > tt.rounds {
			t.Errorf("tokens in use are not cached again after %d rounds", tt.rounds)
		}
		f.kept(t)
	}
}

// TestCacheFloodOfInvalidTokens presents half a million tokens that are refused. The contents of
// the cache stay as they are.
func TestCacheFloodOfInvalidTokens(t *testing.T) {
	f := newFlooded(t)
	head := base64.RawURLEncoding.EncodeToString([]byte(goodHeader)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payloadWith()))
	other := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"other","typ":"at+jwt"}`)) + "."
	const n = 100_000
	for name, text := range map[string]func(i int) string{
		"a bad signature":    func(i int) string { return fmt.Sprintf("%s.%043d", head, i*4) },
		"an unknown key id":  func(i int) string { return fmt.Sprintf("%s%d.AAAA", other, i) },
		"a malformed header": func(i int) string { return fmt.Sprintf("%d.AAAA.AAAA", i) },
		"no token":           func(i int) string { return fmt.Sprint(i) },
		"signed, and another type": func(i int) string {
			return compactHS256(`{"alg":"HS256","kid":"k1","typ":"rt+jwt"}`, payloadWith("jti", fmt.Sprintf(`"%d"`, i)))
		},
	} {
		for i := range n {
			if _, err := f.verifier.Verify(t.Context(), accessToken, text(i)); err == nil {
				t.Fatalf("%s: accepted %s", name, text(i))
			}
		}
		if kept, found := f.kept(t), f.use(t); kept != floodedHot || found != floodedHot {
			t.Errorf("%s: %d tokens are cached, %d of those in use", name, kept, found)
		}
	}
}

// TestCacheBoundsHoldConcurrently adds tokens from many goroutines at once, with a bound on their
// number and with one on their bytes.
func TestCacheBoundsHoldConcurrently(t *testing.T) {
	for _, bounds := range [][2]int{{100, DefaultCacheBytes}, {DefaultCachedTokens, minCacheBytes}} {
		f := newCacheFixture(t, WithTokenCache(bounds[0], bounds[1]))
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				for i := range 1000 {
					if _, err := f.verifier.Verify(t.Context(), accessToken, uniqueToken(fmt.Sprint(worker, " ", i))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		tokens := f.verifier.cache.table.Load().tokens.(otterTokens).cache
		at := tokens.EstimatedSize()
		n := f.kept(t)
		t.Logf("bounds of %d tokens and %d bytes: %d cached, %d before the last maintenance", bounds[0], bounds[1], n, at)
		if n > bounds[0] || n == 0 {
			t.Errorf("%d tokens are cached", n)
		}
	}
}

// TestCacheWhileKeysChange verifies tokens while keys are replaced and time passes. Every answer is
// right for some moment of the request.
func TestCacheWhileKeysChange(t *testing.T) {
	f := newCacheFixture(t, WithTokenCache(50, minCacheBytes))
	other := must(keys.NewSet(f.key(t, []byte(strings.Repeat("x!", 16)))))(t)
	texts := make([]string, 100)
	for i := range texts {
		texts[i] = must(f.issuer.IssueAccessToken(t.Context(), fmt.Sprint("user", i), userClaims{Name: fmt.Sprint("user", i)}))(t).Text()
	}
	var good, refused atomic.Int64
	var group sync.WaitGroup
	stop := make(chan struct{})
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			set := f.set
			if i%2 == 0 {
				set = other
			}
			f.source.change(set, nil)
			f.clock.Advance(time.Millisecond)
			runtime.Gosched()
		}
	})
	var workers sync.WaitGroup
	for worker := range 4 {
		workers.Go(func() {
			for i := range 2000 {
				n := (i*7 + worker) % len(texts)
				token, err := f.verifier.Verify(t.Context(), accessToken, texts[n])
				switch {
				case errors.Is(err, ErrInvalidToken), errors.Is(err, ErrTokenExpired):
					refused.Add(1)
				case err != nil:
					t.Error(err)
				case token.Subject() != fmt.Sprint("user", n):
					t.Errorf("the token of another subject: %s", token.Subject())
				default:
					good.Add(1)
				}
			}
		})
	}
	workers.Wait()
	close(stop)
	group.Wait()
	if good.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d accepted, %d refused: want some of each", good.Load(), refused.Load())
	}
	// No token of the replaced key set is accepted.
	f.source.change(other, nil)
	for _, text := range texts {
		if _, err := f.verifier.Verify(t.Context(), accessToken, text); err == nil {
			t.Fatal("a token of a replaced key is accepted")
		}
	}
	if n := f.kept(t); n != 0 {
		t.Errorf("%d tokens are cached", n)
	}
}

// TestCacheEstimatesBytes compares the estimated size of cached tokens with the growth of the heap.
func TestCacheEstimatesBytes(t *testing.T) {
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	flat := NewTokenType[flatClaims]("access")
	for _, tt := range []struct {
		name   string
		typ    TokenType
		claims []string
	}{
		{"few claims", accessToken, nil},
		{"usual claims", accessToken, []string{"roles", `["USER","ADMIN"]`, "name", `"Alice"`, "scope", `"read write delete"`}},
		{"usual claims, shared", flat, []string{"roles", `["USER","ADMIN"]`, "name", `"Alice"`, "scope", `"read write delete"`}},
		{"many roles", accessToken, []string{"roles", `["a"` + strings.Repeat(`,"a"`, 1000) + `]`}},
		{"many scopes", accessToken, []string{"scope", `"` + strings.Repeat("a ", 2000) + `"`}},
		{"scopes twice", accessToken, []string{"scope", `"a` + strings.Repeat(" a", 700) + `"`, "scp", `["a"` + strings.Repeat(`,"a"`, 700) + `]`}},
		{"a long claim", accessToken, []string{"name", `"` + strings.Repeat("n", 3000) + `"`}},
		{"a long claim, shared", flat, []string{"name", `"` + strings.Repeat("n", 3000) + `"`}},
	} {
		f := newCacheFixture(t, WithTokenCache(2000, 64<<20))
		present := func(id string) {
			if _, err := f.verifier.Verify(t.Context(), tt.typ, compactHS256(goodHeader, payloadWith(append([]string{"jti", `"` + id + `"`}, tt.claims...)...))); err != nil {
				t.Fatal(err)
			}
		}
		present("first")
		const n = 500
		before := heap()
		for i := range n {
			present(fmt.Sprint(i))
		}
		tokens := f.verifier.cache.table.Load().tokens.(otterTokens).cache
		tokens.CleanUp()
		took, estimated := heap()-before, 0
		for _, kept := range tokens.All() {
			estimated += int(kept.size)
		}
		t.Logf("%s: %d bytes each, estimated %d", tt.name, took/n, estimated/(n+1))
		if took > estimated || estimated > 3*took {
			t.Errorf("%s: %d tokens take %d bytes, estimated %d", tt.name, n, took, estimated)
		}
		if tokens.EstimatedSize() != n+1 {
			t.Errorf("%s: %d of %d tokens are cached", tt.name, tokens.EstimatedSize(), n+1)
		}
		runtime.KeepAlive(f)
	}
}

// TestCacheAdmits checks that a new token is admitted at once while there is room, and later when
// it comes for the second time.
func TestCacheAdmits(t *testing.T) {
	g := &cacheTable{}
	g.room.Store(100)
	sum := func(n byte) *tokenSum { return &tokenSum{n} }
	inOneSlot := &tokenSum{5, 0, 0, 0, 0, 0, 0, 1}
	for i, tt := range []struct {
		sum  *tokenSum
		want bool
	}{
		{sum(1), true}, {sum(2), true}, // 80 bytes
		{sum(3), false}, {sum(4), false}, {sum(3), true}, {sum(4), true}, {sum(3), true},
		{sum(5), false}, {inOneSlot, false}, {sum(5), false}, {sum(5), true},
	} {
		if got := g.admits(tt.sum, 40); got != tt.want {
			t.Errorf("%d: admitted: %t, want %t", i, got, tt.want)
		}
	}
}
