package crosstest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"

	fiber2 "github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"

	fiberapi "github.com/oapi-guard/oapi-guard/crosstest/api/fiber"
	fiberv3api "github.com/oapi-guard/oapi-guard/crosstest/api/fiber-v3"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
)

// bodySize is that of the bodies which nobody may read.
const bodySize = 64 << 20

// countingListener counts what a server reads of its connections.
type countingListener struct {
	net.Listener
	read atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{conn, &l.read}, nil
}

type countingConn struct {
	net.Conn
	read *atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// uploads are the ways to send a long body without a token.
var uploads = []struct {
	name, fields string
	send         func(io.Writer) error
	// most is what net/http may read of the connection before it gives the connection up, in bytes.
	most int64
}{
	{
		name: "Content-Length", fields: "Content-Type: text/plain\r\nContent-Length: 67108864\r\n",
		send: func(w io.Writer) error { return zeros(w, bodySize) }, most: 64 << 10,
	},
	{
		name: "chunked", fields: "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n",
		send: func(w io.Writer) error {
			if _, err := io.WriteString(w, "4000000\r\n"); err != nil {
				return err
			}
			return zeros(w, bodySize)
		},
		most: 768 << 10,
	},
	{
		name: "Expect", fields: "Content-Type: text/plain\r\nContent-Length: 67108864\r\nExpect: 100-continue\r\n",
		send: func(io.Writer) error { return nil }, most: 64 << 10,
	},
	{
		name: "multipart", fields: "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 67108864\r\n",
		send: func(w io.Writer) error {
			if _, err := io.WriteString(w, "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"); err != nil {
				return err
			}
			return zeros(w, bodySize)
		},
		most: 64 << 10,
	},
}

// zeros writes until the other side stops reading.
func zeros(w io.Writer, n int) error {
	buf := make([]byte, 64<<10)
	for ; n > 0; n -= len(buf) {
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// upload sends a body to POST /upload without a token, and returns the status of the answer; 0
// where the server hung up before it could be read.
func upload(t *testing.T, address, fields string, send func(io.Writer) error) int {
	t.Helper()
	conn := must(net.Dial("tcp", address))(t)
	defer conn.Close()
	must(io.WriteString(conn, "POST /upload HTTP/1.1\r\nHost: x\r\n"+fields+"\r\n"))(t)
	sent := make(chan error, 2)
	go func() { sent <- send(conn) }()
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	status := 0
	if err == nil && response.StatusCode == http.StatusContinue {
		// The server of fiber asks for the body before it asks anybody else.
		go func() { sent <- zeros(conn, bodySize) }()
		response, err = http.ReadResponse(reader, nil)
		defer func() { <-sent }()
	}
	if err == nil {
		status = response.StatusCode
		response.Body.Close()
	}
	conn.Close()
	<-sent
	return status
}

// TestBodiesAreNotRead sends 64 MiB without a token to the routers that are built on net/http: the
// answer is 401, and no byte of the body is read behind the server. What net/http itself reads, in
// the hope to keep the connection, is its own business, and bounded.
func TestBodiesAreNotRead(t *testing.T) {
	f := newFixture(t)
	eachRouter(t, func(t *testing.T, r Router) {
		if r.handler == nil {
			return // see TestFiberBodies
		}
		handler, err := r.handler(service.Server{Reached: func(context.Context, string) { t.Error("the handler ran") }}, f.policy, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range uploads {
			var chain atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				own := *request
				own.Body = &countingBody{request.Body, &chain}
				handler.ServeHTTP(w, &own)
			}))
			listener := &countingListener{Listener: server.Listener}
			server.Listener = listener
			server.Start()
			status := upload(t, listener.Addr().String(), tt.fields, tt.send)
			server.Close()
			if status != 401 || chain.Load() != 0 || listener.read.Load() > tt.most {
				t.Errorf("%s: status %d, %d bytes read behind the server and %d of the connection", tt.name, status, chain.Load(), listener.read.Load())
			}
		}
	})
}

type countingBody struct {
	io.ReadCloser
	read *atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	return n, err
}

// TestFiberBodies does the same on fiber, whose server reads bodies before any handler runs: beyond
// its limit it answers 413 itself. With StreamRequestBody and DisablePreParseMultipartForm the
// guard comes first: 401, little of the body read, and no temporary file.
func TestFiberBodies(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	f := newFixture(t)
	s := service.Server{Reached: func(context.Context, string) { t.Error("the handler ran") }}
	serve := map[string]func(l net.Listener, stream bool) func() error{
		"fiber": func(l net.Listener, stream bool) func() error {
			app := fiber2.New(fiber2.Config{DisableStartupMessage: true, StreamRequestBody: stream, DisablePreParseMultipartForm: stream})
			if err := fiberapi.RegisterGuardedHandlers(app, fiberapi.Server{Server: s}, f.validator, service.Authenticator{}); err != nil {
				t.Fatal(err)
			}
			go app.Listener(l)
			return app.Shutdown
		},
		"fiber-v3": func(l net.Listener, stream bool) func() error {
			app := fiber3.New(fiber3.Config{StreamRequestBody: stream, DisablePreParseMultipartForm: stream})
			if err := fiberv3api.RegisterGuardedHandlers(app, fiberv3api.Server{Server: s}, f.validator, service.Authenticator{}); err != nil {
				t.Fatal(err)
			}
			go app.Listener(l, fiber3.ListenConfig{DisableStartupMessage: true})
			return app.Shutdown
		},
	}
	for name, start := range serve {
		for _, stream := range []bool{false, true} {
			for _, tt := range uploads {
				l := &countingListener{Listener: must(net.Listen("tcp", "127.0.0.1:0"))(t)}
				stop := start(l, stream)
				status := upload(t, l.Addr().String(), tt.fields, tt.send)
				if err := stop(); err != nil {
					t.Error(err)
				}
				want := 413
				if stream {
					want = 401
				}
				read := l.read.Load()
				if status != want || stream && read > 1<<20 || read > 8<<20 {
					t.Errorf("%s, stream %t, %s: status %d, want %d; %d bytes read", name, stream, tt.name, status, want, read)
				}
			}
		}
	}
	if files := must(os.ReadDir(temp))(t); len(files) > 0 {
		t.Errorf("%d temporary files, such as %s", len(files), files[0].Name())
	}
}
