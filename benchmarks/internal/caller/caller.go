// Package caller calls handlers in the process, at little cost of its own: the same for every
// stack.
package caller

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/oapi-guard/oapi-guard/security"
)

// Headers returns the values of the header Authorization that carry the tokens.
func Headers(issued []security.IssuedToken) [][]string {
	values := make([][]string, len(issued))
	for i, token := range issued {
		values[i] = []string{"Bearer " + token.Text()}
	}
	return values
}

// Caller sends requests to a handler, one after the other: GET, with the tokens and the URLs in
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

// New returns a caller that begins with the start-th token. Every answer has the status 200 and
// size bytes. The context is that of the requests: one that can be cancelled, as those of a server.
func New(ctx context.Context, handler http.Handler, headers [][]string, urls []*url.URL, size, start int) *Caller {
	return &Caller{
		handler: handler, headers: headers, urls: urls, size: size, next: start,
		template: httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil),
		response: response{header: http.Header{}},
	}
}

// Call sends the next request. Another answer than a good one is an error.
func (c *Caller) Call() error {
	// A fresh copy, because some stacks write their context into the request that they are given.
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

// response is a response that forgets its body.
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
	r.size += len(p)
	return len(p), nil
}
