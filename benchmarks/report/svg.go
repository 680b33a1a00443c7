package main

import (
	"encoding/xml"
	"fmt"
	"slices"
)

// panels are the groups that the picture shows, by benchmark and parameters.
var panels = []struct {
	title, benchmark string
	params           map[string]string
}{
	{"One token again and again, HS256", "Serve", map[string]string{"alg": "HS256", "tokens": "1"}},
	{"100,000 tokens in turn, HS256", "Serve", map[string]string{"alg": "HS256", "tokens": "100000"}},
	{"100,000 tokens in turn, HS256, revocations in Redis, 64 callers", "Redis", map[string]string{"alg": "HS256", "tokens": "100000", "callers": "64"}},
	{"One token again and again, RS256", "Serve", map[string]string{"alg": "RS256", "tokens": "1"}},
}

// The layout of the picture, in pixels.
const (
	width     = 760
	margin    = 16
	barLeft   = 180
	barRight  = width - 110
	rowHeight = 24
	barHeight = 14
)

// style follows the colours of the page that shows the picture, where its reader has told them. The
// picture has a background of its own, so that it can be read on any other page too.
const style = `
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.heading { font-weight: 600; font-size: 15px }
.panel { font-weight: 600 }
.quiet { fill: #59636e; font-size: 12px }
.end { text-anchor: end }
rect { fill: #8c959f }
.page { fill: #ffffff }
.ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .quiet { fill: #9198a1 }
  rect { fill: #656c76 }
  .page { fill: #0d1117 }
  .ours { fill: #4493f8 }
}
`

type picture struct {
	XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
	ViewBox string   `xml:"viewBox,attr"`
	Width   int      `xml:"width,attr"`
	Height  int      `xml:"height,attr"`
	Role    string   `xml:"role,attr"`
	Title   string   `xml:"title"`
	Style   string   `xml:"style"`
	Shapes  []any
}

type text struct {
	XMLName xml.Name `xml:"text"`
	X       int      `xml:"x,attr"`
	Y       int      `xml:"y,attr"`
	Class   string   `xml:"class,attr,omitempty"`
	Text    string   `xml:",chardata"`
}

type bar struct {
	XMLName xml.Name `xml:"rect"`
	X       int      `xml:"x,attr"`
	Y       int      `xml:"y,attr"`
	Width   int      `xml:"width,attr"`
	Height  int      `xml:"height,attr"`
	Radius  int      `xml:"rx,attr"`
	Class   string   `xml:"class,attr,omitempty"`
}

// svg returns the picture: for some groups, what each stack adds to a request.
func (r *report) svg() ([]byte, error) {
	const heading = "What each stack adds to a request"
	p := picture{Width: width, Role: "img", Title: heading, Style: style}
	page := &bar{Width: width, Radius: 6, Class: "page"}
	p.Shapes = append(p.Shapes, page)
	y := margin + 12
	p.Shapes = append(p.Shapes, text{X: margin, Y: y, Class: "heading", Text: heading})
	y += rowHeight
	p.Shapes = append(p.Shapes, text{X: margin, Y: y, Class: "quiet", Text: "µs above oapi-codegen's server without authentication; of frameworks with a server of their own, that server included"})
	for _, panel := range panels {
		i := slices.IndexFunc(r.groups, func(g *group) bool { return g.benchmark == panel.benchmark && g.has(panel.params) })
		if i < 0 {
			continue
		}
		y += 2 * rowHeight
		p.Shapes = append(p.Shapes, text{X: margin, Y: y, Class: "panel", Text: panel.title})
		y = r.groups[i].bars(&p, y)
	}
	y += 2 * rowHeight
	p.Shapes = append(p.Shapes, text{X: margin, Y: y, Class: "quiet", Text: r.machine()})
	p.Height = y + margin
	page.Height = p.Height
	p.ViewBox = fmt.Sprintf("0 0 %d %d", p.Width, p.Height)
	out, err := xml.MarshalIndent(p, "", " ")
	return append(out, '\n'), err
}

func (g *group) has(params map[string]string) bool {
	for key, value := range params {
		if g.param(key) != value {
			return false
		}
	}
	return true
}

// bars draws a bar for every stack below y and returns where they end.
func (g *group) bars(p *picture, y int) int {
	longest := 0.0
	for _, s := range g.stacks {
		longest = max(longest, g.added(s))
	}
	for _, s := range g.stacks {
		if s.name == floor {
			continue
		}
		added := g.added(s)
		y += rowHeight
		class := ""
		if s.name == guard {
			class = "ours"
		}
		length := 1
		if longest > 0 {
			length = max(1, int(added/longest*(barRight-barLeft)))
		}
		p.Shapes = append(p.Shapes,
			text{X: barLeft - 10, Y: y, Class: "end", Text: s.name},
			bar{X: barLeft, Y: y - barHeight + 2, Width: length, Height: barHeight, Radius: 2, Class: class},
			text{X: barLeft + length + 8, Y: y, Text: english.Sprintf("%.1f", added/1000)})
	}
	return y
}
