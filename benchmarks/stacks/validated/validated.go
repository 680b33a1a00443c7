// Package validated is oapi-codegen's strict server behind the request validator of
// nethttp-middleware, which calls golang-jwt for the document's security requirements.
package validated

import (
	"context"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	nethttpmiddleware "github.com/oapi-codegen/nethttp-middleware"

	"github.com/oapi-guard/oapi-guard/benchmarks/api"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/handwritten"
)

// New returns the handler.
func New(c stack.Config) (http.Handler, error) {
	spec, err := api.GetSpec()
	if err != nil {
		return nil, err
	}
	return Middleware(c, spec)(api.Handler(handwritten.NewServer())), nil
}

// Middleware returns the request validator of a document.
func Middleware(c stack.Config, spec *openapi3.T) func(http.Handler) http.Handler {
	verifier := golangjwt.New(c)
	return nethttpmiddleware.OapiRequestValidatorWithOptions(spec, &nethttpmiddleware.Options{
		Options: openapi3filter.Options{
			AuthenticationFunc: func(ctx context.Context, input *openapi3filter.AuthenticationInput) error {
				return authenticate(ctx, verifier, input)
			},
		},
		ErrorHandlerWithOpts: func(_ context.Context, err error, w http.ResponseWriter, _ *http.Request, opts nethttpmiddleware.ErrorHandlerOpts) {
			status := opts.StatusCode
			if status == http.StatusUnauthorized {
				status = golangjwt.Status(err)
			}
			http.Error(w, http.StatusText(status), status)
		},
	})
}

func authenticate(ctx context.Context, verifier *golangjwt.Verifier, input *openapi3filter.AuthenticationInput) error {
	r := input.RequestValidationInput.Request
	text, ok := golangjwt.Bearer(r.Header.Get("Authorization"))
	if !ok {
		return input.NewError(nil)
	}
	claims, err := verifier.Verify(ctx, text)
	if err != nil {
		return err
	}
	// The validator hands the request on that it was given, so that the context has to go into that
	// one.
	*r = *r.WithContext(golangjwt.NewContext(r.Context(), claims))
	return nil
}
