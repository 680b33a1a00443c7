// Package handwritten is the strict server of oapi-codegen behind a handwritten middleware with
// golang-jwt.
package handwritten

import (
	"context"
	"errors"
	"net/http"

	"github.com/oapi-guard/oapi-guard/benchmarks/api"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
)

// New returns the handler.
func New(c stack.Config) (http.Handler, error) {
	return authenticate(golangjwt.New(c), api.Handler(NewServer())), nil
}

// verifier verifies access tokens.
type verifier interface {
	Verify(ctx context.Context, text string) (*golangjwt.Claims, error)
}

// authenticate accepts requests with a valid token, and puts its claims into their context.
func authenticate(verifier verifier, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := golangjwt.Bearer(r.Header.Get("Authorization"))
		if !ok {
			refuse(w, http.StatusUnauthorized)
			return
		}
		claims, err := verifier.Verify(r.Context(), text)
		if err != nil {
			refuse(w, golangjwt.Status(err))
			return
		}
		next.ServeHTTP(w, r.WithContext(golangjwt.NewContext(r.Context(), claims)))
	})
}

func refuse(w http.ResponseWriter, status int) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	http.Error(w, http.StatusText(status), status)
}

// NewServer returns the API for middleware that puts the claims into the context.
func NewServer() api.ServerInterface { return api.NewStrictHandler(server{}, nil) }

type server struct{}

func (server) GetProfile(ctx context.Context, _ api.GetProfileRequestObject) (api.GetProfileResponseObject, error) {
	claims := golangjwt.FromContext(ctx)
	if claims == nil {
		return nil, errors.New("no claims on the context")
	}
	return api.GetProfile200JSONResponse{Name: claims.Name, Subject: claims.Subject}, nil
}
