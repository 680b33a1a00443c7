package security

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/oapi-guard/oapi-guard/security/claimschema"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// benchTokens issues distinct access tokens.
func benchTokens(b *testing.B, f *fixture, n int) []string {
	b.Helper()
	texts := make([]string, n)
	for i := range texts {
		texts[i] = must(f.issuer.IssueAccessToken(b.Context(), fmt.Sprint("user", i), userClaims{Name: "Alice"}, WithRoles("USER")))(b).Text()
	}
	return texts
}

// BenchmarkVerify compares the verification of a token with typed claims with that of golang-jwt,
// on the same tokens: with the token in the cache (warm), with private claims that are decoded anew
// or shared, with a schema of the claims, without a cache (cold), and with a cache that is so small
// that it evicts every token (churn).
func BenchmarkVerify(b *testing.B) {
	material := testKeys()
	withSchema := accessToken.WithSchema(claimschema.Lazy(`{"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}}`))
	for _, bench := range []struct {
		key    *keys.Key
		verify any
	}{
		{must(keys.NewHMAC(keys.HS256, testSecret))(b), testSecret},
		{must(keys.NewRSA(keys.RS256, material.rsa))(b), &material.rsa.PublicKey},
		{must(keys.NewECDSA(material.p256))(b), &material.p256.PublicKey},
		{must(keys.NewEd25519(material.ed))(b), material.ed.Public()},
	} {
		f := newFixture(b)
		set := must(keys.NewSet(bench.key))(b)
		// The clock runs, as in an application.
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
			{"warm, schema", verifier(), withSchema},
			{"cold", verifier(WithoutTokenCache()), accessToken},
			{"cold, schema", verifier(WithoutTokenCache()), withSchema},
			{"churn", verifier(WithTokenCache(10, minCacheBytes)), accessToken},
		} {
			run := func(b *testing.B, more func() bool) {
				for i := 0; more(); i++ {
					if _, err := ours.verifier.Verify(b.Context(), ours.typ, texts[i%len(texts)]); err != nil {
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

// BenchmarkHostile refuses input that is made to be expensive. Time and allocations must not grow
// with its size.
func BenchmarkHostile(b *testing.B) {
	f := newFixture(b)
	good := must(f.issuer.IssueAccessToken(b.Context(), "alice", nil))(b).Text()
	segments := strings.Split(good, ".")
	for _, bench := range []struct{ name, text string }{
		{"dots/1000", strings.Repeat(".", 1000)},
		{"dots/1000000", strings.Repeat(".", 1_000_000)},
		{"nesting/500", compactHS256(goodHeader, payloadWith("x", strings.Repeat("[", 500)+strings.Repeat("]", 500)))},
		{"nesting/2000", compactHS256(goodHeader, payloadWith("x", strings.Repeat("[", 2000)+strings.Repeat("]", 2000)))},
		{"payload/8000, bad signature", segments[0] + "." + strings.Repeat("A", 7500) + "." + segments[2]},
		{"payload/1048576, bad signature", segments[0] + "." + strings.Repeat("A", 1<<20) + "." + segments[2]},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.verifier.verify(b, bench.text, accessToken); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

// BenchmarkIssue issues a pair of tokens.
func BenchmarkIssue(b *testing.B) {
	f := newFixture(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.issuer.IssueTokenPair(context.Background(), "alice", userClaims{Name: "Alice"}, nil, WithRoles("USER")); err != nil {
			b.Fatal(err)
		}
	}
}

// testKeys makes keys once, because making an RSA key takes long.
var testKeys = sync.OnceValue(func() (k struct {
	rsa              *rsa.PrivateKey
	p256, p384, p521 *ecdsa.PrivateKey
	ed               ed25519.PrivateKey
}) {
	var errs [5]error
	k.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.p256, errs[1] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.p384, errs[2] = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	k.p521, errs[3] = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, k.ed, errs[4] = ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(errs[:]...); err != nil {
		panic(err)
	}
	return k
})
