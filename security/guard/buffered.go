package guard

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// BufferedRequest is a request of a server that reuses the buffers of a request for the next one, such
// as fiber's. Its values are valid until the request ends; [CheckBuffered] copies what it keeps.
type BufferedRequest interface {
	Method() string
	Host() []byte
	// Query is the query of the URL without the question mark, and URI all that the request line has.
	Query() []byte
	URI() []byte
	// EachHeader calls f with every header field, in order, whatever the case of its name.
	EachHeader(f func(name, value []byte))
	// Param returns a path parameter as the router has it, percent-encoded.
	Param(name string) string
	// TLS returns the state of the connection, or nil without TLS.
	TLS() *tls.ConnectionState
	// Body returns the body. It reads all of a stream.
	Body() []byte
	// Stream returns the body if it was not read yet, or nil. ContentLength is its length, negative if
	// that is unknown, and BodyLimit the most that the application accepts. SetBody puts a body that was
	// read in place of the stream.
	Stream() io.Reader
	ContentLength() int
	BodyLimit() int
	SetBody(body []byte)
}

// CheckBuffered is [Guard.Check] for a request in buffers of its server. It allocates no more than the
// copies.
func CheckBuffered[R BufferedRequest](ctx context.Context, g *Guard, r R) Decision {
	return g.Check(ctx, buffered[R]{r})
}

// buffered is a [Request] that copies what it reads.
type buffered[R BufferedRequest] struct{ r R }

func (b buffered[R]) Method() string            { return strings.Clone(b.r.Method()) }
func (b buffered[R]) Host() string              { return string(b.r.Host()) }
func (b buffered[R]) RawQuery() string          { return string(b.r.Query()) }
func (b buffered[R]) TLS() *tls.ConnectionState { return b.r.TLS() }

// Header looks at every field: the application may have turned off that its server makes the names
// canonical.
func (b buffered[R]) Header(name string) []string {
	var values []string
	b.r.EachHeader(func(key, value []byte) {
		if len(key) == len(name) && strings.EqualFold(string(key), name) {
			values = append(values, string(value))
		}
	})
	return values
}

// Param returns a path parameter without percent-encoding, or as it is where that cannot be decoded.
func (b buffered[R]) Param(name string) string {
	value := strings.Clone(b.r.Param(name))
	if decoded, err := url.PathUnescape(value); err == nil {
		return decoded
	}
	return value
}

// Body does not read a stream that may be longer than the limit, because it could not put it back.
func (b buffered[R]) Body(limit int) ([]byte, error) {
	length := b.r.ContentLength()
	isStream := b.r.Stream() != nil
	if isStream && (length < 0 || length > limit) {
		return nil, &http.MaxBytesError{Limit: int64(limit)}
	}
	body := bytes.Clone(b.r.Body())
	if len(body) > limit || isStream && len(body) != length {
		return nil, &http.MaxBytesError{Limit: int64(limit)}
	}
	return body, nil
}

// HTTPRequest returns a copy of the request. It reads a stream up to the limit of the application and
// puts the body in its place.
func (b buffered[R]) HTTPRequest() (*http.Request, error) {
	if stream := b.r.Stream(); stream != nil {
		limit := b.r.BodyLimit()
		body, err := io.ReadAll(io.LimitReader(stream, int64(limit)+1))
		if err != nil {
			return nil, err
		}
		if len(body) > limit {
			return nil, &http.MaxBytesError{Limit: int64(limit)}
		}
		b.r.SetBody(body)
	}
	target, err := url.ParseRequestURI(string(b.r.URI()))
	if err != nil {
		return nil, err
	}
	body := bytes.Clone(b.r.Body())
	header := http.Header{}
	b.r.EachHeader(func(key, value []byte) { header.Add(string(key), string(value)) })
	return &http.Request{
		Method: b.Method(), URL: target, Host: b.Host(), Header: header, TLS: b.TLS(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

// WithText returns an error with another text, for servers that send the texts of errors to clients.
// errors.Is, errors.As and errors.Unwrap find err.
func WithText(err error, text string) error { return &textError{err, text} }

type textError struct {
	err  error
	text string
}

func (e *textError) Error() string { return e.text }
func (e *textError) Unwrap() error { return e.err }
