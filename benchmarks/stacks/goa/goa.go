// Package goa is goa with its JWT security, over golang-jwt.
package goa

import (
	"context"
	"errors"
	"net/http"

	goahttp "goa.design/goa/v3/http"
	"goa.design/goa/v3/security"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/goa/gen/http/profiles/server"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/goa/gen/profiles"
)

// New returns the handler.
func New(c stack.Config) (http.Handler, error) {
	mux := goahttp.NewMuxer()
	endpoints := profiles.NewEndpoints(&service{golangjwt.New(c)})
	server.New(endpoints, mux, goahttp.RequestDecoder, goahttp.ResponseEncoder, nil, nil).Mount(mux)
	return mux, nil
}

type service struct{ verifier *golangjwt.Verifier }

// JWTAuth implements profiles.Auther.
func (s *service) JWTAuth(ctx context.Context, token string, _ *security.JWTScheme) (context.Context, error) {
	claims, err := s.verifier.Verify(ctx, token)
	switch {
	case err == nil:
		return golangjwt.NewContext(ctx, claims), nil
	case golangjwt.Status(err) == http.StatusServiceUnavailable:
		return nil, profiles.MakeUnavailable(errors.New("try again later"))
	default:
		return nil, profiles.MakeUnauthorized(errors.New("no valid token"))
	}
}

// Get implements profiles.Service.
func (s *service) Get(ctx context.Context, _ *profiles.GetPayload) (*profiles.GetResult, error) {
	claims := golangjwt.FromContext(ctx)
	if claims == nil {
		return nil, errors.New("no claims on the context")
	}
	return &profiles.GetResult{Name: claims.Name, Subject: claims.Subject}, nil
}
