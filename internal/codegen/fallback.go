package codegen

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

// fault is a schema that oapi-codegen refuses, or whose Go does not compile.
type fault struct {
	site
	reason string
	// rename says that its type needs another name too.
	rename bool
}

// maxRounds bounds how often the document is generated again with more schemas as raw JSON.
const maxRounds = 3

// applyCuts makes raw JSON of the schemas at some pointers.
func (r *reader) applyCuts(cuts map[string]fault) {
	if len(cuts) == 0 {
		return
	}
	for _, s := range r.sites() {
		if cut, ok := cuts[s.at.pointer]; ok {
			goName := ""
			if cut.rename {
				goName = s.goName + "Raw"
			}
			s.makeRaw(goName)
		}
	}
}

// refused returns the schemas that oapi-codegen refuses by themselves. It has to have begun to generate
// from the document, because it keeps its settings in package variables.
func (r *reader) refused(libraryErr error) []fault {
	var found []fault
	for _, s := range r.sites() {
		_, err := inLibrary(func() (codegen.Schema, error) {
			return codegen.GenerateGoSchema(&openapi3.SchemaRef{Value: s.ref.Value}, []string{s.goName})
		})
		if err != nil {
			found = append(found, fault{site: s, reason: innermost(err)})
		}
	}
	if len(found) > 0 {
		return found
	}
	if match := repeatedType.FindStringSubmatch(libraryErr.Error()); match != nil {
		for _, s := range r.sites() {
			if s.component && s.goName == match[1] {
				return []fault{{s, "another part of the document gets the Go name " + match[1] + " too", true}}
			}
		}
	}
	return nil
}

var repeatedType = regexp.MustCompile(`duplicate typename '(\w+)'`)

// innermost returns the text of an error without what wraps it.
func innermost(err error) string {
	text := err.Error()
	if at := strings.LastIndex(text, "error "); at > 0 {
		if _, cause, ok := strings.Cut(text[at:], ": "); ok {
			return cause
		}
	}
	return text
}

// uncompiled returns the schemas whose Go does not compile, and the errors that belong to none.
func (r *reader) uncompiled(found []typeError) ([]fault, []typeError) {
	sites := r.sites()
	faults := map[string]fault{}
	var rest []typeError
	for _, e := range found {
		matches := blame(sites, e)
		if len(matches) == 0 {
			rest = append(rest, e)
		}
		for _, s := range matches {
			if _, known := faults[s.at.pointer]; !known {
				faults[s.at.pointer] = fault{s, fmt.Sprintf("%s:%d: %s", e.file, e.line, e.text), e.repeats() && s.component && s.goName == e.declaration}
			}
		}
	}
	if len(faults) > 0 {
		rest = nil // most of them follow from the others
	}
	var list []fault
	for _, s := range sites {
		if f, ok := faults[s.at.pointer]; ok {
			list = append(list, f)
		}
	}
	return list, rest
}

// repeats reports whether the error is of a name that is declared twice.
func (e typeError) repeats() bool { return strings.Contains(e.text, "redeclared") }

// blame returns the schemas that an error belongs to. Of a name that is declared twice it is the one
// whose type has another name, so that the name is free then.
func blame(sites []site, e typeError) []site {
	if !e.repeats() {
		if strings.Contains(e.text, "is not a type") {
			return nil // follows from a name that is declared twice
		}
		if e.of != "" {
			return owners(sites, e.of)
		}
		return owners(sites, e.declaration)
	}
	for _, name := range []string{e.other, e.declaration} {
		if found := owners(sites, name); len(found) > 0 && !(found[0].component && found[0].goName == e.declaration) {
			return found
		}
	}
	return owners(sites, e.declaration)
}

// owners returns the schemas whose Go name is the longest beginning of a name.
func owners(sites []site, name string) []site {
	longest := 0
	for _, s := range sites {
		if s.goName != "" && strings.HasPrefix(name, s.goName) {
			longest = max(longest, len(s.goName))
		}
	}
	if longest == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(sites), func(s site) bool { return len(s.goName) != longest || !strings.HasPrefix(name, s.goName) })
}
