// Package echo is oapi-codegen's strict server for echo behind echo-jwt, over golang-jwt.
package echo

import (
	"context"
	"errors"
	"net/http"

	echojwt "github.com/labstack/echo-jwt/v4"
	"github.com/labstack/echo/v4"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/echo/api"
)

// New returns the handler.
func New(c stack.Config) (http.Handler, error) {
	verifier := golangjwt.New(c)
	// The parser of echo-jwt checks neither issuer nor audience.
	authenticate, err := echojwt.Config{
		ParseTokenFunc: func(c echo.Context, text string) (any, error) {
			return verifier.Verify(c.Request().Context(), text)
		},
		// A strict server gets the context of the request, not that of echo.
		SuccessHandler: func(c echo.Context) {
			claims, _ := c.Get("user").(*golangjwt.Claims)
			r := c.Request()
			c.SetRequest(r.WithContext(golangjwt.NewContext(r.Context(), claims)))
		},
		ErrorHandler: func(_ echo.Context, err error) error {
			return echo.NewHTTPError(golangjwt.Status(err))
		},
	}.ToMiddleware()
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.Use(authenticate)
	api.RegisterHandlers(e, api.NewStrictHandler(server{}, nil))
	return e, nil
}

type server struct{}

func (server) GetProfile(ctx context.Context, _ api.GetProfileRequestObject) (api.GetProfileResponseObject, error) {
	claims := golangjwt.FromContext(ctx)
	if claims == nil {
		return nil, errors.New("no claims on the context")
	}
	return api.GetProfile200JSONResponse{Name: claims.Name, Subject: claims.Subject}, nil
}
