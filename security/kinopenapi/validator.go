package kinopenapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/oapi-guard/oapi-guard/security/guard"
)

// DefaultMaxBody is the longest body that is checked, in bytes. A body is in memory twice, the
// second time decoded.
const DefaultMaxBody = 10 << 20

// maxThorough is the longest body, in bytes, of which all violations are reported. Of a longer one
// the first is reported: kin-openapi makes an error with a path for each violation, which could
// take gigabytes.
const maxThorough = 16 << 10

// SchemaValidator checks requests against a document. It is safe for concurrent use and does not
// change the document.
type SchemaValidator struct {
	operations map[route]*operation
	maxBody    int64
	// maxExactBody is maxBody for bodies that need exact, or zero if exact is not used.
	maxExactBody int64
	// exact makes kin-openapi use its validator of JSON Schema 2020-12. kin-openapi reads only the
	// version of the document from it.
	exact   *routers.Route
	options openapi3filter.Options

	documentOptions []openapi3.ValidationOption
	schemaOptions   []openapi3.SchemaValidationOption
	uncheckedBodies []string
	// uncheckedParameters has locations and names. The value is true if the document has the
	// parameter.
	uncheckedParameters map[string]bool
}

var _ guard.SchemaValidator = (*SchemaValidator)(nil)

// route identifies an operation in the document.
type route struct{ method, path string }

// operation has the parts of an operation that are checked.
type operation struct {
	parameters []*openapi3.Parameter
	// body is nil if it is not checked.
	body *openapi3.RequestBody
	// exact reports that the body has keywords of JSON Schema 2020-12.
	exact bool
}

// plain makes kin-openapi use its validator for OpenAPI 3.0, which also knows the types of 3.1.
var plain = &routers.Route{Spec: &openapi3.T{OpenAPI: "3.0.3"}}

// NewSchemaValidator makes a validator for a document with resolved references, as openapi3.Loader
// returns it. The document must not be changed afterwards. An error tells what is wrong with the
// document, or which part of it kin-openapi cannot check.
func NewSchemaValidator(document *openapi3.T, options ...Option) (*SchemaValidator, error) {
	if document == nil {
		return nil, errors.New("kinopenapi: a schema validator needs a document")
	}
	v := &SchemaValidator{
		exact:               &routers.Route{Spec: document},
		operations:          map[route]*operation{},
		maxBody:             DefaultMaxBody,
		uncheckedParameters: map[string]bool{},
		// With KeepValidatedValue strict handlers bind the value that was checked. So the body is
		// decoded once, and no second decoder can read it in another way.
		options:         openapi3filter.Options{SkipSettingDefaults: true, KeepValidatedValue: true},
		documentOptions: []openapi3.ValidationOption{openapi3.DisableExamplesValidation()},
	}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("kinopenapi: a nil option")
		}
		if err := option(v); err != nil {
			return nil, err
		}
	}
	if err := withoutAliases(document).Validate(context.Background(), v.documentOptions...); err != nil {
		return nil, fmt.Errorf("kinopenapi: the document: %w", err)
	}
	v.options.SchemaValidationOptions = append(document.GetSchemaValidationOptions(), v.schemaOptions...)
	unknown := slices.Clone(v.uncheckedBodies)
	for path, item := range document.Paths.Map() {
		if item == nil {
			continue
		}
		for method, source := range item.Operations() {
			names := []string{source.OperationID, method + " " + path}
			isNamed := func(name string) bool { return name != "" && slices.Contains(names, name) }
			unknown = slices.DeleteFunc(unknown, isNamed)
			o := &operation{parameters: v.parametersOf(item, source)}
			if source.RequestBody != nil && !slices.ContainsFunc(v.uncheckedBodies, isNamed) {
				o.body = source.RequestBody.Value
			}
			if err := v.probe(o); err != nil {
				return nil, fmt.Errorf("kinopenapi: %s %s: %w", method, path, err)
			}
			v.operations[route{method, path}] = o
		}
	}
	for parameter, known := range v.uncheckedParameters {
		if !known {
			unknown = append(unknown, parameter)
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("kinopenapi: the document does not have %q, which options leave unchecked", unknown)
	}
	return v, nil
}

// withoutAliases returns the document without the paths that refer to other paths. kin-openapi
// would report their operationIds as duplicates.
func withoutAliases(document *openapi3.T) *openapi3.T {
	copied := *document
	if document.Paths == nil {
		return &copied
	}
	copied.Paths = openapi3.NewPaths()
	copied.Paths.Extensions = document.Paths.Extensions
	for path, item := range document.Paths.Map() {
		if item == nil || !strings.HasPrefix(item.Ref, "#/paths/") {
			copied.Paths.Set(path, item)
		}
	}
	return &copied
}

// parametersOf returns the parameters of an operation that are checked. The parameters of the
// operation replace those of its path.
func (v *SchemaValidator) parametersOf(item *openapi3.PathItem, source *openapi3.Operation) []*openapi3.Parameter {
	var parameters []*openapi3.Parameter
	add := func(p *openapi3.Parameter) {
		name := p.In + " " + p.Name
		if _, unchecked := v.uncheckedParameters[name]; unchecked {
			v.uncheckedParameters[name] = true
			return
		}
		// OpenAPI ignores parameters of these names (Parameter Object, field name).
		if p.In == openapi3.ParameterInHeader && slices.Contains([]string{"Accept", "Content-Type", "Authorization"}, http.CanonicalHeaderKey(p.Name)) {
			return
		}
		parameters = append(parameters, p)
	}
	for _, ref := range item.Parameters {
		if source.Parameters.GetByInAndName(ref.Value.In, ref.Value.Name) == nil {
			add(ref.Value)
		}
	}
	for _, ref := range source.Parameters {
		add(ref.Value)
	}
	return parameters
}

// find returns the operation with the method and path, or nil if the document lacks it.
func (v *SchemaValidator) find(o *guard.Operation) *operation {
	if o == nil {
		return nil
	}
	return v.operations[route{o.Method, o.Path}]
}

// Knows implements [guard.SchemaValidator].
func (v *SchemaValidator) Knows(o *guard.Operation) bool { return v.find(o) != nil }

// ValidateRequest implements [guard.SchemaValidator]. The error is a [guard.InvalidRequestError]
// for a request that differs from the document, an http.MaxBytesError for a body that is too long,
// [guard.ErrUnreadable] for a body that cannot be read, and any other error if kin-openapi failed.
func (v *SchemaValidator) ValidateRequest(r *http.Request, o *guard.Operation, params guard.PathParams) (err error) {
	operation := v.find(o)
	if operation == nil {
		return errors.New("kinopenapi: an operation that the document does not have")
	}
	defer recovered(&err)
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: operation.pathParams(params), Route: plain, Options: &v.options, QueryParams: r.URL.Query(),
	}
	var found violations
	for _, p := range operation.parameters {
		if tangled(p, input.QueryParams) {
			found.add(p.In, p.Name, ruleStyle)
			continue
		}
		if err := openapi3filter.ValidateParameter(r.Context(), input, p); err != nil {
			if err := found.inParameter(input, p, err); err != nil {
				return err
			}
		}
	}
	if operation.body != nil {
		if err := v.validateBody(input, operation, &found); err != nil {
			return err
		}
	}
	return found.err()
}

// recovered turns a panic into an error. kin-openapi decodes with unchecked type assertions, and
// calls functions of the application.
func recovered(err *error) {
	switch p := recover().(type) {
	case nil:
	case runtime.Error: // its text contains nothing of the request
		*err = fmt.Errorf("kinopenapi: kin-openapi panicked: %w", p)
	default:
		*err = errors.New("kinopenapi: kin-openapi panicked")
	}
}

// validateBody checks the body and restores it for the handler.
func (v *SchemaValidator) validateBody(input *openapi3filter.RequestValidationInput, o *operation, found *violations) error {
	r, longest := input.Request, v.maxBody
	if o.exact {
		input.Route, longest = v.exact, min(v.maxExactBody, v.maxBody)
	}
	if r.Body != nil && r.Body != http.NoBody {
		data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, longest))
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			return tooLarge
		case err != nil:
			return fmt.Errorf("%w: %w", guard.ErrUnreadable, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(data))
		// kin-openapi restores the body from GetBody, if it is set. Another validator may have set
		// it to a body that is out of date.
		r.GetBody = nil
		if len(data) <= maxThorough {
			thorough := *input.Options
			thorough.MultiError = true
			input.Options = &thorough
		}
		if o.exact {
			if path, huge := hugeNumber(decoded(r.Header, data, o.body)); huge {
				found.add(placeBody, pointer(path), "type")
				return nil
			}
		}
	}
	if err := openapi3filter.ValidateRequestBody(r.Context(), input, o.body); err != nil {
		return found.inBody(err)
	}
	return nil
}

// pathParams returns the path parameters by their names in the document. kin-openapi takes them
// without percent-encoding.
func (o *operation) pathParams(params guard.PathParams) map[string]string {
	var values map[string]string
	for _, p := range o.parameters {
		if p.In != openapi3.ParameterInPath || params == nil {
			continue
		}
		value := params.Param(p.Name)
		if value == "" {
			value = params.Param(wildcard(p.Name))
		}
		if values == nil {
			values = make(map[string]string, len(o.parameters))
		}
		values[p.Name] = value
	}
	return values
}

// wildcard returns the name of a parameter in the patterns of oapi-codegen for net/http, where it
// must be a Go identifier.
func wildcard(name string) string {
	sanitized := []rune(name)
	for i, c := range sanitized {
		if !unicode.IsLetter(c) && c != '_' && (i == 0 || !unicode.IsNumber(c)) {
			sanitized[i] = '_'
		}
	}
	return string(sanitized)
}
