package securitytest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("securitytest.update", false, "write the golden tables of who may call what instead of comparing with them")

// Table is who may call what: the answer of each operation to each credential. It prints as the
// text that a golden file keeps for reviews.
type Table struct {
	// Rows are in document order.
	Rows []Row
}

// Row is the answer to one request.
type Row struct {
	// Operation is the id of the operation, Method and Path those of the document.
	Operation, Method, Path string
	// Credential describes the request.
	Credential string
	// Answer is [Reached] or the status of a request that did not reach the handler.
	Answer string
	// Expected are the answers that the document allows.
	Expected []string

	// group is a label that stands for several rows with one answer.
	group string
}

func (r *Row) asExpected() bool { return slices.Contains(r.Expected, r.Answer) }

func (r *Row) title() string { return fmt.Sprintf("%s %s (%s)", r.Method, r.Path, r.Operation) }

func (r *Row) problem() string {
	return fmt.Sprintf("%s: %s, want %s", r.Credential, r.Answer, strings.Join(r.Expected, " or "))
}

// hint tells what the answers of an operation suggest.
func hint(rows []Row) string {
	bad := slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.asExpected() })
	has := func(answer string) bool {
		return slices.ContainsFunc(bad, func(r Row) bool { return r.Answer == answer })
	}
	hasPrefix := func(prefix string) bool {
		return slices.ContainsFunc(bad, func(r Row) bool { return strings.HasPrefix(r.Answer, prefix) })
	}
	switch {
	case has("404"), has("405"):
		return "\n\tIs the operation mounted? See securitytest.WithBaseURL."
	case hasPrefix(otherOperation):
		return "\n\tThe router took the request for another operation: see securitytest.WithPathParameter."
	case hasPrefix("2"), has("500"), has("501"), has("400"):
		return "\n\tThe router answered, and the guard of the operation did not run: is it mounted with the guarded functions?"
	}
	return ""
}

const tableHead = "# Who may call what: the answers of the guards. A test compares this file; go test -securitytest.update writes it.\n"

// String returns the table. Of each operation the credentials that reach it come first. Rows about
// bad tokens are one row if their answers are the same.
func (t *Table) String() string {
	var b strings.Builder
	b.WriteString(tableHead)
	if tried := t.badTokens(); len(tried) > 0 {
		fmt.Fprintf(&b, "# bad token: %s\n", strings.Join(tried, ", "))
	}
	for rows := range t.operations {
		fmt.Fprintf(&b, "\n%s\n", rows[0].title())
		for _, isReached := range []bool{true, false} {
			for i := range rows {
				if label, isFirst := grouped(rows, i); isFirst && isReached == (rows[i].Answer == Reached) {
					fmt.Fprintf(&b, "  %-8s %s\n", rows[i].Answer, label)
				}
			}
		}
	}
	return b.String()
}

// operations yields the rows of each operation.
func (t *Table) operations(yield func([]Row) bool) {
	for first := 0; first < len(t.Rows); {
		end := first + 1
		for end < len(t.Rows) && t.Rows[end].title() == t.Rows[first].title() {
			end++
		}
		if !yield(t.Rows[first:end]) {
			return
		}
		first = end
	}
}

// grouped returns the label of a row of an operation, and whether the table has it: of the rows of
// a group with one answer it has the first.
func grouped(rows []Row, i int) (label string, isFirst bool) {
	r := &rows[i]
	if r.group == "" {
		return r.Credential, true
	}
	isFirst = true
	for j := range rows {
		if rows[j].group != r.group {
			continue
		}
		if rows[j].Answer != r.Answer {
			return r.Credential, true
		}
		isFirst = isFirst && j >= i
	}
	return r.group, isFirst
}

// badTokens lists the kinds of bad tokens that were sent.
func (t *Table) badTokens() []string {
	var tried []string
	for _, kind := range append([]string{"not a token"}, defectNames()...) {
		if slices.ContainsFunc(t.Rows, func(r Row) bool {
			return r.group != "" && strings.Replace(r.group, badToken, kind, 1) == r.Credential
		}) {
			tried = append(tried, kind)
		}
	}
	return tried
}

func defectNames() []string {
	var names []string
	for _, d := range defects {
		names = append(names, string(d))
	}
	return names
}

// Golden compares the table with the file and fails the test where they differ. The flag
// -securitytest.update of go test writes the file.
func (t *Table) Golden(tb testing.TB, file string) {
	tb.Helper()
	got := t.String()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			tb.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		tb.Fatalf("%v (go test -securitytest.update writes it)", err)
	}
	if text := strings.ReplaceAll(string(want), "\r\n", "\n"); text != got {
		tb.Errorf("who may call what is not as in %s (go test -securitytest.update writes it):\n%s", file, difference(text, got))
	}
}

// difference lists the lines that only one of the texts has, each with the operation that it
// belongs to.
func difference(want, got string) string {
	before, after := withOperation(want), withOperation(got)
	var b strings.Builder
	for _, line := range before {
		if !slices.Contains(after, line) {
			b.WriteString("- " + line + "\n")
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			b.WriteString("+ " + line + "\n")
		}
	}
	if b.Len() == 0 {
		return "the order of the lines differs\n"
	}
	return b.String()
}

func withOperation(text string) []string {
	var lines []string
	operation := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if entry, ok := strings.CutPrefix(line, "  "); ok {
			lines = append(lines, operation+": "+entry)
			continue
		}
		operation = line
		lines = append(lines, line)
	}
	return lines
}
