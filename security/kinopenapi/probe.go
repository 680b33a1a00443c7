package kinopenapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// probe returns an error for a part of an operation that kin-openapi cannot check: it would refuse
// every request, or take hours for some.
func (v *SchemaValidator) probe(o *operation) (err error) {
	defer recovered(&err)
	for _, p := range o.parameters {
		if err := v.probeParameter(p); err != nil {
			return fmt.Errorf("kin-openapi cannot check the %s parameter %s: %w; see WithUncheckedParameters", p.In, p.Name, err)
		}
	}
	if o.body == nil {
		return nil
	}
	for name, content := range o.body.Content {
		for kind := range strings.SplitSeq(name, ",") {
			exact, err := v.probeContent(strings.ToLower(strings.TrimSpace(kind)), content)
			if o.exact = o.exact || exact; err != nil {
				return fmt.Errorf("kin-openapi cannot check a body of %s: %w; see WithUncheckedBodies and, for JSON Schema 2020-12, WithJSONSchema2020", name, err)
			}
		}
	}
	return nil
}

// probeParameter checks a parameter in a request without it, and in one where it is "1".
func (v *SchemaValidator) probeParameter(p *openapi3.Parameter) error {
	options := v.options
	options.SkipSettingDefaults = true
	optional := *p
	optional.Required = false
	name := p.Name
	if p.Style == openapi3.SerializationDeepObject {
		name += "[1]"
	}
	schema := p.Schema
	for _, content := range p.Content {
		schema = content.Schema
	}
	if _, err := checkSchema(schema, false); err != nil {
		return err
	}
	check := func(path map[string]string, query url.Values, header http.Header) error {
		err := openapi3filter.ValidateParameter(context.Background(), &openapi3filter.RequestValidationInput{
			Request:    &http.Request{URL: &url.URL{RawQuery: query.Encode()}, Header: header},
			PathParams: path, QueryParams: query, Route: plain, Options: &options,
		}, &optional)
		if request := (*openapi3filter.RequestError)(nil); errors.As(err, &request) {
			return request.Err
		}
		return err
	}
	if err := check(map[string]string{p.Name + "x": "1"}, url.Values{p.Name + "x": {"1"}}, http.Header{}); err != nil {
		return err
	}
	header := http.Header{"Cookie": {p.Name + "=1"}}
	header.Set(p.Name, "1")
	err := check(map[string]string{p.Name: "1"}, url.Values{name: {"1"}}, header)
	var malformed *openapi3filter.ParseError
	switch {
	case err == nil, isSchema(err):
		return nil
	case errors.As(err, &malformed) && innermost(malformed).Kind != openapi3filter.KindOther:
		return nil
	case p.Schema != nil && (len(p.Schema.Value.AnyOf) > 0 || len(p.Schema.Value.OneOf) > 0):
		return nil // "1" matches none of them
	case errors.Is(err, openapi3filter.ErrInvalidEmptyValue):
		return errors.New("its schema has no type")
	}
	return err
}

// probeContent checks the schema of a media type and looks for its decoder, which it tries on an
// empty form. exact is operation.exact.
func (v *SchemaValidator) probeContent(kind string, content *openapi3.MediaType) (exact bool, err error) {
	kind, _, _ = strings.Cut(kind, ";")
	kind = strings.TrimSpace(kind)
	if content == nil || content.Schema == nil {
		return false, nil
	}
	if exact, err = checkSchema(content.Schema, v.maxExactBody > 0); err != nil {
		return exact, err
	}
	if strings.Contains(kind, "*") || isBinary(content.Schema) {
		return exact, nil
	}
	decode := decoderOf(kind)
	if decode == nil {
		return exact, errors.New("there is no decoder for it, see openapi3filter.RegisterBodyDecoder")
	}
	empty := ""
	switch kind {
	case "multipart/form-data":
		empty = "--x--\r\n"
	case "application/x-www-form-urlencoded":
	default:
		return exact, nil
	}
	_, err = decode(strings.NewReader(empty), http.Header{"Content-Type": {kind + "; boundary=x"}}, content.Schema, encodingOf(content))
	return exact, err
}
