package benchmarks

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/caller"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/suite"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/tokens"
)

const (
	// callers is the number of callers in the parallel benchmarks with Redis.
	callers = 64
	// answerSize is the size of each response without the newline that some encoders write at its
	// end, in bytes.
	answerSize = len(`{"name":"Alice Liddell","subject":"user-000000"}`)
)

// distinct is the number of distinct tokens per algorithm. It is more than one caller presents in a
// round of 300 ms, so that no token comes twice.
var distinct = map[string]int{"HS256": 100_000, "RS256": 20_000, "ES256": 100_000, "EdDSA": 100_000}

// verifiers are the stacks that are measured with every algorithm. The others verify tokens as
// hand-written does, so that HS256 shows what is different.
var verifiers = []string{suite.Floor, "oapi-guard", "oapi-guard-uncached", "hand-written-cache", "hand-written"}

var profileURLs = []*url.URL{{Path: "/profile"}}

// quiet keeps the log of go-redis out of the results.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// TestMain writes facts about the machine before the results, in their format
// (golang.org/design/14313-benchmark-format). In a process that BenchmarkLoad started it serves a
// stack.
func TestMain(m *testing.M) {
	if config := os.Getenv(serveVariable); config != "" {
		if err := serveStack(context.Background(), config, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
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
				for _, c := range suite.Candidates(false) {
					if algorithm == "HS256" || slices.Contains(verifiers, c.Name) {
						b.Run(label(n, 1, "no", c), func(b *testing.B) { serve(b, s.handler(b, c), headers[:n]) })
					}
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
		for _, c := range suite.Candidates(false) {
			b.Run("alg=HS256/"+label(n, runtime.GOMAXPROCS(0), "no", c), func(b *testing.B) { serveParallel(b, s.handler(b, c), headers[:n], 1) })
		}
	}
}

// BenchmarkRedis looks up each token in a Redis on the same machine, or in a copy of its blacklist.
func BenchmarkRedis(b *testing.B) {
	s := newSetup(b, "HS256")
	s.useRedis(b)
	headers := caller.Headers(s.issue(b, distinct["HS256"], time.Now()))
	perCore := (callers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	for _, n := range []int{1, len(headers)} {
		for _, c := range suite.Candidates(true) {
			b.Run("alg=HS256/"+label(n, 1, "yes", c), func(b *testing.B) { serve(b, s.handler(b, c), headers[:n]) })
		}
		for _, c := range suite.Candidates(true) {
			b.Run("alg=HS256/"+label(n, perCore*runtime.GOMAXPROCS(0), "yes", c), func(b *testing.B) { serveParallel(b, s.handler(b, c), headers[:n], perCore) })
		}
	}
}

// BenchmarkHTTP sends one request after the other over loopback. It shows which differences a
// client can see.
func BenchmarkHTTP(b *testing.B) {
	s := newSetup(b, "HS256")
	headers := caller.Headers(s.issue(b, distinct["HS256"], time.Now()))
	for _, c := range suite.Candidates(false) {
		b.Run("alg=HS256/"+label(len(headers), 1, "no", c), func(b *testing.B) { serveHTTP(b, s.handler(b, c), headers) })
	}
}

// label returns the name of a benchmark for the report. The stack comes last.
func label(tokens, callers int, redis string, c suite.Candidate) string {
	return "tokens=" + strconv.Itoa(tokens) + "/callers=" + strconv.Itoa(callers) + "/redis=" + redis + "/stack=" + c.Name
}

// newCaller returns a caller of the handler, which begins with the start-th token.
func newCaller(ctx context.Context, handler http.Handler, headers [][]string, start int) interface{ Call() error } {
	if fast, ok := handler.(stack.FastHTTP); ok {
		return caller.NewFast(fast.FastHTTP(), headers, "/profile", answerSize, start)
	}
	return caller.New(ctx, handler, headers, profileURLs, answerSize, start)
}

func serve(b *testing.B, handler http.Handler, headers [][]string) {
	b.ReportAllocs()
	c := newCaller(b.Context(), handler, headers, 0)
	for b.Loop() {
		if err := c.Call(); err != nil {
			b.Fatal(err)
		}
	}
}

func serveParallel(b *testing.B, handler http.Handler, headers [][]string, perCore int) {
	b.ReportAllocs()
	b.SetParallelism(perCore)
	b.ResetTimer()
	var started atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		// Callers have the tokens in the same order. Each begins at another one.
		start := int(started.Add(1)) * len(headers) / (perCore * runtime.GOMAXPROCS(0))
		// Each caller has a context, as each connection of a server has.
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		c := newCaller(ctx, handler, headers, start)
		for pb.Next() {
			if err := c.Call(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func serveHTTP(b *testing.B, handler http.Handler, headers [][]string) {
	server, err := suite.Serve(handler)
	if err != nil {
		b.Fatal(err)
	}
	closed(b, server)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL+"/profile", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Header["Authorization"] = headers[i%len(headers)]
		w, err := transport.RoundTrip(r)
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(w.Body)
		_ = w.Body.Close()
		if err != nil || w.StatusCode != http.StatusOK || len(bytes.TrimSuffix(body, []byte("\n"))) != answerSize {
			b.Fatal(w.StatusCode, string(body), err)
		}
	}
}
