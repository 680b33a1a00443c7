package codegen

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// restore puts back components that filter removes although generated code needs them: the claims of
// tokens, which only x-guard refers to, and what webhooks and callbacks refer to. It also puts back
// what these refer to.
func (d *document) restore(types []*tokenType) error {
	var refs []string
	for _, t := range types {
		if t.claims != "" {
			refs = append(refs, schemaRef+pointerEscape.Replace(t.claims))
		}
	}
	for _, item := range d.Webhooks {
		found, err := refsIn(item)
		if err != nil {
			return err
		}
		refs = append(refs, found...)
	}
	for _, o := range d.operations() {
		found, err := refsIn(o.Callbacks)
		if err != nil {
			return err
		}
		refs = append(refs, found...)
	}
	restored := map[string]bool{}
	for len(refs) > 0 {
		ref := refs[0]
		refs = refs[1:]
		if restored[ref] {
			continue
		}
		restored[ref] = true
		component := d.restoreComponent(ref)
		if component == nil {
			continue
		}
		found, err := refsIn(component)
		if err != nil {
			return err
		}
		refs = append(refs, found...)
	}
	return nil
}

// operations returns the operations of the paths.
func (d *document) operations() []*openapi3.Operation {
	var found []*openapi3.Operation
	for _, item := range d.Paths.Map() {
		found = slices.AppendSeq(found, maps.Values(item.Operations()))
	}
	return found
}

// restoreComponent puts back the component of a reference and returns it, or nil where there is none.
func (d *document) restoreComponent(ref string) any {
	keys := splitPointer(strings.TrimPrefix(ref, "#"))
	if len(keys) < 3 || keys[0] != "components" {
		return nil
	}
	if d.Components == nil {
		d.Components = &openapi3.Components{}
	}
	switch name := keys[2]; keys[1] {
	case "schemas":
		return putBack(&d.Components.Schemas, d.components.Schemas, name)
	case "parameters":
		return putBack(&d.Components.Parameters, d.components.Parameters, name)
	case "headers":
		return putBack(&d.Components.Headers, d.components.Headers, name)
	case "requestBodies":
		return putBack(&d.Components.RequestBodies, d.components.RequestBodies, name)
	case "responses":
		return putBack(&d.Components.Responses, d.components.Responses, name)
	}
	return nil
}

// putBack copies an entry of a map to another map.
func putBack[M ~map[string]T, T any](to *M, from M, name string) any {
	value, ok := from[name]
	if !ok {
		return nil
	}
	if *to == nil {
		*to = M{}
	}
	(*to)[name] = value
	return value
}

// refsIn returns the references to components in a part of a document.
func refsIn(part any) ([]string, error) {
	text, err := json.Marshal(part)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(string(text), "#/components/") {
		return nil, nil
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, err
	}
	var refs []string
	eachString(value, func(s string) {
		if strings.HasPrefix(s, "#/components/") {
			refs = append(refs, s)
		}
	})
	return refs, nil
}
