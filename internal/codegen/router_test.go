package codegen

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// generateFor generates a case for a router, with whatever shadowing allowed that the case has.
func generateFor(t *testing.T, name, server string) (*Result, error) {
	t.Helper()
	config, err := readCase(t, name)
	if err != nil {
		t.Fatal(err)
	}
	config.Server = server
	return Generate(config, testVersion)
}

// registrationOfGetMe matches the statement that registers GetMe, on each router.
var registrationOfGetMe = regexp.MustCompile(`(?m)^\t(r\.Group\(func\(r chi\.Router\) \{\n\t\t)?.*wrapper\.GetMe\b.*\n(\t\}\)\n)?`)

// TestRegistrations changes what oapi-codegen generates for each router in ways that it does not,
// or not yet, and checks that each is refused.
func TestRegistrations(t *testing.T) {
	for _, rt := range routers {
		result, err := generateFor(t, "access-refresh", rt.name)
		if err != nil {
			t.Fatalf("%s: %v", rt.name, err)
		}
		code := string(result.Files[APIFile])
		line := registrationOfGetMe.FindString(code)
		if line == "" {
			t.Fatalf("%s: no registration of GetMe", rt.name)
		}
		variable := regexp.MustCompile(`(?m)^(\t+)(m|r|router)\.`)
		for _, tt := range []struct{ name, with, want string }{
			{name: "nothing changed", with: line, want: ""},
			{name: "a route missing", with: "", want: "registers no handler for GET /me"},
			{name: "a route twice", with: line + line, want: `registers "GET /me"`},
			{name: "a route too many", with: line + strings.Replace(line, "/me", "/you", 1), want: `registers "GET /you"`},
			{name: "the handler of another operation", with: strings.Replace(line, "wrapper.GetMe", "wrapper.Login", 1), want: "same Go name Login"},
			{name: "a handler of another kind", with: strings.Replace(line, "wrapper.GetMe", "other.GetMe", 1), want: "does not understand"},
			{name: "a handler in a function", with: strings.Replace(line, "wrapper.GetMe", "around(wrapper.GetMe)", 1), want: "does not understand"},
			{name: "another router", with: variable.ReplaceAllString(line, "${1}other."), want: "does not understand"},
			{name: "a router of the router", with: variable.ReplaceAllString(line, "${1}${2}.Sub()."), want: "does not understand"},
			{name: "a path that is not known", with: strings.Replace(line, "options.BaseURL", "options.Prefix", 1), want: "does not understand"},
			{name: "a loop", with: "for range 1 {\n" + line + "}\n", want: "does not understand"},
			{name: "another method of the router", with: line + rt.variable + ".Mount(\"/\")\n", want: "does not understand"},
			{name: "the router handed on", with: line + "all(" + rt.variable + ")\n", want: "does not understand"},
			{name: "the handlers handed on", with: line + "all(wrapper)\n", want: "does not understand"},
			{name: "the handlers under another name", with: line + "others := wrapper\n", want: "does not understand"},
		} {
			err := bindCode(t, "access-refresh", rt.name, strings.Replace(code, line, tt.with, 1))
			if tt.want == "" && err == nil {
				continue
			}
			if tt.want == "" || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %s: error %v, want one with %q", rt.name, tt.name, err, tt.want)
			}
		}
	}
}

// TestEchoMiddlewares checks that a registration on echo has the middlewares of the operation,
// which come behind the guard.
func TestEchoMiddlewares(t *testing.T) {
	for _, server := range []string{"echo", "echo5"} {
		result, err := generateFor(t, "access-refresh", server)
		if err != nil {
			t.Fatal(err)
		}
		code := string(result.Files[APIFile])
		own := `, options.OperationMiddlewares["getMe"]...)`
		if !strings.Contains(code, own) {
			t.Fatalf("%s has no %s", APIFile, own)
		}
		for _, other := range []string{")", `, options.Others["getMe"]...)`, `, options.OperationMiddlewares["getMe"])`} {
			err := bindCode(t, "access-refresh", server, strings.Replace(code, own, other, 1))
			if err == nil || !strings.Contains(err.Error(), "does not understand") {
				t.Errorf("%s: %s: error %v", server, other, err)
			}
		}
	}
}

// TestOrder checks that the guarded handlers are registered in oapi-codegen's order, but for HEAD
// on fiber's version 2.
func TestOrder(t *testing.T) {
	patterns := []string{"HEAD /c", "GET /a", "POST /a", "HEAD /b", "HEAD /a", "GET /b", "GET /c"}
	for _, rt := range routers {
		g := &generated{router: rt}
		for _, pattern := range patterns {
			g.registrations = append(g.registrations, registration{pattern: pattern})
		}
		var got []string
		for _, r := range g.ordered() {
			got = append(got, r.pattern)
		}
		want := patterns
		if rt.name == "fiber" {
			want = []string{"HEAD /c", "HEAD /a", "GET /a", "POST /a", "HEAD /b", "GET /b", "GET /c"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", rt.name, got, want)
		}
	}
}

// TestCompare checks which paths are found to match the same requests.
func TestCompare(t *testing.T) {
	type result struct{ both, onlyA, onlyB bool }
	same, apart := result{true, false, false}, result{false, true, true}
	for _, tt := range []struct {
		server, a, b string
		want         result
	}{
		{server: "gorilla", a: "/a", b: "/a", want: same},
		{server: "gorilla", a: "/a", b: "/b", want: apart},
		{server: "gorilla", a: "/a", b: "/a/", want: apart},
		{server: "gorilla", a: "/a", b: "/A", want: apart},
		{server: "gorilla", a: "/a/{x}", b: "/a/{y}", want: same},
		{server: "gorilla", a: "/a/b", b: "/a/{x}", want: result{true, false, true}},
		{server: "gorilla", a: "/a/{x}", b: "/a/b", want: result{true, true, false}},
		{server: "gorilla", a: "/a/{x}", b: "/{y}/b", want: result{true, true, true}},
		{server: "gorilla", a: "/a/{x}", b: "/a/b/c", want: apart},
		{server: "gorilla", a: "/a/{x}", b: "/a/", want: apart},
		{server: "gorilla", a: "/a/{x}.json", b: "/a/{x}", want: result{true, false, true}},
		{server: "gorilla", a: "/a/{x}.json", b: "/a/{x}.xml", want: apart},
		{server: "gorilla", a: "/a/{x}.json", b: "/a/b.{y}", want: result{true, true, true}},
		{server: "gorilla", a: "/a/{x}-{y}", b: "/a/{x}-{y}-{z}", want: result{true, true, false}},
		{server: "gorilla", a: "/a/{x}-{y}", b: "/a/b/c-d", want: apart},
		{server: "gorilla", a: "/a/{x}{y}", b: "/a/b", want: apart},
		{server: "gorilla", a: "/a/{x}:run", b: "/a/{x}", want: result{true, false, true}},
		{server: "gorilla", a: "/a/{x}/{y}", b: "/a/{x}", want: apart},
		{server: "fiber", a: "/a", b: "/A/", want: same},
		{server: "fiber", a: "/", b: "/", want: same},
		{server: "fiber", a: "/a/{x}/", b: "/A/{y}", want: same},
		{server: "fiber", a: "/a/{x}-{y}", b: "/a/b/c-d", want: result{true, true, false}},
		{server: "fiber", a: "/a/{x}-/{y}", b: "/a/b/c-/d", want: result{true, true, false}},
		{server: "fiber", a: "/a/{x}.json", b: "/a/b/c.json", want: apart},
		{server: "fiber", a: "/a/{x}/b", b: "/a/b/c/b", want: apart},
		{server: "fiber", a: "/a/{x}.b/{y}", b: "/a/c/d.b/e", want: apart},
	} {
		rt := routerOf(t, tt.server)
		var got result
		got.both, got.onlyA, got.onlyB = compare(rt.automaton(tt.a), rt.automaton(tt.b), false)
		if got != tt.want {
			t.Errorf("%s: %s and %s: both, only the first, only the second: %v, want %v", tt.server, tt.a, tt.b, got, tt.want)
		}
		if both, _, _ := compare(rt.automaton(tt.a), rt.automaton(tt.b), true); both != tt.want.both {
			t.Errorf("%s: %s and %s: %v in short", tt.server, tt.a, tt.b, both)
		}
		if rt.disjoint(tt.a, tt.b) && tt.want.both {
			t.Errorf("%s: %s and %s: not disjoint", tt.server, tt.a, tt.b)
		}
	}
}

// FuzzCompare checks with a request that two paths which both match it are found to, where regular
// expressions do the matching as on gorilla.
func FuzzCompare(f *testing.F) {
	for _, seed := range [][3]string{
		{"/a/{x}", "/{y}/b", "/a/b"}, {"/a/{x}.json", "/a/{x}", "/a/b.json"}, {"/{x}-{y}", "/{x}{y}", "/a-b"}, {"/a", "/a/", "/a/"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	rt := (&Config{Server: "gorilla"}).router()
	expression := func(path string) *regexp.Regexp {
		quoted := regexp.QuoteMeta(rt.skeleton(path))
		return regexp.MustCompile(`(?s)^` + strings.ReplaceAll(quoted, parameterMark, `[^/]+`) + `$`)
	}
	f.Fuzz(func(t *testing.T, a, b, request string) {
		if len(a)+len(b)+len(request) > 100 || !utf8.ValidString(a) || !utf8.ValidString(b) || !utf8.ValidString(request) {
			return
		}
		inA, inB := expression(a).MatchString(request), expression(b).MatchString(request)
		both, onlyA, onlyB := compare(rt.automaton(a), rt.automaton(b), false)
		if inA && inB && (!both || rt.disjoint(a, b)) || inA && !inB && !onlyA || inB && !inA && !onlyB {
			t.Errorf("%q: %q matches: %v, %q: %v; found: %v, %v, %v", request, a, inA, b, inB, both, onlyA, onlyB)
		}
	})
}

// TestAllowShadowing checks that operations which the configuration names may be shadowed.
func TestAllowShadowing(t *testing.T) {
	for server, ids := range map[string][]string{
		"gorilla":  {"getLogin", "GET /users/all", "getB", "getXML", "getKnownOne"},
		"fiber":    {"getLogin", "GET /users/all", "getB", "getXML", "getKnownOne", "headOne", "getABC"},
		"fiber-v3": {"getLogin", "GET /users/all", "getB", "getXML", "getKnownOne", "getABC"},
	} {
		config, err := readCase(t, "error-shadowing-"+server)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			config.shadowing[id] = config.top()
		}
		if _, err := Generate(config, testVersion); err != nil {
			t.Errorf("%s: %v", server, err)
		}
		for _, id := range ids {
			delete(config.shadowing, id)
			if _, err := Generate(config, testVersion); err == nil || !strings.Contains(err.Error(), "operation "+id+" is shadowed") {
				t.Errorf("%s: without %s: error %v", server, id, err)
			}
			config.shadowing[id] = config.top()
		}
	}
}

// TestManyRoutes checks that comparing every route with every other one does not take long. A
// thousand of them have half a million pairs.
func TestManyRoutes(t *testing.T) {
	rt := routerOf(t, "gorilla")
	g := &generated{router: rt}
	access := &requirement{alternatives: []alternative{{{scheme: &scheme{name: "access"}}}}}
	refresh := &requirement{alternatives: []alternative{{{scheme: &scheme{name: "refresh"}}}}}
	var operations []*operation
	for i := range 1000 {
		o := &operation{route: route{"GET", "/api/v1/organisations/{organisation}/things" + strings.Repeat("x", i%50) + "/{thing}/" + strings.Repeat("y", i/50)}}
		o.requirement = access
		if i%2 == 0 {
			o.requirement = refresh
		}
		operations = append(operations, o)
		g.registrations = append(g.registrations, registration{pattern: rt.pattern(o.route)})
	}
	r := &reader{config: &Config{}}
	r.checkShadowing(operations, g)
	if err := r.err(); err != nil {
		t.Error(err)
	}
}

func routerOf(t *testing.T, name string) *router {
	t.Helper()
	rt := (&Config{Server: name}).router()
	if rt == nil {
		t.Fatalf("no router %s", name)
	}
	return rt
}
