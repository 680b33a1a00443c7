package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// The stacks that the others are compared with.
const (
	floor = "floor"
	guard = "oapi-guard"
)

// report has the measurements of one run.
type report struct {
	facts  map[string]string
	groups []*group
}

// factKeys are the facts about the machine in the raw output, in the order of the report.
var factKeys = []string{"date", "cpu", "cores", "goos", "goarch", "go", "redis"}

// group is one benchmark with its parameters, measured on several stacks.
type group struct {
	benchmark string
	params    []param
	stacks    []*stack
}

type param struct{ key, value string }

// stack has the measurements of one stack in a group.
type stack struct {
	name                      string
	seconds, bytes, allocated []float64
}

// parse reads the output of go test -bench -benchmem, of any number of rounds.
func parse(raw io.Reader) (*report, error) {
	r := &report{facts: map[string]string{}}
	reader := benchfmt.NewReader(raw, "raw output")
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, record
		case *benchfmt.Result:
			for _, key := range factKeys {
				r.facts[key] = strings.TrimSpace(record.GetConfig(key))
			}
			if err := r.add(record); err != nil {
				return nil, err
			}
		}
	}
	if err := reader.Err(); err != nil {
		return nil, err
	}
	return r, r.check()
}

// add adds one measurement.
func (r *report) add(result *benchfmt.Result) error {
	g, name := split(result.Name)
	if name == "" {
		return fmt.Errorf("%s says no stack", result.Name)
	}
	i := slices.IndexFunc(r.groups, g.same)
	if i < 0 {
		i = len(r.groups)
		r.groups = append(r.groups, g)
	}
	g = r.groups[i]
	j := slices.IndexFunc(g.stacks, func(s *stack) bool { return s.name == name })
	if j < 0 {
		j = len(g.stacks)
		g.stacks = append(g.stacks, &stack{name: name})
	}
	s := g.stacks[j]
	for unit, values := range map[string]*[]float64{"sec/op": &s.seconds, "B/op": &s.bytes, "allocs/op": &s.allocated} {
		value, ok := result.Value(unit)
		if !ok {
			return fmt.Errorf("%s has no %s", result.Name, unit)
		}
		*values = append(*values, value)
	}
	return nil
}

// split returns an empty group for a benchmark, and its stack, which is the parameter of that name.
func split(full benchfmt.Name) (g *group, name string) {
	base, parts := full.Parts()
	g = &group{benchmark: string(base)}
	for _, part := range parts {
		key, value, ok := bytes.Cut(bytes.TrimPrefix(part, []byte("/")), []byte("="))
		switch {
		case !ok: // the number of processors
		case string(key) == "stack":
			name = string(value)
		default:
			g.params = append(g.params, param{string(key), string(value)})
		}
	}
	return g, name
}

func (g *group) same(other *group) bool {
	return g.benchmark == other.benchmark && slices.Equal(g.params, other.params)
}

// check returns an error if a group has nothing to compare.
func (r *report) check() error {
	if len(r.groups) == 0 {
		return errors.New("no benchmark in the raw output")
	}
	for _, g := range r.groups {
		base := g.find(floor)
		if base == nil || g.find(guard) == nil {
			return fmt.Errorf("%s %v was not measured on %s and %s", g.benchmark, g.params, floor, guard)
		}
		for _, s := range g.stacks {
			if len(s.seconds) != len(base.seconds) {
				return fmt.Errorf("%s %v has %d rounds of %s and %d of %s", g.benchmark, g.params, len(s.seconds), s.name, len(base.seconds), floor)
			}
		}
	}
	return nil
}

func (g *group) find(name string) *stack {
	for _, s := range g.stacks {
		if s.name == name {
			return s
		}
	}
	return nil
}

// param returns the value of a parameter, or "" if the group lacks it.
func (g *group) param(key string) string {
	for _, p := range g.params {
		if p.key == key {
			return p.value
		}
	}
	return ""
}

// nanoseconds returns the median of the rounds.
func (s *stack) nanoseconds() float64 { return median(s.seconds) * 1e9 }

// added returns how many nanoseconds the stack adds to the floor.
func (g *group) added(s *stack) float64 { return s.nanoseconds() - g.find(floor).nanoseconds() }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
