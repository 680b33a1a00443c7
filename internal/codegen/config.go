package codegen

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
	"gopkg.in/yaml.v3"
)

// Config says what to generate, from which document, and into which folder.
type Config struct {
	// Spec is the document: a path or a URL.
	Spec string
	// Package is the name of the Go package that is generated.
	Package string
	// Server is the kind of server: "std-http" (the default), "chi", "echo", "echo5", "fiber",
	// "fiber-v3", "gin", "gorilla" or "iris", or "none" for a client alone.
	Server string
	// Output is the folder of the generated files. Generate does not use it.
	Output string
	// GuardOnly generates GuardFile alone, for the package in Existing.
	GuardOnly bool
	Existing  *Package
	// RequireSecurity makes an operation without a security key an error.
	RequireSecurity bool
	// RolesIn30 lets requirements name roles in OpenAPI 3.0 too, for schemes without scopes.
	RolesIn30 bool
	// RawFallback makes raw JSON of the schemas that oapi-codegen refuses, or whose Go does not compile.
	RawFallback bool
	// Sessions generates the typed manager of package session.
	Sessions bool

	// client says what client to generate. It is nil for none.
	client *clientConfig

	oapiCodegen         codegen.Configuration
	schemes, operations map[string]entries
	// shadowing are the operations that the configuration allows to be shadowed, with the places.
	shadowing map[string]place
	// allowedKeys are the keys of the document that are known not to be about security.
	allowedKeys map[string]place
	// source is the configuration file.
	source *source
}

// DefaultServer is the server of a configuration that names none.
const DefaultServer = "std-http"

// The keys of the configuration.
const (
	keySpec, keyPackage, keyServer, keyOutput = "spec", "package", "server", "output"
	keySchemes, keyOperations                 = "schemes", "operations"
	keyRequireSecurity, keyRolesIn30          = "require-security", "roles-in-3.0"
	keyShadowing, keyGuardOnly                = "allow-shadowing", "guard-only"
	keyAllowKeys, keyFallback                 = "allow-keys", "fallback-schemas"
	keySessions                               = "sessions"
	keyClient, keyRefresh                     = "client", "refresh"
	keyOapiCodegen                            = "oapi-codegen"
)

var configKeys = []string{
	keySpec, keyPackage, keyServer, keyOutput, keySchemes, keyOperations, keyRequireSecurity, keyRolesIn30, keyShadowing, keyAllowKeys,
	keyFallback, keySessions, keyClient, keyGuardOnly, keyOapiCodegen,
}

// ReadConfig reads a configuration file. Paths in the file are relative to its folder, the path of an
// overlay included. Paths in the result are relative to the working directory. The paths of user
// templates are passed to oapi-codegen unchanged.
func ReadConfig(path string, data []byte) (*Config, error) {
	c := &Config{source: &source{path: path, data: data}}
	top := place{source: c.source}
	var p problems

	var values any
	if err := yaml.Unmarshal(data, &values); err != nil {
		return nil, yamlError(path, err)
	}
	if values == nil {
		return c, nil
	}
	object, ok := values.(map[string]any)
	if !ok {
		p.add(top, "the configuration has to be an object with the keys %s", strings.Join(configKeys, ", "))
		return nil, p.err()
	}
	found := readEntries(object, true, top, configKeys, &p)
	text := func(key string) string {
		e, ok := found[key]
		if !ok {
			return ""
		}
		value, isText := e.value.(string)
		switch {
		case !isText:
			p.add(e.at, "%s has to be a string, not %s", key, jsonType(e.value))
		case value == "":
			p.add(e.at, "%s is empty; say what it is, or remove it", key)
		}
		return value
	}
	c.Spec = c.relative(text(keySpec))
	c.Package = text(keyPackage)
	c.Server = text(keyServer)
	c.Output = c.relative(text(keyOutput))
	flag := func(key string) bool {
		e, ok := found[key]
		if !ok {
			return false
		}
		value, isBool := e.value.(bool)
		if !isBool {
			p.add(e.at, "%s is true or false, not %s", key, jsonType(e.value))
		}
		return value
	}
	c.RequireSecurity, c.RolesIn30, c.GuardOnly = flag(keyRequireSecurity), flag(keyRolesIn30), flag(keyGuardOnly)
	c.Sessions = flag(keySessions)
	c.client = readClientConfig(found, &p)
	c.schemes = readNamed(found, keySchemes, schemeKeys, &p)
	c.operations = readNamed(found, keyOperations, operationKeys, &p)
	c.shadowing = readList(found, keyShadowing, &p)
	c.allowedKeys = readList(found, keyAllowKeys, &p)
	switch fallback := text(keyFallback); fallback {
	case "":
	case "raw":
		c.RawFallback = true
	default:
		p.add(found[keyFallback].at, "%s is raw, or left out, not %q", keyFallback, fallback)
	}
	if err := p.err(); err != nil {
		return nil, err
	}

	// The strict decoder reports line numbers, so it needs the whole file.
	whole := struct {
		Spec, Package, Server, Output, Schemes, Operations any
		Sessions, Client                                   any
		RequireSecurity                                    any                   `yaml:"require-security"`
		RolesIn30                                          any                   `yaml:"roles-in-3.0"`
		Shadowing                                          any                   `yaml:"allow-shadowing"`
		AllowKeys                                          any                   `yaml:"allow-keys"`
		Fallback                                           any                   `yaml:"fallback-schemas"`
		GuardOnly                                          any                   `yaml:"guard-only"`
		OapiCodegen                                        codegen.Configuration `yaml:"oapi-codegen"`
	}{}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&whole); err != nil {
		return nil, yamlError(path, err)
	}
	c.oapiCodegen = whole.OapiCodegen
	if overlay := &c.oapiCodegen.OutputOptions.Overlay.Path; *overlay != "" {
		*overlay = c.relative(*overlay)
	}
	return c, nil
}

// relative returns a path of the configuration relative to the working directory.
func (c *Config) relative(path string) string {
	if path == "" || filepath.IsAbs(path) || isURL(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.source.path), filepath.FromSlash(path))
}

// readNamed reads the x-guard objects under schemes or operations, by name.
func readNamed(found entries, key string, known []string, p *problems) map[string]entries {
	e, ok := found[key]
	if !ok {
		return nil
	}
	object, ok := e.value.(map[string]any)
	if !ok {
		p.add(e.at, "%s has to be an object of names, not %s", key, jsonType(e.value))
		return nil
	}
	named := map[string]entries{}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := e.at.at(name)
		if _, ok := object[name].(map[string]any); !ok {
			p.add(at, "%s has to be an object with %s, not %s", name, strings.Join(known, " or "), jsonType(object[name]))
			continue
		}
		named[name] = readEntries(object[name], true, at, known, p)
	}
	return named
}

// readList reads a list of names, such as those of operations, with their places.
func readList(found entries, key string, p *problems) map[string]place {
	e, ok := found[key]
	if !ok {
		return nil
	}
	if list, ok := e.value.([]any); ok && len(list) == 0 {
		p.add(e.at, "%s is empty; name something, or remove it", key)
		return nil
	}
	named := map[string]place{}
	for i, id := range e.texts(p) {
		named[id] = e.at.item(i)
	}
	return named
}

var (
	yamlLine    = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	yamlUnknown = regexp.MustCompile(`^field (\S+) not found in type \S+$`)
)

// yamlError returns the errors of the YAML decoder with file and line.
func yamlError(path string, err error) error {
	texts := []string{err.Error()}
	var typeError *yaml.TypeError
	if errors.As(err, &typeError) {
		texts = typeError.Errors
	}
	var errs []error
	for _, text := range texts {
		problem := Problem{File: path, Text: text}
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			problem.Line, _ = strconv.Atoi(m[1])
			problem.Text = m[2]
		}
		if m := yamlUnknown.FindStringSubmatch(problem.Text); m != nil {
			problem.Text = fmt.Sprintf("oapi-codegen's configuration has no key %q here; remove it, or correct its spelling", m[1])
		}
		errs = append(errs, problem)
	}
	return errors.Join(errs...)
}

// settings returns the configuration for oapi-codegen: the user's, with the settings that the guards
// need.
func (c *Config) settings() (codegen.Configuration, error) {
	var p problems
	top := c.top()
	s := c.oapiCodegen
	s.PackageName = c.packageName(&p)
	generate := top.at(keyOapiCodegen, "generate")
	server := c.router()
	if server == nil && !c.clientOnly() {
		var names []string
		for _, rt := range routers {
			names = append(names, rt.name)
		}
		p.add(top.at(keyServer), "unknown server %q; choose one of %s", c.Server, strings.Join(append(names, serverNone), ", "))
	}
	for _, rt := range routers {
		enabled := rt.enabled(&s.Generate)
		switch {
		case rt == server:
			*enabled = true
		case *enabled && (server != nil || c.clientOnly()):
			key := rt.name + "-server"
			p.add(generate.at(key), "%s contradicts server: %s; remove this line", key, cmp.Or(c.Server, DefaultServer))
		}
	}
	if !c.has(generate.at("models")) {
		s.Generate.Models = true // a client needs them too
	}
	if c.has(generate.at("strict-server")) && s.Generate.Strict == c.clientOnly() {
		text := "the guards need the strict server; remove this line"
		if c.clientOnly() {
			text = "strict-server contradicts server: none; remove this line"
		}
		p.add(generate.at("strict-server"), "%s", text)
	}
	s.Generate.Strict = !c.clientOnly()
	c.clientSettings(&s, &p)
	// Where this is empty, a package variable of oapi-codegen keeps the suffix of an earlier run.
	if s.OutputOptions.ResponseTypeSuffix == "" {
		s.OutputOptions.ResponseTypeSuffix = "Response"
	}
	s = s.UpdateDefaults()
	if err := p.err(); err != nil {
		return s, err
	}
	if err := s.Validate(); err != nil {
		p.add(top, "oapi-codegen: %v", err)
	}
	return s, p.err()
}

// router returns the router of the server, or nil for an unknown name.
func (c *Config) router() *router {
	name := cmp.Or(c.Server, DefaultServer)
	for _, rt := range routers {
		if rt.name == name {
			return rt
		}
	}
	return nil
}

// top returns the place of the whole configuration.
func (c *Config) top() place {
	if c.source == nil {
		c.source = &source{path: "oapi-guard", data: []byte{}}
	}
	return place{source: c.source}
}

func (c *Config) has(at place) bool {
	_, _, exact := c.source.find(at.pointer)
	return exact
}

// packageName returns the name of the package. The configuration of oapi-codegen may name it too.
func (c *Config) packageName(p *problems) string {
	name, inner, at := c.Package, c.oapiCodegen.PackageName, c.top().at(keyPackage)
	switch {
	case name == "" && inner == "":
		p.add(c.top(), "no package is named; say package: NAME in the configuration or --package NAME")
		return ""
	case name == "":
		name, at = inner, c.top().at(keyOapiCodegen, keyPackage)
	case inner != "" && inner != name:
		p.add(c.top().at(keyOapiCodegen, keyPackage), "package %s contradicts package %s; remove this line", inner, name)
	}
	if !token.IsIdentifier(name) || name == "_" {
		p.add(at, "%q is not the name of a Go package", name)
	}
	return name
}
