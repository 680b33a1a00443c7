package codegen

import (
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

// site is a schema that oapi-codegen generates Go for by itself: a component, or the schema of a body
// that is not a reference.
type site struct {
	at  place
	ref *openapi3.SchemaRef
	// goName is the name that the names of its types begin with. component says that it is the name of
	// the type itself.
	goName    string
	component bool
}

// name describes the site, for messages.
func (s site) name() string {
	if s.component {
		return "schema " + s.at.key()
	}
	return "the schema at #" + s.at.pointer
}

// sites returns the schemas of a document that can become raw JSON: not those of parameters.
func (r *reader) sites() []site {
	var found []site
	top := place{source: r.spec}
	if c := r.doc.Components; c != nil {
		for _, name := range slices.Sorted(maps.Keys(c.Schemas)) {
			if ref := c.Schemas[name]; ref != nil && ref.Value != nil {
				found = append(found, site{top.at("components", "schemas", name), ref, componentName(name, ref.Value.Extensions), true})
			}
		}
		for _, name := range slices.Sorted(maps.Keys(c.RequestBodies)) {
			found = append(found, bodySites(c.RequestBodies[name], top.at("components", "requestBodies", name), codegen.SchemaNameToTypeName(name))...)
		}
		for _, name := range slices.Sorted(maps.Keys(c.Responses)) {
			found = append(found, responseSites(c.Responses[name], top.at("components", "responses", name), codegen.SchemaNameToTypeName(name))...)
		}
	}
	for path, item := range r.doc.Paths.Map() {
		found = append(found, r.itemSites(item, top.at("paths", path))...)
	}
	for name, item := range r.doc.Webhooks {
		found = append(found, r.itemSites(item, top.at("webhooks", name))...)
	}
	slices.SortFunc(found, func(a, b site) int { return strings.Compare(a.at.pointer, b.at.pointer) })
	return found
}

// componentName returns the name of the Go type of a component schema.
func componentName(name string, extensions map[string]any) string {
	if chosen, ok := extensions["x-go-name"].(string); ok {
		return chosen
	}
	return codegen.SchemaNameToTypeName(name)
}

// itemSites returns the schemas of the bodies of a path item, those of its callbacks too.
func (r *reader) itemSites(item *openapi3.PathItem, at place) []site {
	var found []site
	if item == nil || isAlias(item) {
		return nil
	}
	for method, o := range item.Operations() {
		at := at.at(strings.ToLower(method))
		name := codegen.SchemaNameToTypeName(r.ids[o])
		if name == "" {
			name = codegen.SchemaNameToTypeName(strings.ToLower(method) + "-" + at.parent().key())
		}
		found = append(found, bodySites(o.RequestBody, at.at("requestBody"), name)...)
		if o.Responses != nil {
			for status, response := range o.Responses.Map() {
				found = append(found, responseSites(response, at.at("responses", status), name)...)
			}
		}
		for name, callback := range o.Callbacks {
			if callback != nil && callback.Value != nil {
				for path, item := range callback.Value.Map() {
					found = append(found, r.itemSites(item, at.at("callbacks", name, path))...)
				}
			}
		}
	}
	return found
}

func bodySites(body *openapi3.RequestBodyRef, at place, goName string) []site {
	if body == nil || body.Ref != "" || body.Value == nil {
		return nil
	}
	return contentSites(body.Value.Content, at, goName)
}

func responseSites(response *openapi3.ResponseRef, at place, goName string) []site {
	if response == nil || response.Ref != "" || response.Value == nil {
		return nil
	}
	return contentSites(response.Value.Content, at, goName)
}

func contentSites(content openapi3.Content, at place, goName string) []site {
	var found []site
	for name, media := range content {
		if media != nil && media.Schema != nil && media.Schema.Ref == "" && media.Schema.Value != nil {
			found = append(found, site{at: at.at("content", name, "schema"), ref: media.Schema, goName: goName})
		}
	}
	return found
}

// rawType is the Go type of raw JSON. It is a struct, because a type that is defined by json.RawMessage
// itself, as those of responses are, would not be JSON any more.
const rawType = "struct{ json.RawMessage }"

// makeRaw makes raw JSON of a schema. goName is another name for its type, or "".
func (s site) makeRaw(goName string) {
	extensions := map[string]any{"x-go-type": rawType} // api.gen.go imports encoding/json
	if chosen, ok := s.ref.Value.Extensions["x-go-name"]; ok {
		extensions["x-go-name"] = chosen
	}
	if goName != "" {
		extensions["x-go-name"] = goName
	}
	*s.ref.Value = openapi3.Schema{Extensions: extensions, Description: s.ref.Value.Description, Origin: s.ref.Value.Origin}
	s.ref.Ref = ""
}
