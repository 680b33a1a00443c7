package codegen

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// keywordsForReaders are the keywords of a schema that enforce nothing.
var keywordsForReaders = []string{"title", "description", "example", "examples", "default", "deprecated", "externalDocs", "$comment"}

// comparableSchema returns a component schema as JSON, with its references resolved and without the
// keywords that are for readers.
func comparableSchema(schemas openapi3.Schemas, name string) (json.RawMessage, error) {
	resolved, err := schemaResolver{schemas}.component(name, nil)
	if err != nil {
		return nil, err
	}
	return json.Marshal(resolved)
}

// schemaResolver resolves references to component schemas.
type schemaResolver struct{ schemas openapi3.Schemas }

// component returns the value of a component schema. within are the schemas that it is a part of: a
// reference to one of those stays.
func (r schemaResolver) component(name string, within []string) (any, error) {
	ref := r.schemas[name]
	if ref == nil || ref.Value == nil || slices.Contains(within, name) {
		return map[string]any{"$ref": schemaRef + name}, nil
	}
	text, err := json.Marshal(ref.Value)
	if err != nil {
		return nil, err
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, err
	}
	return r.schema(value, append(slices.Clone(within), name))
}

// schema resolves the references of a schema, or of a list of schemas.
func (r schemaResolver) schema(value any, within []string) (any, error) {
	switch value := value.(type) {
	case []any:
		for i := range value {
			resolved, err := r.schema(value[i], within)
			if err != nil {
				return nil, err
			}
			value[i] = resolved
		}
	case map[string]any:
		if ref, ok := value["$ref"].(string); ok {
			if target, ok := strings.CutPrefix(ref, schemaRef); ok {
				return r.component(pointerUnescape.Replace(target), within)
			}
		}
		for key := range value {
			if slices.Contains(keywordsForReaders, key) || strings.HasPrefix(key, "x-") {
				delete(value, key)
			}
		}
		return value, r.members(value, within)
	}
	return value, nil
}

// members resolves the references in the values of an object. The members of properties have names
// that are no keywords.
func (r schemaResolver) members(object map[string]any, within []string) error {
	for key, value := range object {
		named, isNamed := value.(map[string]any)
		switch {
		case key == "enum" || key == "const":
		case isNamed && (key == "properties" || key == "patternProperties" || key == "$defs" || key == "dependentSchemas"):
			for name, value := range named {
				resolved, err := r.schema(value, within)
				if err != nil {
					return err
				}
				named[name] = resolved
			}
		default:
			resolved, err := r.schema(value, within)
			if err != nil {
				return err
			}
			object[key] = resolved
		}
	}
	return nil
}
