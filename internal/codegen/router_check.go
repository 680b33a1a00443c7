package codegen

import (
	"regexp"
	"slices"
	"strings"
)

// pathParameter matches a path parameter as oapi-codegen's converters do.
var pathParameter = regexp.MustCompile(`{[.;?]?([^{}*]+)\*?}`)

// checkRoutes reports routes that the router cannot register and routes that it reads otherwise than
// the document. It would serve other requests than the document secures. checkPatterns does this for
// net/http's router.
func (rt *router) checkRoutes(operations []*operation, spec *source, p *problems) {
	if rt.misreads == nil {
		return
	}
	same := map[string]route{}
	names := map[string]string{}
	for _, o := range operations {
		for i, r := range slices.Concat([]route{o.route}, o.aliases) {
			at := o.at
			if i > 0 {
				at = place{source: spec}.at("paths", r.path)
			}
			before := len(p.list)
			rt.checkRoute(r, at, p)
			if len(p.list) > before {
				continue
			}
			key := r.method + " " + rt.skeleton(r.path)
			if other, taken := same[key]; taken {
				p.add(at, "%s and %s are the same route to %s; remove one", other, r, rt.name)
				continue
			}
			same[key] = r
			if rt.equalNames {
				checkEqualNames(r, names, at, rt, p)
			}
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

// checkRoute reports what is wrong with a route by itself.
func (rt *router) checkRoute(r route, at place, p *problems) {
	if rt.methods != nil && !slices.Contains(rt.methods, r.method) {
		p.add(at, "%s cannot register the method %s; it takes %s: choose another method, or another server", rt.name, r.method, strings.Join(rt.methods, ", "))
		return
	}
	for _, m := range rt.misreads {
		if m.found.MatchString(rt.skeleton(r.path)) {
			p.add(at, "the path %s means something else to %s: %s; rename it, or choose another server", r.path, rt.name, m.why)
		}
	}
	var names []string
	for _, match := range pathParameter.FindAllStringSubmatch(r.path, -1) {
		name := match[1]
		if sign := rt.names.FindString(name); sign != "" {
			p.add(at, "%s does not take %q in a parameter's name, and %s has {%s}; rename the parameter, or choose another server", rt.name, sign, r.path, name)
		}
		if rt.uniqueNames && slices.Contains(names, name) {
			p.add(at, "%s does not take two parameters of one name, and %s has {%s} twice; rename one, or choose another server", rt.name, r.path, name)
		}
		names = append(names, name)
	}
}

// checkEqualNames reports parameters with different names in the same place of two paths. names are
// the parameters of earlier routes, by the text before them.
func checkEqualNames(r route, names map[string]string, at place, rt *router, p *problems) {
	for _, match := range pathParameter.FindAllStringSubmatchIndex(r.path, -1) {
		prefix, name := r.method+" "+r.path[:match[0]], r.path[match[2]:match[3]]
		if other, taken := names[prefix]; taken && other != name {
			p.add(at, "%s needs one name for parameters in the same place, and %s has {%s} where another path has {%s}; rename one, or choose another server", rt.name, r, name, other)
			return
		}
		names[prefix] = name
	}
}
