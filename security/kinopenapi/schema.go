package kinopenapi

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// checkSchema refuses a schema for which a short value could keep kin-openapi busy for hours, and one
// that kin-openapi would not check in full.
//
// kin-openapi validates a value that oneOf or anyOf accepts twice. So the time doubles with each
// level of a value whose schema contains itself through one of them, or more than once for the same
// value. And kin-openapi has two validators. One does not know the keywords of JSON Schema 2020-12.
// The other compiles the schema for each request, and puts the errors of all levels into the text of
// each, so it is for short values only. exact states that the application wants it. needed reports
// that the schema has such a keyword.
func checkSchema(root *openapi3.SchemaRef, exact bool) (needed bool, err error) {
	if root == nil || root.Value == nil {
		return false, nil
	}
	t := &cycles{index: map[*openapi3.Schema]int{}, low: map[*openapi3.Schema]int{}, of: map[*openapi3.Schema]int{}}
	t.visit(root.Value)
	for schema := range t.index {
		if name := newKeyword(schema); name != "" {
			if needed = true; !exact {
				return true, fmt.Errorf("its schema has %s, a keyword of JSON Schema 2020-12", name)
			}
		}
		again, members := 0, false
		for to, kind := range subschemas(schema) {
			if t.of[schema] != t.of[to.Value] {
				continue
			}
			again += map[relation]int{alternatives: 2, sameValue: 1}[kind]
			members = members || kind == member
		}
		if again > 1 || again == 1 && members {
			return needed, errors.New("its schema contains itself through oneOf or anyOf, or more than once, so that a short value could take hours")
		}
	}
	if needed && slices.Contains(t.circular, true) {
		return true, errors.New("its schema contains itself and has keywords of JSON Schema 2020-12, so that a short value could take hours")
	}
	return needed, nil
}

// newKeyword returns a keyword of JSON Schema 2020-12 that the validator for OpenAPI 3.0 does not
// know, or "".
func newKeyword(s *openapi3.Schema) string {
	for name, has := range map[string]bool{
		"const": s.Const != nil, "prefixItems": len(s.PrefixItems) > 0, "contains": s.Contains != nil, "patternProperties": len(s.PatternProperties) > 0,
		"dependentSchemas": len(s.DependentSchemas) > 0, "dependentRequired": len(s.DependentRequired) > 0, "propertyNames": s.PropertyNames != nil,
		"unevaluatedItems":      s.UnevaluatedItems.Has != nil || s.UnevaluatedItems.Schema != nil,
		"unevaluatedProperties": s.UnevaluatedProperties.Has != nil || s.UnevaluatedProperties.Schema != nil,
		"if":                    s.If != nil, "$dynamicRef": s.DynamicRef != "",
	} {
		if has {
			return name
		}
	}
	return ""
}

// relation tells which value a subschema is for.
type relation int

const (
	// alternatives are for the same value, as one of several.
	alternatives relation = iota
	// sameValue is for the same value.
	sameValue
	// member is for a part of the value.
	member
)

// subschemas returns the subschemas of a schema that a value is checked against.
func subschemas(s *openapi3.Schema) iter.Seq2[*openapi3.SchemaRef, relation] {
	return func(yield func(*openapi3.SchemaRef, relation) bool) {
		for kind, refs := range [][][]*openapi3.SchemaRef{
			alternatives: {s.OneOf, s.AnyOf},
			sameValue:    {s.AllOf, {s.Not, s.If, s.Then, s.Else}, slices.Collect(maps.Values(s.DependentSchemas))},
			member: {s.PrefixItems, {s.Items, s.Contains, s.PropertyNames, s.AdditionalProperties.Schema, s.UnevaluatedItems.Schema, s.UnevaluatedProperties.Schema},
				slices.Collect(maps.Values(s.Properties)), slices.Collect(maps.Values(s.PatternProperties))},
		} {
			for _, ref := range slices.Concat(refs...) {
				if ref != nil && ref.Value != nil && !yield(ref, relation(kind)) {
					return
				}
			}
		}
	}
}

// cycles finds the schemas that contain each other: the strongly connected components of Tarjan's
// algorithm.
type cycles struct {
	index, low map[*openapi3.Schema]int
	stack      []*openapi3.Schema
	// of is the component of a schema, or -1 while it is unknown. circular reports which components
	// have a path from a schema to itself.
	of       map[*openapi3.Schema]int
	circular []bool
}

func (t *cycles) visit(s *openapi3.Schema) {
	t.index[s], t.low[s], t.of[s] = len(t.index), len(t.index), -1
	t.stack = append(t.stack, s)
	self := false
	for to := range subschemas(s) {
		self = self || to.Value == s
		if _, seen := t.index[to.Value]; !seen {
			t.visit(to.Value)
			t.low[s] = min(t.low[s], t.low[to.Value])
		} else if t.of[to.Value] < 0 {
			t.low[s] = min(t.low[s], t.index[to.Value])
		}
	}
	if t.low[s] != t.index[s] {
		return
	}
	size := 0
	for {
		last := t.stack[len(t.stack)-1]
		t.stack = t.stack[:len(t.stack)-1]
		t.of[last] = len(t.circular)
		size++
		if last == s {
			break
		}
	}
	t.circular = append(t.circular, size > 1 || self)
}
