package security

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// HandlerFunc returns next behind the guard of the operation: next runs only for requests that the operation's security
// lets pass, with the token on the context, and no byte of the body is read before. An operation that g does not guard is
// answered 500.
func (g *Guards) HandlerFunc(operation *Operation, next http.HandlerFunc) http.HandlerFunc {
	guard := g.guards[operation]
	if guard == nil {
		return func(w http.ResponseWriter, r *http.Request) {
			g.validator.answer(r.Context(), operation, ErrUnguarded).write(w)
		}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		outcome, err := guard.check(r.Context(), httpRequest{r})
		if err != nil {
			g.validator.answer(r.Context(), operation, err).write(w)
			return
		}
		if outcome.private {
			w.Header().Set("Cache-Control", "private, no-store")
		}
		next(w, r.WithContext(outcome.context))
	}
}

// httpRequest reads a net/http request. It holds one pointer, so that making an interface of it allocates nothing.
type httpRequest struct{ *http.Request }

func (r httpRequest) Host() string                { return r.Request.Host }
func (r httpRequest) Header(name string) []string { return r.Request.Header.Values(name) }
func (r httpRequest) Method() string              { return r.Request.Method }
func (r httpRequest) TLS() *tls.ConnectionState   { return r.Request.TLS }

// Form reads an urlencoded body up to its limit and puts it back in front of the rest.
func (r httpRequest) Form(name string) ([]string, error) {
	kind, _, err := mime.ParseMediaType(r.Request.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" || r.Body == nil {
		return nil, nil
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), r.Body), r.Body}
	if err != nil || len(text) > maxForm {
		return nil, because(ErrMalformedRequest, "the form cannot be read")
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, because(ErrMalformedRequest, "the form cannot be read")
	}
	return form[name], nil
}

// Query returns the values of a query parameter. net/url drops pairs that it cannot read; where there are such there is an empty value
// more, so that they count.
func (r httpRequest) Query(name string) []string {
	query, err := url.ParseQuery(r.URL.RawQuery)
	values := query[name]
	if err != nil {
		values = append(values, "")
	}
	return values
}

// Cookie returns the values of a cookie. Like Query it counts those that net/http cannot read.
func (r httpRequest) Cookie(name string) []string {
	var values []string
	for _, cookie := range r.CookiesNamed(name) {
		values = append(values, cookie.Value)
	}
	count := 0
	for _, line := range r.Request.Header["Cookie"] {
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

// WriteRequestError answers a request whose parameters or body cannot be decoded: 400 with a fixed text, 413 for a body
// over the limit of http.MaxBytesReader. The text of err, which may quote the request, does not reach the client.
func (v *Validator) WriteRequestError(w http.ResponseWriter, r *http.Request, err error) {
	e := errBadRequest
	if sentinelOf(err) == errTooLarge {
		e = errTooLarge
	}
	v.answer(r.Context(), operationOf(r.Context()), &refusal{sentinel: e, reason: "the request", cause: err}).write(w)
}

// WriteResponseError answers a request whose handler returned an error: one of this package with its own answer, so that a
// handler may return what [Validator.Consume] returned, and any other with 500 and a fixed text.
func (v *Validator) WriteResponseError(w http.ResponseWriter, r *http.Request, err error) {
	v.answer(r.Context(), operationOf(r.Context()), err).write(w)
}

func operationOf(ctx context.Context) *Operation {
	if result := resultOf(ctx); result != nil {
		return result.guard.operation
	}
	return nil
}
