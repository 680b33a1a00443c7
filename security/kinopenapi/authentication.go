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

// BesideGuards says that the handler of every operation stands behind its guard too, which has the last word. Operations that kin-openapi
// could let pass wrongly are then no error.
func BesideGuards() AuthenticationOption {
	return func(a *authentication) { a.besideGuards = true }
}

// AuthenticationFunc returns the function that openapi3filter, and middleware built on it, ask whether a request satisfies a security
// scheme. document is the one that they check requests against; operations are what generated code returns as GuardedOperations.
//
// With the first scheme that it is asked for, the function runs the guard of the whole operation, once for a request. It returns nil for the
// schemes of the alternative that the guard accepted and an error for others, so a request passes if and only if the guard accepts it. The
// credential is then on the context of that very http.Request: see [guard.FromContext]. The error of a request that was refused is a
// [guard.RefusedError]; answer it with [WriteError].
//
// It is an error if the document does not have an operation, or gives it another security. It is one, too, if
//   - an operation is optional: kin-openapi lets a request with a bad token pass as an anonymous one, without a word of the function;
//   - a credential stands in the query: the response then has to say that nothing may store it, which the function cannot.
//
// Guard the routes of such operations, and say so with [BesideGuards].
//
// kin-openapi reads the whole body before it asks the function, so limit it before, as with http.MaxBytesHandler.
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

// authentication answers kin-openapi with what guards decide.
type authentication struct {
	guards       *guard.Guards
	operations   map[route]*guard.Operation
	besideGuards bool
}

// check compares an operation with the document and refuses what the function could not keep.
func (a *authentication) check(document *openapi3.T, o *guard.Operation) error {
	item := document.Paths.Value(o.Path)
	if item == nil || item.GetOperation(o.Method) == nil {
		return errors.New("the document does not have the operation")
	}
	stated := document.Security
	if own := item.GetOperation(o.Method).Security; own != nil {
		stated = *own
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
				return fmt.Errorf("the credential of scheme %s stands in the query; guard the route", scheme.Name)
			}
			names = append(names, scheme.Name)
		}
		got = append(got, alternative(names))
	}
	slices.Sort(want)
	slices.Sort(got)
	switch {
	case !slices.Equal(want, got):
		return errors.New("the document gives it another security; is it the one that the operations are made of?")
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

type askedKey struct{}

// asked is what a guard said of a request that kin-openapi checks.
type asked struct {
	by    *authentication
	input *openapi3filter.RequestValidationInput
	// schemes are those of the alternative that the guard accepted.
	schemes []string
	err     error
}

// errOtherAlternative is for a scheme that is not of the alternative that the guard accepted. kin-openapi goes on to that one.
var errOtherAlternative = errors.New("kinopenapi: the request satisfies another alternative")

// authenticate is an openapi3filter.AuthenticationFunc.
func (a *authentication) authenticate(_ context.Context, question *openapi3filter.AuthenticationInput) error {
	if question == nil || question.RequestValidationInput == nil || question.RequestValidationInput.Request == nil || question.RequestValidationInput.Route == nil {
		return security.ErrUnguarded
	}
	input := question.RequestValidationInput
	said, _ := input.Request.Context().Value(askedKey{}).(*asked)
	if said == nil || said.by != a || said.input != input {
		said = a.ask(input)
	}
	switch {
	case said.err != nil:
		return said.err
	case !slices.Contains(said.schemes, question.SecuritySchemeName):
		return errOtherAlternative
	}
	return nil
}

// ask asks the guard of the operation, and leaves on the context of the request what it said and the credential.
func (a *authentication) ask(input *openapi3filter.RequestValidationInput) *asked {
	said := &asked{by: a, input: input}
	operation := a.operations[route{input.Route.Method, input.Route.Path}]
	r := input.Request
	ctx, err := a.guards.Of(operation).Authenticate(r)
	if err != nil {
		said.err = err
		ctx = r.Context()
	} else if credentials, err := guard.RequestCredentials(ctx, operation); err != nil {
		said.err = err
	} else {
		said.schemes = credentials.Schemes()
	}
	// In place, because whoever called kin-openapi goes on with the request that it was given.
	*r = *r.WithContext(context.WithValue(ctx, askedKey{}, said))
	return said
}

// WriteError answers a request that openapi3filter.ValidateRequest refused, or the router before it: one that an [AuthenticationFunc] refused
// as its guard does, one that differs from the document as a guarded handler with a [SchemaValidator] does, one without a route 404 or 405,
// and any other 500. No text of err reaches the client.
func WriteError(w http.ResponseWriter, r *http.Request, policy *guard.Policy, err error) {
	var refused *guard.RefusedError
	if errors.As(err, &refused) {
		refused.Write(w)
		return
	}
	policy.WriteResponseError(w, r, told(err))
}

// told returns the error that answers one of kin-openapi.
func told(err error) error {
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
