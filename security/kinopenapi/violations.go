package kinopenapi

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/oapi-guard/oapi-guard/security/guard"
)

const (
	// maxViolations limits the violations in a response.
	maxViolations = 20
	// maxPointer limits a JSON pointer in a response, in bytes. A longer one is cut to that of a
	// parent, because its names may come from the request.
	maxPointer = 256
)

// Rules for a value that cannot be decoded, so that no keyword of a schema could be checked.
const (
	// ruleStyle is for a parameter that is not written in its style.
	ruleStyle = "style"
	// ruleContent is for a body, or a parameter with a media type, that is not of its media type.
	ruleContent = "content"
)

// placeBody is the location of violations of the body.
const placeBody = "body"

// violations collects the differences of a request from the document. It never contains a text of
// kin-openapi, which may quote the request.
type violations struct {
	list []guard.Violation
	// status is the status of the response. Zero means 400.
	status int
}

func (v *violations) add(in, name, rule string) {
	one := guard.Violation{In: in, Name: name, Rule: rule}
	if len(v.list) < maxViolations && !slices.Contains(v.list, one) {
		v.list = append(v.list, one)
	}
}

// err returns the error for the violations, or nil if there are none.
func (v *violations) err() error {
	if len(v.list) == 0 {
		return nil
	}
	return &guard.InvalidRequestError{Status: v.status, Violations: v.list}
}

// inParameter adds the violations in an error of ValidateParameter. It returns an error that the
// request did not cause.
func (v *violations) inParameter(input *openapi3filter.RequestValidationInput, p *openapi3.Parameter, err error) error {
	var request *openapi3filter.RequestError
	if !errors.As(err, &request) || request.Err == nil {
		return err
	}
	var malformed *openapi3filter.ParseError
	switch cause := request.Err; {
	case errors.Is(cause, openapi3filter.ErrInvalidRequired):
		v.add(p.In, p.Name, "required")
	case errors.Is(cause, openapi3filter.ErrInvalidEmptyValue):
		rule := undecoded(input, p)
		if rule == ruleStyle {
			rule = "allowEmptyValue"
		}
		v.add(p.In, p.Name, rule)
	case isSchema(cause):
		return v.inValue(cause, func([]string) (in, name string) { return p.In, p.Name })
	case errors.As(cause, &malformed):
		if malformed = innermost(malformed); malformed.Kind == openapi3filter.KindOther {
			v.add(p.In, p.Name, "type") // matches none of several types, the last of which is null
		} else {
			v.add(p.In, p.Name, ruleOf(malformed, ruleStyle))
		}
	default:
		v.add(p.In, p.Name, undecoded(input, p))
	}
	return nil
}

// undecoded returns the rule for a parameter that kin-openapi could not decode and gave no reason
// for.
func undecoded(input *openapi3filter.RequestValidationInput, p *openapi3.Parameter) string {
	switch {
	case p.Content != nil && !present(input, p):
		return "required"
	case p.Content != nil:
		return ruleContent
	case len(p.Schema.Value.AnyOf) > 0:
		return "anyOf"
	case len(p.Schema.Value.OneOf) > 0:
		return "oneOf"
	}
	return ruleStyle
}

// present reports whether the request has a parameter.
func present(input *openapi3filter.RequestValidationInput, p *openapi3.Parameter) bool {
	switch p.In {
	case openapi3.ParameterInPath:
		return input.PathParams[p.Name] != ""
	case openapi3.ParameterInQuery:
		return input.GetQueryParams().Has(p.Name)
	case openapi3.ParameterInHeader:
		return len(input.Request.Header.Values(p.Name)) > 0
	}
	_, err := input.Request.Cookie(p.Name)
	return err == nil
}

// inBody adds the violations in an error of ValidateRequestBody for a body that could be read. It
// returns an error that the request did not cause.
func (v *violations) inBody(err error) error {
	var request *openapi3filter.RequestError
	if !errors.As(err, &request) {
		return err
	}
	var malformed *openapi3filter.ParseError
	switch cause := request.Err; {
	case cause == nil: // the content type
		v.status = http.StatusUnsupportedMediaType
		v.add(placeBody, "", ruleContent)
	case errors.Is(cause, openapi3filter.ErrInvalidRequired):
		v.add(placeBody, "", "required")
	case isSchema(cause):
		return v.inValue(cause, func(path []string) (in, name string) { return placeBody, pointer(path) })
	case errors.As(cause, &malformed):
		var path []string
		// The last element of the path is the name of the member of the form.
		if elements := malformed.Path(); len(elements) > 0 {
			if name, ok := elements[len(elements)-1].(string); ok {
				path = []string{name}
			}
		}
		malformed = innermost(malformed)
		if malformed.Kind == openapi3filter.KindUnsupportedFormat && path == nil {
			v.status = http.StatusUnsupportedMediaType
		}
		v.add(placeBody, pointer(path), ruleOf(malformed, ruleContent))
	default:
		v.add(placeBody, "", ruleContent)
	}
	return nil
}

// innermost returns the innermost error. The outer ones only add the path.
func innermost(e *openapi3filter.ParseError) *openapi3filter.ParseError {
	for {
		inner, ok := e.Cause.(*openapi3filter.ParseError)
		if !ok {
			return e
		}
		e = inner
	}
}

// ruleOf returns the rule for a text that is not the number or boolean that it must be, and
// otherwise for any other text.
func ruleOf(e *openapi3filter.ParseError, otherwise string) string {
	switch {
	case errors.Is(e.Cause, strconv.ErrSyntax):
		return "type"
	case errors.Is(e.Cause, strconv.ErrRange):
		return "format"
	}
	return otherwise
}

// isSchema reports whether the error is about a decoded value.
func isSchema(err error) bool {
	switch err.(type) {
	case *openapi3.SchemaError, openapi3.MultiError:
		return true
	}
	return notFinite(err)
}

// notFinite reports whether a number in a parameter is NaN or infinite, which JSON does not have.
func notFinite(err error) bool {
	return errors.Is(err, openapi3.ErrSchemaInputNaN) || errors.Is(err, openapi3.ErrSchemaInputInf)
}

// inValue adds the violations of a schema in an error about a value. at returns the location and
// name for a path into the value.
func (v *violations) inValue(err error, at func(path []string) (in, name string)) error {
	if len(v.list) == maxViolations {
		return nil
	}
	switch e := err.(type) {
	case *openapi3.SchemaError:
		if inner := below(e); inner != nil {
			return v.inValue(inner, at)
		}
		in, name := at(e.JSONPointer())
		v.add(in, name, keyword(e.SchemaField))
		return nil
	case openapi3.MultiError:
		for _, one := range e {
			if err := v.inValue(one, at); err != nil {
				return err
			}
		}
		return nil
	}
	if notFinite(err) {
		in, name := at(nil)
		v.add(in, name, "type")
		return nil
	}
	return err // such as a pattern that does not compile
}

// below returns the errors that an error summarizes, or nil if it is about the value. The errors
// below oneOf, anyOf and not are left out: each alternative has others.
func below(e *openapi3.SchemaError) error {
	switch e.SchemaField {
	case "oneOf", "anyOf", "not", "format", "contains", "propertyNames":
		return nil
	}
	var inner openapi3.MultiError
	if !errors.As(e.Origin, &inner) {
		return nil
	}
	return inner
}

// keywords are the rules that a response names as they are.
var keywords = []string{
	"type", "enum", "const", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
	"required", "additionalProperties", "minProperties", "maxProperties", "propertyNames", "unevaluatedProperties", "items", "minItems", "maxItems",
	"uniqueItems", "contains", "minContains", "maxContains", "unevaluatedItems", "oneOf", "anyOf", "allOf", "not", "discriminator", "nullable", "readOnly",
}

// keyword returns the keyword of the document for the field of a kin-openapi SchemaError.
func keyword(field string) string {
	switch {
	case field == "properties": // a member that additionalProperties does not allow
		return "additionalProperties"
	case slices.Contains(keywords, field):
		return field
	}
	return "schema"
}

var escapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointer returns the JSON pointer (RFC 6901) of a path.
func pointer(path []string) string {
	var b strings.Builder
	for _, name := range path {
		name = escapes.Replace(strings.ToValidUTF8(name, "\uFFFD"))
		if b.Len()+1+len(name) > maxPointer {
			break
		}
		b.WriteString("/" + name)
	}
	return b.String()
}
