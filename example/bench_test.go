package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/metric/noop"
	"golang.org/x/crypto/bcrypt"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// unguarded answers GET /protected without authentication. It is the lower bound.
type unguarded struct{ gen.StrictServerInterface }

func (unguarded) GetProtected(context.Context, gen.GetProtectedRequestObject) (gen.GetProtectedResponseObject, error) {
	role := "USER"
	return gen.GetProtected200JSONResponse{Identity: "alice", Type: "access", Role: &role, Fresh: true, Exp: 1_700_000_000, Jti: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}, nil
}

// BenchmarkProtected compares GET /protected with and without its guard, with the same routes and the
// same response, for the handler alone and over HTTP on loopback.
func BenchmarkProtected(b *testing.B) {
	store := openTestStore(b, "memory:")
	defer store.Close()
	secret := bytes.Repeat([]byte("k!"), 16)
	accounts, err := newAccounts(1, bcrypt.MinCost)
	if err != nil {
		b.Fatal(err)
	}
	api, err := newAPI(setup{secret: secret, accounts: accounts, store: store, logger: slog.New(slog.DiscardHandler), meters: noop.NewMeterProvider()})
	if err != nil {
		b.Fatal(err)
	}
	defer api.Close()
	floor := trustedProxies(nil).remember(http.MaxBytesHandler(gen.Handler(gen.NewStrictHandler(unguarded{}, nil)), 16<<10))
	tokens := issueTokens(b, secret, 10_000)

	for _, bench := range []struct {
		name    string
		handler http.Handler
		tokens  int
	}{
		{"unguarded", floor, len(tokens)},
		{"guarded/same token", api.handler, 1},
		{"guarded/10000 tokens", api.handler, len(tokens)},
	} {
		requests := make([]*http.Request, bench.tokens)
		for i := range requests {
			requests[i] = httptest.NewRequest(http.MethodGet, "/protected", nil)
			requests[i].Header.Set("Authorization", "Bearer "+tokens[i])
		}
		b.Run("handler/"+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w := httptest.NewRecorder()
				if bench.handler.ServeHTTP(w, requests[i%len(requests)]); w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
		b.Run("http/"+bench.name, func(b *testing.B) {
			server := httptest.NewServer(bench.handler)
			defer server.Close()
			client := server.Client()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r, err := http.NewRequest(http.MethodGet, server.URL+"/protected", nil)
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+tokens[i%bench.tokens])
				w, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, w.Body); err != nil || w.StatusCode != http.StatusOK {
					b.Fatal(w.StatusCode, err)
				}
				w.Body.Close()
			}
		})
	}
}

// issueTokens issues distinct access tokens that a handler with the same secret accepts.
func issueTokens(b *testing.B, secret []byte, n int) []string {
	b.Helper()
	key, err := keys.NewHMAC(keys.HS256, secret)
	if err != nil {
		b.Fatal(err)
	}
	set, err := keys.NewSet(key)
	if err != nil {
		b.Fatal(err)
	}
	verifier, err := security.NewVerifier(issuerName, set)
	if err != nil {
		b.Fatal(err)
	}
	issuer, err := security.NewIssuer(verifier)
	if err != nil {
		b.Fatal(err)
	}
	tokens := make([]string, n)
	for i := range tokens {
		token, err := gen.NewGuardedIssuer(issuer).IssueAccessToken(b.Context(), fmt.Sprint("user", i), gen.UserClaims{Name: "Alice"}, security.WithRoles("USER"), security.WithFresh())
		if err != nil {
			b.Fatal(err)
		}
		tokens[i] = token.Text()
	}
	return tokens
}
