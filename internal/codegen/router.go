package codegen

import (
	"go/ast"
	"regexp"
	"strings"

	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

// router describes one of oapi-codegen's servers and its router.
type router struct {
	// name is the name in the configuration.
	name string
	// enabled returns the field of oapi-codegen's configuration that enables the server.
	enabled func(*codegen.GenerateOptions) *bool

	// register is the function of api.gen.go that registers the handlers on the router in variable.
	// registration reads a call that registers a handler. setup are the other methods of the router
	// that the function calls.
	register, variable string
	registration       func(g *generated, call *ast.CallExpr) (registration, bool)
	setup              []string

	// options is the type of the options of that function.
	options string
	// glue is the template of the router's code in guard.gen.go. imports are the packages that it needs.
	glue    string
	imports []string

	// endlessContext says that the context of a handler may not end with that of the request.
	endlessContext bool

	// convert is oapi-codegen's converter of the paths of a document.
	convert func(path string) string
	// methods are the HTTP methods that the router can register, or nil for all.
	methods []string
	// names matches signs that the name of a parameter cannot have, or is nil.
	names *regexp.Regexp
	// misreads are the paths that the router reads otherwise than OpenAPI.
	misreads []misreading
	// equalNames says that parameters in the same place of two paths need the same name. uniqueNames
	// says that the parameters of one path need different names.
	equalNames, uniqueNames bool
	// foldsCase says that the router ignores case. optionalSlash says that it ignores a slash at the
	// end of a path.
	foldsCase, optionalSlash bool

	// firstMatch says that the first registration that matches a request gets it.
	firstMatch bool
	// headByGet says that registering GET also registers HEAD.
	headByGet bool
	// greedy says that a parameter that is not a whole segment also matches slashes.
	greedy bool
}

// misreading is a pattern of paths that a router reads otherwise than OpenAPI. The path has
// parameterMark in place of each parameter.
type misreading struct {
	found *regexp.Regexp
	why   string
}

const parameterMark = "\x00"

var (
	wholeSegments = misreading{regexp.MustCompile(`[^/]\x00|\x00[^/]`), "a parameter has to be a whole segment"}
	wholeEnds     = misreading{regexp.MustCompile(`\x00[^/]`), "a parameter has to end its segment"}
	apart         = misreading{regexp.MustCompile(`\x00\x00`), "two parameters need a text between them"}
	delimited     = misreading{regexp.MustCompile(`\x00[^-/.:]`), `a parameter has to end with the path or at one of / - . :`}
	braces        = misreading{regexp.MustCompile(`[{}]`), "a brace belongs to a parameter"}
	asterisk      = misreading{regexp.MustCompile(`\*`), "* is a wildcard"}
	backslash     = misreading{regexp.MustCompile(`\\`), `\ is an escape`}
	fiberSigns    = misreading{regexp.MustCompile(`[*+?<>\\]`), `* + ? < > \ are signs of its patterns`}
	irisSigns     = misreading{regexp.MustCompile(`/[:*]`), "a segment that begins with : or * is a parameter"}
)

var (
	commonMethods = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
	ginMethods    = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
)

var fiberImports = []string{"cmp", "crypto/tls", "errors", "io"}

// routers are oapi-codegen's servers.
var routers = []*router{
	{
		name: "std-http", enabled: func(g *codegen.GenerateOptions) *bool { return &g.StdHTTPServer },
		register: "HandlerWithOptions", variable: "m", registration: (*generated).stdHTTPRegistration,
		options: "StdHTTPServerOptions",
		glue:    "std-http.tmpl", imports: []string{"net/http"},
		convert: codegen.SwaggerUriToStdHttpUri,
	},
	{
		name: "chi", enabled: func(g *codegen.GenerateOptions) *bool { return &g.ChiServer },
		register: "HandlerWithOptions", variable: "r", registration: (*generated).chiRegistration,
		options: "ChiServerOptions",
		glue:    "chi.tmpl", imports: []string{"net/http", "net/url", "github.com/go-chi/chi/v5"},
		convert: codegen.SwaggerUriToChiUri, methods: commonMethods,
		names: regexp.MustCompile(`:`), misreads: []misreading{apart, braces, asterisk}, uniqueNames: true,
	},
	{
		name: "echo", enabled: func(g *codegen.GenerateOptions) *bool { return &g.EchoServer },
		register: "RegisterHandlersWithOptions", variable: "router", registration: (*generated).echoRegistration,
		options: "RegisterHandlersOptions",
		glue:    "echo.tmpl", imports: []string{"errors", "net/url", "github.com/labstack/echo/v4"},
		convert: codegen.SwaggerUriToEchoUri, methods: commonMethods,
		names: regexp.MustCompile(`/`), misreads: []misreading{wholeEnds, braces, asterisk, backslash},
	},
	{
		name: "echo5", enabled: func(g *codegen.GenerateOptions) *bool { return &g.Echo5Server },
		register: "RegisterHandlersWithOptions", variable: "router", registration: (*generated).echoRegistration,
		options: "RegisterHandlersOptions",
		glue:    "echo.tmpl", imports: []string{"errors", "fmt", "net/url", "github.com/labstack/echo/v5"},
		convert: codegen.SwaggerUriToEchoUri, methods: commonMethods,
		names: regexp.MustCompile(`/`), misreads: []misreading{wholeEnds, braces, asterisk, backslash},
	},
	{
		name: "fiber", enabled: func(g *codegen.GenerateOptions) *bool { return &g.FiberServer },
		register: "RegisterHandlersWithOptions", variable: "router", registration: (*generated).methodRegistration, setup: []string{"Use"},
		options: "FiberServerOptions",
		glue:    "fiber.tmpl", imports: append(fiberImports, "github.com/gofiber/fiber/v2"),
		convert: codegen.SwaggerUriToFiberUri, methods: commonMethods,
		names: regexp.MustCompile(`[-/.:?<>*+\\]`), misreads: []misreading{delimited, braces, fiberSigns},
		foldsCase: true, optionalSlash: true, firstMatch: true, headByGet: true, greedy: true,
	},
	{
		name: "fiber-v3", enabled: func(g *codegen.GenerateOptions) *bool { return &g.FiberV3Server },
		register: "RegisterHandlersWithOptions", variable: "router", registration: (*generated).methodRegistration, setup: []string{"Use"},
		options: "FiberServerOptions",
		glue:    "fiber.tmpl", imports: append(fiberImports, "github.com/gofiber/fiber/v3"),
		convert: codegen.SwaggerUriToFiberUri, methods: commonMethods,
		names: regexp.MustCompile(`[-/.:?<>*+\\]`), misreads: []misreading{delimited, braces, fiberSigns},
		foldsCase: true, optionalSlash: true, firstMatch: true, greedy: true,
	},
	{
		name: "gin", enabled: func(g *codegen.GenerateOptions) *bool { return &g.GinServer },
		register: "RegisterHandlersWithOptions", variable: "router", registration: (*generated).methodRegistration,
		options: "GinServerOptions",
		glue:    "gin.tmpl", imports: []string{"fmt", "github.com/gin-gonic/gin"}, endlessContext: true,
		convert: codegen.SwaggerUriToGinUri, methods: ginMethods,
		names: regexp.MustCompile(`[/:\\]`), misreads: []misreading{wholeEnds, braces, asterisk, backslash}, equalNames: true,
	},
	{
		name: "gorilla", enabled: func(g *codegen.GenerateOptions) *bool { return &g.GorillaServer },
		register: "HandlerWithOptions", variable: "r", registration: (*generated).gorillaRegistration,
		options: "GorillaServerOptions",
		glue:    "gorilla.tmpl", imports: []string{"net/http", "github.com/gorilla/mux"},
		convert: codegen.SwaggerUriToGorillaUri,
		names:   regexp.MustCompile(`:`), misreads: []misreading{braces},
		firstMatch: true,
	},
	{
		name: "iris", enabled: func(g *codegen.GenerateOptions) *bool { return &g.IrisServer },
		register: "RegisterHandlersWithOptions", variable: "router", registration: (*generated).methodRegistration, setup: []string{"Use", "Build"},
		options: "IrisServerOptions",
		glue:    "iris.tmpl", imports: []string{"github.com/kataras/iris/v12"},
		convert: codegen.SwaggerUriToIrisUri, methods: commonMethods,
		names: regexp.MustCompile(`/`), misreads: []misreading{wholeSegments, braces, irisSigns},
		optionalSlash: true,
	},
}

// module returns the import path of the router, or "" for net/http's.
func (rt *router) module() string {
	for _, path := range rt.imports {
		if strings.Contains(path, ".") {
			return path
		}
	}
	return ""
}
