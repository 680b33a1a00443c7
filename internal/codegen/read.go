package codegen

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

// reader reads the security of a document. Problems that do not stop the reading are collected.
type reader struct {
	doc      *openapi3.T
	document *document
	spec     *source
	config   *Config
	schemes  map[string]*scheme
	used     map[string]bool
	// askedList are the schemes for which the meaning of their lists was asked.
	askedList map[*scheme]bool
	// ids are the operationIds as the document has them. oapi-codegen overwrites them.
	ids      map[*openapi3.Operation]string
	defaults entries
	// inherited is the requirement of the document. It is read when an operation has none.
	inherited *requirement

	operations []*operation
	types      []*tokenType
	structs    []*credentialType
	// outbound names the webhooks and callbacks, whose requests this API sends.
	outbound []string
	warnings []string
	problems
}

// libraryFailure is an error of oapi-codegen about a document that can be read.
type libraryFailure struct{ error }

// read reads the document: what its schemes are, what each operation requires, and the Go types of
// the credentials. Schemas in cuts become raw JSON. The error is of a document that cannot be read at
// all, or a libraryFailure with the reader.
func read(c *Config, settings codegen.Configuration, cuts map[string]fault) (*reader, error) {
	path := relativePath(c.Spec)
	spec := &source{path: path, overlay: settings.OutputOptions.Overlay.Path}
	r := &reader{spec: spec, config: c, used: map[string]bool{}, askedList: map[*scheme]bool{}}
	// The text of the document is checked while oapi-codegen loads it.
	checked := make(chan textCheck)
	go func() { checked <- r.checkText() }()
	loaded, err := load(path, settings)
	text := <-checked
	switch {
	case text.err != nil:
		return nil, text.err
	case err != nil:
		return nil, errors.Join(r.err(), r.loadProblem(err))
	}
	doc := newDocument(loaded, settings)
	r.doc, r.document, r.ids = loaded, doc, doc.ids
	r.applyCuts(cuts)
	if err := r.checkLoadedKeys(text.complete); err != nil {
		return nil, err
	}
	r.schemes = readSchemes(loaded, spec, c, &r.problems)
	// oapi-codegen removes the excluded operations first, so that only generated operations are read.
	if err := doc.filter(); err != nil {
		return r, libraryFailure{err}
	}
	r.readSecurity()
	uncut := r.doc
	if len(cuts) > 0 {
		if uncut, err = load(path, settings); err != nil {
			return nil, errors.Join(r.err(), r.loadProblem(err))
		}
	}
	r.translateClaims(uncut)
	return r, nil
}

// readSecurity reads the operations that oapi-codegen has left in the document.
func (r *reader) readSecurity() {
	r.operations = r.readOperations()
	r.checkPublic()
	r.checkAmbiguous()
	r.checkPlainKeys()
	checkSchemeNames(r.schemes, r.used, &r.problems)
	r.checkPaths()
	r.checkParameters()
	r.types = tokenTypes(r.schemes, r.used, &r.problems)
	r.checkSessions()
	r.structs = assignArguments(r.operations, r.types, &r.problems)
	checkClaims(r.document.components.Schemas, r.spec, r.types, &r.problems)
	r.outbound = outboundOperations(r.doc)
}

// filters reports whether the configuration of oapi-codegen excludes operations.
func filters(settings codegen.Configuration) bool {
	o := settings.OutputOptions
	return len(o.IncludeTags)+len(o.ExcludeTags)+len(o.IncludeOperationIDs)+len(o.ExcludeOperationIDs) > 0
}

// textCheck is what came of checking the text of a document.
type textCheck struct {
	// err is of a document that is not read further.
	err error
	// complete says that the keys of all its files were checked.
	complete bool
}

// checkText checks the text of the document, before an overlay.
func (r *reader) checkText() textCheck {
	for _, check := range []func(*source) error{checkVersion, checkRepeated, checkSchemesRef} {
		if err := check(r.spec); err != nil {
			return textCheck{err: err}
		}
	}
	top := r.spec.root(r.spec.path)
	if top == nil || r.spec.overlay != "" {
		return textCheck{}
	}
	return textCheck{complete: checkKeys(top, r.spec, r.config, &r.problems)}
}

// checkVersion reports documents that are not OpenAPI 3.
func checkVersion(spec *source) error {
	top := spec.root(spec.path)
	if top == nil {
		return nil // load reports it
	}
	if _, version := child(top, "swagger"); version != nil {
		return Problem{spec.path, version.Line, fmt.Sprintf("this is Swagger %s, and oapi-guard reads OpenAPI 3.0 and later; convert it, for example: npx swagger2openapi --outfile openapi.yaml %s", version.Value, spec.path)}
	}
	return nil
}

// checkRepeated reports keys that an object of the document has twice. Readers of JSON take the last
// one, and readers of YAML refuse both in words of their own.
func checkRepeated(spec *source) error {
	r := &keyReader{spec: spec, examined: map[string]bool{}, problems: &problems{}}
	r.checkRepeated(spec.path)
	return r.err()
}

// checkLoadedKeys checks the keys of a document whose text was not checked completely: one that an
// overlay changed, and one that is behind a URL or refers to one.
func (r *reader) checkLoadedKeys(complete bool) error {
	if complete {
		return nil
	}
	if err := checkLoaded(r.doc, r.spec, r.config, &r.problems); err != nil {
		return err
	}
	if r.spec.root(r.spec.path) != nil && r.spec.overlay == "" {
		return nil
	}
	text, err := r.doc.MarshalJSON()
	if err != nil {
		return err
	}
	top, err := parseJSON(text)
	if err != nil {
		return err
	}
	checkKeys(top, r.spec, r.config, &r.problems)
	return nil
}

// loadProblem returns the error of a document that cannot be read. Where its security has the wrong form
// that is reported already.
func (r *reader) loadProblem(err error) error {
	if len(r.list) > 0 && strings.Contains(err.Error(), "SecurityRequirement") {
		return nil
	}
	if file := missingFile(err); file != "" && file != r.spec.path {
		if at, found := r.spec.findRef(file); found {
			return Problem{at.File, at.Line, fmt.Sprintf("oapi-codegen: the reference to %s names a file that is not there; correct it", file)}
		}
	}
	return libraryProblem(r.spec, err)
}

// missingFile returns the file that an error says is missing, or "".
func missingFile(err error) string {
	var missing *fs.PathError
	if errors.As(err, &missing) && errors.Is(missing, fs.ErrNotExist) {
		return missing.Path
	}
	return ""
}

// checkPublic reports a document without any secured operation.
func (r *reader) checkPublic() {
	for _, o := range r.operations {
		if !o.requirement.public() {
			return
		}
	}
	switch n := len(r.operations); {
	case n == 0:
	case r.config.RequireSecurity:
		r.add(place{source: r.spec}, "all %d operations are public, and the configuration says %s: true; say security: [{SCHEME: []}] for the document, in an overlay where you do not own it, or remove %s", n, keyRequireSecurity, keyRequireSecurity)
	default:
		r.warnings = append(r.warnings, fmt.Sprintf("%s: all %d operations are public: no security names a scheme", r.spec.path, n))
	}
}

// checkPlainKeys warns of plain keys in the header Authorization, which other schemes use too.
func (r *reader) checkPlainKeys() {
	for _, name := range slices.Sorted(maps.Keys(r.used)) {
		s := r.schemes[name]
		if in, header := s.location(); s.kind != kindKey || s.in == "" || s.prefix != "" || in != "header" || header != "Authorization" {
			continue
		}
		text := fmt.Sprintf("security scheme %q is a plain key in Authorization: a value that begins with the word of a known authentication scheme, such as Bearer or Basic, is not taken for it; where the key has a word before it, say in the configuration %s: {%s: {%s: WORD}}",
			name, keySchemes, yamlKey(name), keyPrefix)
		r.warnings = append(r.warnings, s.at.problem(text).Error())
	}
}

// checkPaths reports paths that are more than a path: a query or a fragment is no part of it.
func (r *reader) checkPaths() {
	for _, o := range r.operations {
		for i, route := range slices.Concat([]route{o.route}, o.aliases) {
			sign := strings.IndexAny(route.path, "?#")
			if sign < 0 {
				continue
			}
			at := o.at
			if i > 0 {
				at = place{source: r.spec}.at("paths", route.path)
			}
			r.addWithOverlay(at, []overlayAction{removal(place{}.at("paths", route.path))},
				"%s: a path of OpenAPI has no %q, and routers match the path of a request alone, so that its security would not apply; declare what follows as a parameter, or remove the path", route, route.path[sign])
		}
	}
}
