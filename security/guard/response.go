package guard

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
)

// Response is a response for any router.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Failure is a request that was not served, with its response unless an [ErrorHandler] returns
// another.
type Failure struct {
	// Operation is the operation that the request was routed to, or nil if the failure is not about
	// one.
	Operation *Operation
	// Err is the reason. Find out which with errors.Is. Its text is for logs, never for clients. An
	// error of the application is passed on as it is.
	Err      error
	Response Response
	// Identity is that of the token, if its signature was verified: also of one that has expired or
	// is revoked. Its subject is "" otherwise.
	Identity blacklist.Identity
}

// ErrorHandler may replace the response to a request that was not served, or log its error. It
// cannot let the request pass: a response with a status below 400 is ignored.
type ErrorHandler func(ctx context.Context, failure Failure) Response

// retryAfter is the Retry-After of a 503, in seconds.
const retryAfter = 5

// problem is a body of RFC 9457.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Violations are an extension member (RFC 9457, section 3.2).
	Violations []Violation `json:"violations,omitempty"`
}

// summary is what a client learns of an error.
type summary struct {
	status int
	// code is the error code of the challenge, or "".
	code          string
	title, detail string
	violations    []Violation
}

var (
	// badRequest is for parameters or a body that cannot be decoded.
	badRequest = summary{status: http.StatusBadRequest, title: "Bad Request", detail: "The request could not be read."}
	// tooLarge is for a body above the limit of http.MaxBytesReader.
	tooLarge = summary{status: http.StatusRequestEntityTooLarge, title: "Content Too Large", detail: "The request is too large."}
	// internal is for every error that is not of this module.
	internal = summary{status: http.StatusInternalServerError, title: "Internal Server Error", detail: "The request failed."}
)

// isInternal reports whether the error is not of this module.
func (s summary) isInternal() bool { return s.detail == internal.detail }

// ErrUnreadable means that the request was truncated or cannot be read: 400.
var ErrUnreadable = errors.New("guard: the request could not be read")

// summarize returns what an error means to a client. An error that is not of this module means an
// internal error, whatever its text is.
func summarize(err error) summary {
	var e *security.Error
	if errors.As(err, &e) && e != nil && e.Status() != 0 {
		return summary{status: e.Status(), code: e.Code(), title: e.Title(), detail: e.Detail()}
	}
	var invalid *InvalidRequestError
	if errors.As(err, &invalid) {
		return invalid.summary()
	}
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return tooLarge
	case errors.Is(err, ErrUnreadable):
		return badRequest
	}
	return internal
}

// RequestError returns the response to a request whose parameters or body cannot be decoded: 400
// with a fixed text, or 413 for a body above the limit of http.MaxBytesReader. The text of err may
// quote the request and does not reach the client.
func (p *Policy) RequestError(ctx context.Context, err error) Response {
	said := badRequest
	var limit *http.MaxBytesError
	if errors.As(err, &limit) {
		said = tooLarge
	}
	return p.guardOf(ctx).respond(ctx, refused{err: err, token: tokenOf(ctx)}, said)
}

// ResponseError returns the response to a request whose handler returned an error. A security.Error
// keeps its status, so that a handler may return the error of security.Validator.Consume. Any other
// error is answered 500 with a fixed text.
func (p *Policy) ResponseError(ctx context.Context, err error) Response {
	g := p.guardOf(ctx)
	var scheme *Scheme
	if r := resultOf(ctx); r != nil && r.guard != nil {
		scheme = r.first.scheme
	}
	return g.respond(ctx, refused{err: err, scheme: scheme, token: tokenOf(ctx), fromHandler: true}, summarize(err))
}

// tokenOf returns the token of the request, or nil.
func tokenOf(ctx context.Context) security.AnyToken {
	token, _ := FromContext(ctx)
	return token
}

// WriteRequestError writes [Policy.RequestError] as the error function of a generated server.
func (p *Policy) WriteRequestError(w http.ResponseWriter, r *http.Request, err error) {
	p.RequestError(r.Context(), err).write(w)
}

// WriteResponseError writes [Policy.ResponseError] as the error function of a generated server.
func (p *Policy) WriteResponseError(w http.ResponseWriter, r *http.Request, err error) {
	p.ResponseError(r.Context(), err).write(w)
}

// guardOf returns the guard that let the request pass, or one without an operation.
func (p *Policy) guardOf(ctx context.Context) *Guard {
	if r := resultOf(ctx); r != nil && r.guard != nil {
		return r.guard
	}
	return &Guard{policy: p}
}

// refused is a request that is not served.
type refused struct {
	err error
	// scheme is that of the credential that failed, or nil.
	scheme *Scheme
	// token is the token, if it was verified, or nil.
	token security.AnyToken
	// accepted is how many credentials of the alternative were accepted before.
	accepted int
	// fromHandler is set for an error that a handler returned.
	fromHandler bool
}

// identity returns the identity of the token, as far as its signature was verified.
func (r *refused) identity() blacklist.Identity {
	if r.token != nil {
		return r.token.Identity()
	}
	id, _ := security.RefusedIdentity(r.err)
	return id
}

// response returns the response to a refused request.
func (g *Guard) response(ctx context.Context, r refused) Response {
	return g.respond(ctx, r, summarize(r.err))
}

// respond makes the response, reports it and asks the error handler. A guard without a policy, which
// is not set up, responds too.
func (g *Guard) respond(ctx context.Context, r refused, said summary) Response {
	response := said.response()
	p := g.policy
	if p == nil || p.logger == nil {
		return response
	}
	if challenges := g.challengesFor(r.scheme, said, r.err); challenges != nil {
		response.Header["Www-Authenticate"] = challenges
	}
	who := r.identity()
	g.report(ctx, said, r.err, who, r.fromHandler)
	if p.errorHandler != nil {
		replaced := p.errorHandler(ctx, Failure{Operation: g.operation, Err: r.err, Response: response, Identity: who})
		if replaced.Status >= 400 && replaced.Status <= 599 {
			return replaced
		}
	}
	return response
}

// response returns the problem (RFC 9457).
func (s summary) response() Response {
	header := http.Header{
		"Content-Type":  {"application/problem+json"},
		"Cache-Control": {"no-store"},
	}
	if s.status == http.StatusServiceUnavailable {
		header["Retry-After"] = []string{strconv.Itoa(retryAfter)}
	}
	body, err := json.Marshal(problem{Title: s.title, Status: s.status, Detail: s.detail, Violations: s.violations})
	if err != nil {
		body = nil
	}
	return Response{Status: s.status, Header: header, Body: body}
}

// write sends the response over net/http.
func (r Response) write(w http.ResponseWriter) {
	if r.Status == 0 { // the zero Response
		r.Status = http.StatusInternalServerError
	}
	header := w.Header()
	for name, values := range r.Header {
		header[http.CanonicalHeaderKey(name)] = append([]string(nil), values...)
	}
	w.WriteHeader(r.Status)
	_, _ = w.Write(r.Body) // the client may be gone
}
