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

// generated is what this generator needs to know of api.gen.go. It is taken from the code itself, so that the guards are put
// on the very routes and methods that oapi-codegen generated.
type generated struct {
	// code is that of the files, one behind the other.
	code   string
	files  []*ast.File
	router *router
	names  fileNames
	// remedy is what to do where the code and the document do not fit each other, "" where that cannot be.
	remedy string
	// methods are those of StrictServerInterface.
	methods map[string]method
	// registrations are in the order in which oapi-codegen makes them.
	registrations []registration
}

// method is a method of StrictServerInterface.
type method struct {
	// comment has a line for each line of the method's comment, without slashes.
	comment []string
	// request and response are the types of the method.
	request, response string
}

// parseGenerated reads what oapi-codegen generated, by file name. It refuses what it does not understand: a route that it overlooked
// would have no guard.
func parseGenerated(code map[string]string, rt *router) (*generated, error) {
	g := &generated{router: rt, names: fileNames{map[string]bool{}, map[string]bool{}}, methods: map[string]method{}}
	var strict *ast.InterfaceType
	var register *ast.FuncDecl
	set := token.NewFileSet()
	for _, name := range slices.Sorted(maps.Keys(code)) {
		file, err := parser.ParseFile(set, name, code[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("the generated code does not parse: %w", err)
		}
		g.code += code[name] + "\n" // as far apart as a FileSet has them
		g.files = append(g.files, file)
		own := namesOf(file)
		maps.Copy(g.names.declared, own.declared)
		maps.Copy(g.names.imported, own.imported)
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil && decl.Name.Name == rt.register {
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
	if strict == nil || register == nil {
		return nil, fmt.Errorf("the generated code has no StrictServerInterface or no %s; a template of one's own may leave neither out", rt.register)
	}
	for _, field := range strict.Methods.List {
		if err := g.addMethod(field); err != nil {
			return nil, err
		}
	}
	return g, g.addRegistrations(register)
}

// majorVersion is the end of the path of a module's later major version; the package is called what stands before it.
var majorVersion = regexp.MustCompile(`/v[0-9]+$`)

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
					name := majorVersion.ReplaceAllString(path, "")
					name = name[strings.LastIndex(name, "/")+1:]
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

// text returns the source of a node.
func (g *generated) text(node ast.Node) string { return g.code[node.Pos()-1 : node.End()-1] }

// universal are the predeclared names that the code of this generator uses.
var universal = []string{"any", "append", "bool", "byte", "error", "int", "int64", "len", "nil", "recover", "string", "true"}

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
