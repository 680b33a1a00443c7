// Package oapiguard is the root of a module that turns the security of an OpenAPI document into
// code. The command cmd/oapi-guard drives oapi-codegen and writes, beside its output, the guards of
// the operations: every secured operation receives its verified token as a typed argument. What
// that code calls at run time is package security: it issues, verifies and revokes JSON Web Tokens;
// package blacklist and the packages under it keep what is revoked, and package session keeps
// sessions. Folder gen holds what is generated from api.yaml, the reference API, and folder example
// is a service that implements it.
//
// There is nothing to import here: services import security, a blacklist and what they generated.
package oapiguard

//go:generate go run ./cmd/oapi-guard generate --config oapi-guard.yaml
