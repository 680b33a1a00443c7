//go:build ignore

package security

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
)

// RequestValidator checks that a request is what the document says of its operation: its parameters and its body. It runs behind the guard of the
// operation that the request was routed to, so it routes nothing itself; see package kinopenapi.
type RequestValidator interface {
	// Knows reports whether the validator's document has the operation.
	Knows(operation *Operation) bool
	// ValidateRequest checks the request. It leaves the body readable. An [InvalidRequestError] is answered with what it says, another error
	// of this package as it would by itself, one that wraps an http.MaxBytesError 413, and any other 500.
	ValidateRequest(r *http.Request, operation *Operation, params PathParams) error
}

// PathParams are the parameters of the path that a router routed a request by.
type PathParams interface {
	// Param returns the value of a parameter as the operation's handler gets it, without percent-encoding; "" for an unknown one. Routers
	// that rename parameters know them by the new name.
	Param(name string) string
}

// ErrUnreadable says that the request ended before its end, or cannot be read: 400.
var ErrUnreadable = errBadRequest

// WithRequestValidator checks every request, those of public operations too, against the document after its guard has let it pass and before its
// parameters are bound. A request that does not match is answered 400, or what the validator says, and its handler does not run.
func WithRequestValidator(requests RequestValidator) ValidatorOption {
	return func(v *Validator) error {
		if isNil(requests) {
			return errors.New("security: WithRequestValidator needs a validator of requests")
		}
		v.requests = requests
		return nil
	}
}

// knowsRequests refuses an operation that the validator of requests cannot check.
func (v *Validator) knowsRequests(o *Operation) error {
	if v.requests != nil && !v.requests.Knows(o) {
		return fmt.Errorf("the validator of requests does not know %s %s; is it made of the same document?", o.Method, o.Path)
	}
	return nil
}

// conforms checks a request that the guard lets pass against the document.
func (g *Guard) conforms(r *http.Request, params PathParams) error {
	if g.validator.requests == nil {
		return nil
	}
	return g.validator.requests.ValidateRequest(r, g.operation, params)
}

// convertible is a [Request] that a validator of requests can check: it makes a net/http request of itself, whose body is a copy.
type convertible interface {
	HTTPRequest() (*http.Request, error)
	PathParams
}

// checkConforms is conforms for a request that is not net/http's. It returns the answer where the request is refused.
func (g *Guard) checkConforms(ctx context.Context, request Request) *Answer {
	if g.validator.requests == nil {
		return nil
	}
	var answer Answer
	own, ok := request.(convertible)
	if !ok {
		answer = g.answer(ctx, nil, because(ErrUnguarded, "a request that the validator of requests cannot check"))
		return &answer
	}
	r, err := own.HTTPRequest()
	if err != nil {
		answer = g.validator.RequestError(ctx, err)
		return &answer
	}
	if err := g.conforms(r.WithContext(ctx), own); err != nil {
		answer = g.answer(ctx, nil, err)
		return &answer
	}
	return nil
}

// InvalidRequestError says in what a request differs from what the document says of it. It says nothing of the values in the request.
type InvalidRequestError struct {
	// Status is that of the answer, 400 to 499; 400 where it is zero.
	Status int
	// Violations are what is wrong, if the validator could tell.
	Violations []Violation
}

// Violation is one difference between a request and the document.
type Violation struct {
	// In is where it is: path, query, header, cookie or body.
	In string `json:"in"`
	// Name is the parameter, or for the body a JSON pointer (RFC 6901).
	Name string `json:"name"`
	// Rule is the keyword of the document that does not hold, such as required or maxLength.
	Rule string `json:"rule"`
}

// Error returns a fixed text.
func (e *InvalidRequestError) Error() string {
	return "security: the request is not what the API's description says"
}

// sentinel returns how the error is answered.
func (e *InvalidRequestError) sentinel() *Error {
	status := cmp.Or(e.Status, http.StatusBadRequest)
	if status < 400 || status > 499 {
		return errInternal
	}
	return &Error{status, "", http.StatusText(status), "The request is not what the description of this API says."}
}

// RefusedError is why a guard refused a request, for those who ask with [Guard.Authenticate]. Find out with errors.Is for what; its text is
// fixed.
type RefusedError struct {
	// Answer is what the request gets: that of the [ErrorHandler], if there is one.
	Answer Answer

	err error
}

// Error returns a fixed text, whatever the error of an authenticator or a hook says.
func (e *RefusedError) Error() string { return sentinelOf(e.err).Error() }

// Unwrap returns the error.
func (e *RefusedError) Unwrap() error { return e.err }

// Write sends the answer.
func (e *RefusedError) Write(w http.ResponseWriter) { e.Answer.write(w) }

// Authenticate decides over a request for those who run before the handler of the operation and cannot wrap it, as a function that a
// validator of requests calls; see package kinopenapi. It returns the request's context with the credential on it, or a [RefusedError].
// Unlike the guard of a route it sets no header of the response, which a credential in the query asks for, and does not check the request
// against the document.
func (g *Guard) Authenticate(r *http.Request) (context.Context, error) {
	ctx := r.Context()
	var passed result
	if d := g.check(ctx, httpRequest{r}, &passed); d.err != nil {
		return nil, &RefusedError{g.answer(ctx, d.scheme, d.err), d.err}
	}
	return passed.on(ctx), nil
}

// Schemes returns the names of the schemes by which the caller identified, all of one alternative; none for an anonymous caller.
func (c Credentials) Schemes() []string {
	if c.Anonymous() {
		return nil
	}
	var names []string
	for h := range c.result.all {
		names = append(names, h.scheme.Name)
	}
	return names
}
