// Package load sends requests over HTTP as fast as the server answers them: a closed loop of
// several connections that stay open.
package load

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"
)

// The histogram has the latencies up to a minute in nanoseconds, with three significant figures.
const (
	longest = int64(time.Minute)
	figures = 3
)

// Requests returns the bytes of a GET request for the URL with each of the headers Authorization,
// and the address of the server.
func Requests(target string, headers [][]string) (address string, requests [][]byte, err error) {
	u, err := url.Parse(target)
	if err != nil {
		return "", nil, err
	}
	for _, header := range headers {
		requests = append(requests, []byte("GET "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\nAuthorization: "+strings.Join(header, ", ")+"\r\n\r\n"))
	}
	return u.Host, requests, nil
}

// Client has open connections to a server. It is for one goroutine.
type Client struct {
	connections []*connection
	requests    [][]byte
	size        int
}

// Dial opens n connections. Each response must have the status 200 and a body of size bytes without
// the newline at its end.
func Dial(address string, requests [][]byte, n, size int) (*Client, error) {
	c := &Client{requests: requests, size: size}
	for range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.connections = append(c.connections, &connection{
			Conn: conn, reader: bufio.NewReader(conn), latencies: hdrhistogram.New(1, longest, figures),
		})
	}
	return c, nil
}

// Close closes the connections.
func (c *Client) Close() {
	for _, conn := range c.connections {
		_ = conn.Close()
	}
}

// Send sends n requests with the headers in turn, and returns their latencies. Each connection sends
// its next request when it has the response to the one before.
func (c *Client) Send(n int) (*hdrhistogram.Histogram, error) {
	var sent atomic.Int64
	errs := make([]error, len(c.connections))
	var wg sync.WaitGroup
	for i, conn := range c.connections {
		wg.Go(func() {
			conn.latencies.Reset()
			for errs[i] == nil {
				next := int(sent.Add(1)) - 1
				if next >= n {
					return
				}
				errs[i] = conn.send(c.requests[next%len(c.requests)], c.size)
			}
		})
	}
	wg.Wait()
	all := hdrhistogram.New(1, longest, figures)
	for i, conn := range c.connections {
		if errs[i] != nil {
			return nil, errs[i]
		}
		all.Merge(conn.latencies)
	}
	return all, nil
}

type connection struct {
	net.Conn
	reader    *bufio.Reader
	response  fasthttp.Response
	latencies *hdrhistogram.Histogram
}

func (c *connection) send(request []byte, size int) error {
	start := time.Now()
	if _, err := c.Write(request); err != nil {
		return err
	}
	if err := c.response.Read(c.reader); err != nil {
		return err
	}
	latency := time.Since(start)
	if body := bytes.TrimSuffix(c.response.Body(), []byte("\n")); c.response.StatusCode() != http.StatusOK || len(body) != size {
		return fmt.Errorf("the response has the status %d and %d bytes", c.response.StatusCode(), len(body))
	}
	return c.latencies.RecordValue(int64(latency))
}
