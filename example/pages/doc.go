// Package pages has the code that pages of docs/ quote, as examples that run: tokens of an identity
// provider, the rotation of keys, responses to errors, and a change of password.
package pages

//go:generate go run github.com/oapi-guard/oapi-guard/cmd/oapi-guard generate
