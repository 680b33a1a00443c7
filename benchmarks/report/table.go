package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// english writes numbers with commas.
var english = message.NewPrinter(language.English)

// table returns the report in Markdown.
func (r *report) table() string {
	var b strings.Builder
	b.WriteString("# Results\n\n")
	b.WriteString(r.machine() + "\n\n")
	fmt.Fprintf(&b, "Medians of %s; in brackets the least and the most. The floor is oapi-codegen's server on net/http without\n"+
		"authentication, and *added* is what is above it: for the frameworks goa, go-swagger, huma, ogen, echo, gin and fiber with what they\n"+
		"themselves cost more or less than that server. Written by `make bench`; [raw.txt](raw.txt) is the output of the benchmarks.\n", r.rounds())
	b.WriteString(r.ratioTable())
	b.WriteString(r.stackTable())
	benchmark := ""
	for _, g := range r.groups {
		if g.benchmark != benchmark {
			benchmark = g.benchmark
			fmt.Fprintf(&b, "\n## %s\n", heading(benchmark))
		}
		fmt.Fprintf(&b, "\n### %s\n\n", g.title())
		header, row := g.columns()
		b.WriteString("| stack | " + strings.Join(header, " | ") + " |\n|---|" + strings.Repeat("--:|", len(header)) + "\n")
		for _, s := range g.stacks {
			fmt.Fprintf(&b, "| %s | %s |\n", cell(s.name), strings.Join(row(s), " | "))
		}
	}
	return b.String()
}

// columns returns the header of the group's table without the name of the stack, and the function
// for the cells of a stack.
func (g *group) columns() (header []string, row func(*stack) []string) {
	switch g.benchmark {
	case "Load":
		return []string{"requests/s", "", "p50 µs", "p99 µs", "CPU µs per request", "", "added CPU µs", "added, × oapi-guard's", "added, × hand-written-cache's"}, g.loadRow
	case "Generated":
		return []string{"lines", "compile ms", "", "binary MB", "added MB", "heap KB", "added KB"}, g.generatedRow
	}
	return []string{"ns/op", "", "B/op", "allocs/op", "× floor", "added ns", "added, × oapi-guard's", "added, × hand-written-cache's"}, g.timeRow
}

func (g *group) timeRow(s *stack) []string {
	return []string{
		number(s.median(timePerOp)), s.spread(timePerOp, 1), number(s.median(bytesPerOp)), number(s.median(allocsPerOp)),
		fmt.Sprintf("%.2f", s.median(timePerOp)/g.find(floor).median(timePerOp)),
		g.addedCell(s, timePerOp, 1, "%.0f"), g.times(s, guard, timePerOp), g.times(s, cached, timePerOp),
	}
}

func (g *group) loadRow(s *stack) []string {
	return []string{
		number(s.median(rate)), s.spread(rate, 1), number(s.median(half) / 1000), number(s.median(nearlyAll) / 1000),
		english.Sprintf("%.1f", s.median(cpuPerOp)/1000), s.spread(cpuPerOp, 1000),
		g.addedCell(s, cpuPerOp, 1000, "%.1f"), g.times(s, guard, cpuPerOp), g.times(s, cached, cpuPerOp),
	}
}

func (g *group) generatedRow(s *stack) []string {
	return []string{
		number(s.median(lines)), number(s.median(compileTime)), s.spread(compileTime, 1),
		english.Sprintf("%.1f", s.median(binarySize)/1e6), g.addedCell(s, binarySize, 1e6, "%.1f"),
		number(s.median(heapSize) / 1e3), g.addedCell(s, heapSize, 1e3, "%.0f"),
	}
}

// spread returns the least and the most of the rounds, divided.
func (s *stack) spread(unit string, divisor float64) string {
	return fmt.Sprintf("(%s to %s)", number(slices.Min(s.values[unit])/divisor), number(slices.Max(s.values[unit])/divisor))
}

func (g *group) addedCell(s *stack, unit string, divisor float64, format string) string {
	if s.name == floor {
		return ""
	}
	return english.Sprintf(format, g.added(s, unit)/divisor)
}

// times returns how many times as much as the other stack a stack adds. Nothing is compared with an
// addition that is smaller than the noise.
func (g *group) times(s *stack, other, unit string) string {
	o := g.find(other)
	if s.name == floor || o == nil || g.added(o, unit) <= 0 {
		return ""
	}
	return strconv.FormatFloat(g.added(s, unit)/g.added(o, unit), 'f', 2, 64)
}

func number(value float64) string { return english.Sprintf("%.0f", value) }

// machine returns a line about where and when the run was.
func (r *report) machine() string {
	fact := func(key string) string {
		if value := r.facts[key]; value != "" {
			return cell(value)
		}
		return "unknown"
	}
	return fmt.Sprintf("%s, %s cores, %s/%s, %s, Redis %s, %s.", fact("cpu"), fact("cores"), fact("goos"), fact("goarch"), fact("go"), fact("redis"), fact("date"))
}

// rounds returns a line about the number of rounds.
func (r *report) rounds() string {
	least, most := r.groups[0].rounds(r.groups[0].stacks[0]), 0
	for _, g := range r.groups {
		n := g.rounds(g.stacks[0])
		least, most = min(least, n), max(most, n)
	}
	if least == most {
		return count(strconv.Itoa(least), "round")
	}
	return fmt.Sprintf("%d to %d rounds", least, most)
}

// cell escapes a text, so that it neither ends its cell nor starts markup.
func cell(text string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", "&", "&amp;", "\n", " ").Replace(text)
}

// heading returns what a benchmark measures.
func heading(benchmark string) string {
	switch benchmark {
	case "Serve":
		return "One request after the other, in the process"
	case "Parallel":
		return "A caller per core, in the process"
	case "Redis":
		return "With revocations that all processes share, in a Redis on the same machine"
	case "HTTP":
		return "Over loopback HTTP, one request after the other"
	case "Load":
		return "Over loopback HTTP with all cores, the server in a process of its own"
	case "Generated":
		return "Generated code: compiler, binary and memory"
	case "Growth":
		return "APIs of many operations, each asked in turn"
	}
	return cell(benchmark)
}

// title returns the parameters.
func (g *group) title() string {
	var parts []string
	for _, p := range g.params {
		switch p.key {
		case "alg":
			parts = append(parts, p.value)
		case "redis":
			if g.benchmark == "Load" { // elsewhere it is in the heading
				parts = append(parts, map[string]string{"yes": "revocations in Redis", "no": "no Redis"}[p.value])
			}
		case "tokens":
			parts = append(parts, count(p.value, "token"))
		case "connections":
			parts = append(parts, count(p.value, "connection"))
		case "callers":
			parts = append(parts, count(p.value, "caller"))
		case "operations":
			parts = append(parts, count(p.value, "operation"))
		default:
			parts = append(parts, p.key+" "+p.value)
		}
	}
	return cell(strings.Join(parts, ", "))
}

// count returns "1 token", or "2,000 tokens".
func count(value, noun string) string {
	n, err := strconv.Atoi(value)
	switch {
	case err != nil:
		return value + " " + noun + "s"
	case n == 1:
		return "1 " + noun
	}
	return english.Sprintf("%d %ss", n, noun)
}
