package codegen

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Problem is an error in a document or configuration: where it is, what is wrong, and the fix.
type Problem struct {
	// File is the file as the user named it. Line counts from 1; it is 0 where the line is unknown.
	File string
	Line int
	Text string
}

// Error returns "file:line: text", or "file: text" where the line is unknown.
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// problems collects problems, so that one run reports as many as possible.
type problems struct{ list []unplacedProblem }

// unplacedProblem is a problem without its line. Looking up the line needs the file once more.
type unplacedProblem struct {
	at   place
	text string
	// found is set where the file and the line are known already.
	found *Problem
	// actions are those of an overlay that solves the problem.
	actions []overlayAction
}

func (p *problems) add(at place, format string, args ...any) {
	p.list = append(p.list, unplacedProblem{at: at, text: fmt.Sprintf(format, args...)})
}

// addWithOverlay adds a problem that an overlay solves.
func (p *problems) addWithOverlay(at place, actions []overlayAction, format string, args ...any) {
	p.list = append(p.list, unplacedProblem{at: at, text: fmt.Sprintf(format, args...) + "; the overlay below does it", actions: actions})
}

// addAt adds a problem whose file and line are known.
func (p *problems) addAt(file string, line int, format string, args ...any) {
	p.list = append(p.list, unplacedProblem{found: &Problem{File: file, Line: line, Text: fmt.Sprintf(format, args...)}})
}

// maxProblems bounds the number of reported problems: hundreds of operations may use one bad scheme.
const maxProblems = 30

// err returns the problems sorted by file and line, without duplicates, or nil. One overlay follows
// them, with the actions of all.
func (p *problems) err() error {
	var found []Problem
	actions := map[Problem][]overlayAction{}
	existing := ""
	for _, u := range p.list {
		problem := u.found
		if problem == nil {
			placed := u.at.problem(u.text)
			problem = &placed
		}
		found = append(found, *problem)
		if len(u.actions) > 0 {
			actions[*problem], existing = u.actions, u.at.source.overlay
		}
	}
	slices.SortFunc(found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	found = slices.Compact(found)
	var errs []error
	var all []overlayAction
	for i, problem := range found {
		if i == maxProblems {
			errs = append(errs, fmt.Errorf("and %d more", len(found)-maxProblems))
			break
		}
		errs = append(errs, problem)
		for _, action := range actions[problem] {
			if !slices.Contains(all, action) {
				all = append(all, action)
			}
		}
	}
	if len(all) > 0 {
		errs = append(errs, errors.New(overlayText(existing, all)))
	}
	return errors.Join(errs...)
}
