package oracle

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Generated reads the table of operations in generated code, in the form of [Read].
func Generated(code []byte) (Table, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "guard.gen.go", code, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	g := &generated{tokens: map[string]string{}, schemes: map[string]string{}, table: Table{}}
	for _, decl := range file.Decls {
		variables, ok := decl.(*ast.GenDecl)
		if !ok || variables.Tok != token.VAR {
			continue
		}
		for _, spec := range variables.Specs {
			value := spec.(*ast.ValueSpec)
			if len(value.Values) == 1 {
				g.variable(value.Names[0].Name, value.Values[0])
			}
		}
	}
	return g.table, nil
}

// generated is what was read of generated code: token types and schemes by the names of their fields.
type generated struct {
	tokens, schemes map[string]string
	table           Table
}

func (g *generated) variable(name string, value ast.Expr) {
	switch {
	case name == "guardedTokenTypes":
		for field, expression := range fields(value) {
			g.tokens[field] = tokenType(expression)
		}
	case name == "guardedSchemes":
		for field, expression := range fields(value) {
			g.schemes[field] = g.scheme(expression)
		}
	default:
		if call, ok := value.(*ast.CallExpr); ok && strings.HasPrefix(name, "guardedOperation") {
			g.operation(call)
		}
	}
}

// fields returns the values of a composite literal, or of a pointer to one, by their names.
func fields(e ast.Expr) map[string]ast.Expr {
	if pointer, ok := e.(*ast.UnaryExpr); ok {
		e = pointer.X
	}
	values := map[string]ast.Expr{}
	literal, ok := e.(*ast.CompositeLit)
	if !ok {
		return values
	}
	for _, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			values[last(pair.Key)] = pair.Value
		}
	}
	return values
}

// last returns the last name of an expression, such as KindBasic of guard.KindBasic.
func last(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func text(e ast.Expr) string {
	if literal, ok := e.(*ast.BasicLit); ok {
		if text, err := strconv.Unquote(literal.Value); err == nil {
			return text
		}
	}
	return ""
}

func texts(list []ast.Expr) []string {
	var values []string
	for _, e := range list {
		values = append(values, text(e))
	}
	return values
}

// tokenType reads security.NewTokenType[T]("name") and what may be called on it, OfVerifier("name") and
// WithSchema.
func tokenType(e ast.Expr) string {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return ""
	}
	on, ok := call.Fun.(*ast.SelectorExpr)
	if ok && on.Sel.Name == "WithSchema" {
		return tokenType(on.X)
	}
	if ok && on.Sel.Name == "OfVerifier" {
		name, _, _ := strings.Cut(tokenType(on.X), " of ")
		return name + " of " + text(call.Args[0])
	}
	return text(call.Args[0]) + " of "
}

// scheme reads &guard.Scheme{...}.
func (g *generated) scheme(e ast.Expr) string {
	f := fields(e)
	place := map[string]string{"": "header", "InQuery": "query", "InCookie": "cookie"}[last(f["In"])] + " " + text(f["Parameter"])
	prefix := text(f["Prefix"])
	hasPlace := text(f["Parameter"]) != ""
	credential := ""
	switch last(f["Kind"]) {
	case "":
		credential = "JWT " + g.tokens[last(f["Token"])]
		if !hasPlace {
			place = "bearer"
		}
	case "KindBasic":
		credential, place = "basic", "authorization"
	case "KindCertificate":
		credential, place = "certificate", ""
	case "KindKey":
		credential = "key"
		switch {
		case hasPlace:
		case prefix != "":
			credential, place, prefix = strings.ToLower(prefix), "authorization", ""
		default:
			credential, place = "opaque", "bearer"
		}
	}
	return strings.TrimSpace(fmt.Sprintf("%s: %s in %s %s", text(f["Name"]), credential, place, prefix))
}

// operation reads guardedOperations.Add(guard.Operation{...}, aliases...).
func (g *generated) operation(call *ast.CallExpr) {
	f := fields(call.Args[0])
	line := "public"
	if requirement, ok := f["Requirement"].(*ast.CompositeLit); ok {
		var alternatives []string
		for _, alternative := range requirement.Elts {
			var schemes []string
			for _, scheme := range alternative.(*ast.CompositeLit).Elts {
				schemes = append(schemes, g.required(scheme))
			}
			alternatives = append(alternatives, "("+strings.Join(schemes, " and ")+")")
		}
		line = strings.Join(alternatives, " or ") + rules(fields(f["Rules"]))
	}
	for _, path := range append([]string{text(f["Path"])}, texts(call.Args[1:])...) {
		g.table[text(f["Method"])+" "+path] = line
	}
}

// required reads guardedSchemes.Name, and calls of With and WithRoles on it.
func (g *generated) required(e ast.Expr) string {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return g.schemes[last(e)]
	}
	return g.required(call.Fun.(*ast.SelectorExpr).X) + fmt.Sprintf(" %q", texts(call.Args))
}

// rules describes guard.Rules{...}.
func rules(f map[string]ast.Expr) string {
	described := map[string]string{}
	for name, value := range f {
		switch name {
		case "Fresh":
			described["fresh"] = "true"
		case "MaxAge":
			product := value.(*ast.BinaryExpr)
			count := product.X.(*ast.BasicLit).Value
			if age, err := time.ParseDuration(count + map[string]string{"Hour": "h", "Minute": "m", "Second": "s"}[last(product.Y)]); err == nil {
				described["fresh"] = age.String()
			}
		case "ImmediateRevocation":
			described["revocation"] = "immediate"
		case "Watch":
			described["watch"] = "true"
		case "AllowRoles":
			described["roles"] = fmt.Sprintf("map[allow:%v]", texts(value.(*ast.CompositeLit).Elts))
		case "DenyRoles":
			described["roles"] = fmt.Sprintf("map[deny:%v]", texts(value.(*ast.CompositeLit).Elts))
		}
	}
	line := ""
	for _, name := range slices.Sorted(maps.Keys(described)) {
		line += "; " + name + " " + described[name]
	}
	return line
}

// Differences returns the operations whose security differs, a line each.
func Differences(got, want Table) []string {
	var found []string
	all := maps.Clone(got)
	maps.Copy(all, want)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if got[key] != want[key] {
			found = append(found, fmt.Sprintf("%s: %q, want %q", key, got[key], want[key]))
		}
	}
	return found
}
