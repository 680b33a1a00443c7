package codegen

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// source is a file that the user wrote: the document or the configuration. It is indexed for the lines of errors only, so
// that a run without errors does not parse the document twice. What it reads is YAML, and JSON with it.
type source struct {
	// path is the file as the user named it.
	path string
	// overlay is the OpenAPI Overlay that changed the document after it was read, or "".
	overlay string
	// data is the content where it is already at hand: that of the configuration, empty where there is none.
	data []byte

	files map[string]*yaml.Node
}

// place is a value in a source, named by its JSON pointer (RFC 6901).
type place struct {
	source  *source
	pointer string
}

var pointerEscape, pointerUnescape = strings.NewReplacer("~", "~0", "/", "~1"), strings.NewReplacer("~1", "/", "~0", "~")

// at returns the place of what the keys lead to from here.
func (p place) at(keys ...string) place {
	for _, key := range keys {
		p.pointer += "/" + pointerEscape.Replace(key)
	}
	return p
}

// key returns the last key of the way here.
func (p place) key() string {
	return pointerUnescape.Replace(p.pointer[strings.LastIndex(p.pointer, "/")+1:])
}

// item returns the place of an element of the list here.
func (p place) item(i int) place { return p.at(strconv.Itoa(i)) }

// problem gives the text the file and the line of the place. Where an overlay changed the document, the original has the
// line only of what was there before.
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

// maxRefs bounds how many references are followed to one place: they may go round in a circle.
const maxRefs = 100

// find returns the file and line of what the pointer leads to, across references to other files; or, with false, those of
// the last part of the way that is there.
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
			other = beside(file, target)
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

// beside returns the path of a file that another one refers to.
func beside(file, ref string) string {
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

// child returns the key and the value of an entry of a mapping, or the element of a list for both.
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

// root returns the top of a file, or nil where there is none to read: an error that has no line is still an error.
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
	var document yaml.Node
	var top *yaml.Node
	if err := yaml.Unmarshal(data, &document); err == nil && len(document.Content) > 0 {
		top = document.Content[0]
	}
	if s.files == nil {
		s.files = map[string]*yaml.Node{}
	}
	s.files[file] = top
	return top
}
