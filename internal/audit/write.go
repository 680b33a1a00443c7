package audit

import (
	"fmt"
	"io"
)

// The formats of [Write].
const (
	FormatMarkdown = "markdown"
	FormatHTML     = "html"
	FormatSVG      = "svg"
)

// Write renders a report: the comparison where there is one, else the matrix. The page of HTML has
// both.
func Write(w io.Writer, format string, r Report) error {
	switch format {
	case FormatMarkdown:
		return writeMarkdown(w, r)
	case FormatHTML:
		return writeHTML(w, r)
	case FormatSVG:
		return writeSVG(w, r)
	}
	return fmt.Errorf("unknown format %q", format)
}
