package audit

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html.tmpl
var htmlText string

var htmlTemplate = template.Must(template.New("report").Parse(htmlText))

// htmlPage is what the template renders.
type htmlPage struct {
	Title, Against, Verdict string
	Comparison              *Comparison
	Tiles                   []htmlTile
	Default                 *htmlChange
	Groups                  []htmlGroup
	Filters                 []htmlFilter
	Columns                 []struct{ Name, Detail, Place string }
	Rows                    []htmlRow
}

type htmlTile struct {
	Number       int
	Label, Class string
}

// htmlFilter shows the rows that have its id as a class.
type htmlFilter struct{ ID, Label string }

type htmlRow struct {
	Method, Path, ID, Change, Class string
	Cells                           []struct{ Kind, Text string }
}

type htmlGroup struct {
	Label   string
	Changes []htmlChange
}

type htmlChange struct {
	Kind                    Kind
	Class, Method, Path, ID string
	Reasons                 []Reason
	Before, After           string
}

// writeHTML renders a report as a page of HTML that needs no script and no other file.
func writeHTML(w io.Writer, r Report) error {
	m := matrixOf(r)
	page := htmlPage{Title: r.title(), Against: r.Against, Comparison: r.Comparison, Tiles: matrixTiles(m.counts)}
	if c := r.Comparison; c != nil {
		page.Verdict, page.Tiles, page.Groups = c.verdict(), comparisonTiles(c.Summary), htmlGroups(c.Changes)
		if c.Default != nil {
			change := toHTML(*c.Default)
			page.Default = &change
		}
	}
	for i, c := range m.columns {
		page.Columns = append(page.Columns, struct{ Name, Detail, Place string }{c.name, c.detail, c.place})
		page.Filters = append(page.Filters, htmlFilter{filterID(i), c.name})
	}
	for _, row := range m.rows {
		page.Rows = append(page.Rows, htmlRowOf(row))
	}
	return htmlTemplate.Execute(w, page)
}

func filterID(column int) string { return fmt.Sprintf("column-%d", column) }

func htmlRowOf(r row) htmlRow {
	h := htmlRow{Method: r.operation.Method, Path: r.operation.Path, ID: idOf(r.operation.Method, r.operation.Path, r.operation.ID)}
	var classes []string
	if r.change != Same {
		h.Change = string(r.change)
		classes = append(classes, string(r.change))
	}
	for i, c := range r.cells {
		h.Cells = append(h.Cells, struct{ Kind, Text string }{string(c.kind), c.text})
		if c.kind != cellEmpty {
			classes = append(classes, filterID(i))
		}
	}
	h.Class = strings.Join(classes, " ")
	return h
}

// idOf returns the operationId, or "" where method and path are the id.
func idOf(method, path, id string) string {
	if id == method+" "+path {
		return ""
	}
	return id
}

func matrixTiles(c counts) []htmlTile {
	return []htmlTile{
		{c.all, "operations", ""}, {c.public, "public", "bad"}, {c.optional, "optional", "warn"},
		{c.secured, "secured", "good"}, {c.roles, "with roles", ""}, {c.fresh, "with a recent login", ""},
	}
}

func comparisonTiles(s Summary) []htmlTile {
	return []htmlTile{
		{s.Weaker, "weaker", "bad"}, {s.NewPublic, "new, anonymous", "bad"}, {s.Stronger, "stronger", "good"},
		{s.New - s.NewPublic, "new, secured", ""}, {s.Gone, "gone", ""}, {s.Same, "unchanged", ""},
	}
}

// htmlGroups returns the changes under their labels. The changes are sorted by them.
func htmlGroups(changes []Change) []htmlGroup {
	var groups []htmlGroup
	for _, c := range changes {
		if label := c.label(); len(groups) == 0 || groups[len(groups)-1].Label != label {
			groups = append(groups, htmlGroup{Label: label})
		}
		last := &groups[len(groups)-1]
		last.Changes = append(last.Changes, toHTML(c))
	}
	return groups
}

func toHTML(c Change) htmlChange {
	h := htmlChange{
		Kind: c.Kind, Class: string(c.Kind), Method: c.Method, Path: c.Path, ID: idOf(c.Method, c.Path, c.ID),
		Reasons: c.Reasons, Before: textOf(c.Before), After: textOf(c.After),
	}
	if c.Weaker {
		h.Class = string(Weaker)
	}
	return h
}
