package codegen

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Package is the Go code of a package that an earlier run of oapi-codegen generated. Hand-written code
// may be part of it.
type Package struct {
	// Name is the name of the package.
	Name string
	// Dir is the folder, for errors.
	Dir string
	// Files are the contents by file name: no tests, and neither GuardFile nor ClientFile.
	Files map[string]string
}

// ReadPackage reads the package in a folder. It reads the files that the go command would build.
func ReadPackage(dir string) (*Package, error) {
	found, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, Problem{File: dir, Text: fmt.Sprintf("guard-only reads the package that oapi-codegen generated: %v", err)}
	}
	p := &Package{Name: found.Name, Dir: dir, Files: map[string]string{}}
	for _, name := range found.GoFiles {
		if name == GuardFile || name == ClientFile {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		p.Files[name] = string(content)
	}
	if len(p.Files) == 0 {
		return nil, Problem{File: dir, Text: "guard-only needs the package that oapi-codegen generated, and there is none"}
	}
	return p, nil
}

// forExisting returns the configuration with the name and the server of the existing package, where
// there is one.
func (c *Config) forExisting() (*Config, error) {
	switch p := c.Existing; {
	case p == nil && c.GuardOnly:
		return nil, errors.New("guard-only needs the package that oapi-codegen generated; see ReadPackage")
	case p == nil:
		return c, nil
	case c.Package != "" && c.Package != p.Name:
		return nil, c.problem(keyPackage, "the package in %s is called %s, not %s; remove this line", p.Dir, p.Name, c.Package)
	default:
		adapted := *c
		adapted.Package, adapted.oapiCodegen.PackageName = p.Name, ""
		if c.clientOnly() {
			return &adapted, nil
		}
		name, err := p.server()
		switch {
		case err != nil:
			return nil, err
		case c.Server != "" && c.Server != name:
			return nil, c.problem(keyServer, "the package in %s is for the server %s, not %s; remove this line", p.Dir, name, c.Server)
		}
		adapted.Server = name
		return &adapted, nil
	}
}

// problem returns a problem with a key of the configuration.
func (c *Config) problem(key, format string, args ...any) error {
	var p problems
	p.add(c.top().at(key), format, args...)
	return p.err()
}

// server returns the name of the server in the package.
func (p *Package) server() (string, error) {
	declared, imported := map[string]bool{}, map[string]bool{}
	for name, code := range p.Files {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), code, parser.SkipObjectResolution)
		if err != nil {
			return "", Problem{File: p.Dir, Text: fmt.Sprintf("the package does not parse: %v", err)}
		}
		maps.Copy(declared, namesOf(file).declared)
		for _, spec := range file.Imports {
			imported[strings.Trim(spec.Path.Value, `"`)] = true
		}
	}
	var names []string
	for _, rt := range routers {
		if declared[rt.options] && (rt.module() == "" || imported[rt.module()]) {
			names = append(names, rt.name)
		}
	}
	if len(names) != 1 || !declared["StrictServerInterface"] {
		return "", Problem{File: p.Dir, Text: "guard-only reads a package with a strict server and one server of oapi-codegen, and this one has " + foundIn(names, declared) +
			"; say strict-server: true and one server under generate in the configuration of your oapi-codegen, and generate it again; the handlers that you have may stay"}
	}
	return names[0], nil
}

// foundIn describes the servers of a package, for errors.
func foundIn(servers []string, declared map[string]bool) string {
	strict := "no StrictServerInterface"
	if declared["StrictServerInterface"] {
		strict = "a StrictServerInterface"
	}
	if len(servers) == 0 {
		return strict + " and no server with options, as oapi-codegen v2 generates them"
	}
	return strict + " and for servers " + strings.Join(servers, ", ")
}

// structFields returns the field names of the structs that the files declare.
func structFields(files []*ast.File) map[string][]string {
	fields := map[string][]string{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if of, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range of.Fields.List {
					for _, name := range field.Names {
						fields[spec.Name.Name] = append(fields[spec.Name.Name], name.Name)
					}
				}
			}
			return false
		})
	}
	return fields
}

// missing returns the names and the struct fields that guard.gen.go needs of the package and that
// the package does not have.
func (g *generated) missing(guard string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", guard, 0)
	if err != nil {
		return nil, err
	}
	missing := g.missingNames(file)
	missing = append(missing, missingFields(file, structFields(g.files))...)
	slices.Sort(missing)
	return slices.Compact(missing), nil
}

// missingNames returns the names that a file uses and that neither file declares.
func (g *generated) missingNames(file *ast.File) []string {
	var missing []string
	imported := namesOf(file).imported
	for _, name := range file.Unresolved {
		if !g.names.declared[name.Name] && !imported[name.Name] && !doc.IsPredeclared(name.Name) {
			missing = append(missing, name.Name)
		}
	}
	return missing
}

// missingFields returns TYPE.FIELD for the fields that a file uses and that the structs do not have.
func missingFields(file *ast.File, structs map[string][]string) []string {
	var missing []string
	need := func(of, field string) {
		if known, isStruct := structs[of]; isStruct && !slices.Contains(known, field) {
			missing = append(missing, of+"."+field)
		}
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			eachField(f, need)
		}
	}
	return missing
}

// eachField calls need with the type and the field of every composite literal of a function and of
// every selector on its parameters.
func eachField(f *ast.FuncDecl, need func(of, field string)) {
	types := parameterTypes(f)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				need(types[x.Name], n.Sel.Name)
			}
		case *ast.CompositeLit:
			if of, ok := n.Type.(*ast.Ident); ok {
				for _, key := range literalKeys(n) {
					need(of.Name, key)
				}
			}
		}
		return true
	})
}

// parameterTypes returns the types of a function's parameters by name, where a type is a name itself.
func parameterTypes(f *ast.FuncDecl) map[string]string {
	types := map[string]string{}
	for _, param := range f.Type.Params.List {
		if of, ok := param.Type.(*ast.Ident); ok {
			for _, name := range param.Names {
				types[name.Name] = of.Name
			}
		}
	}
	return types
}

// literalKeys returns the field names of a composite literal.
func literalKeys(literal *ast.CompositeLit) []string {
	var keys []string
	for _, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok {
				keys = append(keys, key.Name)
			}
		}
	}
	return keys
}

// checkComplete reports the names that guard.gen.go needs and the package does not have.
func (g *generated) checkComplete(guard string, p *Package) error {
	missing, err := g.missing(guard)
	if err != nil || len(missing) == 0 {
		return err
	}
	return Problem{File: p.Dir, Text: fmt.Sprintf("the package has no %s, which %s needs; generate it with strict-server: true, and with a version of oapi-codegen that has them; the handlers that you have may stay",
		strings.Join(missing, ", "), GuardFile)}
}
