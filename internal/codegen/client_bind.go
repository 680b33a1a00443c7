package codegen

import (
	"go/ast"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

// clientInterface is the interface of oapi-codegen's client.
const clientInterface = "ClientInterface"

// clientMethod is a method of ClientInterface.
type clientMethod struct {
	name string
	// parameters are those between the context and the request editors.
	parameters []clientParameter
	file       *ast.File
}

type clientParameter struct {
	name string
	// of is the type.
	of ast.Expr
}

// builders finds the requests that functions of oapi-codegen's client build.
type builders struct {
	functions map[string]*ast.FuncDecl
	// methods are the methods of the client type, by name.
	methods map[string]*ast.FuncDecl
}

// newBuilders returns the functions of the generated files, and the methods of the type that builds
// requests.
func newBuilders(files []*ast.File) builders {
	b := builders{map[string]*ast.FuncDecl{}, map[string]*ast.FuncDecl{}}
	client := ""
	for _, file := range files {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == "applyEditors" {
				client = receiver(f)
			}
		}
	}
	for _, file := range files {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			switch {
			case !ok:
			case f.Recv == nil:
				b.functions[f.Name.Name] = f
			case receiver(f) == client:
				b.methods[f.Name.Name] = f
			}
		}
	}
	return b
}

// route returns the method and the path of the request that a function builds, with %s for each
// parameter of the path. A function may leave that to another one.
func (b builders) route(f *ast.FuncDecl, depth int) (found route, ok bool) {
	if f == nil || f.Body == nil || depth > 3 {
		return route{}, false
	}
	var next *ast.FuncDecl
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, isCall := n.(*ast.CallExpr)
		if !isCall {
			return true
		}
		switch called := call.Fun.(type) {
		case *ast.Ident:
			if strings.HasPrefix(called.Name, "New") && strings.Contains(called.Name, "Request") && b.functions[called.Name] != nil {
				next = b.functions[called.Name]
			}
		case *ast.SelectorExpr:
			switch {
			case isName(called.X, "http") && called.Sel.Name == "NewRequest" && len(call.Args) > 0:
				found.method = httpMethod(call.Args[0])
			case isName(called.X, "fmt") && called.Sel.Name == "Sprintf" && found.path == "" && len(call.Args) > 0:
				if literal, isLiteral := call.Args[0].(*ast.BasicLit); isLiteral {
					found.path, _ = strconv.Unquote(literal.Value)
				}
			}
		}
		return true
	})
	if found.method != "" && found.path != "" {
		return found, true
	}
	return b.route(next, depth+1)
}

// httpMethod returns the method that an expression names: http.MethodGet, or a text.
func httpMethod(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.SelectorExpr:
		return strings.ToUpper(strings.TrimPrefix(e.Sel.Name, "Method"))
	}
	return ""
}

// bindClient finds the methods of oapi-codegen's client for every operation, by the requests that they
// build. A method without an operation and an operation without a method are problems, so that no
// request lacks its credentials.
func bindClient(r *reader, g *generated) {
	top := place{source: r.spec}
	methods := g.clientMethods()
	if methods == nil {
		fix := "a user template has to keep it"
		if r.config.Existing != nil {
			fix = "say client: true under generate in the configuration of your oapi-codegen, and generate it again"
		}
		r.add(r.config.client.at, "the generated code has no %s, which %s needs; %s", clientInterface, ClientFile, fix)
		return
	}
	byRoute := map[route]*operation{}
	for _, o := range r.operations {
		for _, at := range slices.Concat([]route{o.route}, o.aliases) {
			byRoute[route{at.method, codegen.ReplacePathParamsWithStr(at.path)}] = o
		}
	}
	g.client = map[*operation][]clientMethod{}
	builders := newBuilders(g.files)
	for _, m := range methods {
		at, ok := builders.route(builders.methods[m.name], 0)
		o := byRoute[at]
		if !ok || o == nil {
			r.add(top, "the method %s of oapi-codegen's client sends a request that is not one of an operation of the document%s", m.name, g.remedy)
			continue
		}
		g.client[o] = append(g.client[o], m)
	}
	for _, o := range r.operations {
		if len(g.client[o]) == 0 {
			r.add(o.at, "oapi-codegen's client has no method for operation %s%s", o.id, g.remedy)
		}
	}
}

// clientMethods returns the methods of ClientInterface, or nil if there is no such interface.
func (g *generated) clientMethods() []clientMethod {
	for _, file := range g.files {
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				of, ok := spec.(*ast.TypeSpec)
				if !ok || of.Name.Name != clientInterface {
					continue
				}
				if methods, ok := of.Type.(*ast.InterfaceType); ok {
					return methodsOf(methods, file)
				}
			}
		}
	}
	return nil
}

func methodsOf(of *ast.InterfaceType, file *ast.File) []clientMethod {
	methods := []clientMethod{}
	for _, field := range of.Methods.List {
		f, ok := field.Type.(*ast.FuncType)
		if !ok || len(field.Names) != 1 {
			continue
		}
		m := clientMethod{name: field.Names[0].Name, file: file}
		for i, parameter := range f.Params.List {
			if i == 0 || i == len(f.Params.List)-1 {
				continue // the context and the request editors
			}
			for _, name := range parameter.Names {
				m.parameters = append(m.parameters, clientParameter{name.Name, parameter.Type})
			}
		}
		methods = append(methods, m)
	}
	return methods
}

// packagesOf returns the packages that a type names, by the names that they have in the file.
func packagesOf(e ast.Expr) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(e, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if name, ok := selector.X.(*ast.Ident); ok {
				names[name.Name] = true
			}
		}
		return true
	})
	return names
}

// importOf returns the import of a file under a name.
func importOf(file *ast.File, name string) (importView, bool) {
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		switch {
		case err != nil:
		case spec.Name != nil && spec.Name.Name == name && packageName(path) == name:
			return importView{Path: path}, true
		case spec.Name != nil && spec.Name.Name == name:
			return importView{name, path}, true
		case spec.Name == nil && packageName(path) == name:
			return importView{Path: path}, true
		}
	}
	return importView{}, false
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
