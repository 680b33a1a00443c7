package codegen

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// guardKey is the extension for security that OpenAPI cannot express.
const guardKey = "x-guard"

// entry is the value of one key of an x-guard object, and its place.
type entry struct {
	value any
	at    place
}

// entries are the keys of an x-guard object in the document or in the configuration.
type entries map[string]entry

// readEntries returns the entries of an object and reports unknown keys. It returns nil if the object
// is not present.
func readEntries(value any, present bool, at place, known []string, p *problems) entries {
	if !present {
		return nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		p.add(at, "%s has to be an object, not %s", guardKey, jsonType(value))
		return nil
	}
	found := entries{}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(known, key) {
			p.add(at.at(key), "unknown key %q; the keys here are %s", key, strings.Join(known, ", "))
			continue
		}
		found[key] = entry{object[key], at.at(key)}
	}
	return found
}

// over returns the entries of base, replaced by those of e where both have the key.
func (e entries) over(base entries) entries {
	merged := maps.Clone(base)
	if merged == nil {
		merged = entries{}
	}
	maps.Copy(merged, e)
	return merged
}

// object returns the entries of a value that is an object with only known keys.
func (e entry) object(known []string, p *problems) entries {
	if _, ok := e.value.(map[string]any); !ok {
		p.add(e.at, "%s has to be an object with %s, not %s", e.at.key(), strings.Join(known, " or "), jsonType(e.value))
		return nil
	}
	return readEntries(e.value, true, e.at, known, p)
}

// texts returns the value as a list of distinct strings. It reports an empty list and empty strings.
func (e entry) texts(p *problems) []string {
	list, ok := e.value.([]any)
	if !ok {
		p.add(e.at, "%s has to be a list of strings, not %s", e.at.key(), jsonType(e.value))
		return nil
	}
	if len(list) == 0 {
		p.add(e.at, "%s is empty, which would admit everybody or nobody; name roles, or remove it", e.at.key())
	}
	var texts []string
	for i, item := range list {
		text, ok := item.(string)
		switch {
		case !ok:
			p.add(e.at.item(i), "%s has to be a list of strings, and this is %s", e.at.key(), jsonType(item))
		case text == "":
			p.add(e.at.item(i), "%s has an empty string; remove it", e.at.key())
		case slices.Contains(texts, text):
			p.add(e.at.item(i), "%s has %s twice; remove one", e.at.key(), strconv.Quote(text))
		default:
			texts = append(texts, text)
		}
	}
	return texts
}

// jsonType names the JSON type of a decoded value, for errors.
func jsonType(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	case map[any]any:
		return "an object with keys that are not strings"
	default:
		return "a number"
	}
}
