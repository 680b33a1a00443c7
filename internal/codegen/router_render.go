package codegen

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// registrationView is a registration for the templates of routers.
type registrationView struct{ Pattern, Method, Middlewares, Go string }

// ordered returns the registrations in the order of the guarded handlers, which is oapi-codegen's
// order. There is one exception: where GET also registers HEAD and the first registration counts,
// HEAD of a path moves before its GET, because nothing would reach it after.
func (g *generated) ordered() []registration {
	ordered := slices.Clone(g.registrations)
	if !g.router.headByGet || !g.router.firstMatch {
		return ordered
	}
	for i, r := range ordered {
		path, isHead := strings.CutPrefix(r.pattern, "HEAD ")
		if !isHead {
			continue
		}
		get := slices.IndexFunc(ordered[:i], func(r registration) bool { return r.pattern == "GET "+path })
		if get >= 0 {
			ordered = slices.Insert(slices.Delete(ordered, i, i+1), get, r)
		}
	}
	return ordered
}

// addGlue renders the router's code of guard.gen.go.
func (v *view) addGlue(g *generated) error {
	v.Server = g.router.name
	for _, r := range g.ordered() {
		v.Registrations = append(v.Registrations, registrationView{r.expression, r.method, r.middlewares, r.handler})
	}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, g.router.glue, v); err != nil {
		return fmt.Errorf("%s: %w", g.router.glue, err)
	}
	v.Glue = b.String()
	return nil
}

// importsWith returns the imports of guard.gen.go: those of the router and the needed ones of more.
func (rt *router) importsWith(more map[string]bool) (standard, others []string) {
	paths := slices.Clone(rt.imports)
	for path, needed := range more {
		if needed {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		if strings.Contains(path, ".") {
			others = append(others, path)
		} else {
			standard = append(standard, path)
		}
	}
	return standard, others
}
