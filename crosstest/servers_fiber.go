package crosstest

import (
	"context"
	"net"

	fiber2 "github.com/gofiber/fiber/v2"
	fiber3 "github.com/gofiber/fiber/v3"

	fiberapi "github.com/oapi-guard/oapi-guard/crosstest/api/fiber"
	fiberv3api "github.com/oapi-guard/oapi-guard/crosstest/api/fiber-v3"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

func serveFiber(l net.Listener, s service.Server, p *guard.Policy, o Options) (func(), error) {
	router := fiber2.New(fiber2.Config{DisableStartupMessage: true, ErrorHandler: func(c *fiber2.Ctx, err error) error {
		call(o.OnError, err)
		return fiber2.DefaultErrorHandler(c, err)
	}})
	calling := func(f func(context.Context)) fiberapi.HandlerMiddlewareFunc {
		return func(c *fiber2.Ctx, next fiber2.Handler) error {
			call(f, c.UserContext())
			return next(c)
		}
	}
	options := fiberapi.FiberServerOptions{
		BaseURL: o.BaseURL,
		Middlewares: []fiberapi.MiddlewareFunc{func(c *fiber2.Ctx) error {
			return calling(o.Before)(c, (*fiber2.Ctx).Next)
		}},
		HandlerMiddlewares: []fiberapi.HandlerMiddlewareFunc{calling(o.Behind)},
	}
	strict := fiberapi.NewGuardedStrictHandler(fiberapi.Server{Server: s}, []fiberapi.StrictMiddlewareFunc{
		func(next fiberapi.StrictHandlerFunc, _ string) fiberapi.StrictHandlerFunc {
			return func(c *fiber2.Ctx, request any) (any, error) {
				call(o.Strict, c.UserContext())
				return next(c, request)
			}
		},
	})
	if o.Unguarded {
		fiberapi.RegisterHandlersWithOptions(router, strict, options)
	} else if err := fiberapi.RegisterGuardedHandlersWithOptions(router, strict, p, service.Authenticator{}, options); err != nil {
		return nil, err
	}
	go router.Listener(l)
	return func() { _ = router.Shutdown() }, nil
}

func serveFiberV3(l net.Listener, s service.Server, p *guard.Policy, o Options) (func(), error) {
	router := fiber3.New(fiber3.Config{ErrorHandler: func(c fiber3.Ctx, err error) error {
		call(o.OnError, err)
		return fiber3.DefaultErrorHandler(c, err)
	}})
	calling := func(f func(context.Context)) fiberv3api.HandlerMiddlewareFunc {
		return func(c fiber3.Ctx, next fiber3.Handler) error {
			call(f, c.Context())
			return next(c)
		}
	}
	options := fiberv3api.FiberServerOptions{
		BaseURL: o.BaseURL,
		Middlewares: []fiberv3api.MiddlewareFunc{func(c fiber3.Ctx) error {
			return calling(o.Before)(c, fiber3.Ctx.Next)
		}},
		HandlerMiddlewares: []fiberv3api.HandlerMiddlewareFunc{calling(o.Behind)},
	}
	strict := fiberv3api.NewGuardedStrictHandler(fiberv3api.Server{Server: s}, []fiberv3api.StrictMiddlewareFunc{
		func(next fiberv3api.StrictHandlerFunc, _ string) fiberv3api.StrictHandlerFunc {
			return func(c fiber3.Ctx, request any) (any, error) {
				call(o.Strict, c.Context())
				return next(c, request)
			}
		},
	})
	if o.Unguarded {
		fiberv3api.RegisterHandlersWithOptions(router, strict, options)
	} else if err := fiberv3api.RegisterGuardedHandlersWithOptions(router, strict, p, service.Authenticator{}, options); err != nil {
		return nil, err
	}
	go router.Listener(l, fiber3.ListenConfig{DisableStartupMessage: true})
	return func() { _ = router.Shutdown() }, nil
}
