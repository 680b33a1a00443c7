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

// overlayFix returns the text of a fix by an overlay: the overlay ready to paste, and the
// configuration that applies it. It changes a document without editing it.
func (s *source) overlayFix(actions ...overlayAction) string {
	var b strings.Builder
	if s.overlay != "" {
		fmt.Fprintf(&b, "or add to the actions of %s:\n", s.overlay)
	} else {
		b.WriteString("or, without editing the document, write overlay.yaml and name it in the configuration, oapi-codegen: {output-options: {overlay: {path: overlay.yaml}}}:\n" +
			"\toverlay: 1.0.0\n\tinfo: {title: fixes, version: \"1\"}\n\tactions:\n")
	}
	for _, a := range actions {
		fmt.Fprintf(&b, "\t- target: %s\n", a.target)
		if a.update == "" {
			b.WriteString("\t  remove: true\n")
		} else {
			fmt.Fprintf(&b, "\t  update: %s\n", a.update)
		}
	}
	return strings.TrimSuffix(strings.ReplaceAll(b.String(), "\t", "    "), "\n")
}

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
