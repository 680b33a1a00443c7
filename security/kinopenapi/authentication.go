package kinopenapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// AuthenticationOption changes an authentication function.
type AuthenticationOption func(*authentication)

// BesideGuards states that the handler of each operation also has its guard, which decides last.
// Operations that kin-openapi could accept wrongly are then no error.
func BesideGuards() AuthenticationOption {
	return func(a *authentication) { a.besideGuards = true }
}

// AuthenticationFunc returns the function that openapi3filter, and middleware built on it, calls to
// learn whether a request satisfies a security scheme. document is the one that they check requests
// against. operations are what generated code returns as GuardedOperations.
//
// The first call for a request runs the guard of the whole operation, once. The function returns nil
// for the schemes of the alternative that the guard accepted and an error for others, so a request
// passes if and only if the guard accepts it. The credential is then in the context of that
// http.Request: see [guard.FromContext]. A refused request gets a [guard.RefusedError]; answer it
// with [WriteError].
//
// AuthenticationFunc returns an error if the document lacks an operation or gives it other security
// requirements, and if
//   - an operation is optional: kin-openapi accepts a request with a bad token as an anonymous one,
//     without calling the function;
//   - a credential is in the query: the response must then forbid that it is stored, which the
//     function cannot do.
//
// Guard the routes of such operations, and state that with [BesideGuards].
//
// kin-openapi reads the whole body before it calls the function. Limit the body before that, for
// example with http.MaxBytesHandler.
func AuthenticationFunc(document *openapi3.T, policy *guard.Policy, authenticators guard.Authenticators, operations []guard.Operation, options ...AuthenticationOption) (openapi3filter.AuthenticationFunc, error) {
	if document == nil {
		return nil, errors.New("kinopenapi: an authentication function needs the document")
	}
	a := &authentication{operations: make(map[route]*guard.Operation, len(operations))}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("kinopenapi: a nil option")
		}
		option(a)
	}
	var all []*guard.Operation
	for i := range operations {
		if err := a.check(document, &operations[i]); err != nil {
			return nil, fmt.Errorf("kinopenapi: %s %s: %w", operations[i].Method, operations[i].Path, err)
		}
		o := operations[i].Clone()
		a.operations[route{o.Method, o.Path}] = &o
		all = append(all, &o)
	}
	var err error
	if a.guards, err = guard.NewGuards(policy, authenticators, all...); err != nil {
		return nil, err
	}
	return a.authenticate, nil
}

// authentication gives kin-openapi the decisions of guards.
type authentication struct {
	guards       *guard.Guards
	operations   map[route]*guard.Operation
	besideGuards bool
}

// check compares an operation with the document. It refuses operations that the function could not
// protect.
func (a *authentication) check(document *openapi3.T, o *guard.Operation) error {
	item := document.Paths.Value(o.Path)
	if item == nil || item.GetOperation(o.Method) == nil {
		return errors.New("the document does not have the operation")
	}
	stated := document.Security
	if ofOperation := item.GetOperation(o.Method).Security; ofOperation != nil {
		stated = *ofOperation
	}
	var want, got []string
	for _, requirement := range stated {
		var names []string
		for name := range requirement {
			names = append(names, name)
		}
		want = append(want, alternative(names))
	}
	for _, schemes := range o.Requirement {
		var names []string
		for _, scheme := range schemes {
			if scheme == nil {
				return errors.New("a nil scheme")
			}
			if scheme.In == guard.InQuery && !a.besideGuards {
				return fmt.Errorf("the credential of scheme %s is in the query; guard the route", scheme.Name)
			}
			names = append(names, scheme.Name)
		}
		got = append(got, alternative(names))
	}
	slices.Sort(want)
	slices.Sort(got)
	switch {
	case !slices.Equal(want, got):
		return errors.New("the document gives it other security requirements; are the operations generated from it?")
	case o.Optional() && !a.besideGuards:
		return errors.New("its security is optional, so kin-openapi would let a bad credential pass as an anonymous caller; guard the route")
	}
	return nil
}

// alternative returns the names of the schemes of an alternative as one text.
func alternative(names []string) string {
	slices.Sort(names)
	return strings.Join(names, " ")
}

type decisionKey struct{}

// decision is the decision of a guard over a request that kin-openapi checks.
type decision struct {
	by    *authentication
	input *openapi3filter.RequestValidationInput
	// schemes are those of the alternative that the guard accepted.
	schemes []string
	err     error
}

// errOtherAlternative is for a scheme that is not in the alternative that the guard accepted.
// kin-openapi then tries the next alternative.
var errOtherAlternative = errors.New("kinopenapi: the request satisfies another alternative")

// authenticate is an openapi3filter.AuthenticationFunc.
func (a *authentication) authenticate(_ context.Context, asked *openapi3filter.AuthenticationInput) error {
	if asked == nil || asked.RequestValidationInput == nil || asked.RequestValidationInput.Request == nil || asked.RequestValidationInput.Route == nil {
		return security.ErrUnguarded
	}
	input := asked.RequestValidationInput
	known, _ := input.Request.Context().Value(decisionKey{}).(*decision)
	if known == nil || known.by != a || known.input != input {
		known = a.decide(input)
	}
	switch {
	case known.err != nil:
		return known.err
	case !slices.Contains(known.schemes, asked.SecuritySchemeName):
		return errOtherAlternative
	}
	return nil
}

// decide runs the guard of the operation. It puts the decision and the credential into the context
// of the request.
func (a *authentication) decide(input *openapi3filter.RequestValidationInput) *decision {
	made := &decision{by: a, input: input}
	operation := a.operations[route{input.Route.Method, input.Route.Path}]
	r := input.Request
	ctx, err := a.guards.Of(operation).Authenticate(r)
	if err != nil {
		made.err = err
		ctx = r.Context()
	} else if credentials, err := guard.RequestCredentials(ctx, operation); err != nil {
		made.err = err
	} else {
		made.schemes = credentials.Schemes()
	}
	// In place, because the caller of kin-openapi continues with its request.
	*r = *r.WithContext(context.WithValue(ctx, decisionKey{}, made))
	return made
}

// WriteError answers a request that openapi3filter.ValidateRequest or its router refused. A request
// that an [AuthenticationFunc] refused is answered as its guard answers it. One that differs from
// the document is answered as a guarded handler with a [SchemaValidator] answers it. One without a
// route gets 404 or 405, and any other 500. No text of err reaches the client.
func WriteError(w http.ResponseWriter, r *http.Request, policy *guard.Policy, err error) {
	var refused *guard.RefusedError
	if errors.As(err, &refused) {
		refused.Write(w)
		return
	}
	policy.WriteResponseError(w, r, responseError(err))
}

// responseError returns the error of package guard that answers an error of kin-openapi.
func responseError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, routers.ErrPathNotFound):
		return &guard.InvalidRequestError{Status: http.StatusNotFound}
	case errors.Is(err, routers.ErrMethodNotAllowed):
		return &guard.InvalidRequestError{Status: http.StatusMethodNotAllowed}
	case errors.As(err, &tooLarge):
		return tooLarge
	}
	all, several := err.(openapi3.MultiError)
	if !several {
		all = openapi3.MultiError{err}
	}
	var found violations
	for _, one := range all {
		var request *openapi3filter.RequestError
		switch {
		case !errors.As(one, &request):
			return err
		case request.Parameter != nil:
			if found.inParameter(request.Input, request.Parameter, one) != nil {
				return err
			}
		case request.RequestBody != nil:
			if found.inBody(one) != nil {
				return err
			}
		default:
			return err
		}
	}
	if len(found.list) == 0 {
		return err
	}
	return found.err()
}
