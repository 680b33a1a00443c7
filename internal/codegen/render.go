package codegen

import (
	"bytes"
	"embed"
	"fmt"
	"go/format"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
)

//go:embed templates/*.tmpl
var templateFiles embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"quote": strconv.Quote, "names": names, "commented": commented,
}).ParseFS(templateFiles, "templates/*.tmpl"))

// view is what the templates see.
type view struct {
	Package string
	Imports []string
	Tokens  []tokenView
	// Issued are those of the tokens that the application itself issues.
	Issued        []tokenView
	Schemes       []schemeView
	Operations    []operationView
	Routes        []routeView
	Registrations []registrationView
	// OperationsDoc is the doc of GuardedOperations.
	OperationsDoc string
	// Aliases says whether an operation has more than one path.
	Aliases bool
	// Access and Refresh are the token types of a pair that the application issues; nil where there is none.
	Access, Refresh *tokenView
}

type tokenView struct {
	Name, Go string
	// Text is the name in a sentence, with its article.
	Text    string
	Schemes string
	// Claims is the Go type of the private claims, "" where there are none.
	Claims string
}

// ClaimsType returns the type argument of the token.
func (t tokenView) ClaimsType() string {
	if t.Claims == "" {
		return "security.NoClaims"
	}
	return t.Claims
}

type schemeView struct {
	Name, Go, Token string
	// Place is the rest of the fields as Go, "" for a bearer token of the application's own.
	Place string
}

type operationView struct {
	ID, Method, Path, Go string
	// Requirement and Rules are Go expressions, "" where there is none.
	Requirement, Rules string
	// Comment has the lines of the method's comment.
	Comment           []string
	Request, Response string
	// Token is nil for a public operation.
	Token    *tokenView
	Optional bool
}

// Argument returns the type of the token argument.
func (o operationView) Argument() string {
	if o.Optional {
		return "*" + o.Token.Go
	}
	return o.Token.Go
}

// routeView is a line of the table for audits.
type routeView struct {
	Go string
	// Path is set for an alias only.
	Path string
}

type registrationView struct{ Pattern, Go string }

// render returns guard.gen.go.
func render(pkg string, operations []*operation, types []*tokenType, r *reader, g *generated, outside []string) (string, error) {
	v := view{Package: pkg}
	tokens := map[string]*tokenView{}
	for _, t := range types {
		var schemes []string
		for _, name := range t.schemes {
			schemes = append(schemes, word(name))
		}
		token := tokenView{Name: t.name, Go: t.goName, Text: article(t.name), Schemes: strings.Join(schemes, ", "), Claims: t.goClaims}
		v.Tokens = append(v.Tokens, token)
		tokens[t.name] = &token
		if !t.own {
			continue
		}
		v.Issued = append(v.Issued, token)
		switch t.name {
		case "access":
			v.Access = &token
		case "refresh":
			v.Refresh = &token
		}
	}

	var schemes []*scheme
	for _, t := range types {
		for _, name := range t.schemes {
			schemes = append(schemes, r.schemes[name])
		}
	}
	nameSchemes(schemes)
	for _, s := range schemes {
		v.Schemes = append(v.Schemes, schemeView{s.name, s.goName, goTokenName(s.token), placeExpression(s)})
	}

	imports := map[string]bool{"net/http": true}
	for _, o := range operations {
		m := g.methods[o.goName]
		ov := operationView{
			ID: o.id, Method: o.method, Path: o.path, Go: o.goName,
			Requirement: requirementExpression(o.requirement), Rules: rulesExpression(o.rules),
			Comment: comment(m.comment, o), Request: m.request, Response: m.response,
			Token: tokens[o.requirement.token], Optional: o.requirement.optional(),
		}
		v.Operations = append(v.Operations, ov)
		v.Routes = append(v.Routes, routeView{Go: o.goName})
		for _, alias := range o.aliases {
			v.Aliases = true
			v.Routes = append(v.Routes, routeView{o.goName, alias.path})
		}
		imports["context"] = true
		imports["time"] = imports["time"] || o.rules.maxAge > 0
	}
	for _, registration := range g.registrations {
		v.Registrations = append(v.Registrations, registrationView{registration.expression, registration.handler})
	}
	for _, path := range []string{"context", "net/http", "time"} {
		if imports[path] {
			v.Imports = append(v.Imports, path)
		}
	}

	v.OperationsDoc = operationsDoc(v.Aliases, outside)

	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "guard.tmpl", v); err != nil {
		return "", err
	}
	code, err := format.Source(b.Bytes())
	if err != nil {
		return "", fmt.Errorf("the generated code does not parse: %w", err)
	}
	return string(code), nil
}

func operationsDoc(aliases bool, outside []string) string {
	doc := "GuardedOperations returns what the document says of each operation's security, in document order: for audits and for tests of coverage."
	if aliases {
		doc += " An operation that several paths share stands there once for each of them."
	}
	if len(outside) == 0 {
		return doc + " Webhooks and callbacks are not among them, because this API sends those requests."
	}
	return doc + " Not among them, because this API sends those requests: " + strings.Join(outside, ", ") + "."
}

func article(name string) string {
	if strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name + " token"
	}
	return "a " + name + " token"
}

func requirementExpression(r *requirement) string {
	if r.public() {
		return ""
	}
	var alternatives []string
	for _, a := range r.alternatives {
		switch {
		case a.scheme == nil:
			alternatives = append(alternatives, "{}")
		case len(a.scopes) > 0:
			scopes := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", a.scopes), "[]string{"), "}")
			alternatives = append(alternatives, "{guardedSchemes."+a.scheme.goName+".With("+scopes+")}")
		default:
			alternatives = append(alternatives, "{guardedSchemes."+a.scheme.goName+"}")
		}
	}
	return "security.Requirement{" + strings.Join(alternatives, ", ") + "}"
}

// placeExpression returns the fields that say where the token stands and whose it is, as Go.
func placeExpression(s *scheme) string {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			b.WriteString(", " + name + ": " + value)
		}
	}
	field("In", map[string]string{"query": "security.InQuery", "cookie": "security.InCookie"}[s.in])
	for _, f := range [][2]string{{"Parameter", s.parameter}, {"Prefix", s.prefix}, {"Verifier", s.verifier}} {
		if f[1] != "" {
			field(f[0], strconv.Quote(f[1]))
		}
	}
	if s.csrfForm {
		field("CSRFForm", "true")
	}
	return b.String()
}

func rulesExpression(r rules) string {
	var fields []string
	if r.fresh {
		fields = append(fields, "Fresh: true")
	}
	if r.maxAge > 0 {
		fields = append(fields, "MaxAge: "+durationExpression(r.maxAge))
	}
	for _, list := range []struct {
		field string
		roles []string
	}{{"AllowRoles", r.allow}, {"DenyRoles", r.deny}} {
		if list.roles != nil {
			fields = append(fields, fmt.Sprintf("%s: %#v", list.field, list.roles))
		}
	}
	if fields == nil {
		return ""
	}
	return "security.Rules{" + strings.Join(fields, ", ") + "}"
}

func durationExpression(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{time.Hour, "time.Hour"}, {time.Minute, "time.Minute"}} {
		if d%unit.length == 0 {
			return fmt.Sprintf("%d * %s", d/unit.length, unit.name)
		}
	}
	return fmt.Sprintf("%d * time.Second", d/time.Second)
}

// comment returns the method's comment as oapi-codegen wrote it, with the operation's security behind its route and without
// the method's name in front of a summary, which is a sentence of its own.
func comment(lines []string, o *operation) []string {
	lines = slices.Clone(lines)
	if len(lines) > 0 {
		lines[0] = strings.TrimPrefix(lines[0], o.goName+" ")
	}
	head := fmt.Sprintf("(%s %s)", o.method, o.path)
	at := slices.Index(lines, head)
	if at < 0 {
		return append(lines, securityText(o))
	}
	lines[at] += " " + securityText(o)
	return lines
}

// securityText says what an operation asks for in a few words.
func securityText(o *operation) string {
	if o.requirement.public() {
		return "public"
	}
	var alternatives []string
	for _, a := range o.requirement.alternatives {
		switch {
		case a.scheme == nil:
			alternatives = append(alternatives, "anonymous")
		case len(a.scopes) > 0:
			alternatives = append(alternatives, word(a.scheme.name)+" ("+roleText(a.scopes)+")")
		default:
			alternatives = append(alternatives, word(a.scheme.name))
		}
	}
	text := strings.Join(alternatives, " or ")
	if o.rules.fresh {
		text += "; fresh"
	}
	if o.rules.maxAge > 0 {
		text += "; authenticated at most " + o.rules.maxAge.String() + " ago"
	}
	if o.rules.allow != nil {
		text += "; roles allow " + roleText(o.rules.allow)
	}
	if o.rules.deny != nil {
		text += "; roles deny " + roleText(o.rules.deny)
	}
	return text
}

func roleText(roles []string) string {
	var words []string
	for _, role := range roles {
		words = append(words, word(role))
	}
	return strings.Join(words, ", ")
}

// lineWidth is where lists of names are broken.
const lineWidth = 118

// names returns the names of struct fields, broken into lines.
func names(operations []operationView) string {
	var b strings.Builder
	width := 0
	for i, o := range operations {
		switch {
		case i == 0:
		case width+len(o.Go) > lineWidth:
			b.WriteString(",\n")
			width = 0
		default:
			b.WriteString(", ")
		}
		b.WriteString(o.Go)
		width += len(o.Go) + 2
	}
	return b.String()
}

// commented returns words as lines of a comment.
func commented(text string) string {
	var b strings.Builder
	width := lineWidth
	for _, w := range strings.Fields(text) {
		if width += len(w) + 1; width > lineWidth {
			b.WriteString("\n//")
			width = len(w) + 1
		}
		b.WriteString(" " + w)
	}
	return strings.TrimPrefix(b.String(), "\n")
}
