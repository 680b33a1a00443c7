// Package handwritten is oapi-codegen's strict server behind a middleware of one's own over
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

// authenticate lets requests with a valid token pass, with its claims on their context.
func authenticate(verifier *golangjwt.Verifier, next http.Handler) http.Handler {
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

// NewServer returns the API for a middleware that leaves the claims on the context.
func NewServer() api.ServerInterface { return api.NewStrictHandler(server{}, nil) }

type server struct{}

func (server) GetProfile(ctx context.Context, _ api.GetProfileRequestObject) (api.GetProfileResponseObject, error) {
	claims := golangjwt.FromContext(ctx)
	if claims == nil {
		return nil, errors.New("no claims on the context")
	}
	return api.GetProfile200JSONResponse{Name: claims.Name, Subject: claims.Subject}, nil
}
