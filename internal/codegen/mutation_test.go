package codegen

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/oapi-guard/oapi-guard/internal/codegen/oracle"
	"github.com/oapi-guard/oapi-guard/internal/race"
)

var mutations = flag.Int("mutations", 300, "how many mutations of real documents to read")

// mutation is a change of one key of a document that is about security.
type mutation struct {
	text string
	// spelling says that the key has another name now, in the same place. No operation may become weaker
	// by that without a word.
	spelling bool
}

// member is a key of a mapping of a document.
type member struct {
	parent *yaml.Node
	index  int
}

func (m member) key() *yaml.Node { return m.parent.Content[m.index] }

// mutator changes documents.
type mutator struct {
	random *rand.Rand
	root   *yaml.Node
	// keys are the members about security, and objects the mappings that are objects of OpenAPI.
	keys    []member
	objects []*yaml.Node
}

func newMutator(root *yaml.Node, random *rand.Rand) *mutator {
	m := &mutator{random: random, root: root}
	m.addObject(root)
	for _, name := range []string{"info", "components"} {
		if _, value := child(root, name); value != nil {
			m.addObject(value)
		}
	}
	if _, paths := child(root, "paths"); paths != nil {
		for _, item := range values(paths) {
			m.addObject(item)
			for i := 0; i+1 < len(item.Content); i += 2 {
				if slices.Contains([]string{"get", "put", "post", "delete", "patch"}, item.Content[i].Value) {
					m.addOperation(item.Content[i+1])
				}
			}
		}
	}
	if _, components := child(root, "components"); components != nil {
		if _, schemes := child(components, "securitySchemes"); schemes != nil {
			m.addKeys(schemes)
			for _, scheme := range values(schemes) {
				m.addObject(scheme)
				m.addKeys(scheme)
			}
		}
	}
	return m
}

func (m *mutator) addOperation(operation *yaml.Node) {
	m.addObject(operation)
	if _, responses := child(operation, "responses"); responses != nil {
		for _, response := range values(responses) {
			m.addObject(response)
		}
	}
}

// addObject adds an object, and its keys about security.
func (m *mutator) addObject(node *yaml.Node) {
	if node.Kind != yaml.MappingNode {
		return
	}
	m.objects = append(m.objects, node)
	for i := 0; i+1 < len(node.Content); i += 2 {
		switch key, value := node.Content[i], node.Content[i+1]; key.Value {
		case "security":
			m.keys = append(m.keys, member{node, i})
			for _, alternative := range value.Content {
				m.addKeys(alternative)
			}
		case "x-guard":
			m.keys = append(m.keys, member{node, i})
			m.addKeys(value)
		case "securitySchemes":
			m.keys = append(m.keys, member{node, i})
		}
	}
}

// addKeys adds all keys of a mapping.
func (m *mutator) addKeys(node *yaml.Node) {
	if node.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if key := node.Content[i].Value; key != "description" && key != "x-guard" {
			m.keys = append(m.keys, member{node, i})
		}
	}
}

// cloned returns copies of nodes, so that no node contains itself after a move.
func cloned(nodes []*yaml.Node) []*yaml.Node {
	var list []*yaml.Node
	for _, node := range nodes {
		copied := *node
		copied.Content = cloned(node.Content)
		list = append(list, &copied)
	}
	return list
}

func values(node *yaml.Node) []*yaml.Node {
	var list []*yaml.Node
	for i := 1; i < len(node.Content); i += 2 {
		list = append(list, node.Content[i])
	}
	return list
}

// otherNames are what somebody may call security or x-guard instead.
var otherNames = []string{
	"securities", "Security", "x-security", "auth", "authorization", "permissions", "x-guards", "guard", "X-Guard", "x-oapi-guard", "x-rules", "x-auth",
}

// mutate changes one key.
func (m *mutator) mutate() mutation {
	chosen := m.keys[m.random.IntN(len(m.keys))]
	name := chosen.key().Value
	switch m.random.IntN(4) {
	case 0:
		other := otherNames[m.random.IntN(len(otherNames))]
		chosen.parent.Content[chosen.index] = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: other}
		return mutation{fmt.Sprintf("rename %s to %s", name, other), true}
	case 1:
		other := m.misspell(name)
		chosen.parent.Content[chosen.index] = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: other}
		return mutation{fmt.Sprintf("misspell %s as %q", name, other), true}
	case 2:
		pair := cloned(chosen.parent.Content[chosen.index : chosen.index+2])
		chosen.parent.Content = slices.Delete(slices.Clone(chosen.parent.Content), chosen.index, chosen.index+2)
		target := m.objects[m.random.IntN(len(m.objects))]
		target.Content = append(target.Content, pair...)
		return mutation{fmt.Sprintf("move %s", name), false}
	}
	pair := cloned(chosen.parent.Content[chosen.index : chosen.index+2])
	target := m.objects[m.random.IntN(len(m.objects))]
	if m.random.IntN(2) == 0 {
		target = chosen.parent
	}
	target.Content = append(target.Content, pair...)
	return mutation{fmt.Sprintf("duplicate %s", name), false}
}

// misspell makes one or two edits.
func (m *mutator) misspell(name string) string {
	text := []byte(name)
	for range 1 + m.random.IntN(2) {
		if len(text) < 2 {
			break
		}
		at := m.random.IntN(len(text) - 1)
		switch m.random.IntN(5) {
		case 0:
			text = slices.Delete(text, at, at+1)
		case 1:
			text = slices.Insert(text, at, byte('a'+m.random.IntN(26)))
		case 2:
			text[at] = byte('a' + m.random.IntN(26))
		case 3:
			text[at], text[at+1] = text[at+1], text[at]
		default:
			text[at] ^= 0x20 & -(text[at] >> 6 & 1) // the other case of a letter
		}
	}
	return string(text)
}

// TestMutations changes one key about security of a real document, and reads it. What comes of it is an
// error, a warning, or exactly what the changed document says. Where the key only has another name no
// operation is weaker without a word.
func TestMutations(t *testing.T) {
	race.Skip(t)
	names := []string{"hydra.json", "realworld.yml", "train-travel.yaml"}
	paths := specs(t, names...)
	dir := t.TempDir()
	outcomes := map[string]int{}
	type original struct {
		text     []byte
		table    oracle.Table
		warnings int
	}
	originals := map[string]original{}
	for _, path := range paths {
		text := guarded(t, path)
		table, err := oracle.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		_, warned := readText(t, dir, text)
		originals[path] = original{text, table, warned}
	}
	for seed := range *mutations {
		path := paths[seed%len(paths)]
		before := originals[path]
		var document yaml.Node
		if err := yaml.Unmarshal(before.text, &document); err != nil {
			t.Fatal(err)
		}
		change := newMutator(document.Content[0], rand.New(rand.NewPCG(uint64(seed), 1))).mutate()
		text, err := yaml.Marshal(&document)
		if err != nil {
			t.Fatal(err)
		}
		got, warned := readText(t, dir, text)
		switch {
		case got == nil:
			outcomes["error"]++
			continue
		case warned > before.warnings:
			outcomes["warning"]++
			continue
		}
		want, err := oracle.Parse(text)
		if err != nil {
			t.Errorf("seed %d: %s: %s: read without an error, but %v", seed, filepath.Base(path), change.text, err)
			continue
		}
		if found := oracle.Differences(got, want); len(found) > 0 {
			t.Errorf("seed %d: %s: %s: not what the document says: %s", seed, filepath.Base(path), change.text, found[0])
		}
		if found := oracle.Differences(got, before.table); change.spelling && len(found) > 0 {
			t.Errorf("seed %d: %s: %s: not a word about: %s", seed, filepath.Base(path), change.text, found[0])
		}
		outcomes["as the document says"]++
	}
	t.Log(outcomes)
	if outcomes["error"] < *mutations/3 || outcomes["as the document says"] == 0 {
		t.Errorf("the mutations show little: %v", outcomes)
	}
}

// guarded returns a real document with rules of x-guard, and its schemes told apart.
func guarded(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	top := parseSource(text)
	schemeGuards := map[string]string{"Token": "{token: access, prefix: Token}", "bearer": "{token: registration}", "OAuth2": "{verifier: travel}"}
	_, components := child(top, "components")
	_, schemes := child(components, "securitySchemes")
	for name, guard := range schemeGuards {
		if _, scheme := child(schemes, name); scheme != nil {
			scheme.Content = append(scheme.Content, yamlOf(t, "x-guard"), yamlOf(t, guard))
		}
	}
	_, paths := child(top, "paths")
	rules := []string{"{fresh: 15m}", "{roles: {allow: [ADMIN, EDITOR]}}", "{roles: {deny: [GUEST]}, fresh: 1h}"}
	n := 0
	for _, item := range values(paths) {
		for _, operation := range values(item) {
			if _, security := child(operation, "security"); security != nil && len(security.Content) > 0 && n < 6 {
				operation.Content = append(operation.Content, yamlOf(t, "x-guard"), yamlOf(t, rules[n%len(rules)]))
				n++
			}
		}
	}
	out, err := yaml.Marshal(top)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func yamlOf(t *testing.T, text string) *yaml.Node {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	return document.Content[0]
}

// readText reads a document, and returns its table, or nil for an error, and how many warnings there
// were.
func readText(t *testing.T, dir string, text []byte) (oracle.Table, int) {
	t.Helper()
	path := filepath.Join(dir, "spec.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := readOnly(&Config{Spec: path, Package: "api"})
	if err != nil {
		if strings.Contains(err.Error(), "panicked") {
			t.Errorf("%v", err)
		}
		return nil, 0
	}
	return tableOf(r), len(r.warnings)
}
