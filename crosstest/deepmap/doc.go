// Package deepmap is an API whose code the last oapi-codegen under its older path has generated, v2.1.0, in a module of tools of its own:
//
//	go run github.com/deepmap/oapi-codegen/v2/cmd/oapi-codegen@v2.1.0 -config oapi-codegen.yaml spec.yaml
//
// and whose guards stand beside it.
package deepmap
