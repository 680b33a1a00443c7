package security

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// BenchmarkVerify compares the verification of a token with typed claims with golang-jwt's, on the same tokens.
func BenchmarkVerify(b *testing.B) {
	f := newFixture(b)
	texts := benchTokens(b, f, 1000)
	b.Run("oapi-guard", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			claims, err := f.verifier.verify(texts[i%len(texts)], accessToken)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := accessToken.newToken(verified{claims: claims, verifier: f.verifier}); err != nil {
				b.Fatal(err)
			}
		}
	})
	type typed struct {
		jwt.RegisteredClaims
		userClaims
		Session string   `json:"sid"`
		Roles   []string `json:"roles"`
	}
	b.Run("golang-jwt", func(b *testing.B) {
		b.ReportAllocs()
		parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(testIssuer), jwt.WithAudience(testIssuer),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(30*time.Second), jwt.WithTimeFunc(f.clock.Now))
		keyFunc := func(*jwt.Token) (any, error) { return testSecret, nil }
		for i := 0; b.Loop(); i++ {
			if _, err := parser.ParseWithClaims(texts[i%len(texts)], &typed{}, keyFunc); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkHandler compares a guarded with an unguarded handler, without a network.
func BenchmarkHandler(b *testing.B) {
	f := newFixture(b)
	f.validator = must(NewValidator(f.verifier, f.list.Blacklist))(b)
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
	guards := must(NewGuards(f.validator, o))(b)
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
