package load

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// TestSend checks that each request is sent once, with the headers in turn, over connections that
// stay open.
func TestSend(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	clients := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.URL.Path+" "+r.Header.Get("Authorization")]++
		clients[r.RemoteAddr] = true
		mu.Unlock()
		_, _ = w.Write([]byte("ok\n"))
	}))
	defer server.Close()
	c := dial(t, server.URL, 4)
	for range 2 {
		latencies, err := c.Send(100)
		if err != nil {
			t.Fatal(err)
		}
		if latencies.TotalCount() != 100 || latencies.ValueAtQuantile(50) <= 0 || latencies.ValueAtQuantile(99) < latencies.ValueAtQuantile(50) {
			t.Errorf("%d latencies, the half under %d ns, 99 %% under %d", latencies.TotalCount(), latencies.ValueAtQuantile(50), latencies.ValueAtQuantile(99))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 2 || seen["/x a"] != 100 || seen["/x b"] != 100 {
		t.Errorf("requests: %v", seen)
	}
	if len(clients) > 4 {
		t.Errorf("%d connections, want 4", len(clients))
	}
}

// TestSendErrors checks that refused requests are errors, so that no benchmark measures them.
func TestSendErrors(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"a status": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte("ok"))
		},
		"a shorter body": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("o")) },
		"a longer body":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok!")) },
		"no response":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			if _, err := dial(t, server.URL, 2).Send(10); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestRequests(t *testing.T) {
	address, requests, err := Requests("http://127.0.0.1:1/a?b", [][]string{{"x"}, {"y"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: x\r\n\r\n", "GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: y\r\n\r\n"}
	got := []string{string(requests[0]), string(requests[1])}
	if address != "127.0.0.1:1" || !slices.Equal(got, want) {
		t.Errorf("%s %q", address, got)
	}
	if _, _, err := Requests("http://[", nil); err == nil {
		t.Error("no error for a URL that is none")
	}
}

func dial(t *testing.T, url string, connections int) *Client {
	t.Helper()
	address, requests, err := Requests(url+"/x", [][]string{{"a"}, {"b"}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(address, requests, connections, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
