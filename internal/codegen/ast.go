package codegen

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// generated describes api.gen.go. It is read from the code itself, so that the guards are on exactly
// the routes and methods that oapi-codegen generated.
type generated struct {
	// code is the code of all files, concatenated.
	code   string
	files  []*ast.File
	set    *token.FileSet
	router *router
	names  fileNames
	// remedy says what to do where the code and the document disagree. It is "" for generated code.
	remedy string
	// methods are the methods of StrictServerInterface.
	methods map[string]method
	// registrations are in oapi-codegen's order.
	registrations []registration
	// client are the methods of ClientInterface, by operation. It is set by bindClient.
	client map[*operation][]clientMethod
}

// method is a method of StrictServerInterface.
type method struct {
	// comment has the lines of the method's comment, without slashes.
	comment []string
	// request and response are the types of the method.
	request, response string
}

// parseGenerated reads the generated files, by file name. It returns an error for code that it does
// not understand, because a route that it overlooked would have no guard. Without a router it reads no
// server.
func parseGenerated(code map[string]string, rt *router) (*generated, error) {
	g := &generated{router: rt, set: token.NewFileSet(), names: fileNames{map[string]bool{}, map[string]bool{}}, methods: map[string]method{}}
	var strict *ast.InterfaceType
	var register *ast.FuncDecl
	for _, name := range slices.Sorted(maps.Keys(code)) {
		file, err := parser.ParseFile(g.set, name, code[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("the generated code does not parse: %w", err)
		}
		g.code += code[name] + "\n" // a FileSet leaves one position between files
		g.files = append(g.files, file)
		names := namesOf(file)
		maps.Copy(g.names.declared, names.declared)
		maps.Copy(g.names.imported, names.imported)
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil && rt != nil && decl.Name.Name == rt.register {
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
	}
	if rt == nil {
		return g, nil
	}
	if strict == nil || register == nil {
		return nil, fmt.Errorf("the generated code has no StrictServerInterface or no %s; a user template has to keep both", rt.register)
	}
	for _, field := range strict.Methods.List {
		if err := g.addMethod(field); err != nil {
			return nil, err
		}
	}
	return g, g.addRegistrations(register)
}

// packageName returns the name that the package of an import path probably has.
func packageName(path string) string {
	path = majorVersion.ReplaceAllString(path, "")
	return path[strings.LastIndex(path, "/")+1:]
}

// majorVersion matches the major version at the end of an import path. The element before it is the
// name of the package.
var majorVersion = regexp.MustCompile(`/v[0-9]+$`)

// fileNames are the names in the scope of a file.
type fileNames struct{ declared, imported map[string]bool }

// namesOf returns the names that a file declares and imports.
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
					name := packageName(path)
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

// addMethod adds a method of StrictServerInterface.
func (g *generated) addMethod(field *ast.Field) error {
	f, ok := field.Type.(*ast.FuncType)
	if !ok || len(field.Names) != 1 {
		return fmt.Errorf("StrictServerInterface has an element that is not a method: %s", g.text(field))
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

// text returns the source of a node.
func (g *generated) text(node ast.Node) string { return g.code[node.Pos()-1 : node.End()-1] }

// predeclaredNames are the predeclared names that guard.gen.go uses.
var predeclaredNames = []string{"any", "append", "bool", "byte", "error", "int", "int64", "len", "nil", "recover", "string", "true"}

// collisions returns the names that guard.gen.go and api.gen.go both declare. The compiler also
// refuses a name that one file imports and the other declares.
func (g *generated) collisions(ours fileNames) []string {
	var names []string
	for name := range ours.declared {
		if g.names.declared[name] || g.names.imported[name] {
			names = append(names, name)
		}
	}
	for _, name := range slices.AppendSeq(slices.Clone(predeclaredNames), maps.Keys(ours.imported)) {
		if g.names.declared[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
