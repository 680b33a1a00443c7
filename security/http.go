package security

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
)

// HandlerFunc returns next behind the guard of the operation, for routers that are net/http's or set its path values: next runs only for
// requests that the operation's security lets pass, with the credential on the context, and no byte of the body is read before. An
// operation that g does not guard is answered 500.
func (g *Guards) HandlerFunc(operation *Operation, next http.HandlerFunc) http.HandlerFunc {
	guard := g.Of(operation)
	if guard.idle() {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if r, ok := guard.HTTP(w, r, httpRequest{r}); ok {
			next(w, r)
		}
	}
}

// HTTP decides over a request, for the glue of routers that are built on net/http. It returns the request for the operation's handler,
// with the credential on its context; or it has written the answer, and returns false. params are the parameters of the path that the
// request was routed by.
func (g *Guard) HTTP(w http.ResponseWriter, r *http.Request, params PathParams) (*http.Request, bool) {
	var passed result
	decision := g.check(r.Context(), httpRequest{r}, &passed)
	if decision.err != nil {
		g.answer(r.Context(), decision.scheme, decision.err).write(w)
		return nil, false
	}
	if decision.private {
		w.Header().Set("Cache-Control", privateResponse)
	}
	if passed.guard != nil {
		r = r.WithContext(passed.on(r.Context()))
	}
	if err := g.conforms(r, params); err != nil {
		g.answer(r.Context(), nil, err).write(w)
		return nil, false
	}
	return r, true
}

// httpRequest reads a net/http request. It holds one pointer, so that making an interface of it allocates nothing.
type httpRequest struct{ *http.Request }

func (r httpRequest) Host() string                { return r.Request.Host }
func (r httpRequest) Header(name string) []string { return r.Request.Header[name] }
func (r httpRequest) Method() string              { return r.Request.Method }
func (r httpRequest) RawQuery() string            { return r.URL.RawQuery }
func (r httpRequest) TLS() *tls.ConnectionState   { return r.Request.TLS }

// Param returns a parameter of the path, for net/http's router.
func (r httpRequest) Param(name string) string { return r.PathValue(name) }

// errBody says that a body is too long or cannot be read.
var errBody = errors.New("security: the body cannot be read")

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

// WriteRequestError answers a request whose parameters or body cannot be decoded: 400 with a fixed text, 413 for a body
// over the limit of http.MaxBytesReader. The text of err, which may quote the request, does not reach the client.
func (v *Validator) WriteRequestError(w http.ResponseWriter, r *http.Request, err error) {
	v.RequestError(r.Context(), err).write(w)
}

// WriteResponseError answers a request whose handler returned an error: one of this package with its own answer, so that a
// handler may return what [Validator.Consume] returned, and any other with 500 and a fixed text.
func (v *Validator) WriteResponseError(w http.ResponseWriter, r *http.Request, err error) {
	v.ResponseError(r.Context(), err).write(w)
}

// write sends the answer over net/http.
func (a Answer) write(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range a.Header {
		header[http.CanonicalHeaderKey(name)] = append([]string(nil), values...)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the client may have gone; there is nobody to tell
}
