// Package crosstest has the tests that need more modules than the library. It serves the API of
// api/spec.yaml on every router that oapi-codegen supports, and sends the same requests to each.
//
// [Routers] are the routers. [Router.Start] serves the API on one of them. Package service implements
// the operations. The folders of api are generated: in each of them server.gen.go adapts the service
// to the types of the package.
package crosstest

//go:generate go -C .. run ./cmd/oapi-guard generate --config crosstest/api/std-http/oapi-guard.yaml
//go:generate go -C .. run ./cmd/oapi-guard generate --config crosstest/api/chi/oapi-guard.yaml
//go:generate go -C .. run ./cmd/oapi-guard generate --config crosstest/api/echo/oapi-guard.yaml
//go:generate go -C .. run ./cmd/oapi-guard generate --config crosstest/api/echo5/oapi-guard.yaml
//go:generate go -C .. run ./cmd/oapi-guard generate --config crosstest/api/fiber/oapi-guard.yaml
//go:generate go -C .. run ./cmd/oapi-guard generate --config crosstest/api/fiber-v3/oapi-guard.yaml
//go:generate go -C .. run ./cmd/oapi-guard generate --config crosstest/api/gin/oapi-guard.yaml
//go:generate go -C .. run ./cmd/oapi-guard generate --config crosstest/api/gorilla/oapi-guard.yaml
//go:generate go -C .. run ./cmd/oapi-guard generate --config crosstest/api/iris/oapi-guard.yaml
//go:generate go run ./adapters api/std-http api/chi api/echo api/echo5 api/fiber api/fiber-v3 api/gin api/gorilla api/iris
//go:generate go -C .. run ./cmd/oapi-guard generate --config crosstest/deepmap/oapi-guard.yaml
