package codegen

import (
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

// parameter is a parameter of an operation.
type parameter struct {
	*openapi3.ParameterRef
	at place
}

// checkParameters reports parameters of an operation that get the same Go name: oapi-codegen's code
// does not compile then.
func (r *reader) checkParameters() {
	for _, o := range r.operations {
		item := r.doc.Paths.Value(o.path)
		if item == nil {
			continue
		}
		source := item.GetOperation(o.method)
		if source == nil {
			continue
		}
		top := place{source: r.spec}.at("paths", o.path)
		r.checkParameterNames(o, append(parametersAt(source.Parameters, o.at), parametersAt(item.Parameters, top)...))
	}
}

func parametersAt(list openapi3.Parameters, at place) []parameter {
	var found []parameter
	for i, ref := range list {
		if ref != nil && ref.Value != nil {
			found = append(found, parameter{ref, at.at("parameters").item(i)})
		}
	}
	return found
}

// checkParameterNames reports the parameters of one operation. Those of the path are arguments, and all
// others are fields of one struct.
func (r *reader) checkParameterNames(o *operation, parameters []parameter) {
	first := map[string]parameter{}
	declared := map[string]bool{}
	for _, p := range parameters {
		same := p.Value.In + " " + p.Value.Name
		if declared[same] {
			continue // the operation replaces a parameter of its path
		}
		declared[same] = true
		group := "field "
		if p.Value.In == openapi3.ParameterInPath {
			group = "argument "
		}
		name := parameterName(p)
		other, taken := first[group+name]
		if !taken {
			first[group+name] = p
			continue
		}
		r.addWithOverlay(p.at, []overlayAction{addition(p.component(), "{x-go-name: "+name+strings.ToUpper(p.Value.In[:1])+p.Value.In[1:]+strconv.Itoa(len(declared))+"}")},
			"parameters %q (line %d) and %q of operation %s get the same Go name %s, and the code of oapi-codegen does not compile; choose another one with x-go-name",
			other.Value.Name, other.at.line(), p.Value.Name, o.id, name)
	}
}

// parameterName returns the Go name that oapi-codegen gives a parameter.
func parameterName(p parameter) string {
	if chosen, ok := p.Value.Extensions["x-go-name"].(string); ok {
		return chosen
	}
	return codegen.SchemaNameToTypeName(p.Value.Name)
}

// component returns the place of the parameter itself, which may be a component.
func (p parameter) component() place {
	if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
		return place{source: p.at.source}.at("components", "parameters", pointerUnescape.Replace(name))
	}
	return p.at
}
