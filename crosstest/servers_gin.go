package crosstest

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/kataras/iris/v12"

	ginapi "github.com/oapi-guard/oapi-guard/crosstest/api/gin"
	irisapi "github.com/oapi-guard/oapi-guard/crosstest/api/iris"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

func ginRouter(s service.Server, p *guard.Policy, o Options) (http.Handler, error) {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(func(c *gin.Context) { call[context.Context](o.Before, c) })
	options := ginapi.GinServerOptions{BaseURL: o.BaseURL, Middlewares: []ginapi.MiddlewareFunc{func(c *gin.Context) { call[context.Context](o.Behind, c) }}}
	strict := ginapi.NewGuardedStrictHandler(ginapi.Server{Server: s}, p, []ginapi.StrictMiddlewareFunc{
		func(next ginapi.StrictHandlerFunc, _ string) ginapi.StrictHandlerFunc {
			return func(c *gin.Context, request any) (any, error) {
				call[context.Context](o.Strict, c)
				return next(c, request)
			}
		},
	}, ginapi.StrictGinServerOptions{})
	if o.Unguarded {
		ginapi.RegisterHandlersWithOptions(router, strict, options)
		return router, nil
	}
	return router, ginapi.RegisterGuardedHandlersWithOptions(router, strict, p, service.Authenticator{}, options)
}

func irisRouter(s service.Server, p *guard.Policy, o Options) (http.Handler, error) {
	router := iris.New()
	router.Logger().SetLevel("disable")
	options := irisapi.IrisServerOptions{BaseURL: o.BaseURL, Middlewares: []irisapi.MiddlewareFunc{func(ctx iris.Context) {
		call[context.Context](o.Before, ctx)
		ctx.Next()
	}}}
	strict := irisapi.NewGuardedStrictHandler(irisapi.Server{Server: s}, p, []irisapi.StrictMiddlewareFunc{
		func(next irisapi.StrictHandlerFunc, _ string) irisapi.StrictHandlerFunc {
			return func(ctx iris.Context, request any) (any, error) {
				call[context.Context](o.Strict, ctx)
				return next(ctx, request)
			}
		},
	})
	if o.Unguarded {
		irisapi.RegisterHandlersWithOptions(router, strict, options)
		return router, nil
	}
	return router, irisapi.RegisterGuardedHandlersWithOptions(router, strict, p, service.Authenticator{}, options)
}
