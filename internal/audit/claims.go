package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
)

// impliesClaims reports whether claims that satisfy a schema satisfy another one for certain. A nil
// schema admits all claims.
func impliesClaims(a, b json.RawMessage) bool {
	if len(b) == 0 || bytes.Equal(a, b) {
		return true
	}
	var narrow, wide any
	if len(a) == 0 || json.Unmarshal(a, &narrow) != nil || json.Unmarshal(b, &wide) != nil {
		return false
	}
	return impliesSchema(narrow, wide)
}

// impliesSchema reports whether a value that satisfies schema a satisfies schema b for certain.
func impliesSchema(a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	narrow, ok := a.(map[string]any)
	wide, isObject := b.(map[string]any)
	if !ok || !isObject {
		return false
	}
	for keyword, value := range wide {
		if !impliesKeyword(keyword, narrow, wide, narrow[keyword], value) {
			return false
		}
	}
	for keyword := range narrow {
		if _, shared := wide[keyword]; !shared && !slices.Contains(constraints, keyword) {
			return false
		}
	}
	return true
}

// constraints are the keywords that refuse values that a schema without them admits.
var constraints = []string{
	"type", "properties", "required", "enum", "const", "format", "pattern", "additionalProperties",
	"maxLength", "minLength", "maximum", "minimum", "maxItems", "minItems", "maxProperties", "minProperties", "uniqueItems", "items",
}

// impliesKeyword reports whether a value that satisfies the narrow schema satisfies a keyword of the
// wide one.
func impliesKeyword(keyword string, narrow, wide map[string]any, a, b any) bool {
	switch keyword {
	case "required":
		return containsAll(a, b)
	case "enum":
		return a != nil && containsAll(b, a)
	case "maxLength", "maximum", "maxItems", "maxProperties":
		x, y, ok := numbers(a, b)
		return ok && x <= y
	case "minLength", "minimum", "minItems", "minProperties":
		x, y, ok := numbers(a, b)
		return ok && x >= y
	case "items":
		return a != nil && impliesSchema(a, b)
	case "properties":
		properties, _ := a.(map[string]any)
		wanted, _ := b.(map[string]any)
		for name, schema := range wanted {
			if property, ok := properties[name]; !ok || !impliesSchema(property, schema) {
				return false
			}
		}
		return true
	case "additionalProperties":
		return b == true || reflect.DeepEqual(a, b) && impliesNames(narrow, wide)
	}
	return reflect.DeepEqual(a, b)
}

// impliesNames reports whether the properties of a schema are among those of another one. A property
// that only the first names is not an additional one for it.
func impliesNames(narrow, wide map[string]any) bool {
	properties, _ := narrow["properties"].(map[string]any)
	wanted, _ := wide["properties"].(map[string]any)
	for name := range properties {
		if _, ok := wanted[name]; !ok {
			return false
		}
	}
	return true
}

func numbers(a, b any) (x, y float64, ok bool) {
	x, isX := a.(float64)
	y, isY := b.(float64)
	return x, y, isX && isY
}

// containsAll reports whether a list has all elements of another.
func containsAll(list, other any) bool {
	elements, _ := list.([]any)
	wanted, _ := other.([]any)
	return !slices.ContainsFunc(wanted, func(w any) bool {
		return !slices.ContainsFunc(elements, func(e any) bool { return reflect.DeepEqual(e, w) })
	})
}
