// Package huma is huma on net/http's router, with a middleware of one's own over golang-jwt.
package huma

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/oapi-guard/oapi-guard/benchmarks/internal/golangjwt"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
)

type profile struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
}

type getProfileOutput struct{ Body profile }

// New returns the handler.
func New(c stack.Config) (http.Handler, error) {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Benchmark API", "1.0.0")
	config.CreateHooks = nil // else bodies have the member $schema, which those of the others have not
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"access": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
	}
	api := humago.New(mux, config)
	api.UseMiddleware(authenticate(api, golangjwt.New(c)))
	huma.Register(api, huma.Operation{
		OperationID: "getProfile",
		Method:      http.MethodGet,
		Path:        "/profile",
		Summary:     "Say who the caller is.",
		Security:    []map[string][]string{{"access": {}}},
	}, getProfile)
	return mux, nil
}

// authenticate lets requests for secured operations pass with a valid token, whose claims it leaves
// on their context.
func authenticate(api huma.API, verifier *golangjwt.Verifier) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if len(ctx.Operation().Security) == 0 {
			next(ctx)
			return
		}
		text, ok := golangjwt.Bearer(ctx.Header("Authorization"))
		if !ok {
			refuse(api, ctx, http.StatusUnauthorized)
			return
		}
		claims, err := verifier.Verify(ctx.Context(), text)
		if err != nil {
			refuse(api, ctx, golangjwt.Status(err))
			return
		}
		next(huma.WithContext(ctx, golangjwt.NewContext(ctx.Context(), claims)))
	}
}

func refuse(api huma.API, ctx huma.Context, status int) {
	_ = huma.WriteErr(api, ctx, status, http.StatusText(status)) // the client may have gone
}

func getProfile(ctx context.Context, _ *struct{}) (*getProfileOutput, error) {
	claims := golangjwt.FromContext(ctx)
	if claims == nil {
		return nil, huma.Error500InternalServerError("no claims on the context")
	}
	return &getProfileOutput{Body: profile{Name: claims.Name, Subject: claims.Subject}}, nil
}
