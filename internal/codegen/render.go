package codegen

import (
	"bytes"
	"embed"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed templates/*.tmpl
var templateFiles embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"quote": strconv.Quote, "names": names, "commented": commented, "word": word,
}).ParseFS(templateFiles, "templates/*.tmpl"))

// view is what the templates see.
type view struct {
	Package string
	// Document is the name of the document, and Version that of this program.
	Document, Version string
	Imports           []importView
	// Server is the router, Packages are those of its imports that are not the standard library's, and Glue is its part.
	Server   string
	Packages []string
	Glue     string
	Tokens   []tokenView
	// Issued are those of the tokens that the application itself issues.
	Issued  []tokenView
	Schemes []schemeView
	// Authenticated are those of the schemes whose credentials are not JWTs.
	Authenticated []authenticatedView
	Credentials   []credentialView
	Operations    []operationView
	Registrations []registrationView
	// OperationsDoc is the doc of GuardedOperations.
	OperationsDoc string
	// Access and Refresh are the token types of a pair that the application issues; nil where there is none.
	Access, Refresh *tokenView
	// Sessions says that there is a typed manager of sessions.
	Sessions bool
}

// importView is an import of the standard library, or one of a user's type, under its name.
type importView struct{ Name, Path string }

type tokenView struct {
	Name, Go string
	// Text is the name in a sentence, with its article.
	Text    string
	Schemes string
	// Verifier is the name of the verifier that the tokens belong to, "" for that of the application.
	Verifier string
	// Claims is the Go type of the private claims, "" where there are none.
	Claims string
	// Schema is the JSON Schema of the private claims as a Go literal, "" where the runtime checks none.
	// Declared are the arguments for the reserved claims that it is about.
	Schema, Declared string
}

// ClaimsType returns the type argument of the token.
func (t tokenView) ClaimsType() string {
	if t.Claims == "" {
		return "security.NoClaims"
	}
	return t.Claims
}

// HasSchemas reports whether the claims of a token type have a schema.
func (v *view) HasSchemas() bool {
	return slices.ContainsFunc(v.Tokens, func(t tokenView) bool { return t.Schema != "" })
}

// rawLiteral returns a Go literal of a text, over several lines if it can be.
func rawLiteral(text string) string {
	if strconv.CanBackquote(strings.ReplaceAll(text, "\n", "")) {
		return "`" + text + "`"
	}
	return strconv.Quote(text)
}

type schemeView struct {
	Name, Go string
	// Fields are the other fields as Go.
	Fields string
}

// authenticatedView is a scheme whose credentials the Authenticator resolves.
type authenticatedView struct {
	Name, Go, Principal string
	// Text says what the scheme is. Resolve is the function of package security that calls the method, Parameter the method's.
	Text, Resolve, Parameter string
}

// credentialView is a struct of credentials.
type credentialView struct {
	Go string
	// All says that every field is set.
	All    bool
	Doc    string
	Fields []fieldView
}

type fieldView struct {
	Go string
	// Scheme is the name of the one scheme that the field is for, "" for a token by whichever.
	Scheme string
	// Token is nil for a principal.
	Token     *tokenView
	Principal string
}

// Type returns the type of the field's value.
func (f fieldView) Type() string {
	if f.Token != nil {
		return f.Token.Go
	}
	return "guard.Caller[" + f.Principal + "]"
}

type operationView struct {
	ID, Method, Path, Go string
	// Requirement and Rules are Go expressions, "" where there is none.
	Requirement, Rules string
	// Comment has the lines of the method's comment.
	Comment           []string
	Request, Response string
	// Aliases are the other paths.
	Aliases []string
	// Token, Principal or Credential is set, and none of them for a public operation.
	Token      *tokenView
	Principal  string
	Credential string
	Optional   bool
	// Context is the expression for the context that the method gets.
	Context string
}

// Argument returns the method's argument for the credentials, "" where it has none.
func (o operationView) Argument() string {
	star := ""
	if o.Optional {
		star = "*"
	}
	switch {
	case o.Token != nil:
		return "token " + star + o.Token.Go
	case o.Principal != "":
		return "caller " + star + "guard.Caller[" + o.Principal + "]"
	case o.Credential != "":
		return "credential " + star + o.Credential
	}
	return ""
}

// ArgumentType returns the type of the argument, "" where there is none.
func (o operationView) ArgumentType() string {
	_, argumentType, _ := strings.Cut(o.Argument(), " ")
	return argumentType
}

// render returns guard.gen.go.
func render(pkg, version string, operations []*operation, r *reader, g *generated) (*guardCode, error) {
	v := &view{Package: pkg, Document: word(path.Base(filepath.ToSlash(r.spec.path))), Version: version}
	v.Sessions = r.config.Sessions
	packages := newImports(g.router.imports)
	if v.Sessions {
		packages.taken["session"] = true
	}
	tokens := v.addTokens(r.types)
	v.addSchemes(r, packages)
	v.addCredentials(r.structs, tokens, packages)
	v.addOperations(operations, g.router, tokens, g, packages)
	v.OperationsDoc = operationsDoc(slices.ContainsFunc(operations, func(o *operation) bool { return o.aliases != nil }), r.outbound)
	v.addImports(operations, g.router, packages)
	if err := v.addGlue(g); err != nil {
		return nil, err
	}

	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "guard.tmpl", v); err != nil {
		return nil, err
	}
	return formatted(b.String())
}

// guardCode is the code of GuardFile, and the names that it declares and imports.
type guardCode struct {
	text  string
	names fileNames
}

// formatted formats the code that the templates made. The methods of the operations, most of it, are
// formatted as the template has them.
func formatted(code string) (*guardCode, error) {
	head, rest, _ := strings.Cut(code, "//methods\n")
	methods, tail, _ := strings.Cut(rest, "//functions\n")
	formattedHead, names, err := formatPart(head)
	if err != nil {
		return nil, err
	}
	const clause = "package p\n"
	formattedTail, tailNames, err := formatPart(clause + tail)
	if err != nil {
		return nil, err
	}
	maps.Copy(names.declared, tailNames.declared)
	for _, name := range []string{"UnimplementedGuardedServer", "guardedStrictServer"} {
		names.declared[name] = true
	}
	parts := []string{formattedHead, methods, strings.TrimPrefix(formattedTail, clause)}
	for i, part := range parts {
		parts[i] = strings.Trim(part, "\n")
	}
	return &guardCode{strings.Join(parts, "\n\n") + "\n", names}, nil
}

// formatPart formats a file, and returns the names that it declares and imports.
func formatPart(code string) (string, fileNames, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, GuardFile, code, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return "", fileNames{}, fmt.Errorf("the generated code does not parse: %w", err)
	}
	var b bytes.Buffer
	if err := format.Node(&b, set, file); err != nil {
		return "", fileNames{}, err
	}
	return b.String(), namesOf(file), nil
}

// addTokens returns the views of the token types by name.
func (v *view) addTokens(types []*tokenType) map[string]*tokenView {
	tokens := map[string]*tokenView{}
	for _, t := range types {
		var schemes []string
		for _, name := range t.schemes {
			schemes = append(schemes, word(name))
		}
		view := tokenView{Name: t.name, Go: t.goName, Text: article(t.name), Schemes: strings.Join(schemes, ", "), Claims: t.goClaims, Verifier: t.verifier}
		if t.schema != nil {
			view.Schema = rawLiteral(t.schema.text)
			for _, name := range t.schema.declared {
				view.Declared += ", " + strconv.Quote(name)
			}
		}
		v.Tokens = append(v.Tokens, view)
		tokens[t.name] = &view
		if !t.issuedHere {
			continue
		}
		v.Issued = append(v.Issued, view)
		switch t.name {
		case "access":
			v.Access = &view
		case "refresh":
			v.Refresh = &view
		}
	}
	return tokens
}

func (v *view) addSchemes(r *reader, packages *imports) {
	var used []*scheme
	for name := range r.used {
		used = append(used, r.schemes[name])
	}
	slices.SortFunc(used, func(a, b *scheme) int { return strings.Compare(a.order(), b.order()) })
	for _, s := range used {
		v.Schemes = append(v.Schemes, schemeView{s.name, s.goName, schemeFields(s)})
		if s.kind == kindJWT {
			continue
		}
		k := kinds[s.kind]
		v.Authenticated = append(v.Authenticated, authenticatedView{s.name, s.goName, packages.of(s.principal), s.text, k.resolve, k.parameter})
	}
}

func (v *view) addCredentials(structs []*credentialType, tokens map[string]*tokenView, packages *imports) {
	for _, c := range structs {
		cv := credentialView{Go: c.goName, All: c.all, Doc: credentialDoc(c)}
		for _, f := range c.fields {
			fv := fieldView{Go: f.goName}
			if f.scheme != nil {
				fv.Scheme = f.scheme.name
			}
			if f.token != nil {
				fv.Token = tokens[f.token.name]
			} else {
				fv.Principal = packages.of(f.scheme.principal)
			}
			cv.Fields = append(cv.Fields, fv)
		}
		v.Credentials = append(v.Credentials, cv)
	}
}

func (v *view) addOperations(operations []*operation, rt *router, tokens map[string]*tokenView, g *generated, packages *imports) {
	for _, o := range operations {
		m := g.methods[o.goName]
		ov := operationView{
			ID: o.id, Method: o.method, Path: o.path, Go: o.goName,
			Requirement: requirementExpression(o.requirement), Rules: rulesExpression(o.rules),
			Comment: comment(m.comment, o), Request: m.request, Response: m.response,
			Optional: o.argument.optional, Context: "ctx",
		}
		if o.rules.watch && rt.endlessContext {
			ov.Context = "guard.WatchedContext(ctx)"
		}
		switch a := o.argument; {
		case a.token != nil:
			ov.Token = tokens[a.token.name]
		case a.principal != nil:
			ov.Principal = packages.of(*a.principal)
		case a.credential != nil:
			ov.Credential = a.credential.goName
		}
		for _, alias := range o.aliases {
			ov.Aliases = append(ov.Aliases, alias.path)
		}
		v.Operations = append(v.Operations, ov)
	}
}

// addImports names what the code imports beside package security: the standard library, the router,
// and what user's types are from.
func (v *view) addImports(operations []*operation, rt *router, packages *imports) {
	standard, others := rt.importsWith(map[string]bool{
		"context": len(v.Operations) > 0 || len(v.Authenticated) > 0,
		"crypto/x509": slices.ContainsFunc(v.Authenticated, func(a authenticatedView) bool {
			return strings.Contains(a.Parameter, "x509.")
		}),
		"time": slices.ContainsFunc(operations, func(o *operation) bool { return o.rules.maxAge > 0 }),
	})
	for _, path := range standard {
		v.Imports = append(v.Imports, importView{Path: path})
	}
	for _, path := range slices.Sorted(maps.Keys(packages.names)) {
		v.Imports = append(v.Imports, importView{packages.names[path], path})
	}
	v.Packages = others
}
