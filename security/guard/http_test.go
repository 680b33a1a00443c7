package guard

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

// countingListener counts the bytes that the server reads from its connections.
type countingListener struct {
	net.Listener
	read atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &countingConn{conn, &l.read}, err
}

type countingConn struct {
	net.Conn
	count *atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.count.Add(int64(n))
	return n, err
}

// TestBodyIsNotRead sends 64 MiB without a token. The response is 401, and neither the guard nor a
// handler reads the body. net/http itself reads up to 256 KiB before and after the response, in
// order to keep the connection.
func TestBodyIsNotRead(t *testing.T) {
	f := newFixture(t)
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
	guards := must(NewGuards(f.policy, nil, o))(t)
	guarded := guards.HandlerFunc(o, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })

	const size = 64 << 20
	for _, tt := range []struct {
		name, header string
		send         func(io.Writer) error
		most         int64 // bytes that the server may read from the connection
	}{
		{
			name: "Content-Length", header: "Content-Length: 67108864\r\n",
			send: func(w io.Writer) error { return zeros(w, size) }, most: 64 << 10,
		},
		{
			name: "chunked", header: "Transfer-Encoding: chunked\r\n",
			send: func(w io.Writer) error {
				if _, err := io.WriteString(w, "4000000\r\n"); err != nil {
					return err
				}
				return zeros(w, size)
			},
			most: 768 << 10,
		},
		{
			name: "Expect", header: "Content-Length: 67108864\r\nExpect: 100-continue\r\n",
			send: func(io.Writer) error { return nil }, most: 64 << 10,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var chain atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				own := *r
				own.Body = &countingBody{r.Body, &chain}
				guarded(w, &own)
			}))
			listener := &countingListener{Listener: server.Listener}
			server.Listener = listener
			server.Start()
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+tt.header+"\r\n"); err != nil {
				t.Fatal(err)
			}
			sent := make(chan error, 1)
			go func() { sent <- tt.send(conn) }()
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			conn.Close()
			<-sent
			if response.StatusCode != 401 {
				t.Errorf("status %d", response.StatusCode)
			}
			if n := chain.Load(); n != 0 {
				t.Errorf("%d bytes of the body were read by guard or handler", n)
			}
			if n := listener.read.Load(); n > tt.most {
				t.Errorf("%d bytes were read from the connection, want at most %d", n, tt.most)
			}
		})
	}
}

type countingBody struct {
	io.ReadCloser
	count *atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.count.Add(int64(n))
	return n, err
}

// zeros writes n zeros, until the other side stops reading.
func zeros(w io.Writer, n int) error {
	buf := make([]byte, 64<<10)
	for ; n > 0; n -= len(buf) {
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// TestRequestReads checks what a guard reads from a request of net/http.
func TestRequestReads(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/?jwt=1&jwt=2", nil)
	r.Header.Add("X-Token", "a")
	r.Header.Add("x-token", "b")
	r.AddCookie(&http.Cookie{Name: "c", Value: "1"})
	r.AddCookie(&http.Cookie{Name: "c", Value: "2"})
	request := httpRequest{r}
	for name, got := range map[string][]string{
		"header": request.Header("X-Token"), "query": readable(queryValues(request, "jwt")), "cookie": readable(cookieValues(request, "c")),
	} {
		if len(got) != 2 {
			t.Errorf("%s: %q", name, got)
		}
	}
	if request.Method() != http.MethodPost || request.TLS() != nil || readable(cookieValues(request, "none")) != nil {
		t.Error("wrong method, TLS or absent cookie")
	}
}

// TestErrorAs checks that errors.As finds the sentinel and its status, as error handlers do.
func TestErrorAs(t *testing.T) {
	var e *security.Error
	if !errors.As(security.ErrWrongTokenType.Because("x", nil), &e) || e.Status() != 401 || e.Code() != "invalid_token" {
		t.Errorf("%v", e)
	}
}

// readable returns the values that can be read.
func readable(values []string, _ int) []string { return values }
