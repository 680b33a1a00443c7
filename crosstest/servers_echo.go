package crosstest

import (
	"context"
	"net/http"

	echo4 "github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"

	echoapi "github.com/oapi-guard/oapi-guard/crosstest/api/echo"
	echo5api "github.com/oapi-guard/oapi-guard/crosstest/api/echo5"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

func echoRouter(s service.Server, p *guard.Policy, o Options) (http.Handler, error) {
	calling := func(f func(context.Context)) echo4.MiddlewareFunc {
		return func(next echo4.HandlerFunc) echo4.HandlerFunc {
			return func(c echo4.Context) error {
				call(f, c.Request().Context())
				return next(c)
			}
		}
	}
	router := echo4.New()
	answer := router.HTTPErrorHandler
	router.HTTPErrorHandler = func(err error, c echo4.Context) {
		call(o.OnError, err)
		answer(err, c)
	}
	router.Use(calling(o.Before))
	options := echoapi.RegisterHandlersOptions{BaseURL: o.BaseURL, OperationMiddlewares: map[string][]echo4.MiddlewareFunc{}}
	for _, operation := range echoapi.GuardedOperations() {
		options.OperationMiddlewares[operation.ID] = []echo4.MiddlewareFunc{calling(o.Behind)}
	}
	strict := echoapi.NewGuardedStrictHandler(echoapi.Server{Server: s}, []echoapi.StrictMiddlewareFunc{
		func(next echoapi.StrictHandlerFunc, _ string) echoapi.StrictHandlerFunc {
			return func(c echo4.Context, request any) (any, error) {
				call(o.Strict, c.Request().Context())
				return next(c, request)
			}
		},
	})
	if o.Unguarded {
		echoapi.RegisterHandlersWithOptions(router, strict, options)
		return router, nil
	}
	return router, echoapi.RegisterGuardedHandlersWithOptions(router, strict, p, service.Authenticator{}, options)
}

func echo5Router(s service.Server, p *guard.Policy, o Options) (http.Handler, error) {
	calling := func(f func(context.Context)) echo5.MiddlewareFunc {
		return func(next echo5.HandlerFunc) echo5.HandlerFunc {
			return func(c *echo5.Context) error {
				call(f, c.Request().Context())
				return next(c)
			}
		}
	}
	router := echo5.New()
	answer := router.HTTPErrorHandler
	router.HTTPErrorHandler = func(c *echo5.Context, err error) {
		call(o.OnError, err)
		answer(c, err)
	}
	router.Use(calling(o.Before))
	options := echo5api.RegisterHandlersOptions{BaseURL: o.BaseURL, OperationMiddlewares: map[string][]echo5.MiddlewareFunc{}}
	for _, operation := range echo5api.GuardedOperations() {
		options.OperationMiddlewares[operation.ID] = []echo5.MiddlewareFunc{calling(o.Behind)}
	}
	strict := echo5api.NewGuardedStrictHandler(echo5api.Server{Server: s}, []echo5api.StrictMiddlewareFunc{
		func(next echo5api.StrictHandlerFunc, _ string) echo5api.StrictHandlerFunc {
			return func(c *echo5.Context, request any) (any, error) {
				call(o.Strict, c.Request().Context())
				return next(c, request)
			}
		},
	})
	if o.Unguarded {
		echo5api.RegisterHandlersWithOptions(router, strict, options)
		return router, nil
	}
	return router, echo5api.RegisterGuardedHandlersWithOptions(router, strict, p, service.Authenticator{}, options)
}
