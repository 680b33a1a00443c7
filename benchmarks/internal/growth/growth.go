// Package growth measures the cost of a request in APIs of many operations, which benchmarks/growth
// generates.
package growth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	_ "github.com/oapi-codegen/runtime" // for the generated APIs, which do not exist when go.mod is tidied

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/caller"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/tokens"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/guarded"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/validated"
	"github.com/oapi-guard/oapi-guard/security"
)

// answer is the response of each operation.
var answer = fmt.Sprintf(`{"name":%q,"subject":%q}`, tokens.Name, tokens.Subject(0))

// API is a generated API. Its operations are GET requests with different paths, and answer with a
// profile.
type API struct {
	// Operations is the number of operations.
	Operations int
	// Spec is the document.
	Spec func() (*openapi3.T, error)
	// Plain is the strict server of oapi-codegen. The function returns the subject of the response.
	Plain func(func(context.Context) (name, subject string)) http.Handler
	// Guarded is the same behind the guards of oapi-guard.
	Guarded func(*security.Validator) (http.Handler, error)
	// Ogen is the server of ogen with a security handler, which returns the context with the caller.
	Ogen func(func(context.Context) (name, subject string), func(context.Context, string) (context.Context, error)) (http.Handler, error)
}

// Path returns the path of a request for the i-th operation.
func Path(i int) string { return fmt.Sprintf("/resource%04d/abc", i) }

// handlers returns the stacks that are compared, by name, and a token for them.
func (a API) handlers(tb testing.TB) (names []string, handlers map[string]http.Handler, issued []security.IssuedToken) {
	tb.Helper()
	issuer, err := tokens.NewIssuer("HS256")
	if err != nil {
		tb.Fatal(err)
	}
	issued, err = issuer.Issue(tb.Context(), 1, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	config := issuer.Config()
	list, err := issuer.NewMemory(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = list.Close() })
	config.Blacklist = list
	guard, err := a.guarded(config)
	if err != nil {
		tb.Fatal(err)
	}
	spec, err := a.Spec()
	if err != nil {
		tb.Fatal(err)
	}
	verifier := golangjwt.New(config)
	ogen, err := a.Ogen(claimant, func(ctx context.Context, token string) (context.Context, error) {
		claims, err := verifier.Verify(ctx, token)
		if err != nil {
			return nil, err
		}
		return golangjwt.NewContext(ctx, claims), nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return []string{"floor", "oapi-guard", "nethttp-middleware", "ogen"}, map[string]http.Handler{
		"floor":              a.Plain(func(context.Context) (string, string) { return tokens.Name, tokens.Subject(0) }),
		"nethttp-middleware": validated.Middleware(config, spec)(a.Plain(claimant)),
		"oapi-guard":         guard,
		"ogen":               ogen,
	}, issued
}

// claimant returns the name and the subject of the claims in the context.
func claimant(ctx context.Context) (name, subject string) {
	claims := golangjwt.FromContext(ctx)
	return claims.Name, claims.Subject
}

func (a API) guarded(config stack.Config) (http.Handler, error) {
	validator, err := guarded.NewValidator(config)
	if err != nil {
		return nil, err
	}
	return a.Guarded(validator)
}

// urls returns a URL for each operation.
func (a API) urls() []*url.URL {
	urls := make([]*url.URL, a.Operations)
	for i := range urls {
		urls[i] = &url.URL{Path: Path(i)}
	}
	return urls
}

// Test checks that each operation of each stack accepts the token, and refuses requests without
// one.
func (a API) Test(t *testing.T) {
	names, handlers, issued := a.handlers(t)
	for _, name := range names {
		good := caller.New(t.Context(), handlers[name], caller.Headers(issued), a.urls(), len(answer), 0)
		none := caller.New(t.Context(), handlers[name], [][]string{nil}, a.urls(), len(answer), 0)
		for i := range a.Operations {
			if err := good.Call(); err != nil {
				t.Errorf("%s: operation %d: %v", name, i, err)
			}
			if err := none.Call(); (err == nil) != (name == "floor") {
				t.Errorf("%s: operation %d without a token: %v", name, i, err)
			}
		}
	}
}

// Benchmark calls each operation in turn.
func (a API) Benchmark(b *testing.B) {
	names, handlers, issued := a.handlers(b)
	for _, name := range names {
		b.Run(fmt.Sprintf("operations=%d/stack=%s", a.Operations, name), func(b *testing.B) {
			b.ReportAllocs()
			c := caller.New(b.Context(), handlers[name], caller.Headers(issued), a.urls(), len(answer), 0)
			for b.Loop() {
				if err := c.Call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
