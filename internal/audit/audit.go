// Package audit compares who may call the operations of two versions of a document, and renders that
// for readers.
//
// [Compare] decides whether the new version of an operation admits a request that the old version
// refuses. What it cannot compare counts as weaker, so that no weakening passes in silence. [Write]
// renders the authorization matrix or a comparison. Nothing here reads files or runs programs.
package audit

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// Kind is what happened to an operation.
type Kind string

// The kinds of changes. An operation that became weaker in one way and stronger in another is Weaker.
const (
	Weaker   Kind = "weaker"
	Stronger Kind = "stronger"
	New      Kind = "new"
	Gone     Kind = "gone"
	Same     Kind = "same"
)

// Change is what happened to an operation. Its fields are those of the JSON that the command prints.
type Change struct {
	Kind Kind `json:"change"`
	// Weaker says that the check fails: the operation became weaker, or it is new and takes anonymous
	// callers.
	Weaker bool   `json:"weaker"`
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	ID     string `json:"id,omitempty"`
	// Before and After are the old and the new version, nil where there is none.
	Before  *codegen.ListedOperation `json:"before,omitempty"`
	After   *codegen.ListedOperation `json:"after,omitempty"`
	Reasons []Reason                 `json:"reasons"`
}

// Reason is a difference between the versions of an operation.
type Reason struct {
	// Kind is Weaker or Stronger.
	Kind Kind   `json:"change"`
	Text string `json:"text"`
}

// Comparison is what changed between two versions of a document.
type Comparison struct {
	// Default is the change of what an operation requires that has no security, or nil.
	Default *Change `json:"default,omitempty"`
	// Changes are the operations that changed: the weaker ones first, then by path and method.
	Changes []Change `json:"changes"`
	Summary Summary  `json:"summary"`
}

// Summary has the number of operations of each kind.
type Summary struct {
	Weaker   int `json:"weaker"`
	Stronger int `json:"stronger"`
	New      int `json:"new"`
	// NewPublic is how many of the new ones take anonymous callers.
	NewPublic int `json:"newPublic"`
	Gone      int `json:"gone"`
	Same      int `json:"same"`
}

// Weaker reports whether something became weaker.
func (c *Comparison) Weaker() bool {
	return c.Summary.Weaker+c.Summary.NewPublic > 0 || c.Default != nil && c.Default.Weaker
}

// Compare returns what changed from an old to a new version of a document. Method and path identify an
// operation, whatever the names of the parameters are.
func Compare(before, after *codegen.Listing) *Comparison {
	c := &Comparison{Changes: []Change{}}
	rules := comparer{definitions(before), definitions(after)}
	for _, pair := range pairs(before.Operations, after.Operations) {
		change := rules.compare(pair[0], pair[1])
		c.Summary.count(change)
		if change.Kind != Same {
			c.Changes = append(c.Changes, change)
		}
	}
	slices.SortStableFunc(c.Changes, func(a, b Change) int { return cmp.Compare(a.rank(), b.rank()) })
	if change := rules.compare(&before.Default, &after.Default); change.Kind != Same {
		change.Before, change.After = &before.Default, &after.Default
		c.Default = &change
	}
	return c
}

// rank sorts changes: what needs a decision is in front.
func (c Change) rank() int {
	switch {
	case c.Kind == Weaker:
		return 0
	case c.Weaker:
		return 1
	}
	return 2 + slices.Index([]Kind{Stronger, New, Gone}, c.Kind)
}

func (s *Summary) count(c Change) {
	switch c.Kind {
	case Weaker:
		s.Weaker++
	case Stronger:
		s.Stronger++
	case New:
		s.New++
		if c.Weaker {
			s.NewPublic++
		}
	case Gone:
		s.Gone++
	case Same:
		s.Same++
	}
}

// definitions returns the schemes of a document by name.
func definitions(l *codegen.Listing) map[string]codegen.SchemeDefinition {
	named := map[string]codegen.SchemeDefinition{}
	for _, d := range l.Schemes {
		named[d.Name] = d
	}
	return named
}

var parameter = regexp.MustCompile(`\{[^{}]*\}`)

// pairs returns the versions of each operation, sorted by path and method. One of the two is nil for
// an operation that only one version has.
func pairs(before, after []codegen.ListedOperation) [][2]*codegen.ListedOperation {
	exact := func(o codegen.ListedOperation) string { return o.Path + "\x00" + o.Method }
	unnamed := func(o codegen.ListedOperation) string {
		return parameter.ReplaceAllString(o.Path, "{}") + "\x00" + o.Method
	}
	var found [][2]*codegen.ListedOperation
	oldLeft, newLeft := slices.Clone(before), slices.Clone(after)
	for _, key := range []func(codegen.ListedOperation) string{exact, unnamed} {
		old := map[string]codegen.ListedOperation{}
		for _, o := range oldLeft {
			old[key(o)] = o
		}
		newLeft = slices.DeleteFunc(newLeft, func(o codegen.ListedOperation) bool {
			match, ok := old[key(o)]
			if !ok {
				return false
			}
			delete(old, key(o))
			oldLeft = slices.DeleteFunc(oldLeft, func(o codegen.ListedOperation) bool { return exact(o) == exact(match) })
			found = append(found, [2]*codegen.ListedOperation{&match, &o})
			return true
		})
	}
	for _, o := range oldLeft {
		found = append(found, [2]*codegen.ListedOperation{&o, nil})
	}
	for _, o := range newLeft {
		found = append(found, [2]*codegen.ListedOperation{nil, &o})
	}
	slices.SortStableFunc(found, func(a, b [2]*codegen.ListedOperation) int {
		return strings.Compare(exact(*cmp.Or(a[1], a[0])), exact(*cmp.Or(b[1], b[0])))
	})
	return found
}

// countText returns a number with a word that has no plural.
func countText(n int, word string) string { return strconv.Itoa(n) + " " + word }

// plural returns a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
