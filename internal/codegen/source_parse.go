package codegen

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"gopkg.in/yaml.v3"
)

// parseSource returns the top value of a YAML or JSON file, or nil where it is neither.
func parseSource(data []byte) *yaml.Node {
	if text := bytes.TrimLeft(data, " \t\r\n\ufeff"); len(text) > 0 && text[0] == '{' {
		if top, err := parseJSON(data); err == nil {
			return top
		}
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil || len(document.Content) == 0 {
		return nil
	}
	return document.Content[0]
}

// jsonParser makes YAML nodes of JSON. The YAML parser does not read all JSON: it refuses surrogate
// pairs in escapes.
type jsonParser struct {
	decoder *jsontext.Decoder
	data    []byte
	// line is the line at offset.
	line   int
	offset int64
}

// errNotJSON says that there is more text after a JSON value.
var errNotJSON = errors.New("text after the JSON value")

// parseJSON parses a JSON text. Members of the same name are all in the result.
func parseJSON(data []byte) (*yaml.Node, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	decoder := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	p := &jsonParser{decoder: decoder, data: data, line: 1}
	top, err := p.value()
	if err != nil {
		return nil, err
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errNotJSON
	}
	return top, nil
}

// value parses the next value.
func (p *jsonParser) value() (*yaml.Node, error) {
	token, err := p.decoder.ReadToken()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{Line: p.lineOf(p.decoder.InputOffset())}
	switch token.Kind() {
	case jsontext.KindBeginObject:
		node.Kind, node.Tag = yaml.MappingNode, "!!map"
		return node, p.contents(node, jsontext.KindEndObject)
	case jsontext.KindBeginArray:
		node.Kind, node.Tag = yaml.SequenceNode, "!!seq"
		return node, p.contents(node, jsontext.KindEndArray)
	}
	node.Kind, node.Value, node.Tag = yaml.ScalarNode, token.String(), "!!"+scalarTag(token)
	return node, nil
}

// contents parses the members of an object or the elements of an array.
func (p *jsonParser) contents(node *yaml.Node, end jsontext.Kind) error {
	for p.decoder.PeekKind() != end {
		child, err := p.value()
		if err != nil {
			return err
		}
		node.Content = append(node.Content, child)
	}
	_, err := p.decoder.ReadToken()
	return err
}

// scalarTag returns the YAML tag of a JSON scalar.
func scalarTag(token jsontext.Token) string {
	switch {
	case token.Kind() == jsontext.KindString:
		return "str"
	case token.Kind() == jsontext.KindNull:
		return "null"
	case token.Kind() == jsontext.KindTrue, token.Kind() == jsontext.KindFalse:
		return "bool"
	case strings.ContainsAny(token.String(), ".eE"):
		return "float"
	}
	return "int"
}

// lineOf returns the line of the token that ends at an offset. Offsets have to increase. No JSON token
// contains a line break.
func (p *jsonParser) lineOf(offset int64) int {
	p.line += bytes.Count(p.data[p.offset:offset], []byte("\n"))
	p.offset = offset
	return p.line
}

// repeated is a key that a mapping has twice.
type repeated struct {
	key           string
	first, second *yaml.Node
}

// repeatedIn returns the keys that one mapping has more than once. Most mappings are small.
func repeatedIn(node *yaml.Node) []repeated {
	const small = 16
	var found []repeated
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		var first *yaml.Node
		if len(node.Content) > 2*small {
			first = seen[key.Value]
			seen[key.Value] = key
		}
		for j := 0; j < i && len(node.Content) <= 2*small; j += 2 {
			if node.Content[j].Value == key.Value {
				first = node.Content[j]
			}
		}
		if first != nil && key.Tag != "!!merge" {
			found = append(found, repeated{key.Value, first, key})
		}
	}
	return found
}

// repeatedKeys returns the keys that a mapping of the file has more than once.
func repeatedKeys(top *yaml.Node) []repeated {
	var found []repeated
	var walk func(node *yaml.Node)
	walk = func(node *yaml.Node) {
		if node.Kind == yaml.MappingNode {
			found = append(found, repeatedIn(node)...)
		}
		for _, child := range node.Content {
			walk(child)
		}
	}
	walk(top)
	return found
}
