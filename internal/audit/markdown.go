package audit

import (
	"fmt"
	"io"
	"strings"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// writeMarkdown renders a report in Markdown with the tables of GitHub.
func writeMarkdown(w io.Writer, r Report) error {
	var b strings.Builder
	if r.Comparison == nil {
		markdownMatrix(&b, r)
	} else {
		markdownComparison(&b, r)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownMatrix(b *strings.Builder, r Report) {
	m := matrixOf(r)
	fmt.Fprintf(b, "# %s: who may call what\n\n%s.\n\n", markdownText(r.title()), m.counts)
	b.WriteString("| operation | id |")
	for _, c := range m.columns {
		fmt.Fprintf(b, " %s |", markdownText(c.name))
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(m.columns)) + "\n")
	for _, row := range m.rows {
		fmt.Fprintf(b, "| %s | %s |", markdownCode(row.operation.Method+" "+row.operation.Path), markdownID(row.operation))
		for _, c := range row.cells {
			fmt.Fprintf(b, " %s |", markdownText(c.text))
		}
		b.WriteString("\n")
	}
	var details []string
	for _, c := range m.columns[1:] {
		if c.detail != "" {
			text := strings.TrimSuffix(c.detail+", "+c.place, ", ")
			details = append(details, fmt.Sprintf("- %s: %s", markdownText(c.name), markdownText(text)))
		}
	}
	if details != nil {
		b.WriteString("\n" + strings.Join(details, "\n") + "\n")
	}
}

func markdownComparison(b *strings.Builder, r Report) {
	c := r.Comparison
	fmt.Fprintf(b, "# %s: %s\n\n", markdownText(r.title()), c.verdict())
	fmt.Fprintf(b, "Compared with %s: %s.\n", markdownText(r.Against), c.Summary)
	if c.Default != nil {
		fmt.Fprintf(b, "\n## The default: %s\n\nWhat an operation requires that has no security.\n\n", c.Default.Kind)
		markdownChange(b, *c.Default)
	}
	heading := ""
	for _, change := range c.Changes {
		if label := change.label(); label != heading {
			heading = label
			fmt.Fprintf(b, "\n## %s\n\n", heading)
		}
		fmt.Fprintf(b, "- %s %s\n", markdownCode(change.Method+" "+change.Path), markdownID(codegen.ListedOperation{Method: change.Method, Path: change.Path, ID: change.ID}))
		markdownChange(b, change)
	}
}

// markdownChange renders the reasons and the versions of a change as a list.
func markdownChange(b *strings.Builder, c Change) {
	for _, reason := range c.Reasons {
		fmt.Fprintf(b, "  - **%s**: %s\n", reason.Kind, markdownText(reason.Text))
	}
	if text := textOf(c.Before); text != "" {
		fmt.Fprintf(b, "  - before: %s\n", markdownText(text))
	}
	if text := textOf(c.After); text != "" {
		fmt.Fprintf(b, "  - after: %s\n", markdownText(text))
	}
}

// markdownID returns the operationId, or nothing where there is none.
func markdownID(o codegen.ListedOperation) string {
	if o.ID == o.Method+" "+o.Path {
		return ""
	}
	return markdownText(o.ID)
}

var markdownEscape = strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", "[", `\[`, "\n", " ", "\r", " ")

// markdownText returns a text without the signs that Markdown reads.
func markdownText(text string) string { return markdownEscape.Replace(text) }

// markdownCode returns a text as code. A sign | ends the cell of a table even there.
func markdownCode(text string) string {
	text = strings.NewReplacer("\n", " ", "\r", " ", "|", `\|`).Replace(text)
	if strings.Contains(text, "`") {
		return "`` " + text + " ``"
	}
	return "`" + text + "`"
}
