package security

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/oapi-guard/oapi-guard/internal/jose"
	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// The cache of verified tokens, in ten lines:
//
//	key       SHA-256 of the signature; the signature itself is not stored, so a memory dump yields
//	          no usable token
//	value     the signed text, the claims, the wanted type and the key set that verified them
//	hit       same signed text, same type, and the source still returns the same key set
//	decided   again for each request: exp, nbf and iat, then blacklist, rules and hook
//	bound     by number and bytes; the least used tokens leave (W-TinyLFU, package otter)
//	flood     when the cache is full, a token is stored when it comes for the second time
//	front     an array of tokens in use, one slot per hash: most hits stop there and write nothing
//	sharing   requests share a token if its private claims cannot change; else each gets a copy

// Defaults of the cache of verified tokens.
const (
	// DefaultCachedTokens is how many verified tokens a verifier caches.
	DefaultCachedTokens = 10_000
	// DefaultCacheBytes is how much memory they take at most, in bytes. It is allocated as tokens
	// come.
	DefaultCacheBytes = 16 << 20

	minCacheBytes = 64 << 10
	// maxCachedText is the longest token text that is cached, in bytes, and maxCachedSignature the
	// longest signature in it: more than that of an RSA key of 4096 bits.
	maxCachedText      = DefaultMaxTokenSize
	maxCachedSignature = 1024
	// maxCachedAge is how long a token stays in the cache, if it does not expire before.
	maxCachedAge = time.Hour
	// cachedTokenSize is what each token takes besides its text and its lists, in bytes.
	cachedTokenSize = 896
)

// WithTokenCache sets how many verified tokens the verifier caches and in how many bytes of memory,
// at least 64 KiB: 10,000 tokens in 16 MiB by default. Another 128 KiB are for bookkeeping. At the
// first bound that is reached, the least used tokens leave. From then on a token is stored when it
// comes for the second time: a flood of tokens that come once does not evict the tokens in use.
// While requests add tokens concurrently, the bounds may be exceeded for a moment.
//
// A token is stored only after it was verified, under the SHA-256 of its signature. The signature
// itself is never stored, so a memory dump yields no usable token. The next request with the same
// text is spared the signature and the decoding. Everything that depends on the time or on the
// request is decided for each request: expiry, token type, key set, blacklist, rules and hook.
// When the key source returns another set, tokens are verified again.
//
// Private claims are decoded for each request if their type has pointers, maps, slices or
// interfaces, so that no handler sees what another one changed. Other claims cost nothing.
func WithTokenCache(tokens, bytes int) VerifierOption {
	return func(v *Verifier) error {
		if tokens < 1 || bytes < minCacheBytes {
			return fmt.Errorf("security: the token cache has room for at least one token and %d bytes; see WithoutTokenCache", minCacheBytes)
		}
		v.cache = newTokenCache(tokens, bytes)
		return nil
	}
}

// WithoutTokenCache verifies every token anew.
func WithoutTokenCache() VerifierOption {
	return func(v *Verifier) error { v.cache = nil; return nil }
}

// tokenCache holds verified tokens. A nil cache holds nothing. Its memory is allocated with the
// first token.
type tokenCache struct {
	bytes uint64
	// least is the smallest weight of a token, in bytes: its share if the cache has as many tokens
	// as allowed. So one bound serves for both.
	least uint32
	table atomic.Pointer[cacheTable]
}

func newTokenCache(tokens, bytes int) *tokenCache {
	// No token of the longest text weighs as much as the upper bound here.
	least := min(max(bytes/tokens, 1), 1<<20)
	return &tokenCache{bytes: uint64(min(bytes, least*tokens)), least: uint32(least)}
}

// cacheTable is the memory of a tokenCache.
type cacheTable struct {
	tokens cachedTokens
	clock  cacheClock
	// least is that of the cache.
	least uint32
	// room is how many bytes were never used. When it is used up, a token is stored when it comes
	// for the second time: to store tokens that come once costs more than it can save.
	room  atomic.Int64
	once  [seenSlots]atomic.Uint64
	front front
}

// cachedTokens is what the cache needs of package otter. Packages that import this one would compile
// all of otter's generic code again if a type of otter stood here: a second for each generated
// package.
type cachedTokens interface {
	get(sum tokenSum) (*cachedToken, bool)
	// has reports whether the token is there, without a record of the look-up.
	has(token *cachedToken) bool
	set(token *cachedToken)
	setIfAbsent(token *cachedToken)
	remove(sum tokenSum)
}

// seenSlots is how many tokens that came once are remembered, by a part of their hash.
const seenSlots = 1 << 13

// admits reports whether a token of the given weight should be stored.
func (t *cacheTable) admits(sum *tokenSum, bytes int64) bool {
	if t.room.Add(-bytes) > 0 {
		return true
	}
	t.room.Store(0) // so that it never wraps around
	mark := binary.LittleEndian.Uint64(sum[:])
	return t.once[mark%seenSlots].Swap(mark) == mark
}

// tokenSum is the SHA-256 of a token's signature. A hash of the whole text would take several times
// as long. Two verified tokens never have the same signature, and the signed text is compared as it
// is.
type tokenSum [sha256.Size]byte

// front has tokens in use, each in the slot that its hash chooses. The cache behind it records each
// look-up in memory that all cores write to. A request that finds its token in front is spared
// that. A token that leaves the cache leaves the front.
type front [1 << 12]atomic.Pointer[cachedToken]

func (f *front) slot(sum *tokenSum) *atomic.Pointer[cachedToken] {
	return &f[int(binary.LittleEndian.Uint16(sum[:]))%len(f)]
}

// touchInterval is how often a token in front is looked up in the cache too, in milliseconds, so
// that the cache knows that it is in use.
const touchInterval = 16

// cachedToken is shared by the requests with the same token. It never changes, except for touched and
// what places points to.
type cachedToken struct {
	sum  tokenSum
	want TokenType
	// signed is the text without the signature.
	signed string
	// verifiedPayload has the claims, and the header and the keys for the question whether the keys
	// are still the same.
	verifiedPayload
	// token is nil where each request needs a new one.
	token AnyToken
	// stored and end bound the time in the cache.
	stored, end payload.Instant
	// touched is when the cache last recorded a look-up: an Instant.
	touched atomic.Int64
	// size is how much memory the token takes, in bytes.
	size uint32
}

// isTouchDue reports whether the cache should record a look-up of the token.
func (t *cachedToken) isTouchDue(now payload.Instant) bool {
	touched := payload.Instant(t.touched.Load())
	return now >= touched+touchInterval || now < touched // the clock was set back
}

// cachePlace is where the cache holds, or will hold, the token of one text. The zero place holds
// nothing.
type cachePlace struct {
	table *cacheTable
	sum   tokenSum
	// signed is the text without the signature.
	signed string
	// former is the token that the cache holds here, perhaps one that does not count any more.
	former *cachedToken
}

// locate fills in the place for a text.
func (c *tokenCache) locate(text string, now payload.Instant, p *cachePlace) {
	if c == nil || len(text) > maxCachedText {
		return
	}
	// The signature begins behind the second dot. A text with a third dot is never verified.
	header := strings.IndexByte(text, '.') + 1
	content := strings.IndexByte(text[header:], '.')
	if content < 0 || len(text)-header-content > maxCachedSignature {
		return
	}
	t := c.table.Load()
	if t == nil {
		var err error
		if t, err = c.allocate(now); err != nil {
			return
		}
	}
	t.clock.advance(now)
	end := header + content
	p.table, p.signed = t, text[:end]
	p.sum = sumOf(text[end+1:])
}

// find returns the cached token of the text, if this very text was verified as a token of the
// wanted type.
func (p *cachePlace) find(want TokenType, now payload.Instant) *cachedToken {
	t := p.table
	if t == nil {
		return nil
	}
	known := t.front.slot(&p.sum).Load()
	inFront := known != nil && known.sum == p.sum && now < known.end
	if !inFront || known.isTouchDue(now) {
		var ok bool
		if known, ok = t.tokens.get(p.sum); !ok {
			return nil
		}
		known.touched.Store(int64(now))
	}
	p.former = known
	if known.signed != p.signed || known.want != want {
		return nil
	}
	if !inFront {
		t.putInFront(known, now)
	}
	return known
}

// putInFront puts a token of the cache into its slot, unless another token is in use there.
func (t *cacheTable) putInFront(token *cachedToken, now payload.Instant) {
	slot := t.front.slot(&token.sum)
	if other := slot.Load(); other != nil && !other.isTouchDue(now) {
		return
	}
	slot.Store(token)
	if !t.tokens.has(token) {
		slot.CompareAndSwap(token, nil) // it left meanwhile, perhaps before it was in front
	}
}

func (c *tokenCache) allocate(now payload.Instant) (*cacheTable, error) {
	t := &cacheTable{clock: cacheClock{start: now}, least: c.least}
	t.room.Store(int64(c.bytes))
	var err error
	t.tokens, err = newCachedTokens(t, c.bytes)
	if err != nil {
		return nil, err
	}
	if !c.table.CompareAndSwap(nil, t) {
		return c.table.Load(), nil // another request was faster
	}
	return t, nil
}

// store adds a token that was verified as one of the wanted type.
func (p *cachePlace) store(verified verifiedPayload, want TokenType, token AnyToken, now payload.Instant) {
	if p.table == nil {
		return
	}
	c := verified.claims
	end := now.Add(maxCachedAge)
	if c.Expires != payload.None {
		end = min(end, c.Expires.Add(token.verified().verifier.leeway))
	}
	size := cachedTokenSize + 2*len(p.signed) + len(verified.text) + c.Size() // the signed text, and its payload in the claims
	private, shared := want.sharedSize()
	if shared = shared && c.FreshUntil == payload.None; shared {
		size += private + len(c.Private)
	}
	// A token that was verified by a former key set makes room for itself.
	replaces := p.former != nil && p.former.keys != verified.keys
	if !replaces && !p.table.admits(&p.sum, int64(max(uint32(size), p.table.least))) {
		return
	}
	t := &cachedToken{
		sum: p.sum, want: want, verifiedPayload: verified, stored: now, end: end, size: uint32(size),
		// The text is a part of the request's header, all of which it would hold in memory.
		signed: strings.Clone(p.signed),
	}
	// Apart from the rest, so that a token that a handler keeps does not keep all of it.
	t.places = new(tokenPlaces)
	token.verified().places = t.places
	if shared {
		t.token = token
	}
	if replaces {
		p.table.tokens.set(t)
	} else {
		p.table.tokens.setIfAbsent(t)
	}
}

// forget removes the token of the text.
func (p *cachePlace) forget() { p.table.tokens.remove(p.sum) }

// sumOf returns the hash of the text. The slice shares the memory of the text, which a hash only
// reads: a copy would take as long as a part of the hash.
func sumOf(text string) tokenSum {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// cacheClock is the clock of the verifier at its last request, to the second.
type cacheClock struct {
	start   payload.Instant
	elapsed atomic.Int64
}

func (c *cacheClock) advance(now payload.Instant) {
	elapsed, last := int64(now-c.start)*int64(time.Millisecond), c.elapsed.Load()
	if elapsed-last >= int64(time.Second) {
		c.elapsed.CompareAndSwap(last, elapsed)
	}
}

// NowNano implements otter.Clock.
func (c *cacheClock) NowNano() int64 { return c.elapsed.Load() }

// Tick implements otter.Clock. Without ticks otter starts no goroutine.
func (c *cacheClock) Tick(time.Duration) <-chan time.Time { return nil }

// headerMemo remembers the header segments of tokens that were verified, decoded. An issuer writes
// the same few headers on all its tokens. Each text has one slot.
type headerMemo [16]atomic.Pointer[decodedHeader]

type decodedHeader struct {
	segment string
	jose.Header
}

var headerSeed = maphash.MakeSeed()

func (m *headerMemo) slot(segment string) *atomic.Pointer[decodedHeader] {
	return &m[maphash.String(headerSeed, segment)%uint64(len(m))]
}

// find returns the header segment decoded, or nil if it is not remembered.
func (m *headerMemo) find(segment string) *decodedHeader {
	if known := m.slot(segment).Load(); known != nil && known.segment == segment {
		return known
	}
	return nil
}

// store remembers the header of a token whose signature was verified.
func (m *headerMemo) store(segment string, header jose.Header) *decodedHeader {
	decoded := &decodedHeader{strings.Clone(segment), header}
	m.slot(segment).Store(decoded)
	return decoded
}
