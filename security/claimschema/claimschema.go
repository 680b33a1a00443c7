// Package claimschema checks the private claims of a token against a JSON Schema of draft 2020-12.
//
// Code that oapi-guard generates uses it where the claims schema of a document says more than the Go
// type of the claims: required properties, lengths, patterns, enumerations, bounds, no additional
// properties. Other code does not import it. A hand-written token type uses it with
// [security.TokenType.WithSchema]:
//
//	schema, err := claimschema.New(`{"type": "object", "required": ["tenant"]}`)
//	...
//	access := security.NewTokenType[UserClaims]("access").WithSchema(schema.Check)
//
// A verifier checks the claims after the signature, once for each token in its cache. An issuer
// checks them before it signs.
//
// These formats are asserted: date-time, date, time, duration, email, hostname, ipv4, ipv6, uri,
// uri-reference, uri-template, iri, iri-reference, uuid, json-pointer, relative-json-pointer, regex.
// Patterns are those of package regexp, which match in linear time. A schema cannot refer to another
// document.
package claimschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/oapi-guard/oapi-guard/internal/payload"
	"github.com/oapi-guard/oapi-guard/internal/schema2020"
)

// Schema is a compiled schema. It is immutable and safe for concurrent use.
type Schema struct {
	schema *jsonschema.Schema
	// undeclared are the registered claims that the schema does not declare.
	undeclared []string
}

var errZeroSchema = errors.New("claimschema: the schema was not made by New")

// New compiles the JSON text of a schema. declared are the registered claims, such as sub or scope,
// that the schema is about. The payload of an identity provider has registered claims beside the
// private ones. Those that are not declared are not judged, so that they are not additional
// properties.
func New(text string, declared ...string) (*Schema, error) {
	compiled, err := schema2020.Compile([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("claimschema: the schema does not compile: %w", err)
	}
	undeclared := slices.DeleteFunc(payload.Reserved(), func(name string) bool { return slices.Contains(declared, name) })
	return &Schema{compiled, undeclared}, nil
}

// Lazy returns the check of a schema that is compiled when the first claims are checked. It is for
// generated code, whose schemas the generator has compiled already. A schema that does not compile
// refuses all claims.
func Lazy(text string, declared ...string) func(claims []byte) error {
	compiled := sync.OnceValues(func() (*Schema, error) { return New(text, declared...) })
	return func(claims []byte) error {
		schema, err := compiled()
		if err != nil {
			return err
		}
		return schema.Check(claims)
	}
}

// Check checks a JSON object without duplicate members. The text of the error names the keyword of
// the schema that is not satisfied, and contains nothing of the claims.
func (s *Schema) Check(claims []byte) error {
	if s == nil || s.schema == nil {
		return errZeroSchema
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(claims))
	if err != nil {
		return errors.New("claimschema: the claims are not JSON")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return errors.New("claimschema: the claims are not a JSON object")
	}
	for _, name := range s.undeclared {
		delete(object, name)
	}
	if !boundedNumbers(object) {
		return errors.New("claimschema: a number with an exponent out of range")
	}
	err = s.schema.Validate(object)
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return fmt.Errorf("claimschema: the claims do not satisfy %s of the schema", keyword(invalid))
	}
	return errors.New("claimschema: the claims cannot be checked")
}

// keyword returns where the schema has the keyword of the first failure, as a JSON pointer.
func keyword(err *jsonschema.ValidationError) string {
	for len(err.Causes) > 0 {
		err = err.Causes[0]
	}
	_, pointer, _ := strings.Cut(err.SchemaURL, "#")
	return "#" + strings.Join(append([]string{pointer}, err.ErrorKind.KeywordPath()...), "/")
}

// maxExponent bounds the exponents of numbers. The schema compares numbers exactly, so that an
// exponent costs as many digits. A float64 ends at 308.
const maxExponent = 400

// boundedNumbers reports whether all numbers in a value are cheap to compare.
func boundedNumbers(value any) bool {
	switch value := value.(type) {
	case json.Number:
		at := strings.IndexAny(string(value), "eE")
		if at < 0 {
			return true
		}
		exponent, err := strconv.Atoi(string(value)[at+1:])
		return err == nil && -maxExponent <= exponent && exponent <= maxExponent
	case []any:
		return !slices.ContainsFunc(value, func(item any) bool { return !boundedNumbers(item) })
	case map[string]any:
		for _, item := range value {
			if !boundedNumbers(item) {
				return false
			}
		}
	}
	return true
}
