package audit

import (
	"fmt"
	"strings"
)

// String returns the credentials of an alternative in a few words.
func (a alternative) String() string {
	var texts []string
	for _, c := range a {
		texts = append(texts, c.text())
	}
	return strings.Join(texts, " with ")
}

// text returns a credential in a few words.
func (c credential) text() string {
	text := c.definition.Name
	if len(c.scopes) > 0 {
		text += " (" + names("scope", c.scopes) + ")"
	}
	return text
}

// alternativesText returns who may call an operation in a few words.
func alternativesText(r requirement) string {
	var texts []string
	for _, a := range r.alternatives {
		texts = append(texts, a.String())
	}
	if r.anonymous {
		texts = append(texts, "anonymous")
	}
	return strings.Join(texts, ", or ")
}

// identityText returns what differs between two identities.
func identityText(before, after identity) string {
	var texts []string
	for _, field := range []struct{ name, before, after string }{
		{"scheme", before.scheme, after.scheme},
		{"credential", before.credential, after.credential},
		{"token type", before.token, after.token},
		{"verifier", before.verifier, after.verifier},
		{"place", before.place(), after.place()},
		{"word before the credential", before.prefix, after.prefix},
		{"provider", before.identifier, after.identifier},
	} {
		if field.before != field.after {
			texts = append(texts, fmt.Sprintf("%s %s in place of %s", field.name, orNone(field.after), orNone(field.before)))
		}
	}
	return strings.Join(texts, ", ")
}

func (i identity) place() string { return strings.TrimSpace(i.in + " " + i.parameter) }

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// names returns a noun with one or more names.
func names(noun string, names []string) string {
	if len(names) > 1 {
		noun += "s"
	}
	return noun + " " + strings.Join(names, ", ")
}

// oneOf returns a list of roles of which a caller needs one.
func oneOf(roles []string) string {
	if len(roles) == 1 {
		return "role " + roles[0]
	}
	return "one of the roles " + strings.Join(roles, ", ")
}
