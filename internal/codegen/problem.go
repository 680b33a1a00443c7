package codegen

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Problem is something wrong in what the user wrote: where, what, and how to put it right.
type Problem struct {
	// File is the file as the user named it. Line is counted from 1, and 0 where it is not known.
	File string
	Line int
	Text string
}

// Error returns "file:line: text".
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// problems collects what is wrong, so that one run reports as much of it as it can.
type problems struct{ list []unplaced }

// unplaced is a problem whose line is not looked up yet: that takes reading the file once more.
type unplaced struct {
	at   place
	text string
}

func (p *problems) add(at place, format string, args ...any) {
	p.list = append(p.list, unplaced{at, fmt.Sprintf(format, args...)})
}

// maxProblems is how many problems are reported: a scheme that is not supported may be used hundreds of times.
const maxProblems = 30

// err returns the problems in the order of the files and lines, each once, or nil.
func (p *problems) err() error {
	var found []Problem
	for _, u := range p.list {
		found = append(found, u.at.problem(u.text))
	}
	slices.SortFunc(found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	var errs []error
	found = slices.Compact(found)
	for i, problem := range found {
		if i == maxProblems {
			errs = append(errs, fmt.Errorf("and %d more", len(found)-maxProblems))
			break
		}
		errs = append(errs, problem)
	}
	return errors.Join(errs...)
}
