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
	"slices"
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
	// others are the other values of a cookie that the request has several times.
	others []string
	// malformed is why it is not clear what the credential is, or nil.
	malformed error
	// certificate is that of the connection, in place of a text.
	certificate *x509.Certificate
}

// locate reads the credential at the source into the zero place at. The same header or query
// parameter twice, and the word of an auth scheme alone, make the request malformed, because it is
// not clear which credential counts. Browsers send the same cookie twice after its path or domain
// has changed: verify decides. An empty value is no credential. A header with the word of another
// auth scheme has none for this source.
func (s *source) locate(r Request, at *locatedCredential) error {
	var values []string
	unreadable := 0
	switch s.in {
	case InQuery:
		values, unreadable = queryValues(r, s.name)
	case InCookie:
		values, unreadable = cookieValues(r, s.name)
	case InHeader:
		values = r.Header(s.name)
		if len(values) == 1 {
			if credential, ok := s.cutPrefix(values[0]); ok {
				at.present, at.text = true, credential
				return nil
			}
		}
	}
	var others []string
	if s.in == InCookie && len(values) > 0 {
		unreadable = 0 // another value counts
		hasSpace := func(value string) bool { return !s.spaces && strings.ContainsRune(value, ' ') }
		if readable := slices.DeleteFunc(slices.Clone(values), hasSpace); len(readable) > 0 {
			values = readable // one that is no token does not displace one that may be
		}
		if values, others = distinct(values); len(others) > maxSameCookie {
			return malformed("the same cookie too often")
		}
	}
	switch {
	case len(values)+unreadable > 1:
		return malformed("the same header or query parameter more than once")
	case unreadable > 0:
		return malformed("a query or a cookie that cannot be read")
	case len(values) == 0:
		return nil
	}
	text := values[0]
	if s.in == InHeader {
		text = strings.Trim(text, " ")
	}
	if text == "" {
		return nil
	}
	if strings.IndexByte(text, '\t') >= 0 {
		return malformed("a tab")
	}
	if s.prefix != "" {
		word, rest, _ := strings.Cut(text, " ")
		if word != "" && !strings.EqualFold(word, s.prefix) {
			return nil
		}
		text = strings.TrimLeft(rest, " ")
	}
	switch {
	case text == "":
		return malformed("an auth scheme without a credential")
	case !s.spaces && strings.IndexByte(text, ' ') >= 0:
		return malformed("more than one credential")
	}
	at.present, at.text, at.others = true, text, others
	return nil
}

// cutPrefix returns the credential of a header in the form that nearly all requests have: the word of
// the auth scheme, one space, and a text without white space. White space inside a token is left to
// the verifier, which finds it only in tokens that it does not know; see Guard.malformed.
func (s *source) cutPrefix(value string) (credential string, ok bool) {
	word := len(s.prefix)
	if word == 0 || len(value) <= word+1 || value[word] != ' ' {
		return "", false
	}
	if value[:word] != s.usual && !strings.EqualFold(value[:word], s.prefix) {
		return "", false
	}
	credential = value[word+1:]
	if s.onlyTokens {
		return credential, credential[0] > ' ' && credential[len(credential)-1] > ' '
	}
	return credential, checkSpace(credential) == nil
}

// checkSpace returns the error for white space in a credential that has none.
func checkSpace(credential string) error {
	switch {
	case strings.IndexByte(credential, '\t') >= 0:
		return malformed("a tab")
	case strings.IndexByte(credential, ' ') >= 0:
		return malformed("more than one credential")
	}
	return nil
}

// maxSameCookie bounds the further values of one cookie.
const maxSameCookie = 4

// distinct returns the first value, and the further ones that differ from it and from each other.
// Empty values do not count.
func distinct(values []string) (first, others []string) {
	for _, value := range values {
		switch {
		case value == "":
		case first == nil:
			first = []string{value}
		case value != first[0] && !slices.Contains(others, value):
			others = append(others, value)
		}
	}
	if first == nil {
		first = values[:1]
	}
	return first, others
}

// authSchemes are the words of authentication schemes, in lower case: the registry of IANA (RFC 9110,
// section 16.4.1), and NTLM.
var authSchemes = []string{
	"basic", "bearer", "concealed", "digest", "dpop", "gnap", "hoba", "mutual", "negotiate", "ntlm", "oauth", "privatetoken",
	"scram-sha-1", "scram-sha-256", "vapid",
}

// isPlainKey reports whether the credential is the whole header Authorization.
func (s *source) isPlainKey() bool {
	return s.in == InHeader && s.prefix == "" && s.name == authorization
}

// hasOtherScheme reports whether a value of Authorization is the credential of another authentication
// scheme: one of the registry, or one of the sources of the guard.
func (g *Guard) hasOtherScheme(text string) bool {
	word, _, found := strings.Cut(text, " ")
	if !found {
		return false
	}
	return slices.ContainsFunc(authSchemes, func(known string) bool { return strings.EqualFold(known, word) }) ||
		slices.ContainsFunc(g.sources, func(s source) bool {
			return s.name == authorization && s.prefix != "" && strings.EqualFold(s.prefix, word)
		})
}

func malformed(reason string) error { return security.ErrMalformedRequest.Because(reason, nil) }

// queryValues returns the values of a query parameter. net/url drops pairs that it cannot read: any
// number of them counts as one more value.
func queryValues(r Request, name string) (values []string, unreadable int) {
	query, err := url.ParseQuery(r.RawQuery())
	if err != nil {
		unreadable = 1
	}
	return query[name], unreadable
}

// cookieValues returns the values of a cookie, and the number of those that net/http cannot read.
func cookieValues(r Request, name string) (values []string, unreadable int) {
	lines := r.Header("Cookie")
	if len(lines) == 0 {
		return nil, 0
	}
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
	return values, max(0, count-len(values))
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
