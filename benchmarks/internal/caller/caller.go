// Package caller calls handlers in the process. It adds little cost, and the same for each stack.
package caller

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/oapi-guard/oapi-guard/security"
)

// Headers returns values of the header Authorization for the tokens.
func Headers(issued []security.IssuedToken) [][]string {
	values := make([][]string, len(issued))
	for i, token := range issued {
		values[i] = []string{"Bearer " + token.Text()}
	}
	return values
}

// Caller sends GET requests to a handler, one after the other, with the tokens and the URLs in
// turn. It is for one goroutine.
type Caller struct {
	handler  http.Handler
	template *http.Request
	request  http.Request
	response response
	headers  [][]string
	urls     []*url.URL
	size     int
	next     int
}

// New returns a caller that begins with the start-th token. Each response must have the status 200
// and size bytes without the newline at its end, which some encoders write. The context is that of
// the requests. It can be cancelled, as in a server.
func New(ctx context.Context, handler http.Handler, headers [][]string, urls []*url.URL, size, start int) *Caller {
	return &Caller{
		handler: handler, headers: headers, urls: urls, size: size, next: start,
		template: httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil),
		response: response{header: http.Header{}},
	}
}

// Call sends the next request. Any other response is an error.
func (c *Caller) Call() error {
	// A new copy, because some stacks write their context into the request.
	c.request = *c.template
	c.request.Header["Authorization"] = c.headers[c.next%len(c.headers)]
	c.request.URL = c.urls[c.next%len(c.urls)]
	c.next++
	clear(c.response.header)
	c.response.status, c.response.size = 0, 0
	c.handler.ServeHTTP(&c.response, &c.request)
	if c.response.status != http.StatusOK || c.response.size != c.size {
		return fmt.Errorf("the answer has the status %d and %d bytes", c.response.status, c.response.size)
	}
	return nil
}

var newline = []byte("\n")

// response is a response that discards its body.
type response struct {
	header       http.Header
	status, size int
}

func (r *response) Header() http.Header { return r.header }

func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *response) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.size += len(bytes.TrimSuffix(p, newline))
	return len(p), nil
}
