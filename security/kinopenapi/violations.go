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
	// maxViolations is how many differences an answer tells.
	maxViolations = 20
	// maxPointer is how long a JSON pointer in an answer is, in bytes: a longer one points to what holds it. Its names may be the request's.
	maxPointer = 256
)

// Rules for what cannot be read as what the document says, so that no keyword of a schema could be checked.
const (
	// ruleStyle is for a parameter that is not written in its style.
	ruleStyle = "style"
	// ruleContent is for a body, or a parameter with a media type, that is not of its media type.
	ruleContent = "content"
)

// placeBody is where a violation of the body is.
const placeBody = "body"

// violations collects in what a request differs from the document. It never takes a text of kin-openapi, which quotes the request.
type violations struct {
	list []guard.Violation
	// status is that of the answer; 400 where it is zero.
	status int
}

func (v *violations) add(in, name, rule string) {
	one := guard.Violation{In: in, Name: name, Rule: rule}
	if len(v.list) < maxViolations && !slices.Contains(v.list, one) {
		v.list = append(v.list, one)
	}
}

// err returns the error for what was found, or nil.
func (v *violations) err() error {
	if len(v.list) == 0 {
		return nil
	}
	return &guard.InvalidRequestError{Status: v.status, Violations: v.list}
}

// inParameter adds what ValidateParameter says, or returns an error that is not the request's fault.
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
			v.add(p.In, p.Name, "type") // none of several types, the last of which is null
		} else {
			v.add(p.In, p.Name, ruleOf(malformed, ruleStyle))
		}
	default:
		v.add(p.In, p.Name, undecoded(input, p))
	}
	return nil
}

// undecoded returns the rule for a parameter that kin-openapi could not decode without saying more.
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

// inBody adds what ValidateRequestBody says of a body that could be read, or returns an error that is not the request's fault.
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
		// Of the path of a form's member the last element is its name.
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

// innermost returns the error that the others wrap, of which they only say where.
func innermost(e *openapi3filter.ParseError) *openapi3filter.ParseError {
	for {
		inner, ok := e.Cause.(*openapi3filter.ParseError)
		if !ok {
			return e
		}
		e = inner
	}
}

// ruleOf returns the keyword that a text does not satisfy which was to be decoded as a number or a boolean, and otherwise for any other.
func ruleOf(e *openapi3filter.ParseError, otherwise string) string {
	switch {
	case errors.Is(e.Cause, strconv.ErrSyntax):
		return "type"
	case errors.Is(e.Cause, strconv.ErrRange):
		return "format"
	}
	return otherwise
}

// isSchema reports whether the error is about a value that was decoded.
func isSchema(err error) bool {
	switch err.(type) {
	case *openapi3.SchemaError, openapi3.MultiError:
		return true
	}
	return notFinite(err)
}

// notFinite reports whether a number in a parameter is NaN or infinite, which is no number of JSON.
func notFinite(err error) bool {
	return errors.Is(err, openapi3.ErrSchemaInputNaN) || errors.Is(err, openapi3.ErrSchemaInputInf)
}

// inValue adds what a schema says of a value. at says where a path into the value is.
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

// below returns the errors that an error stands for, or nil where it is about the value itself. What the alternatives of oneOf, anyOf and not
// say would not help: each says something else.
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

// keywords are the rules that an answer tells by their own names.
var keywords = []string{
	"type", "enum", "const", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
	"required", "additionalProperties", "minProperties", "maxProperties", "propertyNames", "unevaluatedProperties", "items", "minItems", "maxItems",
	"uniqueItems", "contains", "minContains", "maxContains", "unevaluatedItems", "oneOf", "anyOf", "allOf", "not", "discriminator", "nullable", "readOnly",
}

// keyword returns the keyword of the document for what kin-openapi calls the field of a schema.
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
