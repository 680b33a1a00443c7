package codegen

import (
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// schemaRef is the prefix of a reference to a component schema.
const schemaRef = "#/components/schemas/"

// reservedClaims are the claims that the runtime reads and writes itself. A schema of the claims that
// the application issues has no property with one of these names, compared without case: the runtime
// would neither issue nor read it. All claims of tokens that others issue can be read.
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "auth_time", "session_start", "acr", "amr", "azp", "client_id",
	"scope", "scp", "roles", "fresh", "csrf", "typ", "type", "cnf", "act", "may_act",
}

// checkClaims reports claims that are not the schema of a JSON object, and properties with reserved
// names.
func checkClaims(schemas openapi3.Schemas, spec *source, types []*tokenType, p *problems) {
	for _, t := range types {
		if t.claims == "" {
			continue
		}
		ref := schemas[t.claims]
		if ref == nil || ref.Value == nil {
			p.add(t.claimsAt, "the document has no schema %q; claims has to refer to one of its component schemas", t.claims)
			continue
		}
		at := place{source: spec}.at("components", "schemas", t.claims)
		properties := map[string]place{}
		collectProperties(ref, at, properties, map[*openapi3.Schema]bool{})
		if !ref.Value.Type.Is("object") && len(properties) == 0 && len(ref.Value.AllOf) == 0 {
			p.add(t.claimsAt, "schema %q is not an object with properties; claims are the members of an object", t.claims)
		}
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			if t.issuedHere && slices.ContainsFunc(reservedClaims, func(reserved string) bool { return strings.EqualFold(reserved, name) }) {
				p.add(properties[name], "property %q of the claims %q: the runtime reads and writes this claim itself; rename the property", name, t.claims)
			}
		}
	}
}

// translateClaims sets the schemas that the runtime has to enforce. Schemas that become raw JSON in Go
// are enforced too: uncut is the document with them.
func (r *reader) translateClaims(uncut *openapi3.T) {
	if uncut.Components == nil {
		return
	}
	schemas := uncut.Components.Schemas
	if uncut == r.doc {
		schemas = r.document.components.Schemas
	}
	for _, t := range r.types {
		if ref := schemas[t.claims]; t.claims != "" && ref != nil && ref.Value != nil {
			t.schema = translateClaims(uncut, ref, t, place{source: r.spec}.at("components", "schemas", t.claims), &r.problems)
		}
	}
}

// collectProperties finds the properties of a schema and of the schemas in its allOf, anyOf and oneOf.
func collectProperties(ref *openapi3.SchemaRef, at place, properties map[string]place, seen map[*openapi3.Schema]bool) {
	if ref == nil || ref.Value == nil || seen[ref.Value] {
		return
	}
	seen[ref.Value] = true
	for name := range ref.Value.Properties {
		properties[name] = at.at("properties", name)
	}
	for key, refs := range map[string]openapi3.SchemaRefs{"allOf": ref.Value.AllOf, "anyOf": ref.Value.AnyOf, "oneOf": ref.Value.OneOf} {
		for i, ref := range refs {
			collectProperties(ref, at.at(key).item(i), properties, seen)
		}
	}
}

// resolveClaims sets the Go types of the claims. It reports claims without a generated type.
func resolveClaims(doc *document, types []*tokenType, g *generated, p *problems) {
	for _, t := range types {
		if t.claims == "" {
			continue
		}
		name, err := doc.schemaType(t.claims)
		if err != nil {
			p.add(t.claimsAt, "oapi-codegen: schema %q: %v", t.claims, err)
			continue
		}
		if !g.names.declared[name] {
			p.add(t.claimsAt, "oapi-codegen generates no Go type for schema %q; let generate.models be true, and the schema be neither excluded nor mapped to another package", t.claims)
		}
		t.goClaims = name
	}
}

// eachString calls f with every string in a JSON value. References are in $ref and in the mapping of
// a discriminator.
func eachString(value any, f func(string)) {
	switch value := value.(type) {
	case string:
		f(value)
	case []any:
		for _, item := range value {
			eachString(item, f)
		}
	case map[string]any:
		for _, item := range value {
			eachString(item, f)
		}
	}
}
