package guard

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

// BenchmarkHandler compares a guarded with an unguarded handler, without a network.
func BenchmarkHandler(b *testing.B) {
	f := newFixture(b)
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
	policyOf := func(v *security.Verifier) *Policy {
		return must(New(must(security.NewValidator(v, f.list.Blacklist))(b)))(b)
	}
	guards := must(NewGuards(policyOf(f.verifier), nil, o))(b)
	cold := must(security.NewVerifier(testIssuer, f.set, security.WithClock(f.clock.Now), security.WithoutTokenCache()))(b)
	coldGuards := must(NewGuards(policyOf(cold), nil, o))(b)
	next := func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }
	texts := make([]string, 1000)
	for i := range texts {
		texts[i] = must(f.issuer.IssueAccessToken(b.Context(), fmt.Sprint("user", i), userClaims{Name: "Alice"}, security.WithRoles("USER")))(b).Text()
	}
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

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
