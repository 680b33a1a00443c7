package kinopenapi

import (
	"errors"

	"github.com/getkin/kin-openapi/openapi3"
)

// Option changes a validator of requests.
type Option func(*SchemaValidator) error

// WithMaxBody sets how long a checked body may be, in bytes; [DefaultMaxBody] by default. A longer one is answered 413.
func WithMaxBody(bytes int64) Option {
	return func(v *SchemaValidator) error {
		if bytes <= 0 {
			return errors.New("kinopenapi: the longest body is positive")
		}
		v.maxBody = bytes
		return nil
	}
}

// WithJSONSchema2020 lets bodies be checked whose schemas have keywords that came with OpenAPI 3.1, such as const, prefixItems or if. For those
// kin-openapi has a validator of its own, which takes long and much memory to say what is wrong with a long body, so such a body has a limit
// of its own, in bytes: a few thousand. A longer one is answered 413. Without the option such a schema is an error.
//
// What is readOnly is not checked in these bodies, as it is an annotation in JSON Schema, and they get no defaults.
func WithJSONSchema2020(maxBody int64) Option {
	return func(v *SchemaValidator) error {
		if maxBody <= 0 {
			return errors.New("kinopenapi: the longest body is positive")
		}
		v.maxExactBody = maxBody
		return nil
	}
}

// WithUncheckedBodies leaves the bodies of operations alone, for those that stream them; their parameters are checked. An operation goes by
// its operationId, or by METHOD and path such as "PUT /files/{name}"; one that the document does not have is an error.
func WithUncheckedBodies(operations ...string) Option {
	return func(v *SchemaValidator) error {
		v.uncheckedBodies = append(v.uncheckedBodies, operations...)
		return nil
	}
}

// WithUncheckedParameters leaves parameters alone that kin-openapi cannot check, whatever the operation. A parameter goes by its place and its
// name, such as "cookie ids"; one that the document does not have is an error.
func WithUncheckedParameters(parameters ...string) Option {
	return func(v *SchemaValidator) error {
		for _, parameter := range parameters {
			v.uncheckedParameters[parameter] = false
		}
		return nil
	}
}

// WithDefaults gives parameters and members of the body that a request lacks the defaults of the document, so that handlers find them. The
// query, the headers or the body of the request are rewritten for it. It has no effect on fiber, whose handlers have a request of their own.
func WithDefaults() Option {
	return func(v *SchemaValidator) error {
		v.options.SkipSettingDefaults = false
		return nil
	}
}

// WithDocumentOptions passes options on to openapi3.T.Validate, which has to accept the document: what kin-openapi makes of a request is
// undefined otherwise. Examples are not checked by default.
func WithDocumentOptions(options ...openapi3.ValidationOption) Option {
	return func(v *SchemaValidator) error {
		v.documentOptions = append(v.documentOptions, options...)
		return nil
	}
}

// WithSchemaOptions passes options on to the check of every value, such as openapi3.WithStringFormatValidator for a format or
// openapi3.SetSchemaRegexCompiler for another engine. The format validators of the document itself are used in any case.
func WithSchemaOptions(options ...openapi3.SchemaValidationOption) Option {
	return func(v *SchemaValidator) error {
		v.schemaOptions = append(v.schemaOptions, options...)
		return nil
	}
}
