package codegen

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"
)

// typeError is an error that the compiler would find in generated code.
type typeError struct {
	// file and line are the place in the generated code.
	file string
	line int
	text string
	// declaration is the name at the top of the file that the place belongs to. of is the type of the
	// receiver where it is a method.
	declaration, of string
	// other is the first declaration of a name that is declared twice.
	other string
}

// errNotImported makes the type checker fake a package.
var errNotImported = errors.New("not imported")

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errNotImported }

// typeErrors returns the errors of generated files by themselves. All imports are faked, because they
// may not be there yet: what depends on them is not checked.
func (g *generated) typeErrors() []typeError {
	for _, file := range g.files {
		nameImports(file)
	}
	var found []typeError
	config := types.Config{
		Importer: noImports{},
		Error: func(err error) {
			var e types.Error
			if !errors.As(err, &e) || strings.HasPrefix(e.Msg, "could not import ") {
				return
			}
			if strings.HasPrefix(e.Msg, "\t") { // belongs to the error before
				if n := len(found); n > 0 {
					found[n-1].other, _ = g.declarationAt(e.Pos)
				}
				return
			}
			at := e.Fset.Position(e.Pos)
			text := strings.Join(strings.Fields(e.Msg), " ")
			declaration, of := g.declarationAt(e.Pos)
			found = append(found, typeError{file: at.Filename, line: at.Line, text: text, declaration: declaration, of: of})
		},
	}
	_, _ = config.Check("api", g.set, g.files, nil) // Error has all errors
	return found
}

// nameImports gives every import the name of its package, which a faked package does not have.
func nameImports(file *ast.File) {
	for _, spec := range file.Imports {
		if spec.Name == nil {
			path, _ := strconv.Unquote(spec.Path.Value)
			spec.Name = &ast.Ident{Name: packageName(path), NamePos: spec.Pos()}
		}
	}
}

// declarationAt returns the declaration at a position, and the type of its receiver.
func (g *generated) declarationAt(pos token.Pos) (name, of string) {
	for _, file := range g.files {
		for _, decl := range file.Decls {
			if pos < decl.Pos() || pos >= decl.End() {
				continue
			}
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				return decl.Name.Name, receiver(decl)
			case *ast.GenDecl:
				return specAt(decl, pos), ""
			}
		}
	}
	return "", ""
}

// specAt returns the name that a declaration of types, variables or constants declares at a position.
func specAt(decl *ast.GenDecl, pos token.Pos) string {
	for _, spec := range decl.Specs {
		if pos < spec.Pos() || pos >= spec.End() {
			continue
		}
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			return spec.Name.Name
		case *ast.ValueSpec:
			if name, ok := spec.Type.(*ast.Ident); ok {
				return name.Name // a constant of an enumeration belongs to its type
			}
			return spec.Names[0].Name
		}
	}
	return ""
}

// receiver returns the name of the type that a method is of, or "".
func receiver(decl *ast.FuncDecl) string {
	if decl.Recv == nil || len(decl.Recv.List) == 0 {
		return ""
	}
	e := decl.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if name, ok := e.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}
