package codegen

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// overlayAction is an action of an OpenAPI Overlay: a target and either an update, as YAML on one
// line, or a removal.
type overlayAction struct {
	target string
	update string
}

// overlayText returns an overlay ready to paste, and the configuration that applies it. existing is the
// overlay that the configuration names already, or "".
func overlayText(existing string, actions []overlayAction) string {
	var b strings.Builder
	if existing != "" {
		fmt.Fprintf(&b, "without editing the document: add to the actions of %s\n", existing)
	} else {
		b.WriteString("without editing the document: write overlay.yaml, and name it in the configuration,\n" +
			"oapi-codegen: {output-options: {overlay: {path: overlay.yaml}}}\n" +
			"  overlay: 1.0.0\n  info: {title: fixes, version: \"1\"}\n  actions:\n")
	}
	for _, a := range actions {
		fmt.Fprintf(&b, "    - target: %s\n", a.target)
		if a.update == "" {
			b.WriteString("      remove: true\n")
		} else {
			fmt.Fprintf(&b, "      update: %s\n", a.update)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// removal removes a value, and addition merges YAML into one.
func removal(at place) overlayAction { return overlayAction{target: at.jsonPath()} }

func addition(at place, yaml string) overlayAction { return overlayAction{at.jsonPath(), yaml} }

// plainMember matches the keys that a JSONPath names without brackets.
var plainMember = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// jsonPath returns the place as a JSONPath (RFC 9535), for the target of an overlay.
func (p place) jsonPath() string {
	var b strings.Builder
	b.WriteString("$")
	for _, key := range splitPointer(p.pointer) {
		switch _, err := strconv.Atoi(key); {
		case err == nil:
			fmt.Fprintf(&b, "[%s]", key)
		case plainMember.MatchString(key):
			b.WriteString("." + key)
		default:
			b.WriteString("['" + strings.ReplaceAll(strings.ReplaceAll(key, `\`, `\\`), "'", `\'`) + "']")
		}
	}
	return b.String()
}
