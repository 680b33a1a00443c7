// Package goswagger is go-swagger with a typed principal, over golang-jwt.
package goswagger

import (
	"context"
	"net/http"

	"github.com/go-openapi/errors"
	"github.com/go-openapi/loads"
	"github.com/go-openapi/runtime/middleware"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/goswagger/gen/models"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/goswagger/gen/restapi"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/goswagger/gen/restapi/operations"
)

// New returns the handler.
func New(c stack.Config) (http.Handler, error) {
	spec, err := loads.Embedded(restapi.SwaggerJSON, restapi.FlatSwaggerJSON)
	if err != nil {
		return nil, err
	}
	verifier := golangjwt.New(c)
	api := operations.NewBenchmarkAPI(spec)
	api.Logger = func(string, ...any) {}
	// The generated hook has no context, so a look-up continues when the request is cancelled.
	api.AccessAuth = func(token string, _ []string) (*models.Principal, error) {
		claims, err := verifier.Verify(context.Background(), token)
		if err != nil {
			status := golangjwt.Status(err)
			return nil, errors.New(int32(status), "%s", http.StatusText(status))
		}
		return &models.Principal{Name: &claims.Name, Subject: &claims.Subject}, nil
	}
	api.GetProfileHandler = operations.GetProfileHandlerFunc(func(_ operations.GetProfileParams, principal *models.Principal) middleware.Responder {
		return operations.NewGetProfileOK().WithPayload(&models.Profile{Name: principal.Name, Subject: principal.Subject})
	})
	if err := api.Validate(); err != nil {
		return nil, err
	}
	return api.Serve(nil), nil
}
