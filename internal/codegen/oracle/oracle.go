// Package oracle reads the security of OpenAPI documents a second time, for tests of the generator. It
// shares no code with it: it reads the plain YAML, by the words of the specification and of
// docs/document.md, and knows nothing of kin-openapi or oapi-codegen.
package oracle

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Table is the security of a document in a form to compare: for each "METHOD /path" a line.
type Table map[string]string

var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace", "query", "connect"}

// object is an object of a document.
type object = map[string]any

// document is a document with the files that it refers to.
type document struct {
	path  string
	root  object
	files map[string]object
	// config is the configuration of the generator.
	config object
}

// Read reads the document in a file. config is an oapi-guard.yaml, or empty: its schemes and operations
// count before x-guard.
func Read(path string, config []byte) (Table, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text, config)
}

// Parse reads a document of one file.
func Parse(text []byte) (Table, error) { return parse("", text, nil) }

func parse(path string, text, config []byte) (Table, error) {
	d := &document{path: path, files: map[string]object{}}
	if err := yaml.Unmarshal(config, &d.config); err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(text, &d.root); err != nil {
		return nil, err
	}
	table := Table{}
	paths, _ := d.root["paths"].(object)
	for path, value := range paths {
		if strings.HasPrefix(path, "x-") {
			continue
		}
		item := d.follow(value)
		for _, method := range methods {
			if o, ok := item[method].(object); ok {
				table[strings.ToUpper(method)+" "+path] = d.operation(o, strings.ToUpper(method)+" "+path)
			}
		}
		more, _ := item["additionalOperations"].(object)
		for method, value := range more {
			if o, ok := value.(object); ok {
				table[method+" "+path] = d.operation(o, method+" "+path)
			}
		}
	}
	return table, nil
}

// follow returns the object that a value is or refers to.
func (d *document) follow(value any) object {
	o, _ := value.(object)
	file := d.root
	for range 20 {
		ref, ok := o["$ref"].(string)
		if !ok {
			return o
		}
		name, fragment, _ := strings.Cut(ref, "#")
		if name != "" {
			file = d.file(name)
		}
		var at any = file
		for key := range strings.SplitSeq(strings.TrimPrefix(fragment, "/"), "/") {
			if key != "" {
				parent, _ := at.(object)
				at = parent[strings.NewReplacer("~1", "/", "~0", "~").Replace(key)]
			}
		}
		o, _ = at.(object)
	}
	return nil
}

func (d *document) file(name string) object {
	if known, ok := d.files[name]; ok {
		return known
	}
	var content object
	if text, err := os.ReadFile(filepath.Join(filepath.Dir(d.path), name)); err == nil {
		_ = yaml.Unmarshal(text, &content) // what is not there is empty
	}
	d.files[name] = content
	return content
}

// operation returns the line of an operation.
func (d *document) operation(o object, route string) string {
	security, has := o["security"]
	if !has {
		security = d.root["security"]
	}
	list, _ := security.([]any)
	if len(list) == 0 {
		return "public"
	}
	var alternatives []string
	for _, value := range list {
		alternative, _ := value.(object)
		var schemes []string
		for _, name := range slices.Sorted(maps.Keys(alternative)) {
			schemes = append(schemes, d.scheme(name, alternative[name]))
		}
		alternatives = append(alternatives, "("+strings.Join(schemes, " and ")+")")
	}
	rules := object{}
	id, _ := o["operationId"].(string)
	for _, from := range []any{d.root["x-guard"], o["x-guard"], d.configured("operations", id), d.configured("operations", route)} {
		guard, _ := from.(object)
		for key, value := range guard {
			if key != "credential" {
				rules[key] = value
			}
		}
	}
	line := strings.Join(alternatives, " or ")
	for _, key := range slices.Sorted(maps.Keys(rules)) {
		value := rules[key]
		if text, ok := value.(string); ok && key == "fresh" {
			if age, err := time.ParseDuration(text); err == nil {
				value = age
			}
		}
		line += fmt.Sprintf("; %s %v", key, value)
	}
	return line
}

// scheme describes a scheme of an alternative: what its credential is, where it is, and what of it is
// required.
func (d *document) scheme(name string, list any) string {
	components, _ := d.root["components"].(object)
	schemes, _ := components["securitySchemes"].(object)
	s := d.follow(schemes[name])
	guard := object{}
	for _, from := range []any{s["x-guard"], d.configured("schemes", name)} {
		keys, _ := from.(object)
		maps.Copy(guard, keys)
	}
	text := func(from object, key string) string {
		value, _ := from[key].(string)
		return value
	}
	credential, place := "", ""
	kind, auth := text(s, "type"), strings.ToLower(text(s, "scheme"))
	token := text(guard, "token")
	opaque, _ := guard["opaque"].(bool)
	if format := strings.ToLower(text(s, "bearerFormat")); kind == "http" && format != "" && format != "jwt" && token == "" {
		if _, says := guard["opaque"]; !says {
			opaque = true
		}
	}
	switch {
	case kind == "http" && auth == "bearer", kind == "oauth2", kind == "openIdConnect":
		place = "bearer"
		if credential = "JWT"; opaque {
			credential = "opaque"
		}
	case kind == "http":
		credential, place = auth, "authorization"
	case kind == "apiKey":
		place = text(s, "in") + " " + text(s, "name")
		if credential = "key"; token != "" {
			credential = "JWT"
		}
	case kind == "mutualTLS":
		credential = "certificate"
	}
	if credential == "JWT" {
		verifier := text(guard, "verifier")
		if verifier == "" && kind == "openIdConnect" {
			verifier = name
		}
		if token == "" {
			token = "access"
		}
		credential += " " + token + " of " + verifier
	}
	return strings.TrimSpace(fmt.Sprintf("%s: %s in %s %s", name, credential, place, text(guard, "prefix"))) + describeList(guard, list)
}

// configured returns what the configuration says of a scheme or an operation.
func (d *document) configured(section, name string) any {
	named, _ := d.config[section].(object)
	return named[name]
}

// describeList describes the list of a scheme in a requirement.
func describeList(guard object, list any) string {
	values, _ := list.([]any)
	if len(values) == 0 || guard["list"] == "ignore" {
		return ""
	}
	var names []string
	for _, value := range values {
		names = append(names, fmt.Sprint(value))
	}
	return fmt.Sprintf(" %q", names)
}
