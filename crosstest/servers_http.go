package crosstest

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"

	chiapi "github.com/oapi-guard/oapi-guard/crosstest/api/chi"
	gorillaapi "github.com/oapi-guard/oapi-guard/crosstest/api/gorilla"
	httpapi "github.com/oapi-guard/oapi-guard/crosstest/api/std-http"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// calling makes middleware from a function of the options.
func calling(f func(context.Context)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			call(f, r.Context())
			next.ServeHTTP(w, r)
		})
	}
}

func stdHTTP(s service.Server, p *guard.Policy, o Options) (http.Handler, error) {
	strict := httpapi.NewGuardedStrictHandler(httpapi.Server{Server: s}, p, []httpapi.StrictMiddlewareFunc{
		func(next httpapi.StrictHandlerFunc, _ string) httpapi.StrictHandlerFunc {
			return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
				call(o.Strict, ctx)
				return next(ctx, w, r, request)
			}
		},
	}, httpapi.StrictHTTPServerOptions{})
	options := httpapi.StdHTTPServerOptions{BaseURL: o.BaseURL, Middlewares: []httpapi.MiddlewareFunc{calling(o.Behind)}}
	if o.Unguarded {
		return httpapi.HandlerWithOptions(strict, options), nil
	}
	handler, err := httpapi.GuardedHandlerWithOptions(strict, p, service.Authenticator{}, options)
	if err != nil {
		return nil, err
	}
	return calling(o.Before)(handler), nil
}

func chiRouter(s service.Server, p *guard.Policy, o Options) (http.Handler, error) {
	strict := chiapi.NewGuardedStrictHandler(chiapi.Server{Server: s}, p, []chiapi.StrictMiddlewareFunc{
		func(next chiapi.StrictHandlerFunc, _ string) chiapi.StrictHandlerFunc {
			return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
				call(o.Strict, ctx)
				return next(ctx, w, r, request)
			}
		},
	}, chiapi.StrictHTTPServerOptions{})
	router := chi.NewRouter()
	router.Use(calling(o.Before))
	options := chiapi.ChiServerOptions{BaseURL: o.BaseURL, BaseRouter: router, Middlewares: []chiapi.MiddlewareFunc{calling(o.Behind)}}
	if o.Unguarded {
		return chiapi.HandlerWithOptions(strict, options), nil
	}
	return chiapi.GuardedHandlerWithOptions(strict, p, service.Authenticator{}, options)
}

func gorillaRouter(s service.Server, p *guard.Policy, o Options) (http.Handler, error) {
	strict := gorillaapi.NewGuardedStrictHandler(gorillaapi.Server{Server: s}, p, []gorillaapi.StrictMiddlewareFunc{
		func(next gorillaapi.StrictHandlerFunc, _ string) gorillaapi.StrictHandlerFunc {
			return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
				call(o.Strict, ctx)
				return next(ctx, w, r, request)
			}
		},
	}, gorillaapi.StrictHTTPServerOptions{})
	router := mux.NewRouter()
	router.Use(calling(o.Before))
	options := gorillaapi.GorillaServerOptions{BaseURL: o.BaseURL, BaseRouter: router, Middlewares: []gorillaapi.MiddlewareFunc{calling(o.Behind)}}
	if o.Unguarded {
		return gorillaapi.HandlerWithOptions(strict, options), nil
	}
	return gorillaapi.GuardedHandlerWithOptions(strict, p, service.Authenticator{}, options)
}
