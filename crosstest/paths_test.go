package crosstest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/crosstest/service"
)

// TestPaths asks for operations in odd ways. However a router reads a path or a method, a secured
// operation runs behind its guard and nowhere else. The columns are the statuses without and with a
// good token, in the order of Routers.
func TestPaths(t *testing.T) {
	f := newFixture(t)
	token := f.bearer(accessType, "alice")
	rows := []struct{ request, statuses string }{
		// std-http chi gorilla echo echo5 gin iris fiber fiber-v3
		{"GET /me", "401/200 401/200 401/200 401/200 401/200 401/200 401/200 401/200 401/200"},
		{"HEAD /me", "401/200 405/405 405/405 405/405 405/405 404/404 404/404 401/200 401/200"},
		{"GET /me/", "404/404 404/404 404/404 404/404 404/404 301/301 301/301 401/200 401/200"},
		{"GET /ME", "404/404 404/404 404/404 404/404 404/404 404/404 404/404 401/200 401/200"},
		{"GET //me", "307/307 404/404 301/301 404/404 404/404 404/404 404/404 404/404 404/404"},
		{"GET /./me", "307/307 404/404 301/301 404/404 404/404 404/404 404/404 404/404 404/404"},
		{"GET /x/../me", "307/307 404/404 301/301 404/404 404/404 404/404 404/404 404/404 404/404"},
		{"GET /%6de", "401/200 404/404 401/200 404/404 404/404 401/200 401/200 404/404 404/404"},
		{"GET /me%2F", "404/404 404/404 404/404 404/404 404/404 301/301 301/301 404/404 404/404"},
		{"GET /me;x", "404/404 404/404 404/404 404/404 404/404 404/404 404/404 404/404 404/404"},
		{"GET /me%00", "404/404 404/404 404/404 404/404 404/404 404/404 404/404 404/404 404/404"},
		{"POST /me", "405/405 405/405 405/405 405/405 405/405 404/404 404/404 405/405 405/405"},
		{"OPTIONS /me", "405/405 405/405 405/405 204/204 204/204 404/404 404/404 405/405 405/405"},
		{"TRACE /me", "405/405 405/405 405/405 405/405 405/405 404/404 404/404 405/405 405/405"},
		{"PROPFIND /me", "405/405 405/405 405/405 405/405 405/405 404/404 404/404 400/400 501/501"},
		{"GET /names/a/b", "404/404 404/404 404/404 401/200 401/200 404/404 404/404 404/404 404/404"},
		{"GET /names/", "404/404 404/404 404/404 404/404 404/404 404/404 301/301 404/404 404/404"},
		{"GET /names//", "307/307 404/404 301/301 401/200 401/200 301/301 301/301 404/404 404/404"},
		{"GET /items/7/", "404/404 404/404 404/404 401/400 401/400 301/301 301/301 401/200 401/200"},
		{"GET /items/7/8", "404/404 404/404 404/404 401/400 401/400 404/404 404/404 404/404 404/404"},
		{"GET /items/mine/", "404/404 404/404 404/404 401/400 401/400 301/301 301/301 401/401 401/401"},
		{"GET /items/MINE", "401/400 401/400 401/400 401/400 401/400 401/400 401/400 401/401 401/401"},
		{"GET http://other.example/me", "401/200 401/200 401/200 401/200 401/200 401/200 401/200 401/200 401/200"},
		{"HEAD /resource", "401/401 401/401 401/401 401/401 401/401 401/401 401/401 401/401 401/401"},
		{"HEAD /items/7", "401/200 405/405 405/405 405/405 405/405 404/404 404/404 401/200 401/200"},
		{"HEAD /public", "200/200 405/405 405/405 405/405 405/405 404/404 404/404 200/200 200/200"},
		{"POST /me\r\nX-HTTP-Method-Override: GET", "405/405 405/405 405/405 405/405 405/405 404/404 404/404 405/405 405/405"},
		{"GET /x\r\nX-Original-URL: /me", "404/404 404/404 404/404 404/404 404/404 404/404 404/404 404/404 404/404"},
		{"GET /settings", "405/405 405/405 405/405 405/405 405/405 404/404 404/404 405/405 405/405"},
		// A public path with a parameter beside a secured one, declared before it and behind it.
		{"GET /pages/admin/users", "401/200 401/200 401/200 401/200 401/200 401/200 401/200 401/200 401/200"},
		{"GET /pages/admin%2Fusers", "200/200 200/200 401/200 200/200 200/200 401/200 401/200 200/200 200/200"},
		{"GET /pages/%61dmin/users", "401/200 404/404 401/200 200/200 200/200 401/200 401/200 404/404 404/404"},
		{"GET /pages/admin/users/", "404/404 404/404 404/404 200/200 200/200 301/301 301/301 401/200 401/200"},
		{"GET /pages//admin/users", "307/307 404/404 301/301 200/200 200/200 404/404 404/404 404/404 404/404"},
		{"GET /pages/./admin/users", "307/307 404/404 301/301 200/200 200/200 404/404 404/404 404/404 404/404"},
		{"GET /pages/x/../admin/users", "307/307 404/404 301/301 200/200 200/200 404/404 404/404 404/404 404/404"},
		{"GET /pages/ADMIN/users", "404/404 404/404 404/404 200/200 200/200 404/404 404/404 401/200 401/200"},
		{"GET /pages/admin", "200/200 200/200 200/200 200/200 200/200 200/200 404/404 200/200 200/200"},
		{"HEAD /pages/admin/users", "401/200 405/405 405/405 405/405 405/405 404/404 404/404 401/200 401/200"},
		{"POST /pages/admin/users", "405/405 405/405 405/405 405/405 405/405 404/404 404/404 405/405 405/405"},
		{"GET /docs/admin/users", "401/200 401/200 401/200 401/200 401/200 401/200 401/200 401/200 401/200"},
		{"GET /docs/admin%2Fusers", "200/200 200/200 401/200 200/200 200/200 401/200 401/200 200/200 200/200"},
		{"GET /docs/%61dmin/users", "401/200 404/404 401/200 200/200 200/200 401/200 401/200 404/404 404/404"},
		{"GET /docs/admin/users/", "404/404 404/404 404/404 200/200 200/200 301/301 301/301 401/200 401/200"},
		{"GET /docs//admin/users", "307/307 404/404 301/301 200/200 200/200 404/404 404/404 404/404 404/404"},
		{"GET /docs/admin;x/users", "404/404 404/404 404/404 200/200 200/200 404/404 404/404 404/404 404/404"},
		{"GET /docs/admin%00/users", "404/404 404/404 404/404 200/200 200/200 404/404 404/404 404/404 404/404"},
		{"GET /docs/admin\\users", "200/200 200/200 200/200 200/200 200/200 200/200 200/200 200/200 200/200"},
		{"HEAD /docs/admin/users", "401/200 405/405 405/405 405/405 405/405 404/404 404/404 401/200 401/200"},
		{"OPTIONS /docs/admin/users", "405/405 405/405 405/405 204/204 204/204 404/404 404/404 405/405 405/405"},
		{"TRACE /docs/admin/users", "405/405 405/405 405/405 405/405 405/405 404/404 404/404 405/405 405/405"},
		{"OPTIONS /settings", "401/200 401/200 401/200 401/200 401/200 401/200 401/200 401/200 401/200"},
	}
	for column, r := range Routers {
		t.Run(r.Name, func(t *testing.T) {
			var reached, secured atomic.Int32
			c := f.start(t, r, service.Server{Reached: func(_ context.Context, operation string) {
				reached.Add(1)
				if !slices.Contains([]string{"GetPublic", "GetPage", "GetDoc"}, operation) {
					secured.Add(1)
				}
			}}, Options{})
			for _, tt := range rows {
				without := c.sendRaw(tt.request)
				if ran := secured.Swap(0); ran > 0 {
					t.Errorf("%q: a secured handler ran without a token", tt.request)
				}
				if ran := reached.Swap(0); ran == 1 != (without == 200) {
					t.Errorf("%q without a token: status %d, %d handlers ran", tt.request, without, ran)
				}
				with := c.sendRaw(tt.request + "\r\nAuthorization: " + token)
				if ran := reached.Swap(0); ran == 1 != (with == 200) {
					t.Errorf("%q with a token: status %d, %d handlers ran", tt.request, with, ran)
				}
				secured.Store(0)
				if got, want := fmt.Sprintf("%d/%d", without, with), strings.Fields(tt.statuses)[column]; got != want {
					t.Errorf("%q: %s, want %s", tt.request, got, want)
				}
			}
		})
	}
}

// sendRaw sends a request line, and header fields in further lines, as they are. It returns the
// status.
func (c client) sendRaw(request string) int {
	c.t.Helper()
	conn := must(net.Dial("tcp", strings.TrimPrefix(c.url, "http://")))(c.t)
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	line, fields, found := strings.Cut(request, "\r\n")
	if found {
		fields += "\r\n"
	}
	must(io.WriteString(conn, line+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+fields+"\r\n"))(c.t)
	method, _, _ := strings.Cut(line, " ")
	response := must(http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method}))(c.t)
	response.Body.Close()
	return response.StatusCode
}
