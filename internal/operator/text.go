package operator

import (
	"strconv"
	"strings"
	"unicode"
)

// printable returns a text of somebody else for a terminal: characters that a terminal would obey are
// escaped, and a long text is cut.
func printable(text string) string {
	const longest = 200
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		quoted := strconv.Quote(text)
		return quoted[1 : len(quoted)-1]
	}
	return text
}

// Printable is printable for other packages.
func Printable(text string) string { return printable(text) }
