// Package fiber is oapi-codegen's strict server for fiber behind fiber's JWT middleware, over
// golang-jwt.
package fiber

import (
	"context"
	"errors"
	"net/http"

	jwtware "github.com/gofiber/contrib/jwt"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/golang-jwt/jwt/v5"
	"github.com/valyala/fasthttp"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/fiber/api"
)

// New returns the handler, which is a stack.FastHTTP.
func New(c stack.Config) (http.Handler, error) {
	verifier := golangjwt.New(c)
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(jwtware.New(jwtware.Config{
		Claims:  &golangjwt.Claims{},
		KeyFunc: verifier.Key,
		// The middleware parses without options, so it checks neither issuer nor audience.
		SuccessHandler: func(c *fiber.Ctx) error {
			token, _ := c.Locals("user").(*jwt.Token)
			claims, _ := token.Claims.(*golangjwt.Claims)
			if err := verifier.CheckClaims(c.UserContext(), claims); err != nil {
				return refuse(c, err)
			}
			// A strict server gets the context of the user, not that of fiber.
			c.SetUserContext(golangjwt.NewContext(c.UserContext(), claims))
			return c.Next()
		},
		ErrorHandler: refuse,
	}))
	api.RegisterHandlers(app, api.NewStrictHandler(server{}, nil))
	return handler{adaptor.FiberApp(app), app.Handler()}, nil
}

func refuse(c *fiber.Ctx, err error) error { return c.SendStatus(golangjwt.Status(err)) }

// handler implements stack.FastHTTP.
type handler struct {
	http.Handler
	fast fasthttp.RequestHandler
}

func (h handler) FastHTTP() fasthttp.RequestHandler { return h.fast }

var _ stack.FastHTTP = handler{}

type server struct{}

func (server) GetProfile(ctx context.Context, _ api.GetProfileRequestObject) (api.GetProfileResponseObject, error) {
	claims := golangjwt.FromContext(ctx)
	if claims == nil {
		return nil, errors.New("no claims on the context")
	}
	return api.GetProfile200JSONResponse{Name: claims.Name, Subject: claims.Subject}, nil
}
