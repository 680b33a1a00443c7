// Package floor is the strict server of oapi-codegen without authentication. It shows what a
// request costs without security.
package floor

import (
	"context"
	"net/http"

	"github.com/oapi-guard/oapi-guard/benchmarks/api"
)

// New returns the handler. It answers every request with the same profile.
func New(profile api.Profile) http.Handler {
	return api.Handler(api.NewStrictHandler(server{profile}, nil))
}

type server struct{ profile api.Profile }

func (s server) GetProfile(context.Context, api.GetProfileRequestObject) (api.GetProfileResponseObject, error) {
	return api.GetProfile200JSONResponse(s.profile), nil
}
