package security

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// Defaults of the cache of verified tokens.
const (
	// DefaultCachedTokens is how many verified tokens a verifier keeps.
	DefaultCachedTokens = 10_000
	// DefaultCacheBytes is how much memory they take at most, in bytes. It is not taken before there are tokens.
	DefaultCacheBytes = 16 << 20

	minCacheBytes = 64 << 10
	// maxCachedText is the longest text whose token is kept, in bytes, and maxCachedSignature the longest signature in it: more than that of
	// a key of 4096 bits.
	maxCachedText      = DefaultMaxTokenSize
	maxCachedSignature = 1024
	// maxCachedAge is how long a token is kept, if it does not expire before.
	maxCachedAge = time.Hour
	// cachedTokenSize is what each token takes besides its text and its lists, in bytes.
	cachedTokenSize = 576
)

// WithTokenCache sets how many verified tokens the verifier keeps, and in how many bytes of memory, at least 64 KiB: 10,000 tokens in
// 16 MiB by default. Another 128 KiB are for keeping order among them. Whichever bound is reached first, the tokens that are used least make
// room, and from then on a token is kept when it comes for the second time: a flood of tokens that are seen once does not push out those
// that are in use. While requests add tokens at once, the bounds may be exceeded for a moment.
//
// A token is kept only after it has verified, under the SHA-256 of its signature, which is never kept itself: without it what is kept is of no
// use to anybody. The next request with the same text is spared the signature and the decoding; what time and the request have a say in is
// decided for every request: expiry, the type of token, and behind the verifier the blacklist, the rules and the hook. Other keys in place,
// by [KeyRotation] or [RemoteKeySet], begin with nothing kept.
//
// Private claims are decoded anew for each request if their type has pointers, maps, slices or interfaces, so that no handler finds what
// another one changed. Claims without them cost nothing.
func WithTokenCache(tokens, bytes int) VerifierOption {
	return func(v *Verifier) error {
		if tokens < 1 || bytes < minCacheBytes {
			return fmt.Errorf("security: the token cache has room for a token and for %d bytes at least; see WithoutTokenCache", minCacheBytes)
		}
		v.cache = newTokenCache(tokens, bytes)
		return nil
	}
}

// WithoutTokenCache verifies every token anew.
func WithoutTokenCache() VerifierOption {
	return func(v *Verifier) error { v.cache = nil; return nil }
}

// tokenCache keeps the tokens that verified with the key set of now. A nil one keeps nothing.
type tokenCache struct {
	bytes uint64
	// least is what a token counts for at least, in bytes: its share if there are as many as allowed. So one bound is both.
	least   uint32
	current atomic.Pointer[generation]
}

func newTokenCache(tokens, bytes int) *tokenCache {
	// No token of the longest text takes as much as the most that one can count for.
	least := min(max(bytes/tokens, 1), 1<<20)
	return &tokenCache{bytes: uint64(min(bytes, least*tokens)), least: uint32(least)}
}

// generation holds the tokens that one key set verified: those of another one are not even looked at.
type generation struct {
	keys   *KeySet
	tokens *otter.Cache[tokenSum, *cachedToken]
	clock  cacheClock
	// least is that of the cache.
	least uint32
	// room is how many bytes were free of tokens from the beginning. When they are used up, a token is kept only when it comes for the
	// second time: those that come once would cost more to keep than they could ever spare.
	room  atomic.Int64
	once  [seenSlots]atomic.Uint64
	front front
}

// seenSlots is how many tokens are remembered that came once, by a part of their hash.
const seenSlots = 1 << 13

// admits reports whether a token that takes the bytes is worth its place.
func (g *generation) admits(sum *tokenSum, bytes int64) bool {
	if g.room.Add(-bytes) > 0 {
		return true
	}
	g.room.Store(0) // far from where it would begin anew
	mark := binary.LittleEndian.Uint64(sum[:])
	return g.once[mark%seenSlots].Swap(mark) == mark
}

// tokenSum is the SHA-256 of a token's signature. Over all of the text it would take several times as long, and no two tokens that verified
// have the same signature: what it signed is compared as it is.
type tokenSum [sha256.Size]byte

// front has tokens that are in use, each in the slot that its sum chooses. The cache behind it takes note of every look-up, for which all
// cores write to the same memory; requests that find their token here spare that. What leaves that cache leaves the front.
type front [1 << 12]atomic.Pointer[cachedToken]

func (f *front) slot(sum *tokenSum) *atomic.Pointer[cachedToken] {
	return &f[int(binary.LittleEndian.Uint16(sum[:]))%len(f)]
}

// hearEvery is how often the cache hears of a token in front that it is in use, in milliseconds.
const hearEvery = 16

// cachedToken is what requests with the same token share. It never changes, but for the time at which the cache heard of it.
type cachedToken struct {
	sum  tokenSum
	want TokenType
	// signed is the text without the signature.
	signed string
	claims *claims
	// token is nil where each request needs one of its own.
	token credential
	// kept and end are since when and until when it is kept.
	kept, end instant
	// heard is when the cache last heard that it is in use: an instant.
	heard atomic.Int64
	// size is how much memory it takes, in bytes.
	size uint32
}

// quiet reports whether the cache has not heard of the token for a while.
func (t *cachedToken) quiet(now instant) bool {
	heard := instant(t.heard.Load())
	return now >= heard+hearEvery || now < heard // the clock was set back
}

// cachePlace is the place of one text, in the generation of the keys that decide over it. The zero place holds nothing.
type cachePlace struct {
	generation *generation
	sum        tokenSum
	// signed is the text without the signature.
	signed string
}

// locate fills in the place for a text. A key set that is not that of the generation begins another one, even one that was there before.
func (c *tokenCache) locate(keys *KeySet, text string, now instant, p *cachePlace) {
	if c == nil || len(text) > maxCachedText {
		return
	}
	// Up to the second dot: what verifies has no third one.
	header := strings.IndexByte(text, '.') + 1
	payload := strings.IndexByte(text[header:], '.')
	if payload < 0 || len(text)-header-payload > maxCachedSignature {
		return
	}
	g := c.current.Load()
	if g == nil || g.keys != keys {
		next, err := c.begin(keys, now)
		if err != nil {
			return
		}
		// If another request was faster, what this one keeps is lost.
		c.current.CompareAndSwap(g, next)
		g = next
	}
	g.clock.advance(now)
	end := header + payload
	p.generation, p.sum, p.signed = g, sumOf(text[end+1:]), text[:end]
}

// find returns what is kept of the text, if this very text verified as a token of the wanted type. now is the time of the request.
func (p *cachePlace) find(want TokenType, now instant) *cachedToken {
	g := p.generation
	if g == nil {
		return nil
	}
	known := g.front.slot(&p.sum).Load()
	inFront := known != nil && known.sum == p.sum && now < known.end
	if !inFront || known.quiet(now) {
		var ok bool
		if known, ok = g.tokens.GetIfPresent(p.sum); !ok {
			return nil
		}
		known.heard.Store(int64(now))
	}
	if known.signed != p.signed || known.want != want {
		return nil
	}
	if !inFront {
		g.putInFront(known, now)
	}
	return known
}

// putInFront puts a token of the cache into its slot, unless another one is in use there.
func (g *generation) putInFront(t *cachedToken, now instant) {
	slot := g.front.slot(&t.sum)
	if other := slot.Load(); other != nil && !other.quiet(now) {
		return
	}
	slot.Store(t)
	if e, ok := g.tokens.GetEntryQuietly(t.sum); !ok || e.Value != t {
		slot.CompareAndSwap(t, nil) // it left meanwhile, perhaps before it was in front
	}
}

func (c *tokenCache) begin(keys *KeySet, now instant) (*generation, error) {
	g := &generation{keys: keys, clock: cacheClock{start: now}, least: c.least}
	g.room.Store(int64(c.bytes))
	var err error
	g.tokens, err = otter.New(&otter.Options[tokenSum, *cachedToken]{
		MaximumWeight: c.bytes,
		Weigher:       func(_ tokenSum, t *cachedToken) uint32 { return max(t.size, c.least) },
		ExpiryCalculator: otter.ExpiryCreatingFunc(func(e otter.Entry[tokenSum, *cachedToken]) time.Duration {
			return time.Duration(e.Value.end-e.Value.kept) * time.Millisecond
		}),
		OnDeletion: func(e otter.DeletionEvent[tokenSum, *cachedToken]) {
			g.front.slot(&e.Value.sum).CompareAndSwap(e.Value, nil)
		},
		Clock: &g.clock,
		// Whoever adds a token makes room for it: nothing runs in the background that would have to be waited for or closed.
		Executor: func(task func()) { task() },
	})
	return g, err
}

// keep keeps a token that has verified as one of the wanted type.
func (p *cachePlace) keep(c *claims, want TokenType, token credential, now instant) {
	if p.generation == nil {
		return
	}
	end := now.add(maxCachedAge)
	if c.expires != none {
		end = min(end, c.expires.add(token.base().verifier.leeway))
	}
	size := cachedTokenSize + 2*len(p.signed) + c.size() // what was signed, and its payload as the claims have it
	private, shared := want.sharedSize()
	if shared = shared && c.freshUntil == none; shared {
		size += private + len(c.private)
	}
	if !p.generation.admits(&p.sum, int64(max(uint32(size), p.generation.least))) {
		return
	}
	t := &cachedToken{
		sum: p.sum, want: want, claims: c, kept: now, end: end, size: uint32(size),
		// The text belongs to the request: a part of it would keep all of its header.
		signed: strings.Clone(p.signed),
	}
	if shared {
		t.token = token
	}
	p.generation.tokens.SetIfAbsent(p.sum, t)
}

// sumOf copies the text through the stack: to convert it in one piece would allocate.
func sumOf(text string) (sum tokenSum) {
	var part [256]byte
	if len(text) <= len(part) {
		return sha256.Sum256(part[:copy(part[:], text)])
	}
	h := sha256.New()
	for len(text) > 0 {
		n := copy(part[:], text)
		_, _ = h.Write(part[:n]) // a hash never fails
		text = text[n:]
	}
	h.Sum(sum[:0])
	return sum
}

// cacheClock is the verifier's clock as its requests have last read it, to the second.
type cacheClock struct {
	start   instant
	elapsed atomic.Int64
}

func (c *cacheClock) advance(now instant) {
	elapsed, last := int64(now-c.start)*int64(time.Millisecond), c.elapsed.Load()
	if elapsed-last >= int64(time.Second) {
		c.elapsed.CompareAndSwap(last, elapsed)
	}
}

// NowNano implements otter.Clock.
func (c *cacheClock) NowNano() int64 { return c.elapsed.Load() }

// Tick implements otter.Clock: without ticks there is no goroutine that waits for them.
func (c *cacheClock) Tick(time.Duration) <-chan time.Time { return nil }
