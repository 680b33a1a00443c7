// Package ogen is the generated server of ogen with a security handler over golang-jwt.
package ogen

import (
	"context"
	"errors"
	"net/http"

	"github.com/ogen-go/ogen/ogenerrors"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/benchmarks/stacks/ogen/gen"
)

// New returns the handler.
func New(c stack.Config) (http.Handler, error) {
	return gen.NewServer(server{}, security{golangjwt.New(c)}, gen.WithErrorHandler(ErrorHandler))
}

// ErrorHandler answers with the status of an error of golangjwt, or with that of another error.
func ErrorHandler(_ context.Context, w http.ResponseWriter, _ *http.Request, err error) {
	status := ogenerrors.ErrorCode(err)
	if status == http.StatusUnauthorized {
		status = golangjwt.Status(err)
	}
	http.Error(w, http.StatusText(status), status)
}

type security struct{ verifier *golangjwt.Verifier }

// HandleAccess implements gen.SecurityHandler.
func (s security) HandleAccess(ctx context.Context, _ gen.OperationName, access gen.Access) (context.Context, error) {
	claims, err := s.verifier.Verify(ctx, access.Token)
	if err != nil {
		return nil, err
	}
	return golangjwt.NewContext(ctx, claims), nil
}

type server struct{}

// GetProfile implements gen.Handler.
func (server) GetProfile(ctx context.Context) (gen.GetProfileRes, error) {
	claims := golangjwt.FromContext(ctx)
	if claims == nil {
		return nil, errors.New("no claims on the context")
	}
	return &gen.Profile{Name: claims.Name, Subject: claims.Subject}, nil
}
