package codegen

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// source is the document or the configuration, with the files that it refers to. It finds the lines
// of values in YAML and JSON files.
type source struct {
	// path is the file as the user named it.
	path string
	// overlay is the path of the OpenAPI Overlay that is applied to the document, or "".
	overlay string
	// data is the content of a configuration, empty where there is no file. It is nil for a document.
	data []byte

	files map[string]*yaml.Node
}

// place is the place of a value in a source, as a JSON pointer (RFC 6901).
type place struct {
	source  *source
	pointer string
}

var pointerEscape, pointerUnescape = strings.NewReplacer("~", "~0", "/", "~1"), strings.NewReplacer("~1", "/", "~0", "~")

// at returns the place that the keys lead to from here.
func (p place) at(keys ...string) place {
	for _, key := range keys {
		p.pointer += "/" + pointerEscape.Replace(key)
	}
	return p
}

// key returns the last key of the pointer.
func (p place) key() string {
	return pointerUnescape.Replace(p.pointer[strings.LastIndex(p.pointer, "/")+1:])
}

// line returns the line of the place, or 0 where it is unknown.
func (p place) line() int {
	_, line, _ := p.source.find(p.pointer)
	return line
}

// parent returns the place of the value that contains this one.
func (p place) parent() place {
	p.pointer = p.pointer[:max(0, strings.LastIndex(p.pointer, "/"))]
	return p
}

// item returns the place of an element of a list.
func (p place) item(i int) place { return p.at(strconv.Itoa(i)) }

// problem returns a problem with the file and the line of the place. Values that an overlay added have
// no line in the document.
func (p place) problem(text string) Problem {
	s := p.source
	file, line, exact := s.find(p.pointer)
	if s.overlay != "" && p.pointer != "" {
		if !exact {
			return Problem{File: s.path, Text: text + " (at #" + p.pointer + ", added by the overlay " + s.overlay + ")"}
		}
		text += " (at #" + p.pointer + " of the document under the overlay " + s.overlay + ")"
	}
	if p.pointer == "" {
		line = 0
	} else if line == 0 && s.data == nil {
		text += " (at #" + p.pointer + ")"
	}
	return Problem{File: file, Line: line, Text: text}
}

// maxRefs bounds the references that are followed to one place, because they may form a cycle.
const maxRefs = 100

// find returns the file and the line of the value of a pointer, across references to other files.
// Where there is no such value it returns false and the place of the last key that exists.
func (s *source) find(pointer string) (file string, line int, exact bool) {
	file = s.path
	node := s.root(file)
	if node == nil {
		return file, 0, false
	}
	line = node.Line
	keys := splitPointer(pointer)
	for refs := 0; len(keys) > 0; {
		key, next := child(node, keys[0])
		if next != nil {
			node, line, keys = next, key.Line, keys[1:]
			continue
		}
		_, ref := child(node, "$ref")
		if refs++; ref == nil || refs > maxRefs {
			return file, line, false
		}
		target, fragment, _ := strings.Cut(ref.Value, "#")
		other := file
		if target != "" {
			other = resolveReference(file, target)
		}
		root := s.root(other)
		if root == nil {
			return file, line, false
		}
		if target != "" {
			file, line = other, root.Line
		}
		node, keys = root, append(splitPointer(fragment), keys...)
	}
	return file, line, true
}

// findRef returns the first reference to a file, in the document and the files that it refers to.
func (s *source) findRef(target string) (found Problem, ok bool) {
	seen := map[string]bool{}
	var walk func(file string, node *yaml.Node) bool
	walk = func(file string, node *yaml.Node) bool {
		for i, item := range node.Content {
			if node.Kind == yaml.MappingNode && i%2 == 1 && node.Content[i-1].Value == "$ref" {
				name, _, _ := strings.Cut(item.Value, "#")
				if name == "" {
					continue
				}
				other := resolveReference(file, name)
				if filepath.Clean(other) == filepath.Clean(target) {
					found = Problem{File: file, Line: item.Line}
					return true
				}
				if root := s.root(other); root != nil && !seen[other] {
					seen[other] = true
					if walk(other, root) {
						return true
					}
				}
			}
			if walk(file, item) {
				return true
			}
		}
		return false
	}
	root := s.root(s.path)
	return found, root != nil && walk(s.path, root)
}

// splitPointer returns the keys of a JSON pointer.
func splitPointer(pointer string) []string {
	if pointer == "" || pointer == "/" {
		return nil
	}
	keys := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, key := range keys {
		keys[i] = pointerUnescape.Replace(key)
	}
	return keys
}

// resolveReference returns the path of the file that a reference in another file names.
func resolveReference(file, ref string) string {
	if unescaped, err := url.PathUnescape(ref); err == nil {
		ref = unescaped
	}
	if isURL(file) || isURL(ref) {
		return ref
	}
	return filepath.Join(filepath.Dir(file), filepath.FromSlash(ref))
}

func isURL(path string) bool {
	u, err := url.Parse(path)
	return err == nil && u.Scheme != "" && u.Host != ""
}

// child returns the key and the value of an entry of a mapping. For a list both are the element.
func child(node *yaml.Node, key string) (*yaml.Node, *yaml.Node) {
	for range maxRefs {
		if node.Kind != yaml.AliasNode {
			break
		}
		node = node.Alias
	}
	switch node.Kind {
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				return node.Content[i], node.Content[i+1]
			}
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if merged := node.Content[i+1]; node.Content[i].Tag == "!!merge" && merged.Kind == yaml.AliasNode {
				if k, v := child(merged.Alias, key); v != nil {
					return k, v
				}
			}
		}
	}
	return nil, nil
}

// root returns the top value of a file, or nil where the file cannot be read.
func (s *source) root(file string) *yaml.Node {
	if node, ok := s.files[file]; ok {
		return node
	}
	data := s.data
	if file != s.path || data == nil {
		var err error
		if data, err = os.ReadFile(file); err != nil {
			data = nil
		}
	}
	top := parseSource(data)
	if s.files == nil {
		s.files = map[string]*yaml.Node{}
	}
	s.files[file] = top
	return top
}
