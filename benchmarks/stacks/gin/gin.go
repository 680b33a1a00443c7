// Package gin is oapi-codegen's strict server for gin behind gin-jwt.
package gin

import (
	"context"
	"errors"
	"net/http"

	jwt "github.com/appleboy/gin-jwt/v2"
	"github.com/gin-gonic/gin"
	golangjwtv4 "github.com/golang-jwt/jwt/v4"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/gin/api"
)

// statusKey is the key of the status in the context, if it is not 401.
const statusKey = "status"

// New returns the handler.
func New(c stack.Config) (http.Handler, error) {
	gin.SetMode(gin.ReleaseMode)
	checker := checker{config: c, verifier: golangjwt.New(c)}
	authenticate, err := jwt.New(&jwt.GinJWTMiddleware{
		// gin-jwt parses with version 4 of golang-jwt, into a map. It checks neither issuer nor audience.
		ParseOptions: []golangjwtv4.ParserOption{golangjwtv4.WithValidMethods([]string{c.Algorithm})},
		KeyFunc: func(token *golangjwtv4.Token) (any, error) {
			return c.Key, golangjwt.CheckType(token.Header)
		},
		IdentityKey:  "sub",
		Authorizator: checker.authorize,
		// The status of a refusal by the Authorizator would be 403.
		Unauthorized: func(c *gin.Context, _ int, _ string) {
			status := http.StatusUnauthorized
			if c.GetInt(statusKey) != 0 {
				status = c.GetInt(statusKey)
			}
			c.String(status, http.StatusText(status))
		},
	})
	if err != nil {
		return nil, err
	}
	router := gin.New()
	router.Use(authenticate.MiddlewareFunc())
	api.RegisterHandlers(router, api.NewStrictHandler(server{}, nil))
	return router, nil
}

type checker struct {
	config   stack.Config
	verifier *golangjwt.Verifier
}

// authorize checks what gin-jwt does not.
func (s checker) authorize(_ any, c *gin.Context) bool {
	claims := golangjwtv4.MapClaims(jwt.ExtractClaims(c))
	if !claims.VerifyIssuer(s.config.Issuer, true) || !claims.VerifyAudience(s.config.Audience, true) {
		return false
	}
	id, _ := claims["jti"].(string)
	if err := s.verifier.CheckRevoked(c.Request.Context(), id); err != nil {
		c.Set(statusKey, golangjwt.Status(err))
		return false
	}
	return true
}

type server struct{}

func (server) GetProfile(ctx context.Context, _ api.GetProfileRequestObject) (api.GetProfileResponseObject, error) {
	c, ok := ctx.(*gin.Context)
	if !ok {
		return nil, errors.New("no context of gin")
	}
	claims := jwt.ExtractClaims(c)
	name, _ := claims["name"].(string)
	subject, _ := claims["sub"].(string)
	if subject == "" {
		return nil, errors.New("no claims on the context")
	}
	return api.GetProfile200JSONResponse{Name: name, Subject: subject}, nil
}
