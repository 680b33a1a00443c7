package security

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

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
}

// answer fills in the answer to a failure and asks the error handler. A nil validator, which is misconfiguration, answers
// too.
func (v *Validator) answer(ctx context.Context, o *Operation, failure error) Answer {
	e := sentinelOf(failure)
	header := http.Header{
		"Content-Type":  {"application/problem+json"},
		"Cache-Control": {"no-store"},
	}
	if e.status == http.StatusServiceUnavailable {
		header["Retry-After"] = []string{strconv.Itoa(retryAfter)}
	}
	body, err := json.Marshal(problem{Title: e.title, Status: e.status, Detail: e.detail})
	if err != nil {
		body = nil
	}
	answer := Answer{Status: e.status, Header: header, Body: body}
	if v == nil || v.logger == nil {
		return answer
	}
	if challenges := v.challenges(o, e, failure); challenges != nil {
		header["Www-Authenticate"] = challenges
	}
	switch {
	case e.status >= http.StatusInternalServerError:
		v.logFailure(ctx, slog.LevelError, "request failed", o, e)
	case e.status == http.StatusForbidden, e.code != "":
		v.logFailure(ctx, slog.LevelInfo, "request denied", o, e)
	}
	if v.errorHandler != nil {
		own := v.errorHandler(ctx, Failure{Operation: o, Err: failure, Answer: answer})
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
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errTooLarge
	}
	return errInternal
}

// challenges returns the values of WWW-Authenticate for an error at the operation, which may be nil (RFC 6750, section 3;
// RFC 9470, section 3). The error code stands only where a credential failed, and scopes only where one of them is missing.
func (v *Validator) challenges(o *Operation, e *Error, failure error) []string {
	if e.status != http.StatusUnauthorized && e.code == "" {
		return nil
	}
	challenge := v.challenge
	if e.code != "" {
		challenge += `, error="` + e.code + `", error_description="` + e.detail + `"`
	}
	if e == ErrFreshTokenRequired && o != nil && o.Rules.MaxAge > 0 {
		challenge += `, max_age="` + strconv.FormatInt(int64(o.Rules.MaxAge/time.Second), 10) + `"`
	}
	var r *refusal
	if errors.As(failure, &r) && len(r.scopes) > 0 {
		challenge += `, scope="` + strings.Join(r.scopes, " ") + `"`
	}
	return []string{challenge}
}

// write sends the answer over net/http.
func (a Answer) write(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range a.Header {
		header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the client may have gone; there is nobody to tell
}
