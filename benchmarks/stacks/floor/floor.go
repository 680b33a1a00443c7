// Package floor is oapi-codegen's strict server without any authentication: what a request costs
// before anybody asks who sends it.
package floor

import (
	"context"
	"net/http"

	"github.com/oapi-guard/oapi-guard/benchmarks/api"
)

// New returns the handler. It answers everybody with the same profile.
func New(profile api.Profile) http.Handler {
	return api.Handler(api.NewStrictHandler(server{profile}, nil))
}

type server struct{ profile api.Profile }

func (s server) GetProfile(context.Context, api.GetProfileRequestObject) (api.GetProfileResponseObject, error) {
	return api.GetProfile200JSONResponse(s.profile), nil
}
