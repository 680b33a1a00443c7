//go:build ignore

package security

import (
	"crypto/tls"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// Request is what a guard reads of a request. The glue of routers that are built on net/http shares one; fiber's has its own. What its
// methods return stays valid and unchanged also after the request.
type Request interface {
	Method() string
	// Host is the host that the request names, with its port if it has one.
	Host() string
	// Header returns every value of a header field, in order; name is in canonical form.
	Header(name string) []string
	// RawQuery returns the query of the URL as it was sent, without the question mark.
	RawQuery() string
	// TLS returns the state of the connection, or nil where it has no TLS.
	TLS() *tls.ConnectionState
	// Body returns the body, which stays readable. A body of more than the given number of bytes, or one that cannot be read, is an
	// error. It is the only method that reads of the body.
	Body(limit int) ([]byte, error)
}

// queryValues returns the values of a query parameter. net/url drops pairs that it cannot read; where there are such there is an empty
// value more, so that they count.
func queryValues(r Request, name string) []string {
	query, err := url.ParseQuery(r.RawQuery())
	values := query[name]
	if err != nil {
		values = append(values, "")
	}
	return values
}

// cookieValues returns the values of a cookie. Like queryValues it counts those that net/http cannot read.
func cookieValues(r Request, name string) []string {
	lines := r.Header("Cookie")
	if len(lines) == 0 {
		return nil
	}
	var values []string
	for _, cookie := range (&http.Request{Header: http.Header{"Cookie": lines}}).CookiesNamed(name) {
		values = append(values, cookie.Value)
	}
	count := 0
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			if own, _, _ := strings.Cut(pair, "="); strings.TrimSpace(own) == name {
				count++
			}
		}
	}
	for ; count > len(values); count-- {
		values = append(values, "")
	}
	return values
}

// formValues returns the values of a field of an urlencoded body; none for other bodies.
func formValues(r Request, name string) ([]string, error) {
	contentType := r.Header("Content-Type")
	if len(contentType) != 1 {
		return nil, nil
	}
	if kind, _, err := mime.ParseMediaType(contentType[0]); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, nil
	}
	text, err := r.Body(maxForm)
	if err != nil {
		return nil, because(ErrMalformedRequest, "the form cannot be read")
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, because(ErrMalformedRequest, "the form cannot be read")
	}
	return form[name], nil
}
