// Package benchmarks measures the hot path of oapi-guard and its peers: one API, the same tokens and
// the same responses, through the router to a typed handler and back. The README says what is
// compared, and how to run it.
//
// It is a separate module, so that users of the library do not download the peers.
package benchmarks

//go:generate go tool oapi-guard generate
//go:generate go tool oapi-codegen -config stacks/echo/api/oapi-codegen.yaml -o stacks/echo/api/api.gen.go api.yaml
//go:generate go tool oapi-codegen -config stacks/gin/api/oapi-codegen.yaml -o stacks/gin/api/api.gen.go api.yaml
//go:generate go tool oapi-codegen -config stacks/fiber/api/oapi-codegen.yaml -o stacks/fiber/api/api.gen.go api.yaml
//go:generate go tool ogen --loglevel error --config stacks/ogen/ogen.yaml --target stacks/ogen/gen --package gen --clean api.yaml
//go:generate go tool goa gen github.com/oapi-guard/oapi-guard/benchmarks/stacks/goa/design -o stacks/goa
//go:generate mkdir -p stacks/goswagger/gen
//go:generate go run github.com/go-swagger/go-swagger/cmd/swagger@v0.36.7 generate server --quiet -f stacks/goswagger/swagger.yaml -A benchmark -P models.Principal --exclude-main -t stacks/goswagger/gen

// The servers of this module need no clients, documents and command lines of goa and go-swagger.
//go:generate rm -r stacks/goa/gen/http/cli stacks/goa/gen/http/profiles/client stacks/goa/gen/profiles/client.go stacks/goa/gen/http/profiles/server/paths.go
//go:generate rm stacks/goa/gen/http/openapi.json stacks/goa/gen/http/openapi.yaml stacks/goa/gen/http/openapi3.json stacks/goa/gen/http/openapi3.yaml
//go:generate rm stacks/goswagger/gen/restapi/doc.go stacks/goswagger/gen/restapi/server.go stacks/goswagger/gen/restapi/configure_benchmark.go stacks/goswagger/gen/restapi/operations/get_profile_urlbuilder.go
