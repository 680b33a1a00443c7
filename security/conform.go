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
	// of this package as it would by itself, and any other 500.
	ValidateRequest(r *http.Request, operation *Operation, params PathParams) error
}

// PathParams are the parameters of the path that a router routed a request by, percent-decoded. Unknown ones are empty.
type PathParams interface{ Param(name string) string }

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
