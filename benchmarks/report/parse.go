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
	floor   = "floor"
	guard   = "oapi-guard"
	replica = "oapi-guard-replica"
	memory  = "oapi-guard-memory"
	cached  = "hand-written-cache"
	written = "hand-written"
)

// The units of the raw output.
const (
	timePerOp   = "ns/op"
	bytesPerOp  = "B/op"
	allocsPerOp = "allocs/op"
	cpuPerOp    = "cpu-ns/op"
	half        = "p50-ns"
	nearlyAll   = "p99-ns"
	rate        = "req/s"
	lines       = "lines"
	compileTime = "compile-ms"
	binarySize  = "binary-B"
	heapSize    = "heap-B"
)

// unitsOf are the units that a benchmark must have. Other benchmarks have those of "".
var unitsOf = map[string][]string{
	"":          {timePerOp, bytesPerOp, allocsPerOp},
	"Load":      {rate, half, nearlyAll, cpuPerOp},
	"Generated": {lines, compileTime, binarySize, heapSize},
}

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
	name   string
	values map[string][]float64 // by unit, of each round
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
		g.stacks = append(g.stacks, &stack{name: name, values: map[string][]float64{}})
	}
	s := g.stacks[j]
	for _, unit := range g.units() {
		value, ok := original(result, unit)
		if !ok {
			return fmt.Errorf("%s has no %s", result.Name, unit)
		}
		s.values[unit] = append(s.values[unit], value)
	}
	return nil
}

// original returns the value as it is in the raw output, before benchfmt changed its unit.
func original(result *benchfmt.Result, unit string) (float64, bool) {
	for _, v := range result.Values {
		switch unit {
		case v.OrigUnit:
			return v.OrigValue, true
		case v.Unit:
			return v.Value, true
		}
	}
	return 0, false
}

// units returns the units of the group. The first decides how many rounds there are.
func (g *group) units() []string {
	if units, ok := unitsOf[g.benchmark]; ok {
		return units
	}
	return unitsOf[""]
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
			if g.rounds(s) != g.rounds(base) {
				return fmt.Errorf("%s %v has %d rounds of %s and %d of %s", g.benchmark, g.params, g.rounds(s), s.name, g.rounds(base), floor)
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

func (g *group) rounds(s *stack) int { return len(s.values[g.units()[0]]) }

// median returns the median of the rounds.
func (s *stack) median(unit string) float64 { return median(s.values[unit]) }

// added returns how much more the stack has than the floor.
func (g *group) added(s *stack, unit string) float64 {
	return s.median(unit) - g.find(floor).median(unit)
}

// group returns the first group of the benchmark with these parameters, or nil.
func (r *report) group(benchmark string, params map[string]string) *group {
	i := slices.IndexFunc(r.groups, func(g *group) bool { return g.benchmark == benchmark && g.has(params) })
	if i < 0 {
		return nil
	}
	return r.groups[i]
}

func (g *group) has(params map[string]string) bool {
	for key, value := range params {
		if g.param(key) != value {
			return false
		}
	}
	return true
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
