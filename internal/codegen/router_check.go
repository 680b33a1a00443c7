package codegen

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// pathParameter matches a path parameter as oapi-codegen's converters do.
var pathParameter = regexp.MustCompile(`{[.;?]?([^{}*]+)\*?}`)

// refusal is a route that a router cannot register as the document means it.
type refusal struct {
	*operation
	// at is the place of the route: of the operation, or of an alias.
	at   place
	text string
}

// checkRoutes reports the routes that the router cannot register and those that it reads otherwise
// than the document: it would serve other requests than the document secures. One problem lists all
// of them, with the servers that take the document.
func (r *reader) checkRoutes() {
	rt := r.config.router()
	refusals := rt.refusals(r.operations, r.spec)
	if len(refusals) == 0 {
		return
	}
	slices.SortStableFunc(refusals, func(a, b refusal) int { return cmp.Compare(a.at.line(), b.at.line()) })
	var lines strings.Builder
	for _, refused := range refusals {
		lines.WriteString("\n\t" + refused.at.problem(refused.text).Error())
	}
	way, actions := r.wayOut(refusals)
	text := fmt.Sprintf("%s cannot register %s as the document means them; %s%s", rt.name, count(len(refusals), "route"), way, lines.String())
	if len(actions) > 0 {
		r.addWithOverlay(refusals[0].at, actions, "%s", text)
	} else {
		r.add(refusals[0].at, "%s", text)
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// wayOut says which servers take the document, by trying them, or how to leave the routes out: by the
// configuration, and by an overlay for those that it cannot name.
func (r *reader) wayOut(refusals []refusal) (string, []overlayAction) {
	var servers []string
	for _, rt := range routers {
		if len(rt.refusals(r.operations, r.spec)) == 0 && len(r.shadowedOn(rt)) == 0 {
			servers = append(servers, rt.name)
		}
	}
	if len(servers) > 0 {
		return fmt.Sprintf("%s: %s in the configuration takes the document; servers that do: %s", keyServer, servers[0], strings.Join(servers, ", ")), nil
	}
	var ids []string
	var actions []overlayAction
	for _, refused := range refusals {
		switch {
		case refused.at != refused.operation.at:
			actions = append(actions, removal(refused.at))
		case refused.id == refused.route.String():
			actions = append(actions, removal(refused.at))
		default:
			ids = append(ids, yamlKey(refused.id))
		}
	}
	text := "no server takes all routes of the document; leave them out"
	if len(ids) > 0 {
		slices.Sort(ids)
		text += fmt.Sprintf(" in the configuration: oapi-codegen: {output-options: {exclude-operation-ids: [%s]}}", strings.Join(slices.Compact(ids), ", "))
	}
	return text, actions
}

// refusals returns the routes that the router cannot register as the document means them.
func (rt *router) refusals(operations []*operation, spec *source) []refusal {
	if rt.name == DefaultServer {
		return muxRefusals(rt, operations, spec)
	}
	var found []refusal
	same := map[string]route{}
	names := map[string]string{}
	eachRoute(operations, spec, func(o *operation, r route, at place) {
		texts := rt.misfits(r)
		if len(texts) == 0 {
			key := r.method + " " + rt.skeleton(r.path)
			if other, taken := same[key]; taken {
				texts = append(texts, fmt.Sprintf("%s and %s are the same route", other, r))
			} else if same[key] = r; rt.equalNames {
				texts = append(texts, unequalNames(r, names)...)
			}
		}
		for _, text := range texts {
			found = append(found, refusal{o, at, text})
		}
	})
	return found
}

// eachRoute calls f with every route of the operations, aliases included, and its place.
func eachRoute(operations []*operation, spec *source, f func(o *operation, r route, at place)) {
	for _, o := range operations {
		f(o, o.route, o.at)
		for _, alias := range o.aliases {
			f(o, alias, place{source: spec}.at("paths", alias.path))
		}
	}
}

// pattern returns the pattern that a registration of the route has.
func (rt *router) pattern(r route) string { return r.method + " " + rt.convert(r.path) }

// skeleton returns the path as the router reads it, without the names of parameters.
func (rt *router) skeleton(path string) string {
	path = pathParameter.ReplaceAllString(path, parameterMark)
	if rt.foldsCase {
		path = strings.ToLower(path)
	}
	if rt.optionalSlash && len(path) > 1 {
		path = strings.TrimRight(path, "/")
	}
	return path
}

// misfits returns what the router cannot register of a route by itself.
func (rt *router) misfits(r route) []string {
	if rt.methods != nil && !slices.Contains(rt.methods, r.method) {
		return []string{fmt.Sprintf("%s: it has no method %s, but %s", r, r.method, strings.Join(rt.methods, ", "))}
	}
	var texts []string
	for _, m := range rt.misreads {
		if m.found.MatchString(rt.skeleton(r.path)) {
			texts = append(texts, fmt.Sprintf("%s: %s", r, m.why))
		}
	}
	var names []string
	for _, match := range pathParameter.FindAllStringSubmatch(r.path, -1) {
		name := match[1]
		if rt.names != nil {
			if sign := rt.names.FindString(name); sign != "" {
				texts = append(texts, fmt.Sprintf("%s: the name of a parameter has no %q", r, sign))
			}
		}
		if rt.uniqueNames && slices.Contains(names, name) {
			texts = append(texts, fmt.Sprintf("%s: two parameters cannot have the name %s", r, name))
		}
		names = append(names, name)
	}
	return texts
}

// unequalNames returns the parameter of a route that has another name than one in the same place of
// an earlier route. names are the parameters of the earlier routes, by the text before them.
func unequalNames(r route, names map[string]string) []string {
	for _, match := range pathParameter.FindAllStringSubmatchIndex(r.path, -1) {
		prefix, name := r.method+" "+r.path[:match[0]], r.path[match[2]:match[3]]
		if other, taken := names[prefix]; taken && other != name {
			return []string{fmt.Sprintf("%s: {%s} is {%s} in another path, and parameters in one place need one name", r, name, other)}
		}
		names[prefix] = name
	}
	return nil
}
