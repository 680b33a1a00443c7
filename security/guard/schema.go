package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/oapi-guard/oapi-guard/security"
)

// SchemaValidator checks that a request matches the document: its parameters and its body. It runs
// behind the guard of the operation that the request was routed to, so it routes nothing itself;
// see package kinopenapi.
type SchemaValidator interface {
	// Knows reports whether the validator's document has the operation.
	Knows(operation *Operation) bool
	// ValidateRequest checks the request. It leaves the body readable. An [InvalidRequestError] is
	// answered with its status, a security.Error keeps its status, an error that wraps an
	// http.MaxBytesError is answered 413, and any other 500.
	ValidateRequest(r *http.Request, operation *Operation, params PathParams) error
}

// PathParams are the path parameters that a router found.
type PathParams interface {
	// Param returns the value of a parameter as the handler of the operation gets it, without
	// percent-encoding; "" for an unknown one. Routers that rename parameters know them by the new
	// name.
	Param(name string) string
}

// knowsOperation refuses an operation that the schema validator cannot check.
func (p *Policy) knowsOperation(o *Operation) error {
	if p.schema != nil && !p.schema.Knows(o) {
		return fmt.Errorf("the schema validator does not know %s %s; is it made from the same document?", o.Method, o.Path)
	}
	return nil
}

// convertible is a [Request] that a schema validator can check: it makes a net/http request of
// itself, whose body is a copy.
type convertible interface {
	HTTPRequest() (*http.Request, error)
	PathParams
}

// checkSchemaOf checks a request that is not of net/http against the document. It returns the
// response if the request is refused.
func (g *Guard) checkSchemaOf(ctx context.Context, request Request, d *decision) *Response {
	if g.policy.schema == nil {
		return nil
	}
	refuse := func(r refused) *Response {
		g.observe(ctx, d, r)
		response := g.response(ctx, r)
		return &response
	}
	source, ok := request.(convertible)
	if !ok {
		return refuse(refused{err: security.ErrUnguarded.Because("a request that the schema validator cannot check", nil)})
	}
	r, err := source.HTTPRequest()
	if err != nil {
		g.observe(ctx, d, refused{err: errors.Join(ErrUnreadable, err)})
		response := g.policy.RequestError(ctx, err)
		return &response
	}
	if err := g.policy.schema.ValidateRequest(r.WithContext(ctx), g.operation, source); err != nil {
		return refuse(refused{err: err, token: tokenOf(ctx)})
	}
	return nil
}

// InvalidRequestError tells how a request differs from the document. It contains nothing of the
// values in the request.
type InvalidRequestError struct {
	// Status is that of the response, 400 to 499. Zero is 400.
	Status int
	// Violations are the differences, if the validator knows them.
	Violations []Violation
}

// Violation is one difference between a request and the document.
type Violation struct {
	// In is the place: path, query, header, cookie or body.
	In string `json:"in"`
	// Name is the parameter, or for the body a JSON pointer (RFC 6901).
	Name string `json:"name"`
	// Rule is the keyword of the document that does not hold, such as required or maxLength.
	Rule string `json:"rule"`
}

// Error returns a fixed text.
func (e *InvalidRequestError) Error() string {
	return "guard: the request does not match the description of the API"
}

func (e *InvalidRequestError) summary() summary {
	status := cmp.Or(e.Status, http.StatusBadRequest)
	if status < 400 || status > 499 {
		return internal
	}
	return summary{
		status: status, title: http.StatusText(status), violations: e.Violations,
		detail: "The request is not what the description of this API says.",
	}
}

// RefusedError is why [Guard.Authenticate] refused a request. Find out the reason with errors.Is.
// Its text is fixed.
type RefusedError struct {
	// Response is the response to the request: that of the [ErrorHandler], if there is one.
	Response Response

	err error
}

// Error returns a fixed text, also for an error of an authenticator or a hook.
func (e *RefusedError) Error() string { return "guard: " + summarize(e.err).detail }

// Unwrap returns the reason.
func (e *RefusedError) Unwrap() error { return e.err }

// Write sends the response.
func (e *RefusedError) Write(w http.ResponseWriter) { e.Response.write(w) }

// Authenticate decides over a request for code that runs before the handler of the operation and
// cannot wrap it, such as a function that a request validator calls; see package kinopenapi. It
// returns the context of the request with the credential on it, or a [RefusedError]. Unlike the
// guard of a route it does not check the request against the document, and it sets no header of
// the response, which a credential in the query needs.
func (g *Guard) Authenticate(r *http.Request) (context.Context, error) {
	ctx := r.Context()
	var d decision
	g.decide(ctx, httpRequest{r}, &d)
	if d.err != nil {
		g.observe(ctx, &d, d.refused)
		return nil, &RefusedError{g.response(ctx, d.refused), d.err}
	}
	g.observe(ctx, &d, refused{})
	return d.passed.on(ctx), nil
}
