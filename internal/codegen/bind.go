package codegen

import (
	"maps"
	"slices"
	"strings"
)

// bind finds the method of every operation by the registrations of its routes. It returns the
// operations in the order of their first registration. A registration without an operation and an
// operation without a registration are problems, so that every route has the guard of its operation.
func bind(operations []*operation, g *generated, spec *source, p *problems) []*operation {
	type target struct {
		*operation
		route
	}
	routes := map[string]target{}
	for _, o := range operations {
		for _, r := range slices.Concat([]route{o.route}, o.aliases) {
			pattern := g.router.pattern(r)
			if other, taken := routes[pattern]; taken {
				p.add(place{source: spec}.at("paths", r.path), "%s and %s are the same route to the router; remove one", other.route, r)
			}
			routes[pattern] = target{o, r}
		}
	}
	if len(p.list) > 0 {
		return nil
	}
	var bound []*operation
	owners := map[string]*operation{}
	for _, registration := range g.registrations {
		target, ok := routes[registration.pattern]
		o := target.operation
		if !ok {
			p.add(place{source: spec}, "oapi-codegen registers %q, which is not a route of the document, or registers it twice%s", registration.pattern, g.remedy)
			continue
		}
		delete(routes, registration.pattern)
		if owner := owners[registration.handler]; owner != nil && owner != o {
			other := owner.at.problem("")
			p.addWithOverlay(o.at, []overlayAction{addition(o.at, "{operationId: "+strings.ToLower(o.method)+goFieldName(o.path)+"}")},
				"operations %s (%s:%d) and %s get the same Go name %s; give them operationIds that differ in letters or digits", owner.id, other.File, other.Line, o.id, registration.handler)
			continue
		}
		owners[registration.handler] = o
		switch o.goName {
		case "":
			o.goName = registration.handler
			bound = append(bound, o)
		case registration.handler:
		default:
			p.add(o.at, "oapi-codegen gives operation %s the two names %s and %s; give it an operationId", o.id, o.goName, registration.handler)
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(routes)) {
		p.add(routes[pattern].at, "oapi-codegen registers no handler for %s%s", routes[pattern].route, g.remedy)
	}
	for _, o := range bound {
		if _, ok := g.methods[o.goName]; !ok {
			p.add(o.at, "StrictServerInterface has no method %s for operation %s", o.goName, o.id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.methods)) {
		if owners[name] == nil {
			p.add(place{source: spec}, "StrictServerInterface has the method %s, which is registered nowhere", name)
		}
	}
	return bound
}
