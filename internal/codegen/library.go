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

// libraryLock serializes generations, because oapi-codegen keeps its settings and the document in
// package variables.
var libraryLock sync.Mutex

// inLibrary calls oapi-codegen and turns a panic into an error: it panics on some documents.
func inLibrary[T any](call func() (T, error)) (result T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it panicked: %v", r)
		}
	}()
	return call()
}

// load reads the document and applies the overlay, as oapi-codegen's command does.
func load(path string, settings codegen.Configuration) (*openapi3.T, error) {
	overlay := settings.OutputOptions.Overlay
	options := util.LoadSwaggerWithOverlayOpts{
		Path:                overlay.Path,
		Strict:              overlay.Strict == nil || *overlay.Strict,
		AllowRemoteRefsFrom: settings.AllowRemoteRefsFrom,
	}
	doc, err := inLibrary(func() (*openapi3.T, error) { return util.LoadSwaggerWithOverlay(path, options) })
	if err == nil || overlay.Path == "" || isURL(path) {
		return doc, err
	}
	// oapi-codegen has to read the document before it applies the overlay, so that no overlay repairs a
	// document that cannot be read.
	if repaired, repairErr := inLibrary(func() (*openapi3.T, error) { return loadRepaired(path, options) }); repairErr == nil {
		return repaired, nil
	}
	return nil, err
}

// relativePath returns the path of a document relative to the working directory. With an absolute
// path, oapi-codegen takes references of the document to itself for references to another file.
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
	// ids are the operationIds, and components the components as the document has them.
	ids        map[*openapi3.Operation]string
	components openapi3.Components
	// excluded are the operations that filter removed, by operationId and by METHOD and path.
	excluded map[string]bool
}

func newDocument(doc *openapi3.T, settings codegen.Configuration) *document {
	d := &document{T: doc, settings: settings, ids: map[*openapi3.Operation]string{}}
	eachOperation(doc, func(_ string, o *openapi3.Operation) { d.ids[o] = o.OperationID })
	if doc.Components != nil {
		d.components = openapi3.Components{
			Schemas: maps.Clone(doc.Components.Schemas), Parameters: maps.Clone(doc.Components.Parameters),
			Headers: maps.Clone(doc.Components.Headers), RequestBodies: maps.Clone(doc.Components.RequestBodies),
			Responses: maps.Clone(doc.Components.Responses),
		}
	}
	return d
}

// generate runs oapi-codegen and restores the operationIds, which it overwrites.
func (d *document) generate(settings codegen.Configuration) (string, error) {
	code, err := inLibrary(func() (string, error) { return codegen.Generate(d.T, settings) })
	for o, id := range d.ids {
		o.OperationID = id
	}
	return code, err
}

// filter lets oapi-codegen remove the operations and schemas that its configuration excludes or that
// nothing refers to. It generates no code.
func (d *document) filter() error {
	settings := d.settings
	settings.Generate = codegen.GenerateOptions{}
	settings.OutputOptions.SkipFmt = true
	before := d.operationKeys()
	_, err := d.generate(settings)
	after := d.operationKeys()
	maps.DeleteFunc(before, func(key string, _ bool) bool { return after[key] })
	d.excluded = before
	return err
}

// operationKeys returns the operationId, and METHOD and path, of every operation of a path.
func (d *document) operationKeys() map[string]bool {
	keys := map[string]bool{}
	for path, item := range d.Paths.Map() {
		for method, o := range item.Operations() {
			keys[route{method, path}.String()] = true
			keys[d.ids[o]] = true
		}
	}
	return keys
}

// generateUnpruned runs oapi-codegen after filter and restore.
func (d *document) generateUnpruned() (string, error) {
	settings := d.settings
	settings.OutputOptions.SkipPrune = true
	return d.generate(settings)
}

// schemaType returns the name of the Go type that oapi-codegen generated for a component schema.
func (d *document) schemaType(name string) (string, error) {
	schema, err := inLibrary(func() (codegen.Schema, error) {
		escaped := pointerEscape.Replace(name)
		return codegen.GenerateGoSchema(openapi3.NewSchemaRef(schemaRef+escaped, d.Components.Schemas[name].Value), []string{name})
	})
	return schema.TypeDecl(), err
}

// eachOperation calls f once with every operation of the document. outbound names the webhook or
// callback that the operation belongs to; it is "" for operations of paths.
func eachOperation(doc *openapi3.T, f func(outbound string, o *openapi3.Operation)) {
	seen := map[*openapi3.Operation]bool{}
	var each func(outbound string, item *openapi3.PathItem)
	each = func(outbound string, item *openapi3.PathItem) {
		if item == nil {
			return
		}
		for _, o := range item.Operations() {
			if o == nil || seen[o] {
				continue
			}
			seen[o] = true
			f(outbound, o)
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

// outboundOperations returns the names of the webhooks and callbacks: this API sends those requests.
func outboundOperations(doc *openapi3.T) []string {
	names := map[string]bool{}
	eachOperation(doc, func(outbound string, _ *openapi3.Operation) {
		if outbound != "" {
			names[outbound] = true
		}
	})
	return slices.Sorted(maps.Keys(names))
}

var generatedBy = regexp.MustCompile(`(?m)^// Code generated by .* DO NOT EDIT\.$`)

// withHeader replaces the "Code generated" line of oapi-codegen. That line names the running program,
// so it would change with every commit of the module that runs this generator.
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

// warnings returns oapi-codegen's remarks on its configuration.
func warnings(settings codegen.Configuration) []string {
	var texts []string
	for _, found := range []map[string]string{settings.Generate.Warnings(), settings.Warnings()} {
		for _, key := range slices.Sorted(maps.Keys(found)) {
			texts = append(texts, fmt.Sprintf("oapi-codegen: %s: %s", key, found[key]))
		}
	}
	return texts
}
