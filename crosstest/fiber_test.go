package crosstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	fiber2 "github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"

	fiberapi "github.com/oapi-guard/oapi-guard/crosstest/api/fiber"
	fiberv3api "github.com/oapi-guard/oapi-guard/crosstest/api/fiber-v3"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// eachFiber runs a test on both versions of fiber, whose configuration may have bodies as streams,
// a limit of bodies and names of header fields as they were sent.
func (f *fixture) eachFiber(stream, rawNames bool, limit int, s service.Server, test func(*testing.T, client)) {
	f.t.Run("fiber", func(t *testing.T) {
		app := fiber2.New(fiber2.Config{DisableStartupMessage: true, StreamRequestBody: stream, DisableHeaderNormalizing: rawNames, BodyLimit: limit})
		strict := fiberapi.NewGuardedStrictHandler(fiberapi.Server{Server: s}, nil)
		if err := fiberapi.RegisterGuardedHandlersWithOptions(app, strict, f.policy, service.Authenticator{}, fiberapi.FiberServerOptions{}); err != nil {
			t.Fatal(err)
		}
		l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
		go app.Listener(l)
		test(t, newClient(t, "http://"+l.Addr().String(), func() { _ = app.Shutdown() }))
	})
	f.t.Run("fiber-v3", func(t *testing.T) {
		app := fiber3.New(fiber3.Config{StreamRequestBody: stream, DisableHeaderNormalizing: rawNames, BodyLimit: limit})
		strict := fiberv3api.NewGuardedStrictHandler(fiberv3api.Server{Server: s}, nil)
		if err := fiberv3api.RegisterGuardedHandlersWithOptions(app, strict, f.policy, service.Authenticator{}, fiberv3api.FiberServerOptions{}); err != nil {
			t.Fatal(err)
		}
		l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
		go app.Listener(l, fiber3.ListenConfig{DisableStartupMessage: true})
		test(t, newClient(t, "http://"+l.Addr().String(), func() { _ = app.Shutdown() }))
	})
}

// TestFiberStreams checks that a guard which needs the body reads a stream only if it is known to
// be short, and leaves it readable.
func TestFiberStreams(t *testing.T) {
	f := newFixture(t)
	token := f.token(accessType, "carol", security.WithCSRF())
	fields := []string{"Cookie: form_token=" + token.Text(), "Content-Type: application/x-www-form-urlencoded"}
	f.eachFiber(true, false, 0, service.Server{}, func(t *testing.T, c client) {
		short := "title=a&csrf_token=" + token.CSRF()
		long := short + "&more=" + strings.Repeat("x", 70<<10)
		if got := c.send("POST /form", short, fields...); got.status != 200 || !strings.Contains(string(got.seen.Request), `"title":"a"`) {
			t.Errorf("a short body: status %d: %s", got.status, got.body)
		}
		if got := c.send("POST /form", long, fields...); got.status != 400 {
			t.Errorf("a long body: status %d: %s", got.status, got.body)
		}
		if got := c.send("POST /form", "title=a", fields...); got.status != 403 {
			t.Errorf("a body without the field: status %d: %s", got.status, got.body)
		}
		// The rest of this one never comes, and nobody waits for it.
		unfinished := "\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 20<<10)
		if got := c.sendRaw("POST /form\r\n" + strings.Join(fields, "\r\n") + unfinished); got != 400 {
			t.Errorf("a long body that does not come: status %d", got)
		}
		chunked := must(http.NewRequest(http.MethodPost, c.url+"/form", io.MultiReader(strings.NewReader(short))))(t)
		for _, field := range fields {
			name, value, _ := strings.Cut(field, ": ")
			chunked.Header.Set(name, value)
		}
		response := must(c.Do(chunked))(t)
		response.Body.Close()
		if response.StatusCode != 400 {
			t.Errorf("a body of unknown length: status %d", response.StatusCode)
		}
	})
}

// TestFiberValidatesStreams checks that a validator of requests gets a stream up to the
// application's limit of bodies, and leaves it readable.
func TestFiberValidatesStreams(t *testing.T) {
	v := &requests{}
	f := newFixture(t, guard.WithSchemaValidator(v))
	fields := []string{"Authorization: " + f.bearer(accessType, "alice"), "Content-Type: text/plain"}
	const limit = 100 << 10
	f.eachFiber(true, false, limit, service.Server{}, func(t *testing.T, c client) {
		for _, length := range []int{0, 10, limit - 1, limit} {
			body := strings.Repeat("x", length)
			got := c.send("POST /upload", body, fields...)
			if got.status != 200 || strings.Count(string(got.seen.Request), "x") != length || strings.Count(v.last, "x") != length {
				t.Errorf("%d bytes: status %d, the handler saw %d, the validator %d", length, got.status, strings.Count(string(got.seen.Request), "x"), strings.Count(v.last, "x"))
			}
		}
		v.last = ""
		if got := c.send("POST /upload", strings.Repeat("x", limit+1), fields...); got.status != 413 || v.last != "" {
			t.Errorf("%d bytes: status %d, the validator saw %d", limit+1, got.status, len(v.last))
		}
		malformed := "POST /upload\r\n" + strings.Join(fields, "\r\n") + "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nno number\r\n"
		if got := c.sendRaw(malformed); got != 400 || v.last != "" {
			t.Errorf("a body that cannot be read: status %d, the validator saw %q", got, v.last)
		}
		if got := c.send("POST /upload", strings.Repeat("x", limit+1)); got.status != 401 {
			t.Errorf("without a token: status %d", got.status)
		}
	})
}

// TestFiberFieldNames checks that header fields count however their names are written, also where
// the application has turned off that fasthttp makes them canonical.
func TestFiberFieldNames(t *testing.T) {
	f := newFixture(t)
	bearer := f.bearer(accessType, "alice")
	token := f.token(accessType, "carol", security.WithCSRF())
	for _, rawNames := range []bool{false, true} {
		f.eachFiber(false, rawNames, 0, service.Server{}, func(t *testing.T, c client) {
			for request, status := range map[string]int{
				"GET /me\r\nauthorization: " + bearer:                                                          200,
				"GET /me\r\nAUTHORIZATION: " + bearer:                                                          200,
				"GET /me\r\nauthorization: " + bearer + "\r\nAuthorization: Bearer x":                          400,
				"GET /optional\r\nauthorization: Bearer x":                                                     401,
				"POST /anywhere\r\ncookie: access_token=" + token.Text() + "\r\nx-csrf-token: " + token.CSRF(): 200,
				"POST /anywhere\r\ncookie: access_token=" + token.Text() + "\r\nx-csrf-token: " + token.CSRF() + "\r\norigin: https://evil.example": 403,
				"POST /anywhere\r\ncookie: access_token=" + token.Text() + "\r\nx-csrf-token: " + token.CSRF() + "\r\nsec-fetch-site: cross-site":   403,
			} {
				if got := c.sendRaw(request); got != status {
					t.Errorf("raw %v: %q: status %d, want %d", rawNames, request, got, status)
				}
			}
		})
	}
}

// TestFiberErrors checks what fiber's own error handler tells the client of an error.
func TestFiberErrors(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		err2, err3 error
		status     int
		body       string
	}{
		{err2: errOfHandler, err3: errOfHandler, status: 500, body: "Internal Server Error"},
		{err2: fiber2.NewError(409, "taken"), err3: fiber3.NewError(409, "taken"), status: 409, body: "taken"},
		{
			err2: fmt.Errorf("%w: %w", errOfHandler, fiber2.ErrConflict),
			err3: fmt.Errorf("%w: %w", errOfHandler, fiber3.ErrConflict), status: 409, body: "Conflict",
		},
		{err2: context.Canceled, err3: context.Canceled, status: 500, body: "Internal Server Error"},
	} {
		eachRouter(t, func(t *testing.T, r Router) {
			own := map[string]error{"fiber": tt.err2, "fiber-v3": tt.err3}[r.Name]
			if own == nil {
				return
			}
			var handled error
			c := f.start(t, r, service.Server{Fail: func(string) error { return own }}, Options{OnError: func(err error) { handled = err }})
			if got := c.send("GET /public", ""); got.status != tt.status || got.body != tt.body {
				t.Errorf("%v: status %d, %q", own, got.status, got.body)
			}
			if !errors.Is(handled, own) {
				t.Errorf("%v: the application's error handler saw %v", own, handled)
			}
		})
	}
}

// TestFiberLeftovers checks that what a guard does not read of a body is not taken for another
// request.
func TestFiberLeftovers(t *testing.T) {
	f := newFixture(t)
	token := f.bearer(accessType, "alice")
	var reached atomic.Int32
	f.eachFiber(true, false, 0, service.Server{Reached: func(context.Context, string) { reached.Add(1) }}, func(t *testing.T, c client) {
		const smuggled = "GET /public HTTP/1.1\r\nHost: x\r\n\r\n"
		body := strings.Repeat("x", 8<<10) + strings.Repeat(smuggled, 10)
		for _, tt := range []struct {
			name, request string
			calls         int32
		}{
			{"refused", "POST /upload HTTP/1.1\r\nHost: x\r\n", 0},
			{"let pass to an operation without a body", "POST /anywhere HTTP/1.1\r\nHost: x\r\nAuthorization: " + token + "\r\n", 1},
		} {
			for _, framed := range []string{
				fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body),
				fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body),
			} {
				reached.Store(0)
				conn := must(net.Dial("tcp", strings.TrimPrefix(c.url, "http://")))(t)
				must(io.WriteString(conn, tt.request+framed))(t)
				if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
					t.Fatal(err)
				}
				// The server may close before it has read everything, which resets the connection.
				answers, _ := io.ReadAll(conn)
				conn.Close()
				if n := strings.Count(string(answers), "HTTP/1.1 "); n > 1 || reached.Load() != tt.calls {
					t.Errorf("%s, %.8q: %d answers, %d calls", tt.name, framed, n, reached.Load())
				}
			}
		}
	})
}
