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

// goTokenName returns the Go type of a token type: AccessToken for access, PasswordResetToken for password-reset.
func goTokenName(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "-") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String() + "Token"
}

// nameSchemes gives every scheme of the document a Go name, different from the others. Schemes that no operation uses have one too, so
// that a name does not change when an operation is added.
func nameSchemes(schemes map[string]*scheme) {
	taken := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(schemes)) {
		schemes[name].goName = unused(goFieldName(name), taken)
	}
}

// unused returns the name, with a number behind it where it is taken, and takes it.
func unused(name string, taken map[string]bool) string {
	own := name
	for i := 2; taken[own]; i++ {
		own = name + strconv.Itoa(i)
	}
	taken[own] = true
	return own
}

// goType is a Go type that the user names: one of the generated package, a predeclared one, or one of a package that is imported.
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

// validImport reports whether a text can be an import path, as far as that can be told without looking for it.
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

// newImports takes the names of the packages that are imported already, and what generated code calls other things by.
func newImports(paths []string) *imports {
	i := &imports{map[string]string{}, map[string]bool{}}
	for _, path := range paths {
		i.taken[importName(path)] = true
	}
	for _, name := range []string{"context", "security", "time", "x509", "ctx", "request", "server", "s", "token", "principal", "credential", "validator", "authenticator"} {
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

// word returns a text for a comment: as it is where it is a plain word, else quoted, so that nothing in it ends the comment.
func word(text string) string {
	plain := func(r rune) bool { return r > ' ' && r < 0x7f && r != '"' && r != '`' && r != '\\' }
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return strconv.QuoteToASCII(text)
}

// checkNames reports names that both files declare.
func checkNames(guard string, r *reader, g *generated) error {
	names, err := g.collisions(guard)
	if err != nil {
		return err
	}
	var p problems
	for _, name := range names {
		fix := "rename what oapi-codegen calls so, with x-go-name"
		if slices.ContainsFunc(r.types, func(t *tokenType) bool { return t.goName == name }) {
			fix += ", or give the token type another name with " + guardKey + "." + keyToken
		}
		if slices.ContainsFunc(r.structs, func(c *credentialType) bool { return c.goName == name }) {
			fix += ", or give the operations' argument another name with " + guardKey + "." + keyCredential
		}
		p.add(placeOf(name, r.document, r.spec), "the Go name %s is needed by %s; %s", name, GuardFile, fix)
	}
	return p.err()
}

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
