package codegen

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"gopkg.in/yaml.v3"
)

// keyReader finds keys of a document that nothing reads although they look like security. Without it a
// misspelt key would make an operation public, or drop a rule, without a word.
type keyReader struct {
	spec *source
	// allowed are the keys that the configuration acknowledges, and seen those of them that exist.
	allowed map[string]place
	seen    map[string]bool
	// schemes are the names of the security schemes of the document.
	schemes map[string]bool
	// incomplete says that a file that the document refers to could not be read here.
	incomplete bool
	// visited has the objects that were examined, by node and kind.
	visited map[visit]bool
	// examined are the files whose repeated keys were reported.
	examined map[string]bool
	*problems
}

type visit struct {
	node *yaml.Node
	kind string
}

// checkKeys reports keys of a document that nothing reads, and keys that a mapping has twice. top is
// the root of the document after the overlay.
//
// It reports whether all files of the document were read. Those behind a URL are not.
func checkKeys(top *yaml.Node, spec *source, c *Config, p *problems) (complete bool) {
	r := &keyReader{
		spec: spec, allowed: c.allowedKeys, seen: map[string]bool{}, visited: map[visit]bool{}, examined: map[string]bool{}, problems: p, schemes: schemeNames(top),
	}
	r.examined[spec.path] = true // see checkRepeated
	r.read(top, "document", place{source: spec}, spec.path)
	for _, key := range slices.Sorted(maps.Keys(r.allowed)) {
		if !r.seen[key] && !r.incomplete {
			p.add(r.allowed[key], "the document has no key %q that %s would acknowledge; remove it here", key, keyAllowKeys)
		}
	}
	return !r.incomplete
}

// checkLoaded reports keys of the operations, paths and schemes of a document as it was loaded, for
// those that come from files behind a URL.
func checkLoaded(doc *openapi3.T, spec *source, c *Config, p *problems) error {
	r := &keyReader{spec: spec, allowed: c.allowedKeys, seen: map[string]bool{}, problems: p}
	top := place{source: spec}
	check := func(extensions map[string]any, kind string, at place) error {
		for _, key := range slices.Sorted(maps.Keys(extensions)) {
			text, err := json.Marshal(extensions[key])
			if err != nil {
				return err
			}
			value, err := parseJSON(text)
			if err != nil {
				return err
			}
			r.checkKey(key, value, openapiObjects[kind], kind, false, at.at(key))
		}
		return nil
	}
	for path, item := range doc.Paths.Map() {
		at := top.at("paths", path)
		if err := check(item.Extensions, "pathItem", at); err != nil {
			return err
		}
		for method, o := range item.Operations() {
			if err := check(o.Extensions, "operation", at.at(strings.ToLower(method))); err != nil {
				return err
			}
		}
	}
	if doc.Components == nil {
		return nil
	}
	for name, ref := range doc.Components.SecuritySchemes {
		if ref != nil && ref.Value != nil {
			if err := check(ref.Value.Extensions, "securityScheme", top.at("components", "securitySchemes", name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRepeated reports the keys that a mapping of the file has twice.
func (r *keyReader) checkRepeated(file string) {
	if r.examined[file] {
		return
	}
	r.examined[file] = true
	top := r.spec.root(file)
	if top == nil {
		return
	}
	for _, twice := range repeatedKeys(top) {
		r.addAt(file, twice.second.Line, "the key %q is here and in line %d of the same object, and readers take one or the other; remove one", twice.key, twice.first.Line)
	}
}

// read examines an object and all objects in it. file is the file that contains the node.
func (r *keyReader) read(node *yaml.Node, kind string, at place, file string) {
	for range maxRefs {
		if node.Kind != yaml.AliasNode {
			break
		}
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode || r.visited[visit{node, kind}] {
		return
	}
	r.visited[visit{node, kind}] = true
	description := openapiObjects[kind]
	_, ref := child(node, "$ref")
	isRef := ref != nil && ref.Kind == yaml.ScalarNode && kind != "document" && kind != "paths" && kind != "components"
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Tag == "!!merge" {
			r.readMerged(value, kind, at, file)
			continue
		}
		r.readKey(key.Value, value, description, kind, isRef, at, file)
	}
	if isRef {
		r.follow(ref.Value, kind, at, file)
	}
}

// readMerged examines what a merge key of YAML adds to an object.
func (r *keyReader) readMerged(value *yaml.Node, kind string, at place, file string) {
	if value.Kind == yaml.SequenceNode {
		for _, element := range value.Content {
			r.read(element, kind, at, file)
		}
		return
	}
	r.read(value, kind, at, file)
}

// readKey examines a key of an object and its value.
func (r *keyReader) readKey(key string, value *yaml.Node, description object, kind string, isRef bool, at place, file string) {
	shape, known := description.fields[key]
	extension := strings.HasPrefix(strings.ToLower(key), "x-")
	switch {
	case description.others != "" && !extension:
		shape = description.others
	case !known:
		r.checkKey(key, value, description, kind, isRef, at.at(key))
		return
	}
	r.readValue(value, shape, at.at(key), file)
}

// readValue examines the objects in a value of a kind.
func (r *keyReader) readValue(value *yaml.Node, shape string, at place, file string) {
	for range maxRefs {
		if value.Kind != yaml.AliasNode {
			break
		}
		value = value.Alias
	}
	element, isList := strings.CutPrefix(shape, "[")
	named, isMap := strings.CutPrefix(shape, "{")
	switch {
	case shape == data:
	case shape == requirements:
		r.checkRequirements(value, at)
	case isList && value.Kind == yaml.SequenceNode:
		for i, item := range value.Content {
			r.read(item, element, at.item(i), file)
		}
	case isMap && value.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(value.Content); i += 2 {
			name := value.Content[i].Value
			r.checkMethod(name, at)
			r.read(value.Content[i+1], named, at.at(name), file)
		}
	case !isList && !isMap:
		r.read(value, shape, at, file)
	}
}

// checkMethod reports a method of additionalOperations that has a key of the path item, which is the
// one that is read.
func (r *keyReader) checkMethod(name string, at place) {
	if _, fixed := openapiObjects["pathItem"].fields[strings.ToLower(name)]; fixed && at.key() == "additionalOperations" && name == strings.ToUpper(name) && !r.isAllowed(name, at.at(name)) {
		r.add(at.at(name), "OpenAPI has the method %s as a key of the path item, and readers ignore it under additionalOperations; say %s, or name it in the configuration: %s: [%q]",
			name, strings.ToLower(name), keyAllowKeys, at.at(name).pointer)
	}
}

// checkRequirements reports a security that is not a list of objects with lists of strings.
func (r *keyReader) checkRequirements(value *yaml.Node, at place) {
	const form = "security is a list of alternatives, each an object of schemes with lists of strings: [{SCHEME: []}]"
	if value.Kind != yaml.SequenceNode {
		r.add(at, "%s", form)
		return
	}
	for i, alternative := range value.Content {
		if alternative.Kind != yaml.MappingNode {
			if alternative.Kind == yaml.ScalarNode && alternative.Tag != "!!null" {
				r.add(at.item(i), "%s", form)
			}
			continue // readRequirement reports null
		}
		for j := 0; j+1 < len(alternative.Content); j += 2 {
			if key, list := alternative.Content[j], alternative.Content[j+1]; key.Tag != "!!merge" && !isStrings(list) {
				r.add(at.item(i).at(key.Value), "%s", form)
			}
		}
	}
}

// isStrings reports whether a value is a list of strings.
func isStrings(list *yaml.Node) bool {
	if list.Kind == yaml.AliasNode {
		list = list.Alias
	}
	return list.Kind == yaml.SequenceNode &&
		!slices.ContainsFunc(list.Content, func(item *yaml.Node) bool { return item.Kind == yaml.ScalarNode && item.Tag != "!!str" })
}

// follow examines the object that a reference names.
func (r *keyReader) follow(ref, kind string, at place, file string) {
	target, fragment, _ := strings.Cut(ref, "#")
	if target != "" {
		file = resolveReference(file, target)
		r.checkRepeated(file)
	}
	node := r.spec.root(file)
	r.incomplete = r.incomplete || node == nil
	for _, key := range splitPointer(fragment) {
		if node == nil {
			return
		}
		_, node = child(node, key)
	}
	if node != nil {
		r.read(node, kind, at, file)
	}
}

// checkKey reports a key that nothing reads, unless it cannot be meant as security.
func (r *keyReader) checkKey(key string, value *yaml.Node, description object, kind string, isRef bool, at place) {
	exact := key == guardKey && description.guard
	if r.isAllowed(key, at) {
		return
	}
	switch {
	case exact && !isRef, key == "$ref":
	case exact:
		r.add(at, "%s beside $ref has no effect; put it on the object that $ref names, or %s", guardKey, r.elsewhere(kind, at))
	case key == guardKey, key == "security":
		r.add(at, "%s has no effect here; put it on the operations, or on the document, or if that is meant, %s", key, r.acknowledge(at.pointer))
	case near(key, "security"):
		r.add(at, "unknown key %q; say security, or if it is not about security, %s", key, r.acknowledge(key))
	case near(key, guardKey):
		r.add(at, "unknown key %q; say %s, or if it is not about security, %s", key, guardKey, r.acknowledge(key))
	case strings.HasPrefix(strings.ToLower(key), "x-"):
		for name, reads := range map[string]bool{guardKey: readsAsGuard(value), "security": r.readsAsSecurity(value)} {
			if reads {
				r.add(at, "the value of the unknown key %q reads as %s; say %s, or if it is not about security, %s", key, name, name, r.acknowledge(key))
			}
		}
	case description.closed:
		r.add(at, "OpenAPI knows no key %q here; %s, or if it may stay, %s", key, insteadOf(key, kind), r.acknowledge(key))
	}
}

// acknowledge is the fix for a key that may stay. security and x-guard are named by their place alone.
func (r *keyReader) acknowledge(key string) string {
	return "name it in the configuration: " + keyAllowKeys + ": [" + strconv.Quote(key) + "]"
}

// isAllowed reports whether the configuration acknowledges a key, by its name or by its place.
func (r *keyReader) isAllowed(key string, at place) bool {
	for _, name := range []string{key, at.pointer} {
		_, allowed := r.allowed[name]
		if allowed && (name != guardKey && name != "security") {
			r.seen[name] = true
			return true
		}
	}
	return false
}

// elsewhere says where the configuration has the keys of an x-guard.
func (r *keyReader) elsewhere(kind string, at place) string {
	if kind == "securityScheme" {
		return "set it in the configuration: " + keySchemes + ": {" + at.parent().key() + ": {...}}"
	}
	return "set it in the configuration, under " + keyOperations
}

// insteadOf names what an unknown key may be meant as.
func insteadOf(key, kind string) string {
	switch {
	case kind == "securityScheme" && slices.Contains(schemeKeys, key):
		return "put it into " + guardKey + " of the scheme, or in the configuration under " + keySchemes
	case kind == "operation" && slices.Contains(operationKeys, key):
		return "put it into " + guardKey + " of the operation, or in the configuration under " + keyOperations
	}
	for _, known := range slices.Sorted(maps.Keys(openapiObjects[kind].fields)) {
		if len(known) > 2*maxEdits && near(key, known) {
			return "say " + known
		}
	}
	return "remove it"
}

// readsAsGuard reports whether a value is an object of nothing but keys of x-guard.
func readsAsGuard(value *yaml.Node) bool {
	if value.Kind != yaml.MappingNode || len(value.Content) == 0 {
		return false
	}
	for i := 0; i+1 < len(value.Content); i += 2 {
		key := value.Content[i].Value
		if !slices.Contains(schemeKeys, key) && !slices.Contains(operationKeys, key) {
			return false
		}
	}
	return true
}

// readsAsSecurity reports whether a value is a list of alternatives with schemes of the document.
func (r *keyReader) readsAsSecurity(value *yaml.Node) bool {
	if value.Kind != yaml.SequenceNode {
		return false
	}
	named := false
	for _, alternative := range value.Content {
		if alternative.Kind != yaml.MappingNode {
			return false
		}
		for i := 0; i+1 < len(alternative.Content); i += 2 {
			if !r.schemes[alternative.Content[i].Value] || !isStrings(alternative.Content[i+1]) {
				return false
			}
			named = true
		}
	}
	return named
}

// schemeNames returns the names of the security schemes of a document.
func schemeNames(top *yaml.Node) map[string]bool {
	names := map[string]bool{}
	node := top
	for _, key := range []string{"components", "securitySchemes"} {
		if _, node = child(node, key); node == nil {
			return names
		}
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		names[node.Content[i].Value] = true
	}
	return names
}

// maxEdits is the distance of a misspelling.
const maxEdits = 2

// near reports whether a key is at most maxEdits edits away from a word. Case and the space around it
// do not count as edits.
func near(key, word string) bool {
	key = strings.ToLower(strings.TrimSpace(key))
	if len(key) > len(word)+maxEdits || len(word) > len(key)+maxEdits {
		return false
	}
	return edits(key, word) <= maxEdits
}

// edits returns the number of bytes to insert, remove or replace to turn one text into the other
// (Levenshtein distance).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
