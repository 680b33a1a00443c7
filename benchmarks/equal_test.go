package benchmarks

import (
	"mime"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/suite"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/tokens"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// send sends a request with the token, or without credentials.
func send(t *testing.T, handler http.Handler, token string) *httptest.ResponseRecorder {
	t.Helper()
	r := newRequest(t.Context())
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// TestEqualWork checks that all stacks do the same, so that the benchmarks compare the cost of one
// behaviour.
func TestEqualWork(t *testing.T) {
	const body = `{"name":"Alice Liddell","subject":"user-000000"}`
	for _, algorithm := range tokens.Algorithms {
		s := newSetup(t, algorithm)
		s.useRedis(t)
		now := time.Now()
		good := s.issue(t, 2, now)
		expired := s.issue(t, 1, now.Add(-2*tokens.Lifetime))[0]
		// Tokens with the same key, of another issuer or for another audience.
		foreign, elsewhere := *s, *s
		foreign.issuer, elsewhere.issuer = new(*s.issuer), new(*s.issuer)
		foreign.issuer.Name = "https://other.example.com"
		elsewhere.issuer.Audience = "https://other.example.com"
		otherIssuer, otherAudience := foreign.issue(t, 1, now)[0], elsewhere.issue(t, 1, now)[0]
		refresh, err := s.issuer.IssueRefresh(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		stranger := newSetup(t, algorithm).issue(t, 1, now)[0]
		s.revoke(t, good[1], tokens.Subject(1), now)
		for _, c := range suite.Candidates(true) {
			t.Run(algorithm+"/"+c.Name, func(t *testing.T) {
				handler := s.handler(t, c)
				if w := send(t, handler, good[0].Text()); w.Code != http.StatusOK || strings.TrimSuffix(w.Body.String(), "\n") != body {
					t.Errorf("a good token: %d %s", w.Code, w.Body)
				} else if media, _, err := mime.ParseMediaType(w.Header().Get("Content-Type")); err != nil || media != "application/json" {
					t.Errorf("Content-Type %q", w.Header().Get("Content-Type"))
				}
				if c.Name == suite.Floor {
					return
				}
				for name, text := range map[string]string{
					"no token":            "",
					"a bad signature":     good[0].Text()[:len(good[0].Text())-8] + "AAAAAAAA",
					"another key":         stranger.Text(),
					"no JWT":              "x",
					"an expired token":    expired.Text(),
					"a revoked token":     good[1].Text(),
					"a refresh token":     refresh.Text(),
					"another issuer":      otherIssuer.Text(),
					"another audience":    otherAudience.Text(),
					"another token's end": swapSignature(good[0].Text(), good[1].Text()),
				} {
					if w := send(t, handler, text); w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "Liddell") {
						t.Errorf("%s: %d %s", name, w.Code, w.Body)
					}
				}
			})
		}
	}
}

// TestRedisDown checks that no stack accepts a token while Redis does not answer, even if the stack
// accepted it before. The copy of the replica answers until it is older than the bound.
func TestRedisDown(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop func(*setup, *redistest.Proxy) error
	}{
		{"silent", func(_ *setup, proxy *redistest.Proxy) error { proxy.Hold(true); return nil }},
		{"closed", func(s *setup, _ *redistest.Proxy) error { return s.Config.Redis.Close() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSetup(t, "HS256")
			proxy := redistest.StartProxy(t, redistest.Start(t))
			options := suite.RedisOptions(proxy.Addr(), callers)
			options.ReadTimeout, options.MaxRetries = time.Second, -1 // so that the test does not take long
			var later atomic.Int64                                    // in nanoseconds
			s.useRedisAt(t, options, replica.WithClock(func() time.Time { return time.Now().Add(time.Duration(later.Load())) }))
			good := s.issue(t, 1, time.Now())[0]
			candidates := suite.Candidates(true)
			handlers := make([]http.Handler, len(candidates))
			for i, c := range candidates {
				handlers[i] = s.handler(t, c)
				if w := send(t, handlers[i], good.Text()); w.Code != http.StatusOK {
					t.Errorf("%s with Redis: %d", c.Name, w.Code)
				}
			}
			if err := tt.stop(s, proxy); err != nil {
				t.Fatal(err)
			}
			later.Store(int64(replica.DefaultBound) + 1)
			var wg sync.WaitGroup
			for i, c := range candidates {
				wg.Go(func() {
					want := http.StatusServiceUnavailable
					if c.Name == suite.Floor || c.Name == "oapi-guard-memory" { // they do not ask Redis
						want = http.StatusOK
					}
					if w := send(t, handlers[i], good.Text()); w.Code != want {
						t.Errorf("%s: %d, want %d", c.Name, w.Code, want)
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestEqualWorkInMemory does the same with the blacklist of oapi-guard in memory, and with peers
// that look nothing up.
func TestEqualWorkInMemory(t *testing.T) {
	s := newSetup(t, "HS256")
	now := time.Now()
	issued := s.issue(t, 2, now)
	s.revoke(t, issued[1], tokens.Subject(1), now)
	for _, c := range suite.Candidates(false) {
		t.Run(c.Name, func(t *testing.T) {
			handler := s.handler(t, c)
			if w := send(t, handler, issued[0].Text()); w.Code != http.StatusOK {
				t.Errorf("a good token: %d %s", w.Code, w.Body)
			}
			want := http.StatusOK
			if strings.HasPrefix(c.Name, "oapi-guard") {
				want = http.StatusUnauthorized
			}
			if w := send(t, handler, issued[1].Text()); w.Code != want {
				t.Errorf("a revoked token: %d, want %d", w.Code, want)
			}
		})
	}
}

// swapSignature returns the first token with the signature of the second.
func swapSignature(first, second string) string {
	return first[:strings.LastIndexByte(first, '.')] + second[strings.LastIndexByte(second, '.'):]
}
