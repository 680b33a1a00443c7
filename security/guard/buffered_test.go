package guard

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// buffers is a request whose buffers a test overwrites.
type buffers struct {
	host, query, uri, body []byte
	headers                [][2][]byte
	param                  string
	length, limit          int
	stream                 io.Reader
}

func (b *buffers) Method() string            { return http.MethodPost }
func (b *buffers) Host() []byte              { return b.host }
func (b *buffers) Query() []byte             { return b.query }
func (b *buffers) URI() []byte               { return b.uri }
func (b *buffers) Param(string) string       { return b.param }
func (b *buffers) TLS() *tls.ConnectionState { return nil }
func (b *buffers) Stream() io.Reader         { return b.stream }
func (b *buffers) ContentLength() int        { return b.length }
func (b *buffers) BodyLimit() int            { return b.limit }
func (b *buffers) SetBody(body []byte)       { b.body, b.stream = body, nil }

func (b *buffers) EachHeader(f func(name, value []byte)) {
	for _, field := range b.headers {
		f(field[0], field[1])
	}
}

func (b *buffers) Body() []byte {
	if b.stream != nil {
		body, _ := io.ReadAll(b.stream)
		b.SetBody(body)
	}
	return b.body
}

// TestBufferedCopies checks that what was read stays as it is when the server reuses its buffers.
func TestBufferedCopies(t *testing.T) {
	b := &buffers{
		host: []byte("a.example"), query: []byte("x=1"), uri: []byte("/a%2Fb?x=1"), body: []byte("body"), param: "a%2Fb", limit: 10,
		headers: [][2][]byte{{[]byte("aUTHORIZATION"), []byte("Bearer a")}, {[]byte("Cookie"), []byte("b=1")}, {[]byte("Authorization"), []byte("second")}},
	}
	r := buffered[*buffers]{b}
	host, query, values, param := r.Host(), r.RawQuery(), r.Header("Authorization"), r.Param("id")
	body, err := r.Body(10)
	if err != nil {
		t.Fatal(err)
	}
	request, err := r.HTTPRequest()
	if err != nil {
		t.Fatal(err)
	}
	for _, buffer := range [][]byte{b.host, b.query, b.uri, b.body, b.headers[0][1], b.headers[2][1]} {
		for i := range buffer {
			buffer[i] = '#'
		}
	}
	copied, err := io.ReadAll(request.Body)
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		host: "a.example", query: "x=1", strings.Join(values, ","): "Bearer a,second", param: "a/b", string(body): "body",
		request.URL.EscapedPath(): "/a%2Fb", request.Header.Get("Cookie"): "b=1", string(copied) + " copied": "body copied", request.Host + " host": "a.example host",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestBufferedBodies checks the limits of bodies, read already and as streams.
func TestBufferedBodies(t *testing.T) {
	for _, tt := range []struct {
		name          string
		body          string
		stream        bool
		length, limit int
		form          bool // Body reads it within the limit
		request       bool // HTTPRequest does
	}{
		{name: "read already", body: "12345", length: 5, limit: 5, form: true, request: true},
		{name: "read already and too long for a form", body: "123456", length: 6, limit: 5, request: true},
		{name: "a stream", body: "12345", stream: true, length: 5, limit: 5, form: true, request: true},
		{name: "a stream of unknown length", body: "12345", stream: true, length: -1, limit: 5, request: true},
		{name: "a stream that is too long", body: "123456", stream: true, length: 6, limit: 5},
		{name: "a stream that was truncated", body: "123", stream: true, length: 5, limit: 5, request: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			request := func() buffered[*buffers] {
				b := &buffers{uri: []byte("/"), body: []byte(tt.body), length: tt.length, limit: tt.limit}
				if tt.stream {
					b.stream, b.body = strings.NewReader(tt.body), nil
				}
				return buffered[*buffers]{b}
			}
			var limit *http.MaxBytesError
			if body, err := request().Body(tt.limit); tt.form != (err == nil) || err == nil && string(body) != tt.body || err != nil && !errors.As(err, &limit) {
				t.Errorf("a form: %q, %v", body, err)
			}
			r := request()
			copied, err := r.HTTPRequest()
			if tt.request != (err == nil) || err != nil && !errors.As(err, &limit) {
				t.Fatalf("a request: %v", err)
			}
			if err != nil {
				return
			}
			body, err := io.ReadAll(copied.Body)
			if err != nil || string(body) != tt.body || !bytes.Equal(r.r.Body(), body) {
				t.Errorf("the request has the body %q, the handler %q; want %q (%v)", body, r.r.Body(), tt.body, err)
			}
		})
	}
}

// TestBufferedURI checks that a request line that is no URL is an error.
func TestBufferedURI(t *testing.T) {
	if _, err := (buffered[*buffers]{&buffers{uri: []byte("%")}}).HTTPRequest(); err == nil {
		t.Error("no error")
	}
}

// TestCheckBuffered checks that the guard reads the request through its buffers.
func TestCheckBuffered(t *testing.T) {
	g := (&Guards{}).Of(&Operation{})
	if d := CheckBuffered(t.Context(), g, &buffers{}); d.Context != nil || d.Response.Status != http.StatusInternalServerError {
		t.Errorf("an operation without a guard: %v", d)
	}
	if allocs := testing.AllocsPerRun(100, func() { request = buffered[*buffers]{nil} }); allocs > 0 {
		t.Errorf("%v allocations for a request in an interface", allocs)
	}
}

var request Request

// TestWithText checks that the text is replaced and the error stays.
func TestWithText(t *testing.T) {
	cause := &http.MaxBytesError{Limit: 1}
	err := WithText(cause, "fixed")
	var found *http.MaxBytesError
	if err.Error() != "fixed" || !errors.As(err, &found) || found != cause || !errors.Is(WithText(context.Canceled, ""), context.Canceled) {
		t.Errorf("%v, %v", err, found)
	}
}
