// Package existing shows how a project that uses oapi-codegen's strict server moves from a JWT middleware
// of its own to guards. Folder before is the project with the middleware, folder after is the project
// with guards. Both have the same api.yaml, the same api/api.gen.go and the same handlers.go, byte for
// byte; folder api has one more file that only after uses, guard.gen.go.
//
// scripts/migration-lines.sh counts the lines that go and come, and the test sends the same requests to
// both programs.
package existing

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen --config oapi-codegen.yaml api.yaml
//go:generate go run github.com/oapi-guard/oapi-guard/cmd/oapi-guard generate --config after/oapi-guard.yaml
