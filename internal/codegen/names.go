package codegen

import (
	"go/token"
	"maps"
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

// nameSchemes gives every scheme in use the name of a field, different from the others.
func nameSchemes(schemes []*scheme) {
	taken := map[string]bool{}
	for _, s := range schemes {
		base := goFieldName(s.name)
		s.goName = base
		for i := 2; taken[s.goName]; i++ {
			s.goName = base + strconv.Itoa(i)
		}
		taken[s.goName] = true
	}
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
func checkNames(guard string, types []*tokenType, doc *document, spec *source, g *generated) error {
	names, err := g.collisions(guard)
	if err != nil {
		return err
	}
	var p problems
	for _, name := range names {
		fix := "rename what oapi-codegen calls so, with x-go-name"
		if slices.ContainsFunc(types, func(t *tokenType) bool { return t.goName == name }) {
			fix += ", or give the token type another name with " + guardKey + "." + keyToken
		}
		p.add(placeOf(name, doc, spec), "the Go name %s is needed by %s; %s", name, GuardFile, fix)
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
