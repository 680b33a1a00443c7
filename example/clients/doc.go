// Package clients has the generated client of the reference API in the folder api, and the code that
// docs/clients.md quotes.
package clients

//go:generate go run github.com/oapi-guard/oapi-guard/cmd/oapi-guard generate
