package crosstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	chiapi "github.com/oapi-guard/oapi-guard/crosstest/api/chi"
	echoapi "github.com/oapi-guard/oapi-guard/crosstest/api/echo"
	echo5api "github.com/oapi-guard/oapi-guard/crosstest/api/echo5"
	fiberapi "github.com/oapi-guard/oapi-guard/crosstest/api/fiber"
	fiberv3api "github.com/oapi-guard/oapi-guard/crosstest/api/fiber-v3"
	ginapi "github.com/oapi-guard/oapi-guard/crosstest/api/gin"
	gorillaapi "github.com/oapi-guard/oapi-guard/crosstest/api/gorilla"
	irisapi "github.com/oapi-guard/oapi-guard/crosstest/api/iris"
	httpapi "github.com/oapi-guard/oapi-guard/crosstest/api/std-http"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// TestOperations checks that every package guards the same operations in the same way.
func TestOperations(t *testing.T) {
	text := func(operations []guard.Operation) []string {
		var lines []string
		for _, o := range operations {
			line := fmt.Sprintf("%s %s %s %+v", o.ID, o.Method, o.Path, o.Rules)
			for _, alternative := range o.Requirement {
				line += " or"
				for _, scheme := range alternative {
					line += fmt.Sprintf(" %s %d %q", scheme.Name, scheme.Kind, scheme.Scopes)
					if scheme.Token != nil {
						line += " " + scheme.Token.Name()
					}
				}
			}
			lines = append(lines, line)
		}
		return lines
	}
	want := text(httpapi.GuardedOperations())
	if len(want) < 20 {
		t.Fatalf("%d operations", len(want))
	}
	for name, operations := range map[string][]guard.Operation{
		"chi": chiapi.GuardedOperations(), "echo": echoapi.GuardedOperations(), "echo5": echo5api.GuardedOperations(),
		"fiber": fiberapi.GuardedOperations(), "fiber-v3": fiberv3api.GuardedOperations(), "gin": ginapi.GuardedOperations(),
		"gorilla": gorillaapi.GuardedOperations(), "iris": irisapi.GuardedOperations(),
	} {
		if got := text(operations); !slices.Equal(got, want) {
			t.Errorf("%s: %q\nwant %q", name, got, want)
		}
	}
}

// recorder keeps what happened in the course of a request.
type recorder struct {
	mu    sync.Mutex
	steps []string
}

func (r *recorder) add(step string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, step)
}

// middleware returns a function for Options that records the subject on the context.
func (r *recorder) middleware(name string) func(context.Context) {
	return func(ctx context.Context) {
		step := name
		if token, ok := guard.FromContext(ctx); ok {
			step += " " + token.Subject()
		}
		r.add(step)
	}
}

// TestMiddlewares checks what runs in front of the guard and what behind it, and that middleware
// behind it sees the credential.
func TestMiddlewares(t *testing.T) {
	f := newFixture(t)
	token := "Authorization: " + f.bearer(accessType, "alice")
	for _, tt := range []struct {
		request string
		fields  []string
		status  int
		steps   []string
	}{
		{request: "GET /me", fields: []string{token}, status: 200, steps: []string{"before", "behind alice", "strict alice", "GetMe"}},
		{request: "GET /me", status: 401, steps: []string{"before"}},
		{request: "GET /optional", status: 200, steps: []string{"before", "behind", "strict", "GetOptional"}},
		{request: "GET /items/x", status: 401, steps: []string{"before"}},
	} {
		eachRouter(t, func(t *testing.T, r Router) {
			var seen recorder
			reached := func(_ context.Context, operation string) { seen.add(operation) }
			c := f.start(t, r, service.Server{Reached: reached}, Options{
				Before: seen.middleware("before"), Behind: seen.middleware("behind"), Strict: seen.middleware("strict"),
			})
			if got := c.send(tt.request, "", tt.fields...); got.status != tt.status {
				t.Errorf("%s: status %d", tt.request, got.status)
			}
			want := slices.DeleteFunc(slices.Clone(tt.steps), func(step string) bool {
				return strings.HasPrefix(step, "behind") && !r.HasBehind()
			})
			if !slices.Equal(seen.steps, want) {
				t.Errorf("%s: %q, want %q", tt.request, seen.steps, want)
			}
		})
	}
}

var errOfHandler = errors.New("password of the database")

// TestHandlerErrors checks the answers to errors that handlers return, and what the application's
// error handler sees of them.
func TestHandlerErrors(t *testing.T) {
	f := newFixture(t)
	token := "Authorization: " + f.bearer(accessType, "alice")
	for _, tt := range []struct {
		name   string
		err    error
		status int
		// handled says that the application's error handler sees it, if there is one.
		handled bool
	}{
		{name: "revoked", err: security.ErrTokenRevoked, status: 401},
		{name: "denied, with more to it", err: fmt.Errorf("%w: %w", errOfHandler, security.ErrAccessDenied), status: 403},
		{name: "unavailable", err: errors.Join(errOfHandler, security.ErrUnavailable), status: 503},
		{name: "another error", err: errOfHandler, status: 500, handled: true},
		{name: "another error, wrapped", err: fmt.Errorf("query: %w", errOfHandler), status: 500, handled: true},
	} {
		eachRouter(t, func(t *testing.T, r Router) {
			var handled []error
			c := f.start(t, r, service.Server{Fail: func(string) error { return tt.err }}, Options{
				OnError: func(err error) { handled = append(handled, err) },
			})
			for _, request := range []string{"GET /me", "GET /public"} {
				handled = nil
				got := c.send(request, "", token)
				if got.status != tt.status {
					t.Errorf("%s: %s: status %d, want %d: %s", tt.name, request, got.status, tt.status, got.body)
				}
				if strings.Contains(got.body, "password") || strings.Contains(got.body, "query") {
					t.Errorf("%s: %s: the answer tells the text of the error: %s", tt.name, request, got.body)
				}
				if problem := got.header.Get("Content-Type") == "application/problem+json"; !problem && (!tt.handled || !r.HasErrorHandler()) {
					t.Errorf("%s: %s: %s", tt.name, request, got.header.Get("Content-Type"))
				}
				if tt.status == 401 && request == "GET /me" && !strings.Contains(got.header.Get("WWW-Authenticate"), "invalid_token") {
					t.Errorf("%s: %s: challenge %q", tt.name, request, got.header.Get("WWW-Authenticate"))
				}
				if want := tt.handled && r.HasErrorHandler(); want != (len(handled) == 1) {
					t.Errorf("%s: %s: the application's error handler saw %q", tt.name, request, handled)
				} else if want && !errors.Is(handled[0], errOfHandler) {
					t.Errorf("%s: %s: the application's error handler saw %v", tt.name, request, handled[0])
				}
			}
		})
	}
}

// TestUnguarded checks that secured operations answer 500 and do not run where oapi-codegen's own
// functions mounted the handlers.
func TestUnguarded(t *testing.T) {
	f := newFixture(t)
	token := "Authorization: " + f.bearer(accessType, "alice")
	eachRouter(t, func(t *testing.T, r Router) {
		var reached atomic.Int32
		c := f.start(t, r, service.Server{Reached: func(context.Context, string) { reached.Add(1) }}, Options{Unguarded: true})
		for _, request := range []string{"GET /me", "GET /optional", "POST /tokens"} {
			if got := c.send(request, "", token); got.status != 500 || reached.Load() != 0 {
				t.Errorf("%s: status %d, %d handlers ran: %s", request, got.status, reached.Load(), got.body)
			}
		}
		if got := c.send("GET /public", ""); got.status != 200 {
			t.Errorf("GET /public: status %d", got.status)
		}
	})
}

// TestKeepAlive checks that nothing of a user's request is left for the next one on the same
// connection.
func TestKeepAlive(t *testing.T) {
	f := newFixture(t)
	eachRouter(t, func(t *testing.T, r Router) {
		c := f.start(t, r, service.Server{}, Options{})
		c.Transport.(*http.Transport).MaxConnsPerHost = 1
		reused := 0
		trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			if info.Reused {
				reused++
			}
		}})
		for i, subject := range []string{"alice", "bob", "", "alice", "x", "", "bob"} {
			request := must(http.NewRequestWithContext(trace, http.MethodGet, c.url+"/optional", nil))(t)
			if subject != "" {
				request.Header.Set("Authorization", f.bearer(accessType, subject))
			}
			response := must(c.Do(request))(t)
			body := string(must(io.ReadAll(response.Body))(t))
			response.Body.Close()
			if subject != "" != strings.Contains(body, fmt.Sprintf(`"subject":%q`, subject)) {
				t.Errorf("request %d of %q: %s", i, subject, body)
			}
		}
		if reused != 6 {
			t.Errorf("%d requests used the connection of another one", reused)
		}
	})
}

// TestTokensAreKept checks that a token stays what it is after its request, also where the router
// uses its buffers again.
func TestTokensAreKept(t *testing.T) {
	f := newFixture(t)
	eachRouter(t, func(t *testing.T, r Router) {
		var mu sync.Mutex
		kept := map[string]security.AnyToken{}
		c := f.start(t, r, service.Server{Reached: func(ctx context.Context, _ string) {
			token, _ := guard.FromContext(ctx)
			mu.Lock()
			defer mu.Unlock()
			kept[strings.Clone(token.Subject())] = token
		}}, Options{})
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				for j := range 10 {
					subject := fmt.Sprintf("user %d of %d", j, i)
					if got := c.send("GET /me", "", "Authorization: "+f.bearer(accessType, subject)); got.seen.Subject != subject {
						t.Errorf("%q was taken for %q", subject, got.seen.Subject)
					}
				}
			})
		}
		group.Wait()
		if len(kept) != 80 {
			t.Errorf("%d subjects", len(kept))
		}
		for subject, token := range kept {
			if token.Subject() != subject {
				t.Errorf("the token of %q became one of %q", subject, token.Subject())
			}
		}
	})
}

// TestBaseURL checks that the base URL stands in front of every path.
func TestBaseURL(t *testing.T) {
	f := newFixture(t)
	token := "Authorization: " + f.bearer(accessType, "alice")
	eachRouter(t, func(t *testing.T, r Router) {
		c := f.start(t, r, service.Server{}, Options{BaseURL: "/api/v1"})
		for request, status := range map[string]int{"GET /api/v1/me": 200, "GET /api/v1/items/7": 200, "GET /me": 404} {
			if got := c.send(request, "", token); got.status != status {
				t.Errorf("%s: status %d, want %d", request, got.status, status)
			}
		}
		if got := c.send("GET /api/v1/me", ""); got.status != 401 {
			t.Errorf("without a token: status %d", got.status)
		}
	})
}

// TestCancellation checks on which routers the context of a handler can end: on fiber it never
// does, nor on gin without ContextWithFallback.
func TestCancellation(t *testing.T) {
	f := newFixture(t)
	token := "Authorization: " + f.bearer(accessType, "alice")
	eachRouter(t, func(t *testing.T, r Router) {
		var ends atomic.Bool
		c := f.start(t, r, service.Server{Reached: func(ctx context.Context, _ string) { ends.Store(ctx.Done() != nil) }}, Options{})
		c.send("GET /me", "", token)
		if want := !slices.Contains([]string{"gin", "fiber", "fiber-v3"}, r.Name); ends.Load() != want {
			t.Errorf("the handler's context can end: %t, want %t", ends.Load(), want)
		}
	})
}
