//go:build ignore

package security

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
)

// Answer is a response that no router has a part in.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Failure is a request that was not served, with the answer that it gets unless an [ErrorHandler] gives another.
type Failure struct {
	// Operation is the operation routed to, or nil where the failure is not about one.
	Operation *Operation
	// Err tells why: find out with errors.Is. Its text is for logs, never for clients; where it is not of this package it
	// is the application's own.
	Err    error
	Answer Answer
}

// ErrorHandler may replace the answer to a request that was not served, or log its error. It cannot let the request pass:
// an answer with a status below 400 is not taken.
type ErrorHandler func(ctx context.Context, failure Failure) Answer

// retryAfter is what 503 suggests, in seconds.
const retryAfter = 5

// problem is a body of RFC 9457.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Violations are an extension member (RFC 9457, section 3.2).
	Violations []Violation `json:"violations,omitempty"`
}

// RequestError returns the answer to a request whose parameters or body cannot be decoded: 400 with a fixed text, 413 for a body over
// the limit of http.MaxBytesReader. The text of err, which may quote the request, does not reach the client.
func (v *Validator) RequestError(ctx context.Context, err error) Answer {
	e := errBadRequest
	if sentinelOf(err) == errTooLarge {
		e = errTooLarge
	}
	return v.failed(ctx, &refusal{sentinel: e, reason: "the request", cause: err})
}

// ResponseError returns the answer to a request whose handler returned an error: that of an error of this package, so that a handler may
// return what [Validator.Consume] returned, and 500 with a fixed text for any other.
func (v *Validator) ResponseError(ctx context.Context, err error) Answer { return v.failed(ctx, err) }

// failed answers a request that its guard had let pass.
func (v *Validator) failed(ctx context.Context, err error) Answer {
	g, scheme := &Guard{validator: v}, (*Scheme)(nil)
	if r := resultOf(ctx); r != nil && r.guard != nil {
		g, scheme = r.guard, r.first.scheme
	}
	return g.answer(ctx, scheme, err)
}

// answer fills in the answer to a failure and asks the error handler. scheme is that of the credential that failed, or nil. A guard without
// a validator, which is misconfiguration, answers too.
func (g *Guard) answer(ctx context.Context, scheme *Scheme, failure error) Answer {
	e := sentinelOf(failure)
	header := http.Header{
		"Content-Type":  {"application/problem+json"},
		"Cache-Control": {"no-store"},
	}
	if e.status == http.StatusServiceUnavailable {
		header["Retry-After"] = []string{strconv.Itoa(retryAfter)}
	}
	said := problem{Title: e.title, Status: e.status, Detail: e.detail}
	var invalid *InvalidRequestError
	if errors.As(failure, &invalid) {
		said.Violations = invalid.Violations
	}
	body, err := json.Marshal(said)
	if err != nil {
		body = nil
	}
	answer := Answer{Status: e.status, Header: header, Body: body}
	v := g.validator
	if v == nil || v.logger == nil {
		return answer
	}
	if challenges := g.challengesFor(scheme, e, failure); challenges != nil {
		header["Www-Authenticate"] = challenges
	}
	switch {
	case e.status >= http.StatusInternalServerError:
		v.logFailure(ctx, slog.LevelError, "request failed", g.operation, e)
	case e.status == http.StatusForbidden, e.code != "":
		v.logFailure(ctx, slog.LevelInfo, "request denied", g.operation, e)
	}
	if v.errorHandler != nil {
		own := v.errorHandler(ctx, Failure{Operation: g.operation, Err: failure, Answer: answer})
		if own.Status >= 400 && own.Status <= 599 {
			return own
		}
	}
	return answer
}

// logFailure logs an answer. That a request lacks credentials is no event: it is how clients find out.
func (v *Validator) logFailure(ctx context.Context, level slog.Level, message string, o *Operation, e *Error) {
	id := ""
	if o != nil {
		id = o.ID
	}
	v.logger.LogAttrs(ctx, level, message,
		slog.String("operation", id), slog.Int("status", e.status), slog.String("detail", e.detail))
}

// sentinelOf returns what an error means to a client. What is not of this package means an internal error, whatever it
// says.
func sentinelOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) && e != nil && e.status != 0 {
		return e
	}
	var invalid *InvalidRequestError
	if errors.As(err, &invalid) {
		return invalid.sentinel()
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errTooLarge
	}
	return errInternal
}
