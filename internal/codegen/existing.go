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

// Package is the Go code of a package that oapi-codegen generated elsewhere, perhaps beside code by hand.
type Package struct {
	// Name is the name of the package.
	Name string
	// Dir is the folder, for errors.
	Dir string
	// Files are the contents by file name: no tests, and not GuardFile.
	Files map[string]string
}

// ReadPackage reads the package in a folder as the go command would build it here.
func ReadPackage(dir string) (*Package, error) {
	found, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, Problem{File: dir, Text: fmt.Sprintf("guard-only reads the package that oapi-codegen generated: %v", err)}
	}
	p := &Package{Name: found.Name, Dir: dir, Files: map[string]string{}}
	for _, name := range found.GoFiles {
		if name == GuardFile {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		p.Files[name] = string(content)
	}
	if len(p.Files) == 0 {
		return nil, Problem{File: dir, Text: "guard-only reads the package that oapi-codegen generated, and there is none"}
	}
	return p, nil
}

// forExisting returns the configuration with the name and the server of the package that it is for, where there is one already.
func (c *Config) forExisting() (*Config, error) {
	switch p := c.Existing; {
	case p == nil && c.GuardOnly:
		return nil, errors.New("guard-only needs the package that oapi-codegen generated; see ReadPackage")
	case p == nil:
		return c, nil
	case c.Package != "" && c.Package != p.Name:
		return nil, c.problem(keyPackage, "the package in %s is called %s, not %s; remove this line", p.Dir, p.Name, c.Package)
	default:
		own := *c
		own.Package, own.oapiCodegen.PackageName = p.Name, ""
		name, err := p.server()
		switch {
		case err != nil:
			return nil, err
		case c.Server != "" && c.Server != name:
			return nil, c.problem(keyServer, "the package in %s is for the server %s, not %s; remove this line", p.Dir, name, c.Server)
		}
		own.Server = name
		return &own, nil
	}
}

// problem returns a problem with a key of the configuration.
func (c *Config) problem(key, format string, args ...any) error {
	var p problems
	p.add(c.top().at(key), format, args...)
	return p.err()
}

// server returns the name of the server that the package is for.
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
		return "", Problem{File: p.Dir, Text: "guard-only reads a package with a strict server and one server of oapi-codegen, and this one has " + foundIn(names, declared)}
	}
	return names[0], nil
}

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

// structFields returns the names of the fields of the structs that a file declares.
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

// missing returns what guard.gen.go needs of the package and does not find there: names, and fields of its structs.
func (g *generated) missing(guard string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", guard, 0)
	if err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	own := namesOf(file)
	for _, name := range file.Unresolved {
		if !g.names.declared[name.Name] && !own.imported[name.Name] && !doc.IsPredeclared(name.Name) {
			missing[name.Name] = true
		}
	}
	fields := structFields(g.files)
	need := func(of, field string) {
		if known, isStruct := fields[of]; isStruct && !slices.Contains(known, field) {
			missing[of+"."+field] = true
		}
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		types := map[string]string{} // of parameters
		for _, param := range f.Type.Params.List {
			if of, ok := param.Type.(*ast.Ident); ok {
				for _, name := range param.Names {
					types[name.Name] = of.Name
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok {
					need(types[x.Name], n.Sel.Name)
				}
			case *ast.CompositeLit:
				of, ok := n.Type.(*ast.Ident)
				if !ok {
					break
				}
				for _, element := range n.Elts {
					if pair, ok := element.(*ast.KeyValueExpr); ok {
						if key, ok := pair.Key.(*ast.Ident); ok {
							need(of.Name, key.Name)
						}
					}
				}
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(missing)), nil
}

// checkComplete reports what guard.gen.go needs and the package does not have.
func (g *generated) checkComplete(guard string, p *Package) error {
	missing, err := g.missing(guard)
	if err != nil || len(missing) == 0 {
		return err
	}
	return Problem{File: p.Dir, Text: fmt.Sprintf("the package has no %s, which %s needs; generate it with strict-server: true, and with a version of oapi-codegen that has them",
		strings.Join(missing, ", "), GuardFile)}
}
