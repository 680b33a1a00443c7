package codegen

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

// attempt is a run of oapi-codegen on a document, and what came of it.
type attempt struct {
	reader *reader
	files  map[string][]byte
	// generated is nil where oapi-codegen failed.
	generated *generated
	// operations are the generated operations in the order of their registrations.
	operations []*operation
	// err is the error of oapi-codegen.
	err error
	// faults are the schemas that it refuses or whose Go does not compile. rest are the errors of the
	// code that belong to no schema.
	faults []fault
	rest   []typeError
}

func (a *attempt) failed() bool { return a.err != nil || len(a.faults)+len(a.rest) > 0 }

// attemptWithFallback generates the code of a document. Where the user asks for it, schemas that fail
// become raw JSON, in at most maxRounds.
func attemptWithFallback(c *Config, settings codegen.Configuration, libraryVersion string) (*attempt, error) {
	cuts := map[string]fault{}
	for round := 0; ; round++ {
		a, err := newAttempt(c, settings, libraryVersion, cuts)
		if err != nil {
			return nil, err
		}
		if !a.failed() {
			a.reader.warnCuts(cuts)
			return a, nil
		}
		before := len(cuts)
		for _, f := range a.faults {
			cuts[f.at.pointer] = f
		}
		if !c.RawFallback || round == maxRounds || len(cuts) == before {
			return nil, a.problems(c, settings, libraryVersion)
		}
	}
}

// warnCuts lists the schemas that became raw JSON.
func (r *reader) warnCuts(cuts map[string]fault) {
	if len(cuts) == 0 {
		return
	}
	r.warnings = append(r.warnings, fmt.Sprintf("%s: %s: %d of %d schemas are raw JSON", r.spec.path, keyFallback, len(cuts), len(r.sites())))
	for _, pointer := range slices.Sorted(maps.Keys(cuts)) {
		f := cuts[pointer]
		r.warnings = append(r.warnings, f.at.problem(f.name()+" is raw JSON: "+f.reason).Error())
	}
}

// newAttempt reads the document and runs oapi-codegen. cuts are the schemas that become raw JSON.
func newAttempt(c *Config, settings codegen.Configuration, libraryVersion string, cuts map[string]fault) (*attempt, error) {
	r, err := read(c, settings, cuts)
	var failure libraryFailure
	switch {
	case errors.As(err, &failure):
		return &attempt{reader: r, err: failure.error, faults: r.refused(failure.error)}, nil
	case err != nil:
		return nil, err
	}
	if !c.clientOnly() {
		r.checkRoutes()
	}
	if err := r.document.restore(r.types); err != nil {
		return nil, err
	}
	if c.Existing != nil {
		return existingAttempt(c, r)
	}
	code, err := r.document.generateUnpruned()
	if err != nil {
		return &attempt{reader: r, err: err, faults: r.refused(err)}, nil
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	code = withHeader(code, libraryVersion)
	g, err := parseGenerated(map[string]string{APIFile: code}, c.router())
	if err != nil {
		return nil, libraryProblem(r.spec, err)
	}
	a := &attempt{reader: r, files: map[string][]byte{APIFile: []byte(code)}, generated: g}
	a.bind(c)
	if err := r.err(); err != nil {
		return nil, err
	}
	a.faults, a.rest = r.uncompiled(g.typeErrors())
	return a, nil
}

// existingAttempt describes a package that an earlier run of oapi-codegen generated.
func existingAttempt(c *Config, r *reader) (*attempt, error) {
	if err := r.err(); err != nil {
		return nil, err
	}
	g, err := parseGenerated(c.Existing.Files, c.router())
	if err != nil {
		return nil, Problem{File: c.Existing.Dir, Text: err.Error()}
	}
	g.remedy = "; generate the package anew, or exclude under oapi-codegen: output-options what its configuration excludes"
	a := &attempt{reader: r, files: map[string][]byte{}, generated: g}
	a.bind(c)
	return a, r.err()
}

// bind finds the generated methods of the operations, those of the server and those of the client.
func (a *attempt) bind(c *Config) {
	r := a.reader
	a.operations = r.operations
	if !c.clientOnly() {
		a.operations = bind(r.operations, a.generated, r.spec, &r.problems)
	}
	if c.client != nil {
		bindClient(r, a.generated)
	}
}

// problems reports what oapi-codegen refuses, or what of its code does not compile, with a way on.
func (a *attempt) problems(c *Config, settings codegen.Configuration, libraryVersion string) error {
	way := a.wayOn(c, settings, libraryVersion)
	var p problems
	for _, f := range a.faults {
		if a.err != nil {
			p.add(f.at, "oapi-codegen refuses %s: %s", f.name(), f.reason)
		} else {
			p.add(f.at, "oapi-codegen's code for %s does not compile: %s", f.name(), f.reason)
		}
	}
	for _, e := range a.rest {
		at := placeOf(e.declaration, a.reader.document, a.reader.spec)
		p.add(at, "oapi-codegen's code does not compile: %s:%d: %s", e.file, e.line, e.text)
	}
	if a.err != nil && len(a.faults) == 0 {
		problem := libraryProblem(a.reader.spec, a.err)
		p.addAt(problem.File, problem.Line, "%s", problem.Text)
	}
	if len(p.list) == 1 {
		only := &p.list[0]
		only.text += "; " + way
		if only.found != nil {
			only.found.Text += "; " + way
		}
		way = ""
	}
	errs := []error{a.reader.err(), p.err()}
	if way != "" {
		errs = append(errs, Problem{File: a.reader.spec.path, Text: "for all of these: " + way})
	}
	return errors.Join(errs...)
}

// remedy is a key of oapi-codegen's configuration that avoids some of its failures.
type remedy struct {
	// found is in the messages of those failures.
	found string
	key   string
	set   func(*codegen.Configuration)
}

var remedies = []remedy{
	{"redeclared", "compatibility: {always-prefix-enum-values: true}", func(s *codegen.Configuration) { s.Compatibility.AlwaysPrefixEnumValues = true }},
	{"redeclared", "output-options: {resolve-type-name-collisions: true}", func(s *codegen.Configuration) { s.OutputOptions.ResolveTypeNameCollisions = true }},
	{"duplicate typename", "output-options: {resolve-type-name-collisions: true}", func(s *codegen.Configuration) { s.OutputOptions.ResolveTypeNameCollisions = true }},
	{"merging", "compatibility: {old-merge-schemas: true}", func(s *codegen.Configuration) { s.Compatibility.OldMergeSchemas = true }},
	{"undefined: ", "output-options: {skip-prune: true}", func(s *codegen.Configuration) { s.OutputOptions.SkipPrune = true }},
}

// unmapped matches the error about a reference to a file that import-mapping does not name.
var unmapped = regexp.MustCompile(`unrecognized external reference '([^']+)'`)

// wayOn returns the configuration that avoids the failures: one that is known to help, by trying, or
// the fallback.
func (a *attempt) wayOn(c *Config, settings codegen.Configuration, libraryVersion string) string {
	text := fmt.Sprint(a.err)
	for _, f := range a.faults {
		text += "\n" + f.reason
	}
	for _, e := range a.rest {
		text += "\n" + e.text
	}
	if match := unmapped.FindStringSubmatch(text); match != nil {
		return fmt.Sprintf("say in the configuration which Go package is generated from that file: oapi-codegen: {import-mapping: {%q: PACKAGE}}", match[1])
	}
	for _, r := range remedies {
		if !strings.Contains(text, r.found) {
			continue
		}
		changed := settings
		r.set(&changed)
		if tried, err := newAttempt(c, changed, libraryVersion, nil); err == nil && !tried.failed() {
			return "say in the configuration oapi-codegen: {" + r.key + "}"
		}
	}
	if c.RawFallback {
		return fmt.Sprintf("%s: raw does not help", keyFallback)
	}
	return fmt.Sprintf("say %s: raw in the configuration, which makes raw JSON of such schemas", keyFallback)
}

// yamlErrorLine matches the line in an error of a YAML parser.
var yamlErrorLine = regexp.MustCompile(`yaml: line (\d+): `)

// libraryProblem returns an error of oapi-codegen about the document.
func libraryProblem(spec *source, err error) Problem {
	problem := Problem{File: spec.path, Text: fmt.Sprintf("oapi-codegen: %v", err)}
	if match := yamlErrorLine.FindStringSubmatch(err.Error()); match != nil {
		problem.Line, _ = strconv.Atoi(match[1])
	}
	return problem
}
