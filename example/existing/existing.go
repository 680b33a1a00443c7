// Package existing shows how a project with oapi-codegen's strict server moves from a JWT middleware to
// guards. Folder before is the project with the middleware, and folder after is the project with
// guards. They share api.yaml and api/api.gen.go, and handlers.go is the same file in both, byte for
// byte. api/guard.gen.go is for after only.
//
// scripts/migration-lines.sh counts the lines that go and come. The test sends the same requests to both
// programs and compares the responses.
package existing

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen --config oapi-codegen.yaml api.yaml
//go:generate go run github.com/oapi-guard/oapi-guard/cmd/oapi-guard generate --config after/oapi-guard.yaml
