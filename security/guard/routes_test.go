package guard

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestOddPaths has a public /{slug} and a protected /admin/users on the router of net/http. In
// every spelling of the path the protected handler runs only behind its guard, because the guard
// belongs to the route.
func TestOddPaths(t *testing.T) {
	f := newFixture(t)
	token := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	o := &Operation{ID: "users", Requirement: Requirement{{accessScheme}}}
	guards := must(NewGuards(f.policy, nil, o))(t)
	var protected atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/users", guards.HandlerFunc(o, func(w http.ResponseWriter, r *http.Request) {
		protected.Add(1)
		if _, err := RequestToken[userClaims](r.Context(), o); err != nil {
			t.Error("the handler ran without its guard")
		}
	}))
	mux.HandleFunc("GET /{slug}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	server := httptest.NewServer(mux)
	defer server.Close()

	for _, tt := range []struct {
		request string // has no token
		status  int
	}{
		{"GET /admin/users", 401},
		{"HEAD /admin/users", 401},
		{"GET /admin%2Fusers", 418},
		{"GET /%61dmin/users", 401},
		{"GET /admin/%75sers", 401},
		{"GET //admin/users", 307},
		{"GET /admin//users", 307},
		{"GET /./admin/users", 307},
		{"GET /x/../admin/users", 307},
		{"GET /admin/users/", 404},
		{"GET /ADMIN/users", 404},
		{"GET /admin", 418},
		{"POST /admin/users", 405},
		{"OPTIONS /admin/users", 405},
		{"TRACE /admin/users", 405},
		{"POST /admin/users\r\nX-HTTP-Method-Override: GET", 405},
		{"GET /slug\r\nX-Original-URL: /admin/users", 418},
		{"GET http://other.example/admin/users", 401},
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		line, header, _ := strings.Cut(tt.request, "\r\n")
		if header != "" {
			header += "\r\n"
		}
		if _, err := io.WriteString(conn, line+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+header+"\r\n"); err != nil {
			t.Fatal(err)
		}
		method, _, _ := strings.Cut(line, " ")
		response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%s: %v", tt.request, err)
		}
		response.Body.Close()
		conn.Close()
		if response.StatusCode != tt.status {
			t.Errorf("%s: status %d, want %d", tt.request, response.StatusCode, tt.status)
		}
	}
	if n := protected.Load(); n != 0 {
		t.Errorf("the protected handler ran %d times", n)
	}
	r := must(http.NewRequest(http.MethodGet, server.URL+"/admin/users", nil))(t)
	r.Header.Set("Authorization", bearer(token))
	response := must(server.Client().Do(r))(t)
	response.Body.Close()
	if response.StatusCode != 200 || protected.Load() != 1 {
		t.Errorf("with a token: status %d", response.StatusCode)
	}
}
