// Package schema2020 compiles JSON Schemas of draft 2020-12. The generator compiles the schemas that
// it writes into code with it, and generated code compiles them again in the same way.
package schema2020

import (
	"bytes"
	"errors"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// location is the URL of the schema. The library needs one to resolve references. Nothing is loaded
// from it.
const location = "https://oapi-guard.invalid/claims"

var errExternal = errors.New("schema2020: a schema that refers to another document")

// noLoader loads nothing: a schema contains all that it refers to.
type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errExternal }

// Compile compiles the JSON text of a schema. Formats are asserted. Patterns are those of package
// regexp, which match in linear time.
func Compile(text []byte) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(location, document); err != nil {
		return nil, err
	}
	return compiler.Compile(location)
}
