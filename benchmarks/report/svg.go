package main

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// panels are the groups in the picture, with the most telling stacks.
var panels = []struct {
	title, benchmark string
	params           map[string]string
	unit             string
	words            []string
	stacks           []string
}{
	{
		"A token that the server has seen before", "Serve", oneToken, timePerOp,
		[]string{
			"HS256, one request after the other, no network. oapi-guard looks up whether the token was revoked, in memory.",
			"hand-written-cache looks nothing up, and keeps the texts of the tokens. The others verify each token anew.",
		},
		[]string{guard, cached, written, "ogen", "nethttp-middleware", "echo-jwt"},
	},
	{
		"A token that is new to the server", "Serve", newTokens, timePerOp,
		[]string{"100,000 tokens in turn, so that a cache does not help. The signature and the claims are checked for each request."},
		[]string{guard, cached, written, "ogen", "nethttp-middleware", "echo-jwt"},
	},
	{
		"A revocation counts in all processes", "Redis", many, timePerOp,
		[]string{
			"64 callers at once, each token seen before. The replica has a copy of Redis in memory, at most two seconds old.",
			"All others ask Redis for each request, except oapi-guard-memory, whose revocations count in one process only.",
		},
		[]string{replica, memory, guard, cached, written, "ogen"},
	},
	{
		"The same over HTTP: processor time of the server", "Load", loadWithRedis, cpuPerOp,
		[]string{"64 connections, 1,000 tokens, all cores. fiber-jwt has another HTTP server, so it can be faster than the floor."},
		[]string{replica, memory, guard, cached, written, "ogen", "fiber-jwt"},
	},
}

// The layout of the picture, in pixels.
const (
	width      = 760
	margin     = 16
	barLeft    = 180
	barRight   = width - 110
	rowHeight  = 24
	lineHeight = 18
	barHeight  = 14
)

// style follows the colour scheme that the reader prefers. The picture has a background, so that it
// is readable on every page.
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

// svg returns the picture. It shows for some groups what some stacks add to a request.
func (r *report) svg() ([]byte, error) {
	const heading = "What each stack adds to a request"
	p := picture{Width: width, Role: "img", Title: heading, Style: style}
	page := &bar{Width: width, Radius: 6, Class: "page"}
	p.Shapes = append(p.Shapes, page)
	y := p.text(margin+12, "heading", heading)
	y = p.text(y+4, "quiet", "µs more than oapi-codegen's server on net/http without authentication. A shorter bar is better.",
		"ogen, echo-jwt and fiber-jwt have other servers: what those cost more or less is included. The panels differ in scale.")
	for _, panel := range panels {
		g := r.group(panel.benchmark, panel.params)
		if g == nil {
			continue
		}
		y = p.text(y+rowHeight, "panel", panel.title)
		y = p.text(y, "quiet", panel.words...)
		y = g.bars(&p, y, panel.unit, panel.stacks)
	}
	y = p.text(y+rowHeight, "quiet", "Medians of "+r.rounds()+". "+r.machine())
	p.Height = y - lineHeight + margin
	page.Height = p.Height
	p.ViewBox = fmt.Sprintf("0 0 %d %d", p.Width, p.Height)
	out, err := xml.MarshalIndent(p, "", " ")
	return append(out, '\n'), err
}

// text writes lines below each other, the first at y, and returns the y of the next line.
func (p *picture) text(y int, class string, lines ...string) int {
	for _, line := range lines {
		p.Shapes = append(p.Shapes, text{X: margin, Y: y, Class: class, Text: line})
		y += lineHeight
	}
	return y
}

// bars draws a bar for each of the stacks that were measured, the first at y, and returns the y of
// the next line.
func (g *group) bars(p *picture, y int, unit string, names []string) int {
	longest := 0.0
	for _, name := range names {
		if s := g.find(name); s != nil {
			longest = max(longest, g.added(s, unit))
		}
	}
	y += 6
	for _, name := range names {
		s := g.find(name)
		if s == nil {
			continue
		}
		added := g.added(s, unit)
		class := ""
		if strings.HasPrefix(name, guard) {
			class = "ours"
		}
		length := 1
		if longest > 0 {
			length = max(1, int(added/longest*(barRight-barLeft)))
		}
		p.Shapes = append(p.Shapes,
			text{X: barLeft - 10, Y: y, Class: "end", Text: s.name},
			bar{X: barLeft, Y: y - barHeight + 2, Width: length, Height: barHeight, Radius: 2, Class: class},
			text{X: barLeft + length + 8, Y: y, Text: microseconds(added)})
		y += rowHeight
	}
	return y
}

// microseconds returns two significant figures of small values.
func microseconds(nanoseconds float64) string {
	if nanoseconds < 0 {
		return "−" + microseconds(-nanoseconds)
	}
	if nanoseconds < 1000 {
		return english.Sprintf("%.2f", nanoseconds/1000)
	}
	return english.Sprintf("%.1f", nanoseconds/1000)
}
