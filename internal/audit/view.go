package audit

import (
	"slices"
	"strings"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// Report is what [Write] renders: the authorization matrix of a document, or a comparison.
type Report struct {
	// Listing is the document, in its new version where there is a comparison.
	Listing *codegen.Listing
	// Comparison is what changed, or nil. Against names the old version.
	Comparison *Comparison
	Against    string
}

// matrix is the authorization matrix as a table.
type matrix struct {
	columns []column
	rows    []row
	counts  counts
}

// column is a column after the operation. Its texts are the header and two lines below it.
type column struct{ name, detail, place string }

// row is an operation.
type row struct {
	operation codegen.ListedOperation
	cells     []cell
	// change is what happened to the operation, or Same.
	change Kind
}

// cell is empty where its column does not apply.
type cell struct {
	kind cellKind
	text string
}

// cellKind is what a cell means, and decides over its colour.
type cellKind string

const (
	cellEmpty    cellKind = "empty"
	cellPublic   cellKind = "public"
	cellOptional cellKind = "optional"
	// cellAlone is a credential that is enough, cellWith one that is required with another one.
	cellAlone cellKind = "alone"
	cellWith  cellKind = "with"
	cellRule  cellKind = "rule"
)

// counts are the numbers of operations.
type counts struct{ all, public, optional, secured, roles, fresh int }

// matrixOf returns the matrix of a report. Columns without a cell are left out.
func matrixOf(r Report) matrix {
	var m matrix
	l := r.Listing
	m.columns = append(m.columns, column{"anonymous", "no credential", ""})
	for _, s := range l.Schemes {
		m.columns = append(m.columns, column{s.Name, credentialText(s), placeText(s)})
	}
	m.columns = append(m.columns, column{name: "roles"}, column{name: "authentication"}, column{name: "revocation"})
	for _, o := range l.Operations {
		cells := []cell{anonymousCell(o)}
		for _, s := range l.Schemes {
			cells = append(cells, schemeCell(o, s.Name))
		}
		cells = append(cells, ruleCell(o.RolesText()), ruleCell(o.FreshText()), ruleCell(o.RevocationText()))
		m.rows = append(m.rows, row{o, cells, r.changeOf(o)})
		m.counts.add(o)
	}
	m.removeEmptyColumns()
	return m
}

// changeOf returns what happened to an operation.
func (r Report) changeOf(o codegen.ListedOperation) Kind {
	if r.Comparison != nil {
		for _, c := range r.Comparison.Changes {
			if c.After != nil && c.Method == o.Method && c.Path == o.Path {
				if c.Weaker {
					return Weaker
				}
				return c.Kind
			}
		}
	}
	return Same
}

func (c *counts) add(o codegen.ListedOperation) {
	c.all++
	switch {
	case o.Public:
		c.public++
	case o.Optional:
		c.optional++
	default:
		c.secured++
	}
	if o.AllowRoles != nil || o.DenyRoles != nil {
		c.roles++
	}
	if o.Fresh || o.MaxAge > 0 {
		c.fresh++
	}
}

func (m *matrix) removeEmptyColumns() {
	for i := len(m.columns) - 1; i > 0; i-- {
		if slices.ContainsFunc(m.rows, func(r row) bool { return r.cells[i].kind != cellEmpty }) {
			continue
		}
		m.columns = slices.Delete(m.columns, i, i+1)
		for j := range m.rows {
			m.rows[j].cells = slices.Delete(m.rows[j].cells, i, i+1)
		}
	}
}

func anonymousCell(o codegen.ListedOperation) cell {
	switch {
	case o.Public:
		return cell{cellPublic, "public"}
	case o.Optional:
		return cell{cellOptional, "optional"}
	}
	return cell{kind: cellEmpty}
}

// schemeCell returns what an operation takes of a scheme: the lists of each alternative that has it,
// and the schemes that are required with it.
func schemeCell(o codegen.ListedOperation, name string) cell {
	c := cell{kind: cellEmpty}
	var texts []string
	for _, alternative := range o.Security {
		i := slices.IndexFunc(alternative, func(s codegen.ListedScheme) bool { return s.Name == name })
		if i < 0 {
			continue
		}
		s := alternative[i]
		text := strings.Join(slices.Concat(s.Scopes, s.Roles), " + ")
		if len(alternative) == 1 {
			c.kind = cellAlone
		} else {
			if c.kind == cellEmpty {
				c.kind = cellWith
			}
			text = strings.TrimSpace(text + " with " + othersText(alternative, i))
		}
		if text == "" {
			text = "yes"
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	c.text = strings.Join(texts, " or ")
	return c
}

func othersText(alternative []codegen.ListedScheme, except int) string {
	var names []string
	for i, s := range alternative {
		if i != except {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, " + ")
}

func ruleCell(text string) cell {
	if text == "" {
		return cell{kind: cellEmpty}
	}
	return cell{cellRule, text}
}

// credentialText returns what a scheme carries, in a few words.
func credentialText(s codegen.SchemeDefinition) string {
	switch {
	case s.Credential != "token":
		return s.Credential
	case s.Verifier != "":
		return s.Token + " token of " + s.Verifier
	}
	return s.Token + " token"
}

// placeText returns where a request carries the credential of a scheme, "" for a certificate.
func placeText(s codegen.SchemeDefinition) string {
	switch {
	case s.Credential == "certificate":
		return ""
	case s.In == "header" && s.Parameter == "Authorization":
		return strings.TrimSpace("Authorization: " + s.Prefix)
	}
	return s.In + " " + s.Parameter
}

// String returns the numbers in a few words.
func (c counts) String() string {
	return plural(c.all, "operation") + ": " + countText(c.public, "public") + ", " + countText(c.optional, "optional") + ", " + countText(c.secured, "secured")
}

// title returns the title of a report.
func (r Report) title() string {
	if r.Listing.Title == "" {
		return "Who may call what"
	}
	return r.Listing.Title
}

// verdict returns the result of a comparison in a sentence.
func (c *Comparison) verdict() string {
	n := c.Summary.Weaker + c.Summary.NewPublic
	switch {
	case n > 0:
		return plural(n, "operation") + " became weaker"
	case c.Weaker():
		return "The default became weaker"
	}
	return "Nothing became weaker"
}

// String returns the numbers of a comparison.
func (s Summary) String() string {
	text := countText(s.Weaker, "weaker") + ", " + countText(s.Stronger, "stronger") + ", " + countText(s.New, "new")
	if s.NewPublic > 0 {
		text += " (" + countText(s.NewPublic, "for anonymous callers") + ")"
	}
	return text + ", " + countText(s.Gone, "gone") + ", " + countText(s.Same, "unchanged")
}

// label returns the heading of the group that a change belongs to.
func (c Change) label() string {
	switch {
	case c.Kind == New && c.Weaker:
		return "New, and anonymous callers reach them"
	case c.Kind == Weaker:
		return "Weaker"
	case c.Kind == Stronger:
		return "Stronger"
	case c.Kind == New:
		return "New"
	}
	return "Gone"
}

// textOf returns the security of a version of an operation, "" where there is none.
func textOf(o *codegen.ListedOperation) string {
	if o == nil {
		return ""
	}
	return o.Text
}
