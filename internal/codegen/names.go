package codegen

import (
	"fmt"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

// goTokenName returns the Go type of a token type: AccessToken for access, PasswordResetToken for
// password-reset.
func goTokenName(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "-") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String() + "Token"
}

// checkSchemeNames reports schemes in use that get the same Go name. A number behind one of them would
// move when a scheme is added, and with it the method of the Authenticator.
func checkSchemeNames(schemes map[string]*scheme, used map[string]bool, p *problems) {
	first := map[string]*scheme{}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		s := schemes[name]
		if other := first[s.goName]; other != nil {
			p.add(s.at, "security schemes %q (line %d) and %q get the same Go name %s; choose another one in the configuration: %s: {%s: {%s: NAME}}",
				other.name, other.at.line(), s.name, s.goName, keySchemes, yamlKey(s.name), keyGoName)
			continue
		}
		first[s.goName] = s
	}
}

// readExported reads an exported Go name of the guarded package.
func readExported(e entry, p *problems) string {
	name, _ := e.value.(string)
	if !token.IsIdentifier(name) || !token.IsExported(name) {
		p.add(e.at, "%s is an exported Go name, such as UserKey", e.at.key())
		return ""
	}
	return name
}

// unused returns the name, with a number behind it where it is taken, and takes it.
func unused(name string, taken map[string]bool) string {
	free := name
	for i := 2; taken[free]; i++ {
		free = name + strconv.Itoa(i)
	}
	taken[free] = true
	return free
}

// goType is a Go type that the user names: one of the generated package, a predeclared one, or one
// of a package that is imported.
type goType struct {
	// text is the type as Go; %s in it stands for the name of the import.
	text string
	// path is the import path, "" where there is none.
	path string
}

// readGoType reads NAME, *NAME, or either with the import path of a package and a dot in front of NAME.
func readGoType(e entry, p *problems) goType {
	text, ok := e.value.(string)
	if !ok {
		p.add(e.at, "%s has to be a string, not %s", e.at.key(), jsonType(e.value))
		return goType{}
	}
	rest, pointer := strings.CutPrefix(text, "*")
	var t goType
	name := rest
	if dot := strings.LastIndex(rest, "."); dot >= 0 {
		t.path, name = rest[:dot], rest[dot+1:]
	}
	switch {
	case !token.IsIdentifier(name), t.path != "" && (!token.IsExported(name) || !validImport(t.path)):
		p.add(e.at, "%q is no Go type; say Name, or path/of/package.Name, each with or without a * in front", text)
		return goType{}
	case t.path == "":
		t.text = name
	default:
		t.text = "%s." + name
	}
	if pointer {
		t.text = "*" + t.text
	}
	return t
}

// validImport reports whether a text can be an import path, as far as that can be told without
// looking for it.
func validImport(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, func(r rune) bool {
			return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-._~+", r)
		}) {
			return false
		}
	}
	return true
}

// imports gives the packages of user's types a name each.
type imports struct {
	names map[string]string
	taken map[string]bool
}

// newImports takes the names of the packages that are imported already, and what generated code
// calls other things by.
func newImports(paths []string) *imports {
	i := &imports{map[string]string{}, map[string]bool{}}
	for _, path := range paths {
		i.taken[importName(path)] = true
	}
	for _, name := range []string{"context", "security", "guard", "time", "x509", "ctx", "request", "server", "s", "token", "caller", "credential", "validator", "policy", "authenticator"} {
		i.taken[name] = true
	}
	return i
}

// of returns the type with the name of its import, which it adds.
func (i *imports) of(t goType) string {
	if t.path == "" {
		return t.text
	}
	name := i.names[t.path]
	if name == "" {
		name = unused(importName(t.path), i.taken)
		i.names[t.path] = name
	}
	return fmt.Sprintf(t.text, name)
}

var versionSuffix = regexp.MustCompile(`(/v\d+|\.v\d+)$`)

// importName makes a Go name of the last part of an import path that is not a version.
func importName(path string) string {
	path = versionSuffix.ReplaceAllString(path, "")
	name := strings.ToLower(path[strings.LastIndex(path, "/")+1:])
	name = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, name)
	if !token.IsIdentifier(name) {
		return "pkg" + name
	}
	return name
}

// goFieldName makes an exported Go name of any text.
func goFieldName(name string) string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for i, part := range parts {
		first, size := utf8.DecodeRuneInString(part)
		parts[i] = string(unicode.ToUpper(first)) + part[size:]
	}
	if field := strings.Join(parts, ""); token.IsExported(field) && token.IsIdentifier(field) {
		return field
	}
	return "X" + strings.Join(parts, "")
}

// word returns a text for a comment: as it is where it is a plain word, else quoted, so that
// nothing in it ends the comment.
func word(text string) string {
	plain := func(r rune) bool { return r > ' ' && r < 0x7f && r != '"' && r != '`' && r != '\\' }
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return strconv.QuoteToASCII(text)
}

// checkNames reports names that a file and api.gen.go both declare.
func checkNames(guard *guardCode, file string, r *reader, g *generated) error {
	var p problems
	for _, name := range g.collisions(guard.names) {
		at := placeOf(name, r.document, r.spec)
		ways := append(r.renamings(name), "rename what oapi-codegen calls so, with x-go-name")
		text := fmt.Sprintf("the Go name %s is needed by %s; %s", name, file, strings.Join(ways, ", or "))
		if at.pointer == "" {
			p.add(at, "%s", text)
			continue
		}
		p.addWithOverlay(at, []overlayAction{addition(at, "{x-go-name: "+renamed(name)+"}")}, "%s", text)
	}
	return p.err()
}

// renamings returns the keys of the configuration that free a name of guard.gen.go.
func (r *reader) renamings(name string) []string {
	var ways []string
	for _, t := range r.types {
		if t.goName == name {
			ways = append(ways, fmt.Sprintf("give the token type another Go name in the configuration: %s: {%s: {%s: NAME}}", keySchemes, yamlKey(t.schemes[0]), keyGoType))
		}
	}
	for _, o := range r.operations {
		if c := o.argument.credential; c != nil && c.goName == name {
			ways = append(ways, fmt.Sprintf("give the operation's argument another name in the configuration: %s: {%s: {%s: NAME}}", keyOperations, yamlKey(o.id), keyCredential))
		}
	}
	return ways
}

// renamed returns another exported Go name for a schema.
func renamed(name string) string { return strings.ToUpper(name[:1]) + name[1:] + "Body" }

// placeOf returns the component that a Go name probably comes from, or the document.
func placeOf(name string, doc *document, spec *source) place {
	top := place{source: spec}
	if doc.Components == nil {
		return top
	}
	for key, ref := range doc.Components.Schemas {
		if ref != nil && ref.Value != nil && ref.Value.Extensions["x-go-name"] == name {
			return top.at("components", "schemas", key)
		}
	}
	for section, keys := range map[string][]string{
		"schemas":       slices.Collect(maps.Keys(doc.Components.Schemas)),
		"responses":     slices.Collect(maps.Keys(doc.Components.Responses)),
		"requestBodies": slices.Collect(maps.Keys(doc.Components.RequestBodies)),
		"parameters":    slices.Collect(maps.Keys(doc.Components.Parameters)),
	} {
		for _, key := range keys {
			if codegen.SchemaNameToTypeName(key) == name {
				return top.at("components", section, key)
			}
		}
	}
	return top
}
