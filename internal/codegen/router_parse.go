package codegen

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// registration is a statement of api.gen.go that registers a handler.
type registration struct {
	// pattern is the method and the route, such as "GET /users/{id}" in the router's own syntax, the base URL left out.
	pattern string
	// expression is the Go expression of the route with the base URL, on net/http's router with the method in front.
	expression string
	// method is what names the method: a function of the router, or a Go expression.
	method string
	// handler is the method of ServerInterfaceWrapper.
	handler string
	// middlewares is the Go expression of the operation's middlewares, "" where the router has none.
	middlewares string
}

// addRegistrations reads the registrations. Every other statement of the function has to be one that
// registers nothing.
func (g *generated) addRegistrations(register *ast.FuncDecl) error {
	for _, statement := range register.Body.List {
		var other ast.Node = statement
		switch s := statement.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok {
				if r, ok := g.router.registration(g, call); ok {
					g.registrations = append(g.registrations, r)
					continue
				}
			}
		case *ast.AssignStmt:
			// wrapper := ServerInterfaceWrapper{...}
			if s.Tok == token.DEFINE && len(s.Lhs) == 1 && len(s.Rhs) == 1 && isName(s.Lhs[0], "wrapper") {
				other = s.Rhs[0]
			}
		}
		if g.mayRegister(other) {
			return fmt.Errorf("%s has a registration that this generator does not understand: %s", register.Name.Name, g.text(statement))
		}
	}
	return nil
}

// mayRegister reports whether a node may register a handler.
func (g *generated) mayRegister(node ast.Node) bool {
	may := false
	ast.Inspect(node, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.Ident:
			may = may || n.Name == "wrapper"
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.SelectorExpr)
			may = may || ok && isName(f.X, g.router.variable) && !slices.Contains(g.router.setup, f.Sel.Name)
			may = may || slices.ContainsFunc(n.Args, func(e ast.Expr) bool { return isName(e, g.router.variable) })
		}
		return !may
	})
	return may
}

// stdHTTPRegistration reads m.HandleFunc(http.MethodGet+" "+options.BaseURL+"/path", wrapper.Handler).
func (g *generated) stdHTTPRegistration(call *ast.CallExpr) (registration, bool) {
	if !isCall(call, "m", "HandleFunc") || len(call.Args) != 2 {
		return registration{}, false
	}
	pattern, known := patternOf(call.Args[0])
	handler, ok := handlerOf(call.Args[1])
	return registration{pattern: pattern, expression: g.text(call.Args[0]), handler: handler}, known && ok
}

// methodRegistration reads router.Get(options.BaseURL+"/path", wrapper.Handler), and GET for Get.
func (g *generated) methodRegistration(call *ast.CallExpr) (registration, bool) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !isName(f.X, g.router.variable) || slices.Contains(g.router.setup, f.Sel.Name) || len(call.Args) != 2 {
		return registration{}, false
	}
	path, known := patternOf(call.Args[0])
	handler, ok := handlerOf(call.Args[1])
	return registration{
		pattern: strings.ToUpper(f.Sel.Name) + " " + path, expression: g.text(call.Args[0]), method: f.Sel.Name, handler: handler,
	}, known && ok
}

// echoRegistration reads router.GET(options.BaseURL+"/path", wrapper.Handler,
// options.OperationMiddlewares["id"]...).
func (g *generated) echoRegistration(call *ast.CallExpr) (registration, bool) {
	if len(call.Args) != 3 || !call.Ellipsis.IsValid() {
		return registration{}, false
	}
	r, ok := g.methodRegistration(&ast.CallExpr{Fun: call.Fun, Args: call.Args[:2]})
	middlewares, isIndex := call.Args[2].(*ast.IndexExpr)
	if !ok || !isIndex || g.text(middlewares.X) != "options.OperationMiddlewares" {
		return registration{}, false
	}
	r.middlewares = g.text(middlewares)
	return r, true
}

// chiRegistration reads r.Group(func(r chi.Router) { r.Get(options.BaseURL+"/path", wrapper.Handler) }).
func (g *generated) chiRegistration(call *ast.CallExpr) (registration, bool) {
	if !isCall(call, "r", "Group") || len(call.Args) != 1 {
		return registration{}, false
	}
	group, ok := call.Args[0].(*ast.FuncLit)
	if !ok || len(group.Body.List) != 1 {
		return registration{}, false
	}
	statement, ok := group.Body.List[0].(*ast.ExprStmt)
	if !ok {
		return registration{}, false
	}
	inner, ok := statement.X.(*ast.CallExpr)
	if !ok {
		return registration{}, false
	}
	return g.methodRegistration(inner)
}

// gorillaRegistration reads r.HandleFunc(options.BaseURL+"/path",
// wrapper.Handler).Methods(http.MethodGet).
func (g *generated) gorillaRegistration(call *ast.CallExpr) (registration, bool) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || f.Sel.Name != "Methods" || len(call.Args) != 1 {
		return registration{}, false
	}
	inner, ok := f.X.(*ast.CallExpr)
	if !ok || !isCall(inner, "r", "HandleFunc") || len(inner.Args) != 2 {
		return registration{}, false
	}
	method, methodKnown := patternOf(call.Args[0])
	path, known := patternOf(inner.Args[0])
	handler, ok := handlerOf(inner.Args[1])
	return registration{
		pattern: method + " " + path, expression: g.text(inner.Args[0]), method: g.text(call.Args[0]), handler: handler,
	}, methodKnown && known && ok
}

// isCall reports whether the call is of a method of a variable.
func isCall(call *ast.CallExpr, variable, method string) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	return ok && isName(f.X, variable) && f.Sel.Name == method
}

// handlerOf returns Handler of wrapper.Handler.
func handlerOf(e ast.Expr) (string, bool) {
	handler, ok := e.(*ast.SelectorExpr)
	if !ok || !isName(handler.X, "wrapper") {
		return "", false
	}
	return handler.Sel.Name, true
}

// patternOf evaluates http.MethodGet + " " + options.BaseURL + "/path" with an empty base URL.
func patternOf(expression ast.Expr) (string, bool) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, leftKnown := patternOf(e.X)
		right, rightKnown := patternOf(e.Y)
		return left + right, leftKnown && rightKnown && e.Op == token.ADD
	case *ast.SelectorExpr:
		if isName(e.X, "options") && e.Sel.Name == "BaseURL" {
			return "", true
		}
		method, ok := strings.CutPrefix(e.Sel.Name, "Method")
		return strings.ToUpper(method), ok && isName(e.X, "http")
	}
	return "", false
}

func isName(e ast.Expr, name string) bool {
	ident, ok := e.(*ast.Ident)
	return ok && ident.Name == name
}
