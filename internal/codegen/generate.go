// Package codegen generates the security layer of an API. From an OpenAPI document and a configuration
// it generates the Go code of a strict server, with oapi-codegen, and the guards of its operations.
//
// [Generate] reads the document and returns the files. It writes nothing. [WriteFiles] writes the
// files, all or none. Errors name the file, the line, what is wrong, and the fix. Unsupported
// documents are errors too, so that no operation has less security than its document demands.
package codegen

import (
	"errors"
	"maps"
	"slices"

	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

// The files that are generated.
const (
	APIFile    = "api.gen.go"
	GuardFile  = "guard.gen.go"
	ClientFile = "client.gen.go"
)

// Result is what a run generated.
type Result struct {
	// Files are the contents by file name.
	Files map[string][]byte
	// Warnings are remarks that do not stop the generation.
	Warnings []string
	// Public lists the operations that anonymous callers reach, sorted by path and method. A line has
	// method, path and operationId, and "optional" if the operation also takes credentials.
	Public []string
}

// Versions are the versions in the headers of the files: of this program, and of the oapi-codegen in it.
type Versions struct{ Program, Library string }

// Generate returns the files for a configuration. The error joins a [Problem] for each thing that
// is wrong.
func Generate(c *Config, versions Versions) (*Result, error) {
	c, settings, err := c.complete()
	if err != nil {
		return nil, err
	}
	libraryLock.Lock()
	defer libraryLock.Unlock()

	a, err := attemptWithFallback(c, settings, versions.Library)
	if err != nil {
		return nil, err
	}
	if !c.clientOnly() {
		if err := a.addGuards(c, settings.PackageName, versions.Program); err != nil {
			return nil, err
		}
	}
	if c.client != nil {
		if err := a.addClient(settings.PackageName, versions.Program); err != nil {
			return nil, err
		}
	}
	return &Result{Files: a.files, Warnings: append(warnings(settings), a.reader.warnings...), Public: publicLines(a.operations)}, nil
}

// addGuards generates GuardFile.
func (a *attempt) addGuards(c *Config, pkg, version string) error {
	r, g, operations := a.reader, a.generated, a.operations
	r.checkShadowing(operations, g)
	resolveClaims(r.document, r.types, g, &r.problems)
	if err := r.err(); err != nil {
		return err
	}
	guard, err := render(pkg, version, operations, r, g)
	if err != nil {
		return err
	}
	if err := checkNames(guard, GuardFile, r, g); err != nil {
		return err
	}
	if c.Existing != nil {
		if err := g.checkComplete(guard.text, c.Existing); err != nil {
			return err
		}
	}
	a.files[GuardFile] = []byte(guard.text)
	return nil
}

// complete returns the configuration with what an existing package says, and that of oapi-codegen.
func (c *Config) complete() (*Config, codegen.Configuration, error) {
	c, err := c.forExisting()
	if err != nil {
		return nil, codegen.Configuration{}, err
	}
	settings, err := c.settings()
	if c.Spec == "" {
		var p problems
		p.add(c.top(), "no document is named; say spec: FILE in the configuration or --spec FILE")
		err = errors.Join(p.err(), err)
	}
	return c, settings, err
}

// publicLines returns a line for each route that anonymous callers reach, aliases included.
func publicLines(operations []*operation) []string {
	lines := map[string]string{}
	for _, o := range operations {
		if !o.requirement.public() && !o.requirement.optional() {
			continue
		}
		for _, r := range append([]route{o.route}, o.aliases...) {
			line := r.String() + " " + o.id
			if o.id == r.String() {
				line = r.String()
			}
			if !o.requirement.public() {
				line += " optional"
			}
			lines[r.path+"\x00"+r.method] = line
		}
	}
	var sorted []string
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		sorted = append(sorted, lines[key])
	}
	return sorted
}
