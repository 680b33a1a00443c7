package codegen

import (
	"encoding/json"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// keywordKind is what the translation of a schema does with a keyword.
type keywordKind int

const (
	// keywordUnknown is an error: what it demands could not be enforced.
	keywordUnknown keywordKind = iota
	// keywordDropped demands nothing of a value.
	keywordDropped
	// keywordTyped is what the Go type enforces too.
	keywordTyped
	// keywordConstraint is what the Go type does not enforce.
	keywordConstraint
	// keywordSpecial differs between OpenAPI and JSON Schema; see specialKeywords.
	keywordSpecial
)

// keywords are the keywords of OpenAPI 3.0, 3.1 and JSON Schema 2020-12.
var keywords = map[string]keywordKind{
	"title": keywordDropped, "description": keywordDropped, "default": keywordDropped, "example": keywordDropped,
	"examples": keywordDropped, "externalDocs": keywordDropped, "xml": keywordDropped, "readOnly": keywordDropped,
	"writeOnly": keywordDropped, "deprecated": keywordDropped, "allowEmptyValue": keywordDropped, "$comment": keywordDropped,
	"contentMediaType": keywordDropped, "contentEncoding": keywordDropped, "contentSchema": keywordDropped,
	// References are resolved already.
	"$defs": keywordDropped, "$anchor": keywordDropped,
	// The choice of a oneOf or anyOf is translated; see discriminator. Elsewhere it is a hint.
	"discriminator": keywordDropped,

	"properties": keywordTyped, "additionalProperties": keywordTyped, "items": keywordTyped, "allOf": keywordTyped,

	"required": keywordSpecial, "type": keywordSpecial, "nullable": keywordSpecial, "format": keywordSpecial, "pattern": keywordSpecial,
	"multipleOf": keywordSpecial,
	"minimum":    keywordSpecial, "maximum": keywordSpecial, "exclusiveMinimum": keywordSpecial, "exclusiveMaximum": keywordSpecial,
	"patternProperties": keywordSpecial, "enum": keywordSpecial, "const": keywordSpecial, "$schema": keywordSpecial,

	"minLength": keywordConstraint, "maxLength": keywordConstraint, "minItems": keywordConstraint,
	"maxItems": keywordConstraint, "uniqueItems": keywordConstraint, "minProperties": keywordConstraint, "maxProperties": keywordConstraint,
	"anyOf": keywordConstraint, "oneOf": keywordConstraint, "not": keywordConstraint,
	"if": keywordConstraint, "then": keywordConstraint, "else": keywordConstraint, "prefixItems": keywordConstraint, "contains": keywordConstraint, "minContains": keywordConstraint,
	"maxContains": keywordConstraint, "propertyNames": keywordConstraint, "dependentSchemas": keywordConstraint,
	"dependentRequired": keywordConstraint, "unevaluatedItems": keywordConstraint, "unevaluatedProperties": keywordConstraint,
}

// specialKeywords translate the keywords of which OpenAPI and JSON Schema have different ideas. They
// refer to methods that refer to keywords, so that init sets them.
var specialKeywords map[string]func(t *schemaTranslator, s *openapi3.Schema, at place, out map[string]any)

func init() {
	specialKeywords = map[string]func(t *schemaTranslator, s *openapi3.Schema, at place, out map[string]any){
		"required": (*schemaTranslator).required, "type": (*schemaTranslator).typ, "nullable": (*schemaTranslator).nullable,
		"format": (*schemaTranslator).format, "pattern": (*schemaTranslator).pattern, "patternProperties": (*schemaTranslator).patternProperties,
		"minimum": (*schemaTranslator).minimum, "exclusiveMinimum": (*schemaTranslator).minimum,
		"maximum": (*schemaTranslator).maximum, "exclusiveMaximum": (*schemaTranslator).maximum,
		"multipleOf": (*schemaTranslator).multipleOf, "enum": (*schemaTranslator).values, "const": (*schemaTranslator).values, "$schema": (*schemaTranslator).dialect,
	}
}

// assertedFormats are the formats that JSON Schema and OpenAPI define alike and the runtime asserts.
// Others, such as int64, byte or password, are for the Go type or for readers.
var assertedFormats = []string{
	"date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uri-reference", "uri-template", "iri",
	"iri-reference", "uuid", "json-pointer", "relative-json-pointer", "regex",
}

func (t *schemaTranslator) required(s *openapi3.Schema, _ place, out map[string]any) {
	names := slices.Clone(s.Required)
	slices.Sort(names)
	out["required"], t.constrained = slices.Compact(names), true
}

var jsonTypes = []string{"array", "boolean", "integer", "null", "number", "object", "string"}

// typ translates type and the nullable of OpenAPI 3.0, which only counts beside it.
func (t *schemaTranslator) typ(s *openapi3.Schema, at place, out map[string]any) {
	types := slices.Clone(s.Type.Slice())
	for _, name := range types {
		if !slices.Contains(jsonTypes, name) {
			t.reject(at, "%q is not a type; say one of %s", name, strings.Join(jsonTypes, ", "))
		}
	}
	others := slices.DeleteFunc(slices.Clone(types), func(name string) bool { return name == "null" })
	if len(others) != 1 {
		t.constrained = true // no Go type has exactly these values
	}
	if s.Nullable && len(others) == len(types) {
		types = append(types, "null")
	}
	if len(types) == 1 {
		out["type"] = types[0]
		return
	}
	out["type"] = types
}

func (t *schemaTranslator) nullable(_ *openapi3.Schema, at place, _ map[string]any) {
	if !t.version30 {
		t.reject(at, "OpenAPI 3.1 has no nullable; say type: [TYPE, 'null']")
	}
}

func (t *schemaTranslator) format(s *openapi3.Schema, _ place, out map[string]any) {
	if slices.Contains(assertedFormats, s.Format) {
		out["format"], t.constrained = s.Format, true
	}
}

func (t *schemaTranslator) pattern(s *openapi3.Schema, at place, out map[string]any) {
	t.checkPattern(s.Pattern, at)
	out["pattern"], t.constrained = s.Pattern, true
}

func (t *schemaTranslator) patternProperties(s *openapi3.Schema, at place, out map[string]any) {
	object := map[string]any{}
	for _, pattern := range slices.Sorted(maps.Keys(s.PatternProperties)) {
		t.checkPattern(pattern, at.at(pattern))
		object[pattern] = t.reference(s.PatternProperties[pattern], at.at(pattern))
	}
	out["patternProperties"], t.constrained = object, true
}

// checkPattern reports a pattern that the runtime cannot compile.
func (t *schemaTranslator) checkPattern(pattern string, at place) {
	if _, err := regexp.Compile(pattern); err != nil {
		t.reject(at, "the pattern is none of Go's package regexp, which has no look-around and no back-references: %v", err)
	}
}

// minimum translates both lower bounds. In OpenAPI 3.0 exclusiveMinimum is a boolean.
func (t *schemaTranslator) minimum(s *openapi3.Schema, at place, out map[string]any) {
	t.bounds("minimum", "exclusiveMinimum", s.Min, s.ExclusiveMin, at, out)
}

func (t *schemaTranslator) maximum(s *openapi3.Schema, at place, out map[string]any) {
	t.bounds("maximum", "exclusiveMaximum", s.Max, s.ExclusiveMax, at, out)
}

func (t *schemaTranslator) bounds(name, exclusiveName string, bound *float64, exclusive openapi3.ExclusiveBound, at place, out map[string]any) {
	t.constrained = true
	if exclusive.Value != nil {
		out[exclusiveName] = t.number(*exclusive.Value, at)
	}
	if bound == nil {
		return
	}
	if exclusive.IsTrue() {
		name = exclusiveName
	}
	out[name] = t.number(*bound, at)
}

func (t *schemaTranslator) multipleOf(s *openapi3.Schema, at place, out map[string]any) {
	if *s.MultipleOf <= 0 {
		t.reject(at, "multipleOf is greater than 0")
	}
	out["multipleOf"], t.constrained = t.number(*s.MultipleOf, at), true
}

// number returns a number of a keyword with all its digits.
func (t *schemaTranslator) number(value float64, at place) json.Number {
	t.checkExact(value, at)
	if value == math.Trunc(value) {
		return json.Number(strconv.FormatFloat(value, 'f', 0, 64))
	}
	return json.Number(strconv.FormatFloat(value, 'g', -1, 64))
}

// values translates enum and const.
func (t *schemaTranslator) values(s *openapi3.Schema, at place, out map[string]any) {
	t.constrained = true
	if s.Enum != nil {
		t.checkExact(s.Enum, at)
		out["enum"] = s.Enum
	}
	if s.Const != nil {
		t.checkExact(s.Const, at)
		out["const"] = s.Const
	}
}

// maxExact is the first integer above which the loader of the document rounds.
const maxExact = 1 << 53

// checkExact reports integers that the loader may have rounded. The limits of 64 bits are not worth
// it: the Go type has them too.
func (t *schemaTranslator) checkExact(value any, at place) {
	switch value := value.(type) {
	case float64:
		size := math.Abs(value)
		if size > maxExact && size != 1<<63 && size != 1<<64 {
			t.reject(at, "the number %.0f is too large to be compared exactly; the largest is 2^53", value)
		}
	case []any:
		for _, item := range value {
			t.checkExact(item, at)
		}
	case map[string]any:
		for _, item := range value {
			t.checkExact(item, at)
		}
	}
}

// dialect reports schemas of another draft.
func (t *schemaTranslator) dialect(s *openapi3.Schema, at place, _ map[string]any) {
	if s.SchemaDialect != "https://json-schema.org/draft/2020-12/schema" && !strings.HasPrefix(s.SchemaDialect, "https://spec.openapis.org/oas/3.1/dialect/") {
		t.reject(at, "the keyword $schema names another dialect than JSON Schema 2020-12")
	}
}

// discriminator translates the choice that a discriminator makes among the alternatives of oneOf or
// anyOf: the value of its property selects the one schema that counts. So alternatives whose values
// overlap can be told apart, as they can in requests.
func (t *schemaTranslator) discriminator(s *openapi3.Schema, at place, out map[string]any) {
	key, alternatives := "oneOf", s.OneOf
	if alternatives == nil {
		key, alternatives = "anyOf", s.AnyOf
	}
	property := s.Discriminator.PropertyName
	if alternatives == nil || property == "" {
		return
	}
	translated, _ := out[key].([]any)
	var all []string
	var choices []any
	for i, alternative := range alternatives {
		if alternative.Ref == "" {
			t.reject(at.at(key).item(i), "an alternative beside a discriminator is a $ref; make it a component schema")
			return
		}
		values := discriminatorValues(s.Discriminator, alternative.Ref)
		all = append(all, values...)
		choices = append(choices, map[string]any{"if": propertyIn(property, values), "then": translated[i]})
	}
	for _, value := range slices.Sorted(maps.Keys(s.Discriminator.Mapping)) {
		if !slices.Contains(all, value) {
			t.reject(at.at("discriminator", "mapping", value), "the value %q of the discriminator names no alternative of %s", value, key)
		}
	}
	selected := propertyIn(property, all)
	selected["type"], selected["required"] = "object", []string{property}
	delete(out, key)
	list, _ := out["allOf"].([]any)
	out["allOf"] = append(append(list, selected), choices...)
}

// propertyIn returns a schema of objects whose property has one of the values, if it is there.
func propertyIn(property string, values []string) map[string]any {
	return map[string]any{"properties": map[string]any{property: map[string]any{"enum": values}}}
}

// discriminatorValues returns the values that select an alternative: those that the mapping has for
// it, else the name of its component.
func discriminatorValues(d *openapi3.Discriminator, ref string) []string {
	name := ref[strings.LastIndexAny(ref, "/#")+1:]
	var values []string
	for _, value := range slices.Sorted(maps.Keys(d.Mapping)) {
		if target := d.Mapping[value].Ref; target == ref || target == name {
			values = append(values, value)
		}
	}
	if values == nil {
		return []string{name}
	}
	return values
}
