package kinopenapi

import (
	"errors"

	"github.com/getkin/kin-openapi/openapi3"
)

// Option changes a [SchemaValidator].
type Option func(*SchemaValidator) error

// WithMaxBody sets the longest body that is checked, in bytes; [DefaultMaxBody] by default. A
// longer one is answered 413.
func WithMaxBody(bytes int64) Option {
	return func(v *SchemaValidator) error {
		if bytes <= 0 {
			return errors.New("kinopenapi: the longest body is positive")
		}
		v.maxBody = bytes
		return nil
	}
}

// WithJSONSchema2020 checks bodies whose schemas have keywords that came with OpenAPI 3.1, such as
// const, prefixItems or if. Without the option such a schema is an error. kin-openapi has a second
// validator for them, which needs much time and memory to describe what is wrong with a long body.
// So these bodies have a separate limit, in bytes: a few thousand. A longer one is answered 413.
//
// readOnly is not checked in these bodies, because it is an annotation in JSON Schema, and they get
// no defaults.
func WithJSONSchema2020(maxBody int64) Option {
	return func(v *SchemaValidator) error {
		if maxBody <= 0 {
			return errors.New("kinopenapi: the longest body is positive")
		}
		v.maxExactBody = maxBody
		return nil
	}
}

// WithUncheckedBodies does not check the bodies of operations, such as those that stream them.
// Their parameters are checked. An operation is given as its operationId, or as method and path
// such as "PUT /files/{name}". It is an error if the document lacks it.
func WithUncheckedBodies(operations ...string) Option {
	return func(v *SchemaValidator) error {
		v.uncheckedBodies = append(v.uncheckedBodies, operations...)
		return nil
	}
}

// WithUncheckedParameters does not check parameters that kin-openapi cannot check, in all
// operations. A parameter is given as location and name, such as "cookie ids". It is an error if
// the document lacks it.
func WithUncheckedParameters(parameters ...string) Option {
	return func(v *SchemaValidator) error {
		for _, parameter := range parameters {
			v.uncheckedParameters[parameter] = false
		}
		return nil
	}
}

// WithDefaults adds the defaults of the document for parameters and members of the body that a
// request lacks, so that handlers find them. It rewrites the query, the headers or the body of the
// request. It has no effect on fiber, whose handlers have another request.
func WithDefaults() Option {
	return func(v *SchemaValidator) error {
		v.options.SkipSettingDefaults = false
		return nil
	}
}

// WithDocumentOptions passes options to openapi3.T.Validate, which must accept the document:
// otherwise the behaviour of kin-openapi is undefined. By default examples are not checked.
func WithDocumentOptions(options ...openapi3.ValidationOption) Option {
	return func(v *SchemaValidator) error {
		v.documentOptions = append(v.documentOptions, options...)
		return nil
	}
}

// WithSchemaOptions passes options to the check of each value, such as
// openapi3.WithStringFormatValidator for a format or openapi3.SetSchemaRegexCompiler for another
// engine. The format validators of the document are always used.
func WithSchemaOptions(options ...openapi3.SchemaValidationOption) Option {
	return func(v *SchemaValidator) error {
		v.schemaOptions = append(v.schemaOptions, options...)
		return nil
	}
}
