package audit

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The measures of the picture, in pixels. All text has a monospaced font, so that its width is known.
const (
	svgMargin    = 28
	svgRow       = 30
	svgLine      = 20
	svgCharacter = 7.3 // of 12 pixels, with the fonts that are wider than others
	svgMethod    = 66
)

const svgStyle = `
text { font: 12px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1b2430; }
.title { font: 600 20px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
.head { font-weight: 600; } .soft { fill: #5b6776; } .method { font-weight: 600; font-size: 11px; fill: #2457c5; }
.page { fill: #fff; } .band { fill: #f6f7f9; } .line { stroke: #dfe4ea; } .badge { fill: #f6f7f9; stroke: #dfe4ea; }
.public { fill: #b42318; } .optional { fill: #8a5200; } .alone { fill: #0b6b43; } .with { fill: #2457c5; } .rule { fill: #5a3ea6; }
.weaker { fill: #b42318; } .stronger { fill: #0b6b43; } .new { fill: #2457c5; } .gone { fill: #5b6776; }
rect.public, rect.weaker { fill: #fde8e6; } rect.optional { fill: #fdf0d8; } rect.alone, rect.stronger { fill: #dcf3e7; }
rect.with, rect.new { fill: #e3ebfc; } rect.weaker.bar { fill: #d92d20; } rect.stronger.bar { fill: #12a36a; } rect.new.bar { fill: #2457c5; } rect.gone.bar { fill: #9aa8b8; }
rect.rule { fill: #ece6fa; } rect.gone { fill: #eceff3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6ebf1; } .soft { fill: #9aa8b8; } .method { fill: #8ab0ff; }
  .page { fill: #10151c; } .band { fill: #18202a; } .line { stroke: #2c3744; } .badge { fill: #10151c; stroke: #2c3744; }
  .public { fill: #ff9d94; } .optional { fill: #f2c069; } .alone { fill: #79dcae; } .with { fill: #9dbcff; } .rule { fill: #c3b0f7; }
  .weaker { fill: #ff9d94; } .stronger { fill: #79dcae; } .new { fill: #9dbcff; } .gone { fill: #9aa8b8; }
  rect.public, rect.weaker { fill: #47201e; } rect.optional { fill: #43321a; } rect.alone, rect.stronger { fill: #153a2b; }
  rect.with, rect.new { fill: #1e2f52; } rect.rule { fill: #322955; } rect.gone { fill: #26303c; }
}
`

// picture collects the elements of an SVG and grows with them.
type picture struct {
	b             strings.Builder
	width, height int
}

// text adds a text and returns where it ends.
func (p *picture) text(x, y int, class, text string) int {
	if text == "" {
		return x
	}
	fmt.Fprintf(&p.b, "<text x=\"%d\" y=\"%d\" class=\"%s\">%s</text>\n", x, y, class, xmlText(text))
	end := x + textWidth(text)
	p.width = max(p.width, end+svgMargin)
	return end
}

func (p *picture) rect(x, y, width, height, radius int, class string) {
	fmt.Fprintf(&p.b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\" class=\"%s\"/>\n", x, y, width, height, radius, class)
}

// chip adds a text on a coloured ground.
func (p *picture) chip(x, y int, class, text string) {
	if text == "" {
		return
	}
	p.rect(x, y-14, textWidth(text)+14, svgLine, 5, class)
	p.text(x+7, y, class, text)
}

// operation adds the method and the path of an operation, and its id.
func (p *picture) operation(x, y int, method, path, id string) int {
	p.rect(x, y-14, svgMethod-8, svgLine, 4, "badge")
	fmt.Fprintf(&p.b, "<text x=\"%d\" y=\"%d\" class=\"method\" text-anchor=\"middle\">%s</text>\n", x+(svgMethod-8)/2, y, xmlText(method))
	x = p.text(x+svgMethod, y, "", path)
	if id != "" {
		x = p.text(x+10, y, "soft", id)
	}
	return x
}

// write writes the picture with a title and a description for those who do not see it.
func (p *picture) write(w io.Writer, title, description string) error {
	_, err := fmt.Fprintf(w, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%[1]d\" height=\"%[2]d\" viewBox=\"0 0 %[1]d %[2]d\" role=\"img\" aria-labelledby=\"title description\">\n"+
		"<title id=\"title\">%[3]s</title>\n<desc id=\"description\">%[4]s</desc>\n<style>%[5]s</style>\n<rect width=\"100%%\" height=\"100%%\" class=\"page\"/>\n%[6]s</svg>\n",
		p.width, p.height, xmlText(title), xmlText(description), svgStyle, p.b.String())
	return err
}

// writeSVG renders a report as a picture.
func writeSVG(w io.Writer, r Report) error {
	if r.Comparison != nil {
		return comparisonPicture(w, r)
	}
	m := matrixOf(r)
	lefts, width := svgColumns(m)
	p := &picture{width: width}
	title := r.title() + ": who may call what"
	p.text(svgMargin, 44, "title", title)
	p.width = max(width, svgMargin*2+len(title)*12)
	p.text(svgMargin, 68, "soft", m.counts.String())

	y := 104
	p.text(svgMargin, y, "head", "operation")
	for i, c := range m.columns {
		p.text(lefts[i], y, "head", c.name)
		p.text(lefts[i], y+16, "soft", c.detail)
		p.text(lefts[i], y+32, "soft", c.place)
	}
	y += 44
	for i, row := range m.rows {
		if i%2 == 0 {
			p.rect(svgMargin-10, y, p.width-2*svgMargin+20, svgRow, 6, "band")
		}
		p.operation(svgMargin, y+20, row.operation.Method, row.operation.Path, idOf(row.operation.Method, row.operation.Path, row.operation.ID))
		for j, c := range row.cells {
			p.chip(lefts[j], y+20, string(c.kind), c.text)
		}
		y += svgRow
	}
	p.legend(y + 34)
	p.height = y + 60
	return p.write(w, title, m.counts.String())
}

// svgColumns returns where the columns begin, and where the last one ends.
func svgColumns(m matrix) (lefts []int, width int) {
	left := svgMargin + textWidth("operation")
	for _, row := range m.rows {
		o := row.operation
		left = max(left, svgMargin+svgMethod+textWidth(o.Path)+10+textWidth(idOf(o.Method, o.Path, o.ID)))
	}
	left += 24
	for i, c := range m.columns {
		lefts = append(lefts, left)
		widest := max(textWidth(c.name), textWidth(c.detail), textWidth(c.place))
		for _, row := range m.rows {
			widest = max(widest, textWidth(row.cells[i].text)+14)
		}
		left += widest + 20
	}
	return lefts, left - 20 + svgMargin
}

// legend explains the colours of the matrix.
func (p *picture) legend(y int) {
	x := svgMargin
	for _, entry := range []struct{ class, text, meaning string }{
		{"public", "public", "no credential is checked"}, {"optional", "optional", "without a credential too"},
		{"alone", "yes", "is enough"}, {"with", "with", "is required together with another"}, {"rule", "rule", "is required of every credential"},
	} {
		p.chip(x, y, entry.class, entry.text)
		x = p.text(x+textWidth(entry.text)+22, y, "soft", entry.meaning) + 24
	}
}

// comparisonPicture renders what changed.
func comparisonPicture(w io.Writer, r Report) error {
	c := r.Comparison
	p := &picture{}
	title := r.title() + ": " + strings.ToLower(c.verdict()[:1]) + c.verdict()[1:]
	p.text(svgMargin, 44, "title", title)
	p.width = max(p.width, svgMargin*2+len(title)*12)
	p.text(svgMargin, 68, "soft", "Compared with "+r.Against+": "+c.Summary.String())
	y := 104
	if c.Default != nil {
		p.text(svgMargin, y, "head", "The default, for operations without security")
		y = p.change(y+28, *c.Default)
	}
	heading := ""
	for _, change := range c.Changes {
		if label := change.label(); label != heading {
			heading = label
			p.text(svgMargin, y, "head", heading)
			y += 28
		}
		y = p.change(y, change)
	}
	p.height = y + 8
	return p.write(w, title, c.Summary.String())
}

// change adds a change and returns where the next one begins.
func (p *picture) change(y int, c Change) int {
	kind := string(c.Kind)
	if c.Weaker {
		kind = string(Weaker)
	}
	top := y - 18
	x := svgMargin
	if c.Method != "" {
		p.operation(x, y, c.Method, c.Path, idOf(c.Method, c.Path, c.ID))
		y += 24
	}
	indent := x + svgMethod
	for _, reason := range c.Reasons {
		sign := "▲ "
		if reason.Kind == Weaker {
			sign = "▼ "
		}
		p.text(indent, y, string(reason.Kind), sign+string(reason.Kind)+": "+reason.Text)
		y += svgLine
	}
	for _, version := range []struct{ name, text string }{{"before  ", textOf(c.Before)}, {"after   ", textOf(c.After)}} {
		if version.text != "" {
			p.text(indent, y, "soft", version.name+version.text)
			y += svgLine
		}
	}
	p.rect(svgMargin-12, top, 4, y-top-10, 2, kind+" bar")
	return y + 16
}

// textWidth returns the width of a text in pixels.
func textWidth(text string) int { return int(float64(len([]rune(text))) * svgCharacter) }

// xmlText returns a text as XML. Spaces at its beginning and in a row are kept by those of no break.
func xmlText(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(strings.ReplaceAll(text, "  ", "\u00a0 ")))
	return b.String()
}
