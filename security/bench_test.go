package security

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// benchTokens issues distinct access tokens.
func benchTokens(b *testing.B, f *fixture, n int) []string {
	b.Helper()
	texts := make([]string, n)
	for i := range texts {
		texts[i] = must(f.issuer.Access(b.Context(), fmt.Sprint("user", i), userClaims{Name: "Alice"}, WithRoles("USER")))(b).Text()
	}
	return texts
}

// BenchmarkVerify compares the verification of a token with typed claims with golang-jwt's, on the same tokens: kept by the cache (warm),
// the private claims too or decoded anew; with the cache off (cold); and with one that is so small that every token is verified, kept, and
// evicted (churn).
func BenchmarkVerify(b *testing.B) {
	keys := testKeys()
	for _, bench := range []struct {
		key    *Key
		verify any
	}{
		{must(NewHMACKey(HS256, testSecret))(b), testSecret},
		{must(NewRSAKey(RS256, keys.rsa))(b), &keys.rsa.PublicKey},
		{must(NewECDSAKey(keys.p256))(b), &keys.p256.PublicKey},
		{must(NewEd25519Key(keys.ed))(b), keys.ed.Public()},
	} {
		f := newFixture(b)
		set := must(NewKeySet(bench.key))(b)
		// The clock is that of an application, not that of the fixture.
		verifier := func(options ...VerifierOption) *Verifier {
			return must(NewVerifier(testIssuer, set, options...))(b)
		}
		f.issuer = must(NewIssuer(verifier()))(b)
		texts := benchTokens(b, f, 1000)
		for _, ours := range []struct {
			name     string
			verifier *Verifier
			typ      TokenType
		}{
			{"warm", verifier(), accessToken},
			{"warm, shared claims", verifier(), NewTokenType[flatClaims]("access")},
			{"cold", verifier(WithoutTokenCache()), accessToken},
			{"churn", verifier(WithTokenCache(10, minCacheBytes)), accessToken},
		} {
			run := func(b *testing.B, more func() bool) {
				for i := 0; more(); i++ {
					if _, err := ours.verifier.verifyToken(texts[i%len(texts)], ours.typ); err != nil {
						b.Error(err)
						return
					}
				}
			}
			name := string(bench.key.Algorithm()) + "/" + ours.name
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				run(b, b.Loop)
			})
			b.Run(name+", parallel", func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(p *testing.PB) { run(b, p.Next) })
			})
		}
		b.Run(string(bench.key.Algorithm())+"/golang-jwt", func(b *testing.B) {
			b.ReportAllocs()
			benchGolangJWT(b, texts, string(bench.key.Algorithm()), bench.verify)
		})
	}
}

func benchGolangJWT(b *testing.B, texts []string, algorithm string, key any) {
	type typed struct {
		jwt.RegisteredClaims
		userClaims
		Session string   `json:"sid"`
		Roles   []string `json:"roles"`
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{algorithm}), jwt.WithIssuer(testIssuer), jwt.WithAudience(testIssuer),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(30*time.Second))
	keyFunc := func(*jwt.Token) (any, error) { return key, nil }
	for i := 0; b.Loop(); i++ {
		if _, err := parser.ParseWithClaims(texts[i%len(texts)], &typed{}, keyFunc); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHandler compares a guarded with an unguarded handler, without a network.
func BenchmarkHandler(b *testing.B) {
	f := newFixture(b)
	f.validator = must(NewValidator(f.verifier, f.list.Blacklist))(b)
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
	guards := must(NewGuards(f.validator, nil, o))(b)
	cold := must(NewVerifier(testIssuer, f.verifier.keys, WithClock(f.clock.Now), WithoutTokenCache()))(b)
	coldGuards := must(NewGuards(must(NewValidator(cold, f.list.Blacklist))(b), nil, o))(b)
	next := func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }
	texts := benchTokens(b, f, 1000)
	requests := make([]*http.Request, len(texts))
	for i, text := range texts {
		requests[i] = httptest.NewRequest(http.MethodGet, "/", nil)
		requests[i].Header.Set("Authorization", "Bearer "+text)
	}
	for _, bench := range []struct {
		name    string
		handler http.HandlerFunc
		tokens  int
	}{
		{"unguarded", next, len(texts)},
		{"guarded/one token", guards.HandlerFunc(o, next), 1},
		{"guarded/1000 tokens", guards.HandlerFunc(o, next), len(texts)},
		{"guarded/1000 tokens, without a cache", coldGuards.HandlerFunc(o, next), len(texts)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			w := discard{http.Header{}}
			for i := 0; b.Loop(); i++ {
				bench.handler(w, requests[i%bench.tokens])
			}
		})
	}
	b.Run("refused/no token", func(b *testing.B) {
		b.ReportAllocs()
		handler := guards.HandlerFunc(o, next)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for b.Loop() {
			handler(discard{http.Header{}}, r)
		}
	})
}

// BenchmarkHostile refuses input that is made to cost: the time and the allocations do not grow with it.
func BenchmarkHostile(b *testing.B) {
	f := newFixture(b)
	good := must(f.issuer.Access(b.Context(), "alice", nil))(b).Text()
	segments := strings.Split(good, ".")
	for _, bench := range []struct{ name, text string }{
		{"48 dots/1000", strings.Repeat(".", 1000)},
		{"48 dots/1000000", strings.Repeat(".", 1_000_000)},
		{"54 nesting/500", compactHS256(goodHeader, payloadWith("x", strings.Repeat("[", 500)+strings.Repeat("]", 500)))},
		{"54 nesting/2000", compactHS256(goodHeader, payloadWith("x", strings.Repeat("[", 2000)+strings.Repeat("]", 2000)))},
		{"67 payload/8000, bad signature", segments[0] + "." + strings.Repeat("A", 7500) + "." + segments[2]},
		{"67 payload/1048576, bad signature", segments[0] + "." + strings.Repeat("A", 1<<20) + "." + segments[2]},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.verifier.verify(bench.text, accessToken); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkIssue issues a pair of tokens.
func BenchmarkIssue(b *testing.B) {
	f := newFixture(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.issuer.Pair(context.Background(), "alice", userClaims{Name: "Alice"}, nil, WithRoles("USER")); err != nil {
			b.Fatal(err)
		}
	}
}
