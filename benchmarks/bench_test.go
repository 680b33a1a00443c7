package benchmarks

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/caller"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/tokens"
)

const (
	// callers is the number of callers in the parallel benchmarks with Redis.
	callers = 64
	// answerSize is the size of each response, in bytes.
	answerSize = len(`{"name":"Alice Liddell","subject":"user-000000"}` + "\n")
)

// distinct is the number of distinct tokens per algorithm. It is more than one caller presents in a
// round of 300 ms, so that no token comes twice.
var distinct = map[string]int{"HS256": 100_000, "RS256": 20_000, "ES256": 100_000, "EdDSA": 100_000}

var profileURLs = []*url.URL{{Path: "/profile"}}

// quiet keeps the log of go-redis out of the results.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// TestMain writes facts about the machine before the results, in their format
// (golang.org/design/14313-benchmark-format).
func TestMain(m *testing.M) {
	flag.Parse()
	redis.SetLogger(quiet{})
	if flag.Lookup("test.bench").Value.String() != "" {
		fmt.Printf("date: %s\ngo: %s\ncores: %d\nredis: %s\n", time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), redisVersion())
	}
	os.Exit(m.Run())
}

func redisVersion() string {
	name := os.Getenv("REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	out, err := exec.Command(name, "--version").Output()
	if err != nil {
		return "unknown"
	}
	return string(regexp.MustCompile(`\d+\.\d+\.\d+`).Find(out))
}

// BenchmarkServe sends one request after the other to the handler, without a network.
func BenchmarkServe(b *testing.B) {
	for _, algorithm := range tokens.Algorithms {
		// A separate benchmark, so that only what -bench selects is set up.
		b.Run("alg="+algorithm, func(b *testing.B) {
			s := newSetup(b, algorithm)
			headers := caller.Headers(s.issue(b, distinct[algorithm], time.Now()))
			for _, n := range []int{1, len(headers)} {
				for _, c := range candidates {
					handler := s.handler(b, c)
					b.Run(label(n, 1, "no", c), func(b *testing.B) { serve(b, handler, headers[:n]) })
				}
			}
		})
	}
}

// BenchmarkParallel has a caller for each core.
func BenchmarkParallel(b *testing.B) {
	s := newSetup(b, "HS256")
	headers := caller.Headers(s.issue(b, distinct["HS256"], time.Now()))
	for _, n := range []int{1, len(headers)} {
		for _, c := range candidates {
			handler := s.handler(b, c)
			b.Run("alg=HS256/"+label(n, runtime.GOMAXPROCS(0), "no", c), func(b *testing.B) { serveParallel(b, handler, headers[:n], 1) })
		}
	}
}

// BenchmarkRedis looks up each token in a Redis on the same machine.
func BenchmarkRedis(b *testing.B) {
	s := newSetup(b, "HS256")
	s.useRedis(b)
	headers := caller.Headers(s.issue(b, distinct["HS256"], time.Now()))
	for _, n := range []int{1, len(headers)} {
		for _, c := range candidates {
			handler := s.handler(b, c)
			b.Run("alg=HS256/"+label(n, 1, "yes", c), func(b *testing.B) { serve(b, handler, headers[:n]) })
		}
	}
	perCore := (callers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	for _, c := range candidates {
		handler := s.handler(b, c)
		b.Run("alg=HS256/"+label(len(headers), perCore*runtime.GOMAXPROCS(0), "yes", c), func(b *testing.B) { serveParallel(b, handler, headers, perCore) })
	}
}

// BenchmarkHTTP sends one request after the other over loopback. It shows which differences a
// client can see.
func BenchmarkHTTP(b *testing.B) {
	s := newSetup(b, "HS256")
	headers := caller.Headers(s.issue(b, distinct["HS256"], time.Now()))
	for _, c := range candidates {
		handler := s.handler(b, c)
		b.Run("alg=HS256/"+label(len(headers), 1, "no", c), func(b *testing.B) { serveHTTP(b, handler, headers) })
	}
}

// label returns the name of a benchmark for the report. The stack comes last.
func label(tokens, callers int, redis string, c candidate) string {
	return "tokens=" + strconv.Itoa(tokens) + "/callers=" + strconv.Itoa(callers) + "/redis=" + redis + "/stack=" + c.name
}

func serve(b *testing.B, handler http.Handler, headers [][]string) {
	b.ReportAllocs()
	c := caller.New(b.Context(), handler, headers, profileURLs, answerSize, 0)
	for b.Loop() {
		if err := c.Call(); err != nil {
			b.Fatal(err)
		}
	}
}

func serveParallel(b *testing.B, handler http.Handler, headers [][]string, perCore int) {
	b.ReportAllocs()
	b.SetParallelism(perCore)
	var started atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		// Callers have the tokens in the same order. Each begins at another one.
		start := int(started.Add(1)) * len(headers) / (perCore * runtime.GOMAXPROCS(0))
		// Each caller has a context, as each connection of a server has.
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		c := caller.New(ctx, handler, headers, profileURLs, answerSize, start)
		for pb.Next() {
			if err := c.Call(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func serveHTTP(b *testing.B, handler http.Handler, headers [][]string) {
	server := httptest.NewServer(handler)
	defer server.Close()
	client := server.Client()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL+"/profile", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Header["Authorization"] = headers[i%len(headers)]
		w, err := client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		size, err := io.Copy(io.Discard, w.Body)
		_ = w.Body.Close()
		if err != nil || w.StatusCode != http.StatusOK || size != int64(answerSize) {
			b.Fatal(w.StatusCode, size, err)
		}
	}
}
