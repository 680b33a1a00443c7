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
	// callers is how many callers the parallel benchmarks with Redis have.
	callers = 64
	// answerSize is the size of every answer, in bytes.
	answerSize = len(`{"name":"Alice Liddell","subject":"user-000000"}` + "\n")
)

// distinct is how many distinct tokens there are per algorithm: more than one caller presents in a
// round of 300 ms on a machine of today, so that none comes a second time.
var distinct = map[string]int{"HS256": 100_000, "RS256": 20_000, "ES256": 100_000, "EdDSA": 100_000}

var profileURLs = []*url.URL{{Path: "/profile"}}

// quiet keeps out of the results what go-redis says while a server starts.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// TestMain writes the facts of the machine in front of the results, in the format of those
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

// BenchmarkServe is one request after the other through the handler, without a network.
func BenchmarkServe(b *testing.B) {
	for _, algorithm := range tokens.Algorithms {
		// A benchmark of its own, so that what -bench does not ask for is not made ready either.
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

// BenchmarkParallel is a caller per core.
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

// BenchmarkRedis asks a Redis on the same machine about every token.
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

// BenchmarkHTTP is one request after the other over loopback: what of the differences a client can
// see.
func BenchmarkHTTP(b *testing.B) {
	s := newSetup(b, "HS256")
	headers := caller.Headers(s.issue(b, distinct["HS256"], time.Now()))
	for _, c := range candidates {
		handler := s.handler(b, c)
		b.Run("alg=HS256/"+label(len(headers), 1, "no", c), func(b *testing.B) { serveHTTP(b, handler, headers) })
	}
}

// label names a benchmark by what it measures, for the report: the stack is last.
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
		// Callers have their tokens in the same order, but begin at places of their own.
		start := int(started.Add(1)) * len(headers) / (perCore * runtime.GOMAXPROCS(0))
		// One of its own, as every connection of a server has.
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
