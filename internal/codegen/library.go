package codegen

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/util"
)

// oapi-codegen keeps its settings and the document in package variables, so one generation runs at a time.
var libraryLock sync.Mutex

// inLibrary calls oapi-codegen, which panics on some documents.
func inLibrary[T any](call func() (T, error)) (result T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it panicked: %v", r)
		}
	}()
	return call()
}

// load reads the document as oapi-codegen's own command does, the overlay included.
func load(path string, settings codegen.Configuration) (*openapi3.T, error) {
	overlay := settings.OutputOptions.Overlay
	options := util.LoadSwaggerWithOverlayOpts{
		Path:                overlay.Path,
		Strict:              overlay.Strict == nil || *overlay.Strict,
		AllowRemoteRefsFrom: settings.AllowRemoteRefsFrom,
	}
	return inLibrary(func() (*openapi3.T, error) { return util.LoadSwaggerWithOverlay(path, options) })
}

// relativePath returns the path of a document relative to the working directory: with an absolute one oapi-codegen takes
// the document's references to itself for references to another file.
func relativePath(path string) string {
	if isURL(path) || !filepath.IsAbs(path) {
		return path
	}
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if relative, err := filepath.Rel(wd, path); err == nil {
		return relative
	}
	return path
}

// document is a document on its way through oapi-codegen, which changes it in place.
type document struct {
	*openapi3.T
	settings codegen.Configuration
	ids      map[*openapi3.Operation]string
	schemas  openapi3.Schemas
}

func newDocument(doc *openapi3.T, settings codegen.Configuration) *document {
	d := &document{T: doc, settings: settings, ids: map[*openapi3.Operation]string{}}
	eachOperation(doc, func(_ string, o *openapi3.Operation) { d.ids[o] = o.OperationID })
	if doc.Components != nil {
		d.schemas = maps.Clone(doc.Components.Schemas)
	}
	return d
}

// generate runs oapi-codegen and takes back its changes of the operationIds.
func (d *document) generate(settings codegen.Configuration) (string, error) {
	code, err := inLibrary(func() (string, error) { return codegen.Generate(d.T, settings) })
	for o, id := range d.ids {
		o.OperationID = id
	}
	return code, err
}

// filter lets oapi-codegen take out what its configuration excludes and what nothing refers to, and generates nothing.
func (d *document) filter() error {
	settings := d.settings
	settings.Generate = codegen.GenerateOptions{}
	settings.OutputOptions.SkipFmt = true
	_, err := d.generate(settings)
	return err
}

// generateKeeping runs oapi-codegen after filter and keep.
func (d *document) generateKeeping() (string, error) {
	settings := d.settings
	settings.OutputOptions.SkipPrune = true
	return d.generate(settings)
}

// keep puts back the claims of the token types, with what they refer to: only x-guard may refer to them, which filter does not know of.
func (d *document) keep(types []*tokenType) error {
	var names []string
	for _, t := range types {
		if t.claims != "" {
			names = append(names, t.claims)
		}
	}
	kept, err := closure(d.schemas, names...)
	if err != nil || len(kept) == 0 {
		return err
	}
	if d.Components.Schemas == nil {
		d.Components.Schemas = openapi3.Schemas{}
	}
	maps.Copy(d.Components.Schemas, kept)
	return nil
}

// schemaType returns the Go type of a component schema as oapi-codegen names it in the code that it generated last.
func (d *document) schemaType(name string) (string, error) {
	schema, err := inLibrary(func() (codegen.Schema, error) {
		escaped := pointerEscape.Replace(name)
		return codegen.GenerateGoSchema(openapi3.NewSchemaRef(schemaRef+escaped, d.Components.Schemas[name].Value), []string{name})
	})
	return schema.TypeDecl(), err
}

// eachOperation calls f with every operation of the document, those of webhooks and callbacks included, with a name for
// what is not an operation of a path.
func eachOperation(doc *openapi3.T, f func(outside string, o *openapi3.Operation)) {
	seen := map[*openapi3.Operation]bool{}
	var each func(outside string, item *openapi3.PathItem)
	each = func(outside string, item *openapi3.PathItem) {
		if item == nil {
			return
		}
		for _, o := range item.Operations() {
			if o == nil || seen[o] {
				continue
			}
			seen[o] = true
			f(outside, o)
			for name, callback := range o.Callbacks {
				if callback == nil || callback.Value == nil {
					continue
				}
				for _, item := range callback.Value.Map() {
					each("callback "+word(name), item)
				}
			}
		}
	}
	for _, item := range doc.Paths.Map() {
		each("", item)
	}
	for name, item := range doc.Webhooks {
		each("webhook "+word(name), item)
	}
}

// unguarded names the webhooks and callbacks of the document, whose requests this API sends.
func unguarded(doc *openapi3.T) []string {
	names := map[string]bool{}
	eachOperation(doc, func(outside string, _ *openapi3.Operation) {
		if outside != "" {
			names[outside] = true
		}
	})
	return slices.Sorted(maps.Keys(names))
}

var generatedBy = regexp.MustCompile(`(?m)^// Code generated by .* DO NOT EDIT\.$`)

// withHeader replaces the line that says who generated the code. oapi-codegen names the program that runs it, which is
// this one, and so its version would change with every commit of whoever builds it.
func withHeader(code, version string) string {
	at := generatedBy.FindStringIndex(code)
	if at == nil || at[0] > strings.Index(code, "\npackage ") {
		return code
	}
	by := fmt.Sprintf("// Code generated by %s version %s DO NOT EDIT.", LibraryPath, version)
	return code[:at[0]] + by + code[at[1]:]
}

// LibraryPath is the module path of oapi-codegen.
const LibraryPath = "github.com/oapi-codegen/oapi-codegen/v2"

// warnings returns what oapi-codegen has to say of its configuration.
func warnings(settings codegen.Configuration) []string {
	var texts []string
	for _, found := range []map[string]string{settings.Generate.Warnings(), settings.Warnings()} {
		for _, key := range slices.Sorted(maps.Keys(found)) {
			texts = append(texts, fmt.Sprintf("oapi-codegen: %s: %s", key, found[key]))
		}
	}
	return texts
}
