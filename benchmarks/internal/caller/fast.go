package caller

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/valyala/fasthttp"
)

// Fast is a Caller for handlers of fasthttp. It uses one request context again and again, as the
// server of fasthttp does.
type Fast struct {
	handler fasthttp.RequestHandler
	ctx     fasthttp.RequestCtx
	headers []string
	size    int
	next    int
}

// NewFast returns a caller that sends GET requests for the path, and begins with the start-th
// token. Each response must have the status 200 and size bytes without the newline at its end.
func NewFast(handler fasthttp.RequestHandler, headers [][]string, path string, size, start int) *Fast {
	c := &Fast{handler: handler, size: size, next: start}
	for _, header := range headers {
		c.headers = append(c.headers, header[0])
	}
	request := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(request)
	request.SetRequestURI("http://localhost" + path)
	c.ctx.Init(request, nil, nil)
	return c
}

// Call sends the next request. Any other response is an error.
func (c *Fast) Call() error {
	c.ctx.Request.Header.Set("Authorization", c.headers[c.next%len(c.headers)])
	c.next++
	c.ctx.Response.Reset()
	c.ctx.ResetUserValues()
	c.handler(&c.ctx)
	status, size := c.ctx.Response.StatusCode(), len(bytes.TrimSuffix(c.ctx.Response.Body(), newline))
	if status != http.StatusOK || size != c.size {
		return fmt.Errorf("the answer has the status %d and %d bytes", status, size)
	}
	return nil
}
