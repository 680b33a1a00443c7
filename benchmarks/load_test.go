package benchmarks

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/caller"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/load"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/suite"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/tokens"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// comingBack is the number of distinct tokens in BenchmarkLoad. They come again and again, as those
// of users who are logged in.
const comingBack = 1000

// BenchmarkLoad sends requests over loopback HTTP with 64 connections that stay open, each of which
// sends its next request when it has the response. The server is a process of its own. Both use all
// cores.
func BenchmarkLoad(b *testing.B) {
	for _, withRedis := range []bool{false, true} {
		redisLabel := map[bool]string{false: "no", true: "yes"}[withRedis]
		b.Run("alg=HS256/tokens="+strconv.Itoa(comingBack)+"/connections="+strconv.Itoa(callers)+"/redis="+redisLabel, func(b *testing.B) {
			l := newLoadSetup(b, withRedis)
			for _, c := range suite.Candidates(withRedis) {
				if c.Name == "oapi-guard-uncached" {
					continue
				}
				var server *serverProcess // started once for all numbers of requests that the run tries
				b.Run("stack="+c.Name, func(b *testing.B) {
					if server == nil {
						server = l.start(b, c.Name)
						// The caches have all tokens, and the clients their connections, before
						// anything is measured.
						if _, err := l.dial(b, server).Send(2 * comingBack); err != nil {
							b.Fatal(err)
						}
					}
					benchmarkLoad(b, l, server)
				})
				if server != nil {
					server.stop(b)
				}
			}
		})
	}
}

func benchmarkLoad(b *testing.B, l *loadSetup, server *serverProcess) {
	client := l.dial(b, server)
	before := server.cpu(b)
	b.ResetTimer()
	latencies, err := client.Send(b.N)
	b.StopTimer()
	used := server.cpu(b) - before
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64(latencies.ValueAtQuantile(50)), "p50-ns")
	b.ReportMetric(float64(latencies.ValueAtQuantile(99)), "p99-ns")
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// TestLoad checks that a server in a process of its own answers, and that its processor time is
// measured.
func TestLoad(t *testing.T) {
	l := newLoadSetup(t, true)
	for _, name := range []string{"oapi-guard-replica", "hand-written-cache", "fiber-jwt"} {
		t.Run(name, func(t *testing.T) {
			server := l.start(t, name)
			defer server.stop(t)
			before := server.cpu(t)
			latencies, err := l.dial(t, server).Send(comingBack + 10)
			if err != nil {
				t.Fatal(err)
			}
			if n := latencies.TotalCount(); n != comingBack+10 {
				t.Errorf("%d latencies", n)
			}
			if after := server.cpu(t); after <= before {
				t.Errorf("processor time %v after the requests, %v before", after, before)
			}
		})
	}
	server := l.start(t, "oapi-guard-replica")
	defer server.stop(t)
	l.headers = [][]string{{"Bearer x"}}
	if _, err := l.dial(t, server).Send(1); err == nil {
		t.Error("a request without a valid token is no error")
	}
}

// serveVariable is the environment variable with the serverConfig of a process that serves a stack.
const serveVariable = "BENCHMARKS_SERVE"

// serverConfig says what a process serves.
type serverConfig struct {
	Stack  string
	Secret []byte
	// Redis is the address of a Redis that FillRedis filled, or empty.
	Redis string
}

// serveStack serves a stack until in ends. It writes the URL to out, and for each line of in the
// processor time in nanoseconds that the process has used.
func serveStack(ctx context.Context, config string, in io.Reader, out io.Writer) (err error) {
	var c serverConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	issuer, err := tokens.NewSecretIssuer(c.Secret)
	if err != nil {
		return err
	}
	s, err := suite.New(ctx, issuer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if c.Redis != "" {
		redis.SetLogger(quiet{})
		if err := s.UseRedis(ctx, suite.RedisOptions(c.Redis, callers)); err != nil {
			return err
		}
	}
	candidate, err := suite.Find(c.Stack)
	if err != nil {
		return err
	}
	handler, err := candidate.New(s.Config)
	if err != nil {
		return err
	}
	server, err := suite.Serve(handler)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, server.URL)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		used, err := cpuTime()
		if err != nil {
			return err
		}
		fmt.Fprintln(out, used.Nanoseconds())
	}
	return nil // the end of the process ends the server
}

// loadSetup has what the servers of a run share.
type loadSetup struct {
	config  serverConfig
	headers [][]string
}

func newLoadSetup(tb testing.TB, withRedis bool) *loadSetup {
	tb.Helper()
	l := &loadSetup{config: serverConfig{Secret: []byte("a secret of 32 bytes for HS256..")}}
	issuer, err := tokens.NewSecretIssuer(l.config.Secret)
	if err != nil {
		tb.Fatal(err)
	}
	if withRedis {
		options := suite.RedisOptions(redistest.Start(tb).Addr(), callers)
		s, err := suite.New(tb.Context(), issuer)
		if err != nil {
			tb.Fatal(err)
		}
		closed(tb, s)
		if err := s.FillRedis(tb.Context(), options); err != nil {
			tb.Fatal(err)
		}
		l.config.Redis = options.Addr
	}
	issued, err := issuer.Issue(tb.Context(), comingBack, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	l.headers = caller.Headers(issued)
	return l
}

// dial opens connections to the server.
func (l *loadSetup) dial(tb testing.TB, server *serverProcess) *load.Client {
	tb.Helper()
	address, requests, err := load.Requests(server.url+"/profile", l.headers)
	if err != nil {
		tb.Fatal(err)
	}
	client, err := load.Dial(address, requests, callers, answerSize)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	return client
}

// serverProcess is a process that serves a stack.
type serverProcess struct {
	url    string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

// start starts this program again, as the server of a stack, and waits until it listens.
func (l *loadSetup) start(tb testing.TB, name string) *serverProcess {
	tb.Helper()
	config := l.config
	config.Stack = name
	text, err := json.Marshal(config)
	if err != nil {
		tb.Fatal(err)
	}
	p := &serverProcess{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), serveVariable+"="+string(text))
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.stdout = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	p.url = p.line(tb)
	return p
}

// line reads a line of the process.
func (p *serverProcess) line(tb testing.TB) string {
	tb.Helper()
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		tb.Fatalf("the server ended: %v", err)
	}
	return strings.TrimSpace(line)
}

// cpu returns the processor time that the process has used.
func (p *serverProcess) cpu(tb testing.TB) time.Duration {
	tb.Helper()
	if _, err := io.WriteString(p.stdin, "\n"); err != nil {
		tb.Fatal(err)
	}
	nanoseconds, err := strconv.ParseInt(p.line(tb), 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return time.Duration(nanoseconds)
}

// stop ends the process.
func (p *serverProcess) stop(tb testing.TB) {
	tb.Helper()
	_ = p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		tb.Errorf("the server: %v", err)
	}
}
