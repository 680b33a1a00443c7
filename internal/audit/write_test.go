package audit_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/audit"
	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

const hostile = "<script>alert(1)</script>|`*_\"'&\x00\n"

// hostileReports returns a matrix and a comparison whose texts are signs of every format.
func hostileReports() (matrix, comparison audit.Report) {
	operation := codegen.ListedOperation{
		Method: "GET", Path: "/" + hostile, ID: hostile, Text: hostile, AllowRoles: []string{hostile},
		Security: [][]codegen.ListedScheme{{{Name: hostile, Scopes: []string{hostile}}}},
	}
	l := &codegen.Listing{Title: hostile, Operations: []codegen.ListedOperation{operation}, Schemes: []codegen.SchemeDefinition{{Name: hostile, Credential: "key", In: "header", Parameter: hostile}}}
	before := *l
	before.Operations = []codegen.ListedOperation{operation}
	before.Operations[0].AllowRoles = []string{"other" + hostile}
	return audit.Report{Listing: l}, audit.Report{Listing: l, Against: hostile, Comparison: audit.Compare(&before, l)}
}

func write(t *testing.T, format string, r audit.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := audit.Write(&b, format, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSelfContained checks that the page and the picture run no script and load nothing, whatever the
// document says.
func TestSelfContained(t *testing.T) {
	t.Parallel()
	matrix, comparison := hostileReports()
	active := regexp.MustCompile(`(?i)<script|<iframe|<img|<link|\bon\w+=|url\(|@import|href=|src=`)
	for _, format := range []string{audit.FormatHTML, audit.FormatSVG} {
		for name, r := range map[string]audit.Report{"matrix": matrix, "comparison": comparison} {
			text := write(t, format, r)
			if found := active.FindString(text); found != "" {
				t.Errorf("the %s as %s has %q", name, format, found)
			}
			if !strings.Contains(text, "&lt;script&gt;") || !strings.Contains(text, "prefers-color-scheme: dark") {
				t.Errorf("the %s as %s lacks a text of the document, or dark colours", name, format)
			}
		}
	}
}

// TestPicture checks that the picture is well-formed and has a title and a description.
func TestPicture(t *testing.T) {
	t.Parallel()
	matrix, comparison := hostileReports()
	for name, r := range map[string]audit.Report{"matrix": matrix, "comparison": comparison, "reference": {Listing: list(t, reference, nil)}} {
		elements := map[string]int{}
		decoder := xml.NewDecoder(strings.NewReader(write(t, audit.FormatSVG, r)))
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if start, ok := token.(xml.StartElement); ok {
				elements[start.Name.Local]++
			}
		}
		if elements["title"] != 1 || elements["desc"] != 1 || elements["text"] < 5 {
			t.Errorf("%s: %v", name, elements)
		}
	}
}

// TestTable checks that each row of the table in Markdown has as many cells as its header.
func TestTable(t *testing.T) {
	t.Parallel()
	hostileMatrix, _ := hostileReports()
	for name, r := range map[string]audit.Report{"hostile": hostileMatrix, "reference": {Listing: list(t, reference, nil)}} {
		cells := -1
		for line := range strings.Lines(write(t, audit.FormatMarkdown, r)) {
			if !strings.HasPrefix(line, "|") {
				continue
			}
			n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
			if cells < 0 {
				cells = n
			}
			if n != cells {
				t.Errorf("%s: %d cells in place of %d: %s", name, n, cells, line)
			}
		}
		if cells < 5 {
			t.Errorf("%s: %d cells", name, cells)
		}
	}
}

// TestMatrix checks what the rows of the reference API say.
func TestMatrix(t *testing.T) {
	t.Parallel()
	text := write(t, audit.FormatMarkdown, audit.Report{Listing: list(t, reference, nil)})
	for _, row := range []string{
		"| operation | id | anonymous | access | accessCookie | apiKey | basic | oauth | operator | refresh | refreshCookie | roles | authentication | revocation |",
		"| `POST /login` | login | public |  |  |  |  |  |  |  |  |  |  |  |",
		"| `GET /greeting` | getGreeting | optional | yes |  |  |  |  |  |  |  |  |  |  |",
		"| `DELETE /admin/users/{username}/sessions` | endSessions |  | yes |  |  | yes |  |  |  |  | ADMIN | at most 15m ago |  |",
		"| `GET /reports` | listReports |  |  |  | yes |  | reports |  |  |  |  |  |  |",
		"| `POST /reports` | publishReport |  | with apiKey |  | with access |  |  |  |  |  |  |  |  |",
		"| `GET /events` | streamEvents |  | yes | yes |  |  |  |  |  |  |  |  | watched |",
		"- refreshCookie: refresh token, cookie refresh\\_token",
	} {
		if !strings.Contains(text, row+"\n") {
			t.Errorf("there is no line\n%s\nin\n%s", row, text)
		}
	}
}
