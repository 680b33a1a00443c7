package codegen

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// shadow is an operation that does not get some of its requests.
type shadow struct {
	late, early boundRoute
	// reorder says that another order of the two would prevent it.
	reorder bool
}

// checkShadowing reports shadowed operations: the router gives some of their requests to an operation
// that is registered earlier and has other security. An earlier operation with a more specific path
// is no problem, because OpenAPI prefers it too. allow-shadowing names operations that may be
// shadowed.
func (r *reader) checkShadowing(operations []*operation, g *generated) {
	shadowed := map[string]bool{}
	allowed := r.config.shadowing
	for _, s := range g.shadows(operations) {
		shadowed[s.late.id] = true
		if _, known := allowed[s.late.id]; !known {
			early := s.early.at.problem("")
			r.add(s.late.at, "operation %s is shadowed: %s takes the first route that matches, and %s of operation %s (%s:%d), which has other security, matches requests for %s and is registered before it; %s",
				s.late.id, g.router.name, s.early.route, s.early.id, early.File, early.Line, s.late.route, r.shadowFix(s, operations, g))
		}
	}
	known := map[string]bool{}
	for _, o := range operations {
		known[o.id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(allowed)) {
		switch {
		case !known[id]:
			r.add(allowed[id], "no operation has the operationId %q, nor is it METHOD and path of one without an operationId", id)
		case !shadowed[id]:
			r.add(allowed[id], "operation %s is not shadowed on %s by one with other security; remove it here", id, g.router.name)
		}
	}
}

// shadowFix returns the ways to serve a shadowed operation. oapi-codegen registers routes in the order
// of their lines, which says nothing where they are in different files.
func (r *reader) shadowFix(s shadow, operations []*operation, g *generated) string {
	allow := fmt.Sprintf("say %s: [%s] in the configuration if that is meant", keyShadowing, yamlKey(s.late.id))
	if !s.reorder {
		return "rename one of the paths, as neither is more specific, or " + allow
	}
	sorted := g.sorted()
	if !slices.ContainsFunc(sorted.shadows(operations), func(other shadow) bool { return other.late.id == s.late.id }) {
		return "say oapi-codegen: {compatibility: {sort-handler-registrations: true}} in the configuration, which registers it first, or " + allow
	}
	return "put this path in front of that one in the document, or " + allow
}

// sorted returns the registrations in the order of sort-handler-registrations: by path, then method.
func (g *generated) sorted() *generated {
	key := func(r registration) string {
		method, path, _ := strings.Cut(r.pattern, " ")
		return path + "\x00" + method
	}
	sorted := *g
	sorted.registrations = slices.Clone(g.registrations)
	slices.SortStableFunc(sorted.registrations, func(a, b registration) int { return strings.Compare(key(a), key(b)) })
	return &sorted
}

// shadows returns the shadowed operations, each with the first route that gets requests of it.
func (g *generated) shadows(operations []*operation) []shadow {
	if !g.router.firstMatch {
		return nil
	}
	var found []shadow
	routes := g.routesInOrder(operations)
	for i, late := range routes {
		for _, early := range routes[:i] {
			if takes, reorder := early.takesFrom(late, g.router); takes {
				found = append(found, shadow{late, early, reorder})
				break
			}
		}
	}
	return found
}

// shadowedOn returns the operations that another router would shadow.
func (r *reader) shadowedOn(rt *router) []shadow {
	if !rt.firstMatch {
		return nil
	}
	g := &generated{router: rt}
	lines := map[string]int{}
	eachRoute(r.operations, r.spec, func(_ *operation, route route, _ place) {
		pattern := rt.pattern(route)
		g.registrations = append(g.registrations, registration{pattern: pattern})
		if item := r.doc.Paths.Value(route.path); item.Origin != nil && item.Origin.Key != nil {
			lines[pattern] = item.Origin.Key.Line // as oapi-codegen sorts them
		}
	})
	slices.SortStableFunc(g.registrations, func(a, b registration) int { return cmp.Compare(lines[a.pattern], lines[b.pattern]) })
	return g.shadows(r.operations)
}

// boundRoute is a route of an operation.
type boundRoute struct {
	*operation
	route
}

// routesInOrder returns the routes in the order of their registrations.
func (g *generated) routesInOrder(operations []*operation) []boundRoute {
	byPattern := map[string]boundRoute{}
	for _, o := range operations {
		for _, r := range slices.Concat([]route{o.route}, o.aliases) {
			byPattern[g.router.pattern(r)] = boundRoute{o, r}
		}
	}
	var routes []boundRoute
	for _, registration := range g.ordered() {
		routes = append(routes, byPattern[registration.pattern])
	}
	return routes
}

// takesFrom reports whether an earlier route gets requests of a later route with other security, and
// whether another order of the two would prevent it.
func (early boundRoute) takesFrom(late boundRoute, rt *router) (takes, moved bool) {
	if early.route.method != late.route.method && !(rt.headByGet && early.route.method == "GET" && late.route.method == "HEAD") {
		return false, false
	}
	if early.operation == late.operation ||
		reflect.DeepEqual(early.requirement.alternatives, late.requirement.alternatives) && reflect.DeepEqual(early.rules, late.rules) {
		return false, false
	}
	if rt.disjoint(early.route.path, late.route.path) {
		return false, false
	}
	a, b := rt.automaton(early.route.path), rt.automaton(late.route.path)
	if both, _, _ := compare(a, b, true); !both {
		return false, false
	}
	_, onlyEarly, onlyLate := compare(a, b, false)
	return onlyEarly || !onlyLate, !onlyLate
}

// disjoint reports whether two paths differ in the number of segments or in a segment without a
// parameter. Most pairs do, so that few need the automata.
func (rt *router) disjoint(a, b string) bool {
	a, b = rt.skeleton(a), rt.skeleton(b)
	if rt.greedyIn(a) || rt.greedyIn(b) {
		return false
	}
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	if len(as) != len(bs) {
		return true
	}
	for i := range as {
		if as[i] != bs[i] && !strings.Contains(as[i]+bs[i], parameterMark) {
			return true
		}
	}
	return false
}

// greedyIn reports whether a parameter of the skeleton matches slashes too.
func (rt *router) greedyIn(skeleton string) bool {
	for i := range len(skeleton) {
		if rt.greedyAt(skeleton, i) {
			return true
		}
	}
	return false
}

// greedyAt reports whether the parameter at a position of the skeleton matches slashes too. On fiber
// one does that ends at a single sign other than a slash: fiber looks for that sign in the whole rest
// of the path.
func (rt *router) greedyAt(skeleton string, i int) bool {
	if !rt.greedy || skeleton[i] != parameterMark[0] {
		return false
	}
	literal, _, _ := strings.Cut(skeleton[i+1:], parameterMark)
	if len(literal) > 1 {
		literal = strings.TrimRight(literal, "/")
	}
	return len(literal) == 1 && literal != "/"
}

// automaton matches requests for a path, byte by byte.
type automaton []element

// element matches one byte, or any number of bytes if repeated.
type element struct {
	// literal is the byte that matches, unless any or segment is set: any matches every byte, segment
	// every byte but a slash.
	literal      byte
	any, segment bool
	repeated     bool
}

// automaton returns the automaton of a path. A parameter matches one or more bytes other than slashes.
func (rt *router) automaton(path string) automaton {
	skeleton := rt.skeleton(path)
	var a automaton
	for i := range len(skeleton) {
		switch {
		case skeleton[i:i+1] != parameterMark:
			a = append(a, element{literal: skeleton[i]})
		case rt.greedyAt(skeleton, i):
			a = append(a, element{any: true}, element{any: true, repeated: true})
		default:
			a = append(a, element{segment: true}, element{segment: true, repeated: true})
		}
	}
	return a
}

// positions is the set of elements that may match the next byte. It is a string, so that it can be the
// key of a map.
type positions string

// from returns the reached elements and those that follow a repeated one, sorted.
func (a automaton) from(reached ...int) positions {
	found := map[rune]bool{}
	for _, i := range reached {
		for found[rune(i)] = true; i < len(a) && a[i].repeated; found[rune(i)] = true {
			i++
		}
	}
	return positions(slices.Sorted(maps.Keys(found)))
}

// step returns the positions after one more byte.
func (a automaton) step(at positions, b byte) positions {
	var reached []int
	for _, i := range at {
		if int(i) == len(a) {
			continue
		}
		switch e := a[i]; {
		case !(e.any || e.segment && b != '/' || !e.segment && b == e.literal):
		case e.repeated:
			reached = append(reached, int(i))
		default:
			reached = append(reached, int(i)+1)
		}
	}
	return a.from(reached...)
}

// accepts reports whether the bytes so far match the whole path.
func (a automaton) accepts(at positions) bool { return strings.ContainsRune(string(at), rune(len(a))) }

// compare reports whether there are requests that both automata match, that only the first matches,
// and that only the second matches. With common it only looks for the first kind, which is faster.
func compare(a, b automaton, common bool) (both, onlyA, onlyB bool) {
	type pair struct{ a, b positions }
	start := pair{a.from(0), b.from(0)}
	seen, next := map[pair]bool{start: true}, []pair{start}
	for len(next) > 0 {
		at := next[len(next)-1]
		next = next[:len(next)-1]
		inA, inB := a.accepts(at.a), b.accepts(at.b)
		both, onlyA, onlyB = both || inA && inB, onlyA || inA && !inB, onlyB || inB && !inA
		for _, c := range slices.Concat(a.bytes(at.a), b.bytes(at.b)) {
			to := pair{a.step(at.a, c), b.step(at.b, c)}
			if to.a == "" && to.b == "" || common && (to.a == "" || to.b == "") || seen[to] {
				continue
			}
			seen[to] = true
			next = append(next, to)
		}
	}
	return both, onlyA, onlyB
}

// bytes returns the bytes that can lead to different positions: the literals and, for elements that
// match many bytes, a slash and a byte that no path contains.
func (a automaton) bytes(at positions) []byte {
	var bytes []byte
	for _, i := range at {
		switch {
		case int(i) == len(a):
		case a[i].any || a[i].segment:
			bytes = append(bytes, '/', parameterMark[0])
		default:
			bytes = append(bytes, a[i].literal)
		}
	}
	return bytes
}
