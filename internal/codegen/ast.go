package codegen

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// generated is what this generator needs to know of api.gen.go. It is taken from the code itself, so that the guards are put
// on the very routes and methods that oapi-codegen generated.
type generated struct {
	code  string
	names fileNames
	// methods are those of StrictServerInterface.
	methods map[string]method
	// registrations are in the order in which HandlerWithOptions makes them.
	registrations []registration
}

// method is a method of StrictServerInterface.
type method struct {
	// comment has a line for each line of the method's comment, without slashes.
	comment []string
	// request and response are the types of the method.
	request, response string
}

// registration is a line of HandlerWithOptions that registers a handler.
type registration struct {
	// pattern is the route, such as "GET /users/{id}", the base URL left out.
	pattern string
	// expression is the Go expression of the pattern, with the base URL.
	expression string
	// handler is the method of ServerInterfaceWrapper.
	handler string
}

// parseGenerated reads api.gen.go. It refuses what it does not understand: a route that it overlooked would have no guard.
func parseGenerated(code string) (*generated, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", code, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("the generated code does not parse: %w", err)
	}
	g := &generated{code: code, names: namesOf(file), methods: map[string]method{}}
	var strict *ast.InterfaceType
	var register *ast.FuncDecl
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil && decl.Name.Name == "HandlerWithOptions" {
				register = decl
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				if spec, ok := spec.(*ast.TypeSpec); ok && spec.Name.Name == "StrictServerInterface" {
					strict, _ = spec.Type.(*ast.InterfaceType)
				}
			}
		}
	}
	if strict == nil || register == nil {
		return nil, fmt.Errorf("the generated code has no StrictServerInterface or no HandlerWithOptions; a template of one's own may leave neither out")
	}
	for _, field := range strict.Methods.List {
		if err := g.addMethod(field); err != nil {
			return nil, err
		}
	}
	return g, g.addRegistrations(register)
}

// fileNames are the names at the top of a file.
type fileNames struct{ declared, imported map[string]bool }

func namesOf(file *ast.File) fileNames {
	names := fileNames{map[string]bool{}, map[string]bool{}}
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil {
				names.declared[decl.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names.declared[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names.declared[name.Name] = true
					}
				case *ast.ImportSpec:
					path, _ := strconv.Unquote(spec.Path.Value)
					name := path[strings.LastIndex(path, "/")+1:]
					if spec.Name != nil {
						name = spec.Name.Name
					}
					names.imported[name] = true
				}
			}
		}
	}
	delete(names.declared, "_")
	return names
}

func (g *generated) addMethod(field *ast.Field) error {
	f, ok := field.Type.(*ast.FuncType)
	if !ok || len(field.Names) != 1 {
		return fmt.Errorf("StrictServerInterface has something that is not a method: %s", g.text(field))
	}
	name := field.Names[0].Name
	if f.Params.NumFields() != 2 || f.Results.NumFields() != 2 || len(f.Params.List) != 2 || len(f.Results.List) != 2 {
		return fmt.Errorf("StrictServerInterface.%s has parameters or results other than (ctx, request) and (response, error)", name)
	}
	m := method{request: g.text(f.Params.List[1].Type), response: g.text(f.Results.List[0].Type)}
	if field.Doc != nil {
		for _, line := range field.Doc.List {
			m.comment = append(m.comment, strings.TrimPrefix(strings.TrimPrefix(line.Text, "//"), " "))
		}
	}
	g.methods[name] = m
	return nil
}

// addRegistrations reads the registrations, all of which have to look like m.HandleFunc(pattern, wrapper.Handler).
func (g *generated) addRegistrations(register *ast.FuncDecl) error {
	var err error
	ast.Inspect(register.Body, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok || err != nil {
			return err == nil
		}
		function, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || function.Sel.Name != "HandleFunc" && function.Sel.Name != "Handle" {
			return true
		}
		unknown := fmt.Errorf("HandlerWithOptions has a registration that this generator does not understand: %s", g.text(call))
		if !isName(function.X, "m") || function.Sel.Name != "HandleFunc" || len(call.Args) != 2 {
			err = unknown
			return false
		}
		handler, ok := call.Args[1].(*ast.SelectorExpr)
		pattern, known := patternOf(call.Args[0])
		if !ok || !isName(handler.X, "wrapper") || !known {
			err = unknown
			return false
		}
		g.registrations = append(g.registrations, registration{pattern, g.text(call.Args[0]), handler.Sel.Name})
		return true
	})
	return err
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

// text returns the source of a node.
func (g *generated) text(node ast.Node) string { return g.code[node.Pos()-1 : node.End()-1] }

// universal are the predeclared names that the code of this generator uses.
var universal = []string{"any", "bool", "error", "nil", "string", "true"}

// collisions returns the names that ours and api.gen.go both declare. A name that one file imports and another declares is
// an error to the compiler too.
func (g *generated) collisions(ours string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", ours, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	own := namesOf(file)
	var names []string
	for name := range own.declared {
		if g.names.declared[name] || g.names.imported[name] {
			names = append(names, name)
		}
	}
	for _, name := range slices.AppendSeq(slices.Clone(universal), maps.Keys(own.imported)) {
		if g.names.declared[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
