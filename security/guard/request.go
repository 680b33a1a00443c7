package guard

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/oapi-guard/oapi-guard/security"
)

// Request is the part of a request that a guard reads. All routers on net/http share one
// implementation; fiber has another. The values that the methods return stay valid and unchanged
// after the request.
type Request interface {
	Method() string
	// Host is the host that the request names, with its port if it has one.
	Host() string
	// Header returns every value of a header field, in order. The name is in canonical form.
	Header(name string) []string
	// RawQuery returns the query of the URL as it was sent, without the question mark.
	RawQuery() string
	// TLS returns the state of the connection, or nil without TLS.
	TLS() *tls.ConnectionState
	// Body returns the body, which stays readable. A body of more than limit bytes is an error, and
	// so is one that cannot be read. Only this method reads of the body.
	Body(limit int) ([]byte, error)
}

// httpRequest reads a net/http request. It has one pointer, so that an interface of it allocates
// nothing.
type httpRequest struct{ *http.Request }

func (r httpRequest) Host() string                { return r.Request.Host }
func (r httpRequest) Header(name string) []string { return r.Request.Header[name] }
func (r httpRequest) Method() string              { return r.Request.Method }
func (r httpRequest) RawQuery() string            { return r.URL.RawQuery }
func (r httpRequest) TLS() *tls.ConnectionState   { return r.Request.TLS }

// Param returns a parameter of the path, for the router of net/http.
func (r httpRequest) Param(name string) string { return r.PathValue(name) }

// errBody means that a body is too long or cannot be read.
var errBody = errors.New("guard: the body cannot be read")

// Body reads the body and puts it back in front of the rest.
func (r httpRequest) Body(limit int) ([]byte, error) {
	if r.Request.Body == nil {
		return nil, nil
	}
	text, err := io.ReadAll(io.LimitReader(r.Request.Body, int64(limit)+1))
	r.Request.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), r.Request.Body), r.Request.Body}
	if err != nil || len(text) > limit {
		return nil, errBody
	}
	return text, nil
}

// locatedCredential is what a request has at a source.
type locatedCredential struct {
	present bool
	text    string
	// certificate is that of the connection, in place of a text.
	certificate *x509.Certificate
}

// locate reads the credential at the source. The same name twice, and a place without a credential,
// make the request malformed, because it is not clear which credential counts. A header with the
// word of another auth scheme has no credential for this source.
func (s *source) locate(r Request) (locatedCredential, error) {
	var values []string
	switch s.in {
	case InQuery:
		values = queryValues(r, s.name)
	case InCookie:
		values = cookieValues(r, s.name)
	case InHeader:
		values = r.Header(s.name)
	}
	switch len(values) {
	case 0:
		return locatedCredential{}, nil
	case 1:
	default:
		return locatedCredential{}, malformed("the same header, query parameter or cookie more than once")
	}
	text := values[0]
	if s.in == InHeader {
		text = strings.Trim(text, " ")
	}
	if strings.ContainsRune(text, '\t') {
		return locatedCredential{}, malformed("a tab")
	}
	if s.prefix != "" {
		word, rest, _ := strings.Cut(text, " ")
		if word != "" && !strings.EqualFold(word, s.prefix) {
			return locatedCredential{}, nil
		}
		text = strings.TrimLeft(rest, " ")
	}
	switch {
	case text == "":
		return locatedCredential{}, malformed("a place for a credential without one")
	case !s.spaces && strings.ContainsRune(text, ' '):
		return locatedCredential{}, malformed("more than one credential")
	}
	return locatedCredential{present: true, text: text}, nil
}

func malformed(reason string) error { return security.ErrMalformedRequest.Because(reason, nil) }

// queryValues returns the values of a query parameter. net/url drops pairs that it cannot read. If
// there are such pairs, one empty value is added for them, so that they count.
func queryValues(r Request, name string) []string {
	query, err := url.ParseQuery(r.RawQuery())
	values := query[name]
	if err != nil {
		values = append(values, "")
	}
	return values
}

// cookieValues returns the values of a cookie. Like queryValues it counts those that net/http
// cannot read.
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
			if pairName, _, _ := strings.Cut(pair, "="); strings.TrimSpace(pairName) == name {
				count++
			}
		}
	}
	for ; count > len(values); count-- {
		values = append(values, "")
	}
	return values
}

// formValues returns the values of a field of an urlencoded body, and none for other bodies.
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
		return nil, malformed("the form cannot be read")
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, malformed("the form cannot be read")
	}
	return form[name], nil
}
