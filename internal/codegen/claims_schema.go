package codegen

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/oapi-guard/oapi-guard/internal/schema2020"
)

// claimsSchema is a schema of claims that says more than their Go type, as JSON Schema 2020-12.
type claimsSchema struct {
	text string
	// declared are the reserved claims that the schema is about.
	declared []string
}

// schemaTranslator translates schemas of OpenAPI into one JSON Schema. Schemas that are referred to
// become its $defs.
type schemaTranslator struct {
	// claims is the component that is translated, for errors.
	claims string
	// version30 is set for OpenAPI 3.0, which ignores what is beside a $ref.
	version30 bool
	problems  *problems
	// pointers are where the schemas that are referred to are in the result.
	pointers map[*openapi3.Schema]string
	taken    map[string]bool
	defs     map[string]any
	// constrained is set by what the Go types do not enforce.
	constrained bool
}

// translateClaims returns the schema of the claims of a token type, or nil where the Go type says all
// that the schema says.
func translateClaims(doc *openapi3.T, ref *openapi3.SchemaRef, t *tokenType, at place, p *problems) *claimsSchema {
	tr := &schemaTranslator{
		claims: t.claims, version30: strings.HasPrefix(doc.OpenAPI, "3.0"), problems: p,
		pointers: map[*openapi3.Schema]string{ref.Value: "#"}, taken: map[string]bool{}, defs: map[string]any{},
	}
	before := len(p.list)
	tr.checkSiblings(ref, at)
	root, ok := tr.schema(ref.Value, at).(map[string]any)
	if !ok || !tr.constrained || len(p.list) > before {
		return nil
	}
	if len(tr.defs) > 0 {
		root["$defs"] = tr.defs
	}
	text, err := indented(root)
	if err == nil {
		_, err = schema2020.Compile(text)
	}
	if err != nil {
		p.add(at, "the schema of the claims %q does not compile: %v", t.claims, err)
		return nil
	}
	return &claimsSchema{string(text), declaredClaims(root, tr.defs)}
}

// indented returns the JSON text of a value for readers, in a form that is the same each time. It has
// no backquote, which would end a Go literal.
func indented(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "\t")
	err := encoder.Encode(value)
	return bytes.ReplaceAll(bytes.TrimSpace(b.Bytes()), []byte("`"), []byte(`\u0060`)), err
}

// reject reports a keyword that has no translation.
func (t *schemaTranslator) reject(at place, format string, args ...any) {
	t.problems.add(at, "claims %q: "+format, append([]any{t.claims}, args...)...)
}

// reference translates a schema that another one contains or refers to.
func (t *schemaTranslator) reference(ref *openapi3.SchemaRef, at place) any {
	switch {
	case ref == nil || ref.Value == nil:
		return true
	case ref.Ref == "":
		return t.schema(ref.Value, at)
	}
	t.checkSiblings(ref, at)
	pointer, known := t.pointers[ref.Value]
	if !known {
		name := unused(definitionName(ref.Ref), t.taken)
		pointer = "#/$defs/" + name
		t.pointers[ref.Value] = pointer
		t.defs[name] = t.schema(ref.Value, at)
	}
	return map[string]any{"$ref": pointer}
}

// definitionName returns the last segment of a reference, without signs that a JSON pointer escapes.
func definitionName(ref string) string {
	name := ref[strings.LastIndexAny(ref, "/#")+1:]
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '_' || r == '-' || r == '.' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z') {
			return r
		}
		return '-'
	}, name)
}

// checkSiblings reports constraints beside a $ref. The loader merges them into a copy of the schema,
// where one constraint would replace another.
func (t *schemaTranslator) checkSiblings(ref *openapi3.SchemaRef, at place) {
	if t.version30 || ref.Ref == "" {
		return
	}
	text, err := json.Marshal(ref)
	var beside map[string]any
	if err == nil {
		err = json.Unmarshal(text, &beside)
	}
	if err != nil {
		t.reject(at, "the $ref cannot be read: %v", err)
	}
	for _, key := range slices.Sorted(maps.Keys(beside)) {
		if key != keyRef && keywords[key] != keywordDropped && !strings.HasPrefix(key, "x-") {
			t.reject(at, "the keyword %s beside $ref is not enforced; put both into an allOf", key)
		}
	}
}

// schema translates a schema.
func (t *schemaTranslator) schema(s *openapi3.Schema, at place) any {
	if s.Always != nil {
		t.constrained = t.constrained || !*s.Always
		return *s.Always
	}
	value, err := s.MarshalYAML()
	fields, ok := value.(map[string]any)
	if err != nil || !ok {
		t.reject(at, "the schema cannot be read: %v", err)
		return true
	}
	if _, _, written := at.source.find(at.at("const").pointer); written && s.Const == nil {
		t.reject(at.at("const"), "the keyword const cannot be null here; say enum: [null]")
	}
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		t.keyword(s, key, fields[key], at.at(key), out)
	}
	if s.Discriminator != nil {
		t.discriminator(s, at, out)
	}
	return out
}

// keyword translates one keyword of a schema.
func (t *schemaTranslator) keyword(s *openapi3.Schema, key string, value any, at place, out map[string]any) {
	switch kind := keywords[key]; {
	case kind == keywordDropped:
		return
	case strings.HasPrefix(key, "x-"):
		// The Go type of the user may enforce less.
		t.constrained = t.constrained || key == "x-go-type"
		return
	case kind == keywordSpecial:
		specialKeywords[key](t, s, at, out)
		return
	case kind == keywordUnknown:
		t.reject(at, "the keyword %s has no translation into JSON Schema 2020-12, so that it cannot be enforced; remove it, or begin its name with x-", key)
		return
	case kind == keywordConstraint:
		t.constrained = true
	}
	switch value := value.(type) {
	case *openapi3.SchemaRef:
		out[key] = t.reference(value, at)
	case openapi3.SchemaRefs:
		list := make([]any, len(value))
		for i, ref := range value {
			list[i] = t.reference(ref, at.item(i))
		}
		out[key] = list
	case openapi3.Schemas:
		object := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			object[name] = t.reference(value[name], at.at(name))
		}
		out[key] = object
	case *openapi3.BoolSchema:
		switch {
		case value.Schema != nil:
			out[key] = t.reference(value.Schema, at)
		case value.Has != nil && !*value.Has:
			out[key], t.constrained = false, true
		}
	default:
		out[key] = value
	}
}

// declaredClaims returns the reserved claims that a schema and those of the same object name.
func declaredClaims(root map[string]any, defs map[string]any) []string {
	names, seen := map[string]bool{}, map[string]bool{}
	var walk func(value any)
	walk = func(value any) {
		node, ok := value.(map[string]any)
		if !ok {
			return
		}
		if name, ok := strings.CutPrefix(stringOf(node["$ref"]), "#/$defs/"); ok && !seen[name] {
			seen[name] = true
			walk(defs[name])
		}
		for _, key := range []string{"properties", "dependentSchemas", "dependentRequired"} {
			addKeys(names, node[key])
		}
		if required, ok := node["required"].([]string); ok {
			for _, name := range required {
				names[name] = true
			}
		}
		for _, key := range []string{"allOf", "anyOf", "oneOf"} {
			list, _ := node[key].([]any)
			for _, item := range list {
				walk(item)
			}
		}
		for _, key := range []string{"not", "if", "then", "else"} {
			walk(node[key])
		}
		dependent, _ := node["dependentSchemas"].(map[string]any)
		for _, item := range dependent {
			walk(item)
		}
	}
	walk(root)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(names)), func(name string) bool { return !slices.Contains(reservedClaims, name) })
}

func stringOf(value any) string {
	text, _ := value.(string)
	return text
}

// addKeys adds the names in a map: its keys, and those in lists of strings.
func addKeys(names map[string]bool, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name := range value {
			names[name] = true
		}
	case map[string][]string:
		for name, list := range value {
			names[name] = true
			for _, other := range list {
				names[other] = true
			}
		}
	}
}
