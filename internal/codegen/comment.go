package codegen

import (
	"fmt"
	"slices"
	"strings"
)

// operationsDoc returns the doc comment of GuardedOperations. outbound names the webhooks and
// callbacks.
func operationsDoc(aliases bool, outbound []string) string {
	doc := "GuardedOperations returns what the document says of each operation's security, in document order: for audits and for tests of coverage."
	if aliases {
		doc += " An operation that several paths share stands there once for each of them."
	}
	if len(outbound) == 0 {
		return doc + " Webhooks and callbacks are not among them, because this API sends those requests."
	}
	return doc + " Not among them, because this API sends those requests: " + strings.Join(outbound, ", ") + "."
}

// credentialDoc returns the doc comment of a struct of credentials.
func credentialDoc(c *credentialType) string {
	if c.all {
		return c.goName + " holds the credentials of a request: " + c.text + "."
	}
	return c.goName + " holds the credentials of the alternative that a request satisfied: " + c.text + ". The fields of the others are nil."
}

// article returns the token type with its article, for a sentence.
func article(name string) string {
	if strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name + " token"
	}
	return "a " + name + " token"
}

// comment returns oapi-codegen's comment of a method with the operation's security after its route.
// It drops the method's name before a summary, because the summary is a sentence already.
func comment(lines []string, o *operation) []string {
	lines = slices.Clone(lines)
	if len(lines) > 0 {
		lines[0] = strings.TrimPrefix(lines[0], o.goName+" ")
	}
	head := fmt.Sprintf("(%s %s)", o.method, o.path)
	at := slices.Index(lines, head)
	if at < 0 {
		return append(lines, securityText(o))
	}
	lines[at] += " " + securityText(o)
	return lines
}

// callersText returns who may call an operation in a few words, without its rules.
func callersText(o *operation) string {
	if o.requirement.public() {
		return "public"
	}
	var alternatives []string
	for _, a := range o.requirement.alternatives {
		var schemes []string
		for _, s := range a {
			text := word(s.name)
			if list := slices.Concat(s.scopes, s.roles); len(list) > 0 {
				text += " (" + roleText(list) + ")"
			}
			schemes = append(schemes, text)
		}
		if len(a) == 0 {
			schemes = []string{"anonymous"}
		}
		alternatives = append(alternatives, strings.Join(schemes, " and "))
	}
	return strings.Join(alternatives, " or ")
}

// securityText describes the security of an operation in a few words.
func securityText(o *operation) string {
	text := callersText(o)
	if o.rules.fresh {
		text += "; fresh"
	}
	if o.rules.maxAge > 0 {
		text += "; authenticated at most " + o.rules.maxAge.String() + " ago"
	}
	if o.rules.allow != nil {
		text += "; roles allow " + roleText(o.rules.allow)
	}
	if o.rules.deny != nil {
		text += "; roles deny " + roleText(o.rules.deny)
	}
	if o.rules.immediate {
		text += "; immediate revocation"
	}
	if o.rules.watch {
		text += "; watched"
	}
	return text
}

func roleText(roles []string) string {
	var words []string
	for _, role := range roles {
		words = append(words, word(role))
	}
	return strings.Join(words, ", ")
}

// lineWidth is the width at which lists of names and comments are broken into lines.
const lineWidth = 118

// names returns the Go names of the operations, separated by commas and broken into lines.
func names(operations []operationView) string {
	var b strings.Builder
	width := 0
	for i, o := range operations {
		switch {
		case i == 0:
		case width+len(o.Go) > lineWidth:
			b.WriteString(",\n")
			width = 0
		default:
			b.WriteString(", ")
		}
		b.WriteString(o.Go)
		width += len(o.Go) + 2
	}
	return b.String()
}

// commented returns the words of a text as lines of a comment.
func commented(text string) string {
	var b strings.Builder
	width := lineWidth
	for _, w := range strings.Fields(text) {
		if width += len(w) + 1; width > lineWidth {
			b.WriteString("\n//")
			width = len(w) + 1
		}
		b.WriteString(" " + w)
	}
	return strings.TrimPrefix(b.String(), "\n")
}
