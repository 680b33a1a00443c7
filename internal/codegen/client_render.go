package codegen

import (
	"cmp"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// clientView is what the template of ClientFile sees.
type clientView struct {
	Package, Document, Version string
	// Standard and Imports are the imports of the standard library and the others.
	Standard, Imports []importView
	Fields            []clientFieldView
	Schemes           []clientSchemeView
	Operations        []clientOperationView
	Methods           []clientMethodView
	// Refresh is the operation of the refresh, or nil.
	Refresh *clientOperationView
}

// clientFieldView is a field of the credentials.
type clientFieldView struct{ Go, Doc string }

// clientSchemeView is a scheme. Field is the field with its credential, or "".
type clientSchemeView struct{ Go, Expression, Field string }

type clientOperationView struct{ ID, Go, Alternatives, Method, Path string }

// clientMethodView is a method that names its operation, "" for a public one.
type clientMethodView struct{ Go, Parameters, Arguments, Operation string }

// newClientView returns what client.gen.go is made of. It reports credentials that would get the same
// Go name.
func newClientView(pkg, version string, operations []*operation, refresh *operation, r *reader, g *generated) *clientView {
	v := &clientView{Package: pkg, Document: word(path.Base(filepath.ToSlash(r.spec.path))), Version: version}
	v.addSchemes(r, refresh != nil)
	imports := map[importView]bool{{Path: "context"}: true, {Path: "net/http"}: true, {Path: "github.com/oapi-guard/oapi-guard/client"}: true}
	for _, o := range operations {
		methods := g.client[o]
		if len(methods) == 0 {
			continue // reported by bindClient
		}
		view := clientOperationView{ID: o.id, Go: methods[0].operationName(), Method: o.method, Path: o.path}
		if !o.requirement.public() {
			view.Alternatives = alternativesExpression(o.requirement)
			v.Operations = append(v.Operations, view)
		}
		if o == refresh {
			v.Refresh = &view
		}
		for _, m := range methods {
			operation := ""
			if !o.requirement.public() {
				operation = view.Go
			}
			v.Methods = append(v.Methods, m.view(operation, g, imports))
		}
	}
	for _, i := range slices.SortedFunc(maps.Keys(imports), func(a, b importView) int { return cmp.Compare(a.Path, b.Path) }) {
		if first, _, _ := strings.Cut(i.Path, "/"); strings.Contains(first, ".") {
			v.Imports = append(v.Imports, i)
		} else {
			v.Standard = append(v.Standard, i)
		}
	}
	return v
}

// operationName returns the Go name of the operation that the method is for.
func (m clientMethod) operationName() string {
	last := len(m.parameters) - 1
	if last >= 0 && m.parameters[last].name == "body" {
		return strings.TrimSuffix(m.name, "WithBody")
	}
	return m.name
}

// view returns the method, and adds the imports of its types.
func (m clientMethod) view(operation string, g *generated, imports map[importView]bool) clientMethodView {
	v := clientMethodView{Go: m.name, Operation: operation}
	for _, p := range m.parameters {
		for name := range packagesOf(p.of) {
			if found, ok := importOf(m.file, name); ok {
				imports[found] = true
			}
		}
		name := p.name
		if slices.Contains([]string{"c", "client", "ctx", "reqEditors"}, name) {
			name += "Parameter"
		}
		v.Parameters += ", " + name + " " + g.text(p.of)
		v.Arguments += ", " + name
	}
	return v
}

// addSchemes adds the schemes in use, and the fields of their credentials.
func (v *clientView) addSchemes(r *reader, refresh bool) {
	if refresh {
		v.Fields = append(v.Fields, clientFieldView{"Keeper client.Keeper", "Keeper keeps the tokens of a log-in. The default is in memory."})
	}
	owners := map[string]string{}
	if refresh {
		owners["Keeper"] = "the keeper of tokens"
	}
	for _, name := range slices.Sorted(maps.Keys(r.used)) {
		s := r.schemes[name]
		view := clientSchemeView{Go: s.goName, Expression: clientScheme(s), Field: s.goName}
		owner, doc := "scheme "+strconv.Quote(name), s.goName+" is for the scheme "+word(name)+" ("+s.text+")."
		if s.kind == kindJWT {
			view.Field, owner = s.goType, "token type "+strconv.Quote(s.token)
			doc = s.goType + " is " + article(s.token) + "."
		}
		if refresh && s.kind == kindJWT && s.verifier == "" {
			switch s.token {
			case "access":
				doc = s.goType + " is for access tokens from elsewhere, in place of those of a log-in."
			case "refresh":
				view.Field = "" // the token source has it
			}
		}
		v.Schemes = append(v.Schemes, view)
		if view.Field == "" {
			continue
		}
		switch other := owners[view.Field]; other {
		case owner:
			continue
		case "":
			owners[view.Field] = owner
			v.Fields = append(v.Fields, clientFieldView{view.Field + " client.Credential", doc})
		default:
			r.add(s.at, "%s and %s get the same field %s of the client's credentials; choose another name in the configuration: %s: {%s: {%s: NAME}}",
				other, owner, view.Field, keySchemes, yamlKey(name), keyGoName)
		}
	}
}

// clientScheme returns a scheme as Go.
func clientScheme(s *scheme) string {
	var b strings.Builder
	b.WriteString("&client.Scheme{Name: " + strconv.Quote(s.name) + ", Kind: " + clientKind(s))
	field := func(name, value string) {
		if value != "" {
			b.WriteString(", " + name + ": " + value)
		}
	}
	field("In", map[string]string{"query": "client.InQuery", "cookie": "client.InCookie"}[s.in])
	if s.parameter != "" {
		field("Parameter", strconv.Quote(s.parameter))
	}
	if prefix := s.sentPrefix(); prefix != "" {
		field("Prefix", strconv.Quote(prefix))
	}
	if s.kind == kindJWT {
		field("JWT", "true")
	}
	return b.String() + "}"
}

func clientKind(s *scheme) string {
	switch {
	case s.kind == kindBasic:
		return "client.KindBasic"
	case s.kind == kindCertificate:
		return "client.KindCertificate"
	case s.kind == kindJWT && s.verifier == "" && s.token == "access":
		return "client.KindAccessToken"
	case s.kind == kindJWT && s.verifier == "" && s.token == "refresh":
		return "client.KindRefreshToken"
	}
	return "client.KindKey"
}

// sentPrefix returns the word that the guards expect before the credential.
func (s *scheme) sentPrefix() string {
	in, name := s.location()
	switch {
	case in != "header" || s.kind == kindBasic:
		return ""
	case s.prefix != "":
		return s.prefix
	case s.in == "" || s.kind == kindJWT && name == "Authorization":
		return "Bearer"
	}
	return ""
}

// alternativesExpression returns the alternatives of a requirement as Go.
func alternativesExpression(r *requirement) string {
	var alternatives []string
	for _, a := range r.alternatives {
		var schemes []string
		for _, s := range a {
			schemes = append(schemes, "guardedClientSchemes."+s.goName)
		}
		alternatives = append(alternatives, "{"+strings.Join(schemes, ", ")+"}")
	}
	return "[][]*client.Scheme{" + strings.Join(alternatives, ", ") + "}"
}
